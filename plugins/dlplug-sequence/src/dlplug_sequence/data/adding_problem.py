"""The adding problem."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dlplug.data import Batch, Info, TensorData
from dlplug.errors import InputError


@dataclass(frozen=True)
class SequenceInfo(Info):
    """Sequences of numbers, each with one number to say of it.

    Attributes:
        length: Steps.
        size: Numbers a step.
    """

    length: int
    size: int

    def __str__(self) -> str:
        return f"{self.length} steps of {self.size} numbers"


class AddingProblem(TensorData):
    """Numbers from 0 to 1, two of them marked, one in each half; the answer is the sum of the two.

    Hochreiter and Schmidhuber (1997). Always to answer 1, the mean, leaves a mean squared error of 1/6: what a network
    gets that forgets the marked number before the end. Batches are (sequences of shape (n, length, 2): number and mark;
    sums of shape (n,)).

    Args:
        length: Steps of a sequence.
        sequences: Training sequences; there are 1,000 to validate and 1,000 to test.
        batch_size: Sequences a batch on each device.
    """

    def __init__(self, length: int = 100, sequences: int = 20_000, batch_size: int = 64) -> None:
        super().__init__(batch_size)
        if length < 2 or sequences < 1:
            raise InputError(f"length must be at least 2 and sequences at least 1, not {length} and {sequences}")
        self.length, self.sequences = length, sequences

    def load(self) -> tuple[SequenceInfo, Mapping[str, Batch]]:
        """Draw the sequences, always the same."""
        counts = {"val": 1000, "test": 1000, "train": self.sequences}
        generator = torch.Generator().manual_seed(0)
        return SequenceInfo(self.length, 2), {name: self._draw(n, generator) for name, n in counts.items()}

    def _draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        values = torch.rand(n, self.length, generator=generator)
        half, rows = self.length // 2, torch.arange(n)
        marks = torch.zeros(n, self.length)
        marks[rows, torch.randint(half, (n,), generator=generator)] = 1
        marks[rows, torch.randint(half, self.length, (n,), generator=generator)] = 1
        return torch.stack([values, marks], dim=2), (values * marks).sum(1)
