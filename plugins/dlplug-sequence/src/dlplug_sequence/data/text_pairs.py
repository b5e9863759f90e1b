"""Texts, each with a translation."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dlplug.data import Info, Input
from dlplug_sequence.data.padded import BOS_ID, EOS_ID, Ragged, SentenceData, as_utf8
from dlplug_sequence.data.vocabulary import Vocabulary

Pair = tuple[str, str]


@dataclass(frozen=True)
class PairInfo(Info):
    """Texts and their translations.

    Attributes:
        source: The ``Vocabulary`` of the texts as JSON; padding has id 0.
        target: The same for the translations; ids 2 and 3 are the begin and end tokens.
    """

    source: str
    target: str

    def __str__(self) -> str:
        sizes = [len(Vocabulary.from_json(text)) for text in (self.source, self.target)]
        return f"text pairs of {sizes[0]} and {sizes[1]} tokens"


class PairData(SentenceData):
    """Texts, each with a translation; the vocabularies come from the training texts.

    Batches are (texts (n, time), translations (n, time) between the begin and end tokens), padded with 0. Those not to
    train on have two more columns, translations and texts as UTF-8 (n, bytes), since tokens may be unknown.
    """

    def read_inputs(self, source: str, info: Any) -> Sequence[Input]:
        """Return texts to predict: lines, the first column of a table, or files; see ``text_inputs``."""
        return self.read_texts(source, info.source, column="")

    @abstractmethod
    def pairs(self) -> Mapping[str, Sequence[Pair]]:
        """Return (text, translation) of the items of ``"train"``, ``"val"`` and ``"test"``."""

    def load(self) -> "tuple[Info, Mapping[str, Sequence[Ragged | Tensor]]]":
        """Learn the vocabularies and encode the pairs."""
        parts = self.pairs()
        source, target = (self.train_vocabulary([pair[side] for pair in parts["train"]]) for side in (0, 1))
        splits: dict[str, tuple[Ragged, ...]] = {}
        for split, items in parts.items():
            texts, translations = ([pair[side] for pair in items] for side in (0, 1))
            encoded = ([BOS_ID, *ids, EOS_ID] for ids in target.encode_batch(translations))
            splits[split] = (Ragged(source.encode_batch(texts)), Ragged(encoded))
            if split != "train":
                splits[split] += (as_utf8(translations), as_utf8(texts))
        source.report_unknown(splits["val"][0].tokens, "the validation texts")
        target.report_unknown(splits["val"][1].tokens, "their translations")
        return PairInfo(source.to_json(), target.to_json()), splits
