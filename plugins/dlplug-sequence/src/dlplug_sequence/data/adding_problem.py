"""The adding problem."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dlplug.data import Batch, Info, TensorData
from dlplug.errors import InputError


@dataclass(frozen=True)
class SequenceInfo(Info):
    """Sequences of vectors, each with one number as its target.

    Attributes:
        seq_len: Time steps.
        input_size: Size of the vector at a step.
    """

    seq_len: int
    input_size: int

    def __str__(self) -> str:
        return f"{self.seq_len} steps of {self.input_size} numbers"


class AddingProblem(TensorData):
    """Numbers from 0 to 1, two of them marked, one in each half; the target is the sum of the two.

    Hochreiter and Schmidhuber (1997). Always predicting the mean, 1, has a mean squared error of 1/6: as good as a
    network gets that forgets the marked numbers before the end. Batches are (sequences of shape (n, seq_len, 2): number
    and mark; sums of shape (n,)).

    Args:
        seq_len: Time steps of a sequence.
        sequences: Training sequences; there are 1,000 to validate and 1,000 to test.
    """

    def __init__(self, seq_len: int = 100, sequences: int = 20_000, batch_size: int = 64) -> None:
        super().__init__(batch_size)
        if seq_len < 2 or sequences < 1:
            raise InputError(f"seq_len must be at least 2 and sequences at least 1, not {seq_len} and {sequences}")
        self.seq_len, self.sequences = seq_len, sequences

    def load(self) -> tuple[SequenceInfo, Mapping[str, Batch]]:
        """Draw the sequences, always the same."""
        # In this order: the held-out sequences stay the same however many there are to train on.
        counts = {"val": 1000, "test": 1000, "train": self.sequences}
        generator = torch.Generator().manual_seed(0)
        return SequenceInfo(self.seq_len, 2), {name: self._draw(n, generator) for name, n in counts.items()}

    def _draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        values = torch.rand(n, self.seq_len, generator=generator)
        half, rows = self.seq_len // 2, torch.arange(n)
        marks = torch.zeros(n, self.seq_len)
        marks[rows, torch.randint(half, (n,), generator=generator)] = 1
        marks[rows, torch.randint(half, self.seq_len, (n,), generator=generator)] = 1
        return torch.stack([values, marks], dim=2), (values * marks).sum(1)
