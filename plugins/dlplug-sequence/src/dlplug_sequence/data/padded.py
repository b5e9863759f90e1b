"""Sentences of different lengths: kept as one row of tokens, read in batches that are hardly padded."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dlplug.data import BatchIndexSampler, TensorData, run_seed
from dlplug_sequence.data.vocabulary import UNKNOWN

PAD, BEGIN, END = "<pad>", "<s>", "</s>"
SPECIALS = (PAD, UNKNOWN, BEGIN, END)  # their numbers are their places
PAD_CODE, UNKNOWN_CODE, BEGIN_CODE, END_CODE = range(4)
POOL = 50  # batches that are sorted by length together


class Ragged:
    """Rows of token numbers, one after the other; indexed by a tensor, it gives those rows padded to their longest.

    Args:
        rows: The rows; one that is empty becomes an unknown token.

    Attributes:
        lengths: Tokens of each row.
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        rows = [row or [UNKNOWN_CODE] for row in rows]
        self.lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        self._starts = self.lengths.cumsum(0) - self.lengths
        self._tokens = torch.tensor([code for row in rows for code in row], dtype=torch.int32)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Tensor) -> Tensor:
        lengths = self.lengths[index].unsqueeze(1)  # (n, 1)
        places = torch.arange(int(lengths.max()))  # (time,)
        tokens = self._tokens[(self._starts[index].unsqueeze(1) + places).clamp_max(len(self._tokens) - 1)]
        return tokens.long().masked_fill(places >= lengths, PAD_CODE)  # (n, time)


class LengthBucketSampler(BatchIndexSampler):
    """Shuffled batches of items of about the same length, so that few are padded by much.

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
        for place in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[place][self.rank :: self.num_replicas]


class SentenceData(TensorData):
    """Sentences with what belongs to each: a class, or a translation. Training batches are of about the same length.

    Args:
        batch_size: Items a batch on each device.
    """

    def sampler(self, split: str, columns: "Sequence[Ragged | Tensor]") -> BatchIndexSampler:
        """Return batches of items of about the same length to train on, and else as usual."""
        if split != "train":
            return super().sampler(split, columns)
        # By the first column and, where that is equal, by the others: a translation has a length of its own.
        key = torch.zeros(len(columns[0]))
        for column in columns:
            key = key * 1000 + column.lengths if isinstance(column, Ragged) else key
        return LengthBucketSampler(key, self.batch_size, run_seed())


def split_places(count: int, seed: int) -> dict[str, list[int]]:
    """Return places of so many items, shuffled and split 80 : 10 : 10.

    Raises:
        ValueError: There are too few.
    """
    if count < 10:
        raise ValueError(f"there are {count} items, too few to train, validate and test on: at least 10 are needed")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    tenth = count // 10
    return {"train": order[2 * tenth :], "val": order[:tenth], "test": order[tenth : 2 * tenth]}
