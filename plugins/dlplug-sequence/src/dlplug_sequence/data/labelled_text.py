"""Texts, each with a target: a class, labels or numbers."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dlplug.data import Info, Input, Target
from dlplug.targets import encode_targets, target_names
from dlplug_sequence.data.padded import Ragged, SentenceData, as_utf8, split_items
from dlplug_sequence.data.vocabulary import Vocabulary

SHOWN = 500  # characters of a text that tables of mistakes show


@dataclass(frozen=True)
class LabelledTextInfo(Info):
    """Texts, each with a target.

    Attributes:
        vocabulary: The ``Vocabulary`` as JSON; padding has id 0.
        labels: The names of the classes, of the labels, or of the numbers.
        target: What each text has: a ``class``, some of the ``labels``, or ``number``, one or more.
    """

    vocabulary: str
    labels: tuple[str, ...]
    target: Target = "class"

    def __str__(self) -> str:
        vocabulary = Vocabulary.from_json(self.vocabulary)
        what = {"class": "in classes", "labels": "with labels of", "number": "with the numbers"}[self.target]
        return f"texts of {len(vocabulary)} tokens, {vocabulary.level} level, {what} {', '.join(self.labels)}"


class LabelledTextData(SentenceData):
    """Texts, each with a target, duplicates left out, split 80 : 10 : 10; the vocabulary comes from the training texts.

    Text is lowercased. Batches are (tokens (n, time), padded with 0; targets, of classes (n,), else as
    ``encode_targets`` gives them). Those not to train on have a third column, the beginnings of the texts as UTF-8 (n,
    bytes), since tokens may be unknown.

    Args:
        seq_len: Maximum number of tokens of a text; longer ones are truncated.
        split_seed: Seed of the split.

    Attributes:
        target: The kind of target; classes unless ``read`` finds another one.
        numbers: The names of the numbers.
    """

    target: Target = "class"
    numbers: Sequence[str] = ()

    def __init__(
        self, min_count: int = 0, seq_len: int = 200, split_seed: int = 0, batch_size: int = 128, **kwargs: Any
    ) -> None:
        super().__init__(min_count=min_count, batch_size=batch_size, **kwargs)
        self.seq_len, self.split_seed = seq_len, split_seed

    def read_inputs(self, source: str, info: Any) -> Sequence[Input]:
        """Return texts to predict: lines, the column of a table, or files; see ``text_inputs``."""
        return self.read_texts(source, info.vocabulary, getattr(self, "text", "text"), self.seq_len)

    @abstractmethod
    def read(self) -> Sequence[tuple[str, Any]]:
        """Return (text, class) of each item, or labels or numbers, a tuple, in place of the class."""

    def identify(self, text: str) -> str:
        """Return what duplicates have in common, of which the first is kept: the text."""
        return text

    def texts(self) -> dict[str, list[tuple[str, Any]]]:
        """Return (text, class) of each item by split, in the order of the splits' items; for baselines."""
        first: dict[str, tuple[str, Any]] = {}
        for text, label in self.read():
            first.setdefault(self.identify(text), (text, label))
        return split_items(list(first.values()), self.split_seed)

    def load(self) -> "tuple[Info, Mapping[str, Sequence[Ragged | Tensor]]]":
        """Read, split, and learn the vocabulary."""
        if self.seq_len < 1:
            raise ValueError(f"seq_len must be at least 1, not {self.seq_len}")
        parts = self.texts()
        names = target_names(self.target, [value for items in parts.values() for _, value in items], self.numbers)
        vocabulary = self.train_vocabulary([text for text, _ in parts["train"]], lowercase=True)
        splits: dict[str, tuple[Any, ...]] = {}
        for split, items in parts.items():
            rows = (ids[: self.seq_len] for ids in vocabulary.encode_batch([text for text, _ in items]))
            splits[split] = (Ragged(rows), encode_targets(self.target, [value for _, value in items], names))
            if split != "train":
                splits[split] += (as_utf8([text[:SHOWN] for text, _ in items]),)
        vocabulary.report_unknown(splits["val"][0].tokens, "the validation texts")
        return LabelledTextInfo(vocabulary.to_json(), names, self.target), splits
