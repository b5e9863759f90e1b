"""Texts with a class each."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlplug.data import Info
from dlplug_sequence.data.padded import SPECIALS, Ragged, SentenceData, split_places
from dlplug_sequence.data.vocabulary import Level, Vocabulary


@dataclass(frozen=True)
class LabelledTextInfo(Info):
    """Texts of one class each.

    Attributes:
        vocabulary: The ``Vocabulary`` as JSON; padding has number 0.
        labels: The classes' names.
    """

    vocabulary: str
    labels: tuple[str, ...]

    def __str__(self) -> str:
        vocabulary = Vocabulary.from_json(self.vocabulary)
        return f"texts of {len(vocabulary)} tokens, {vocabulary.level} level, in classes {', '.join(self.labels)}"


class LabelledTextData(SentenceData):
    """Texts with a class each, duplicates left out, split 80 : 10 : 10; the vocabulary comes from the first part.

    Batches are (tokens (n, time), padded with 0; classes (n,)).

    Args:
        level: What a token is; capitals are made small.
        vocabulary_size: Most tokens of the vocabulary; 0 for all, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training texts are unknown.
        length: Tokens after so many are cut off.
        split_seed: Another number is another split.
        batch_size: Texts a batch on each device.
    """

    def __init__(
        self,
        level: Level = "word",
        vocabulary_size: int = 0,
        min_count: int = 2,
        length: int = 200,
        split_seed: int = 0,
        batch_size: int = 128,
    ) -> None:
        super().__init__(batch_size)
        self.level, self.vocabulary_size, self.min_count = level, vocabulary_size, min_count
        self.length, self.split_seed = length, split_seed

    @abstractmethod
    def read(self) -> Sequence[tuple[str, str]]:
        """Return (text, class) of each item."""

    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Return (text, class) of each item by split, in the order of the splits' items; for baselines."""
        first: dict[str, str] = {}
        for text, label in self.read():
            first.setdefault(text, label)
        items, parts = list(first.items()), split_places(len(first), self.split_seed)
        return {split: [items[i] for i in places] for split, places in parts.items()}

    def load(self) -> "tuple[Info, Mapping[str, Sequence[Ragged | Tensor]]]":
        """Read, split, and learn the vocabulary."""
        if self.length < 1:
            raise ValueError(f"length must be at least 1, not {self.length}")
        parts = self.texts()
        labels = sorted({label for items in parts.values() for _, label in items})
        if len(labels) < 2:
            raise ValueError(f"there is only one class, {labels[0]!r}: nothing to tell apart")
        vocabulary = Vocabulary.train(
            [text for text, _ in parts["train"]],
            self.level,
            self.vocabulary_size,
            self.min_count,
            SPECIALS,
            sentences=True,
            lowercase=True,
        )
        splits = {}
        for split, items in parts.items():
            rows = [codes[: self.length] for codes in vocabulary.encode_batch([text for text, _ in items])]
            splits[split] = (Ragged(rows), torch.tensor([labels.index(label) for _, label in items]))
        return LabelledTextInfo(vocabulary.to_json(), tuple(labels)), splits
