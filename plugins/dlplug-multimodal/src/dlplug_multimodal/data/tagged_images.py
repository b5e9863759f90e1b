"""Images with words: what data sets of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dlplug.data import Info
from dlplug.errors import did_you_mean
from dlplug_vision.data.images import ImageData
from dlplug_vision.data.lazy_images import take


@dataclass(frozen=True)
class TaggedImageInfo(Info):
    """Images of one size, of values from 0 to 1, each with a count of each word of a vocabulary.

    Attributes:
        channels: 1 for grey, 3 for colour.
        height: Rows.
        width: Columns.
        words: The words that are counted.
    """

    channels: int
    height: int
    width: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.channels}×{self.height}×{self.width} images with {len(self.words)} words"


class TaggedImages(ImageData):
    """Images with words, in memory.

    Batches are (images from 0 to 1, of shape (n, channels, height, width); counts of words, floats, shape (n, words)).
    """


def count_words(texts: list[list[str]], words: tuple[str, ...]) -> Tensor:
    """Return how often each text has each word; other words are left out.

    Args:
        texts: The words of each.
        words: Those that count.

    Returns:
        Shape (texts, words).
    """
    place = {word: index for index, word in enumerate(words)}
    counts = torch.zeros(len(texts), len(words))
    for row, text in zip(counts, texts, strict=True):
        for word in text:
            if word in place:
                row[place[word]] += 1
    return counts


def count_query_words(text: str, words: tuple[str, ...]) -> Tensor:
    """Return how often a query has each word, shape (1, words).

    Raises:
        ValueError: It has another one.
    """
    query = text.lower().split()
    for word in query:
        if word not in words:
            raise ValueError(f"no training image is tagged {word!r}; {did_you_mean(word, words)}")
    return count_words([query], words)


def group_split(groups: list[str], seed: int = 0) -> Mapping[str, Tensor]:
    """Split items 80 : 10 : 10 so that all items of a group are in one split.

    Args:
        groups: The name of each item's group.
        seed: Another seed is another split.

    Returns:
        The items' indices by split, in ascending order; the same on every machine.
    """
    names = sorted(set(groups))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    tenth = len(names) // 10
    part = {names[i]: "test" if n < tenth else "val" if n < 2 * tenth else "train" for n, i in enumerate(order)}
    parts = [part[group] for group in groups]
    return {split: torch.tensor([i for i, p in enumerate(parts) if p == split]) for split in ("train", "val", "test")}


def index_splits(columns: Sequence[Any], parts: Mapping[str, Tensor]) -> Mapping[str, tuple[Any, ...]]:
    """Return each split's items.

    Args:
        columns: Tensors of one length, or images that are still to be read.
        parts: Indices by split.
    """
    return {split: tuple(take(column, index) for column in columns) for split, index in parts.items()}


def to_float(values: Tensor) -> Tensor:
    """Return bytes as floats from 0 to 1 and 16-bit samples as floats from -1 to 1; floats stay as they are."""
    if values.dtype == torch.uint8:
        return values.float() / 255
    return values.float() / 32768 if values.dtype == torch.int16 else values
