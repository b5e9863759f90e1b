"""Texts with a translation each."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from dlplug.data import Info
from dlplug_sequence.data.padded import BEGIN_CODE, END_CODE, SPECIALS, Ragged, SentenceData
from dlplug_sequence.data.vocabulary import Level, Vocabulary

Pair = tuple[str, str]


@dataclass(frozen=True)
class PairInfo(Info):
    """Texts and their translations.

    Attributes:
        source: The ``Vocabulary`` of the texts as JSON; padding has number 0.
        target: The same of the translations; its numbers 2 and 3 begin and end one.
    """

    source: str
    target: str

    def __str__(self) -> str:
        sizes = [len(Vocabulary.from_json(text)) for text in (self.source, self.target)]
        return f"text pairs of {sizes[0]} and {sizes[1]} tokens"


class PairData(SentenceData):
    """Texts with a translation each; the vocabularies come from those that are trained on.

    Batches are (texts (n, time), translations (n, time) between the begin and the end token), padded with 0.

    Args:
        level: What a token is.
        vocabulary_size: Most tokens of each vocabulary; 0 for all, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training texts are unknown.
        batch_size: Pairs a batch on each device.
    """

    def __init__(
        self, level: Level = "word", vocabulary_size: int = 0, min_count: int = 1, batch_size: int = 64
    ) -> None:
        super().__init__(batch_size)
        self.level, self.vocabulary_size, self.min_count = level, vocabulary_size, min_count

    @abstractmethod
    def pairs(self) -> Mapping[str, Sequence[Pair]]:
        """Return (text, translation) of the items of ``"train"``, ``"val"`` and ``"test"``."""

    def load(self) -> "tuple[Info, Mapping[str, Sequence[Ragged | Tensor]]]":
        """Learn the vocabularies and write the pairs in their numbers."""
        parts = self.pairs()
        source, target = (self._vocabulary([pair[side] for pair in parts["train"]]) for side in (0, 1))
        splits = {}
        for split, items in parts.items():
            texts = source.encode_batch([text for text, _ in items])
            translations = target.encode_batch([translation for _, translation in items])
            splits[split] = (Ragged(texts), Ragged([[BEGIN_CODE, *codes, END_CODE] for codes in translations]))
        return PairInfo(source.to_json(), target.to_json()), splits

    def _vocabulary(self, texts: Sequence[str]) -> Vocabulary:
        return Vocabulary.train(
            texts, self.level, self.vocabulary_size, self.min_count, SPECIALS, sentences=self.level != "character"
        )
