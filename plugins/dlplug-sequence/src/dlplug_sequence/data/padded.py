"""Sentences of different lengths: kept as one row of tokens, and given in batches with little padding."""

import html
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dlplug.data import BatchIndexSampler, Input, TensorData, run_seed
from dlplug_sequence.data.text_inputs import text_inputs
from dlplug_sequence.data.vocabulary import UNKNOWN, Level, Vocabulary

SPECIALS = ("<pad>", UNKNOWN, "<s>", "</s>")
PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(4)  # the places of the special tokens
FEW = 10_000  # texts
POOL = 50  # batches that are sorted by length together: more save little padding and make the order less random
ADDRESSED = re.compile(r"https?:\S*|www\.\S+|@\w+|\brt\b")  # what one message has and its copy has not
MARKS = re.compile(r"[\W_]+")
Item = TypeVar("Item")


class Ragged:
    """Rows of token ids, one after the other; indexed by a tensor, it gives those rows padded to their longest.

    Args:
        rows: The rows; an empty one becomes an unknown token.

    Attributes:
        lengths: Tokens of each row.
        tokens: All tokens, one row after the other.
    """

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        lengths, tokens = array("q"), array("i")
        for row in rows:
            tokens.extend(row or [UNK_ID])
            lengths.append(len(row) or 1)
        self.lengths, self.tokens = (torch.from_numpy(np.array(each)) for each in (lengths, tokens))
        self._starts = self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Tensor) -> Tensor:
        lengths = self.lengths[index].unsqueeze(1)  # (n, 1)
        positions = torch.arange(int(lengths.max()))  # (time,)
        tokens = self.tokens[(self._starts[index].unsqueeze(1) + positions).clamp_max(len(self.tokens) - 1)]
        return tokens.long().masked_fill(positions >= lengths, PAD_ID)  # (n, time)


def fitting_min_count(texts: int) -> int:
    """Return how often a token has to be seen in so many texts: in few of them, rare words are most words."""
    return 2 if texts >= FEW else 1


def normal_form(text: str) -> str:
    """Return the letters and digits of a text, without case, addresses, names after @ and marks.

    Texts of one normal form are copies of each other, so a split must not have them in two parts.
    """
    plain = html.unescape(text).casefold()
    return MARKS.sub(" ", ADDRESSED.sub(" ", plain)).strip() or plain


def as_utf8(texts: Sequence[str]) -> Ragged:
    """Return texts as rows of bytes, a column that ``from_utf8`` reads: what outputs are compared with."""
    return Ragged(text.encode() for text in texts)


def from_utf8(rows: Tensor) -> list[str]:
    """Return the texts of rows of bytes (n, time), padded with 0."""
    return [bytes(row).rstrip(b"\0").decode() for row in rows.tolist()]


class LengthBucketSampler(BatchIndexSampler):
    """Shuffled batches of items of about the same length, so that there is little padding.

    Each epoch's random order is cut into pools of some batches; a pool is sorted by length and cut into batches, and
    these come in random order. All ranks of a step have about the same lengths too.

    Args:
        lengths: Length of each item.
        batch_size: Items a batch on each rank.
        seed: The run's seed.
    """

    def __init__(self, lengths: Tensor, batch_size: int, seed: int = 0) -> None:
        super().__init__(len(lengths), batch_size, "shuffled", seed)
        self.lengths = lengths

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        step = self.batch_size * self.num_replicas
        order = torch.randperm(self.size, generator=generator)[: len(self) * step]
        pools = [pool[self.lengths[pool].argsort(stable=True)] for pool in torch.split(order, POOL * step)]
        batches = [batch for pool in pools for batch in torch.split(pool, step)]
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[index][self.rank :: self.num_replicas]


class SentenceData(TensorData):
    """Sentences, each with a class or a translation. Training batches are of about the same length.

    Args:
        level: What a token is.
        vocabulary_size: Maximum number of tokens of a vocabulary; 0 for no limit, which for ``bpe`` means 8,000.
        min_count: Tokens seen less often in the training texts are unknown; 0 for 1 where there are few texts, below
            10,000, and otherwise 2.
    """

    def __init__(
        self, level: Level = "word", vocabulary_size: int = 0, min_count: int = 1, batch_size: int = 64
    ) -> None:
        super().__init__(batch_size)
        self.level, self.vocabulary_size, self.min_count = level, vocabulary_size, min_count

    def train_vocabulary(self, texts: Sequence[str], lowercase: bool = False) -> Vocabulary:
        """Learn a vocabulary, with the special tokens first, from training texts."""
        min_count = self.min_count or fitting_min_count(len(texts))
        return Vocabulary.train(
            texts, self.level, self.vocabulary_size, min_count, SPECIALS, sentences=True, lowercase=lowercase
        )

    def read_texts(self, source: str, vocabulary: str, column: str, most: int | None = None) -> Sequence[Input]:
        """Return texts to predict, as ``text_inputs`` reads them, in tokens of a vocabulary, at most so many."""
        encode = Vocabulary.from_json(vocabulary).encode
        return text_inputs(source, lambda text: (torch.tensor(encode(text)[:most] or [UNK_ID]),), column)

    def sampler(self, split: str, columns: "Sequence[Ragged | Tensor]") -> BatchIndexSampler:
        """Return batches of items of about the same length for training, and otherwise as usual."""
        if split != "train":
            return super().sampler(split, columns)
        # By the first column and, where that is equal, by the others: a translation has a length of its own.
        key = torch.zeros(len(columns[0]))
        for column in columns:
            key = key * 1000 + column.lengths if isinstance(column, Ragged) else key
        return LengthBucketSampler(key, self.batch_size, run_seed())


def split_indices(count: int, seed: int) -> dict[str, list[int]]:
    """Return the indices of so many items, shuffled and split 80 : 10 : 10.

    Raises:
        ValueError: There are too few.
    """
    if count < 10:
        raise ValueError(f"there are {count} items, too few to train, validate and test on: at least 10 are needed")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    tenth = count // 10
    return {"train": order[2 * tenth :], "val": order[:tenth], "test": order[tenth : 2 * tenth]}


def split_items(items: Sequence[Item], seed: int) -> dict[str, list[Item]]:
    """Return items shuffled and split as by ``split_indices``."""
    return {split: [items[i] for i in indices] for split, indices in split_indices(len(items), seed).items()}
