"""Pictures with words: what data sets of them share."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dlplug.data import Batch, Info
from dlplug.errors import did_you_mean
from dlplug_vision.data.images import ImageData


@dataclass(frozen=True)
class TaggedInfo(Info):
    """Pictures of one size, of values from 0 to 1, each with how often each of a list of words is said of it.

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
    """Pictures with words, in memory.

    Batches are (images from 0 to 1, of shape (n, channels, height, width); counts of words, floats, shape (n, words)).
    """


def count_words(texts: list[list[str]], words: tuple[str, ...]) -> Tensor:
    """Return how often each text says each word; other words are left out.

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


def count_asked(text: str, words: tuple[str, ...]) -> Tensor:
    """Return how often a person's text says each word, shape (1, words).

    Raises:
        ValueError: It says another one.
    """
    said = text.lower().split()
    for word in said:
        if word not in words:
            raise ValueError(f"no training picture is called {word!r}; {did_you_mean(word, words)}")
    return count_words([said], words)


def split_groups(groups: list[str], seed: int = 0) -> Mapping[str, Tensor]:
    """Split items 80 : 10 : 10 so that those of one group are on one side.

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


def cut(columns: Batch, parts: Mapping[str, Tensor]) -> Mapping[str, Batch]:
    """Return the columns of each part.

    Args:
        columns: Tensors of one length.
        parts: Indices by the part's name.
    """
    return {name: tuple(column[index] for column in columns) for name, index in parts.items()}
