"""What models that write texts share: how they learn, and how what they wrote is measured."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from dlplug.data import Batch
from dlplug.optim import WarmupCosine

Row = TypeVar("Row")


class Writer(WarmupCosine, ABC, Generic[Row]):
    """A model that learns to predict each token after the true ones before it, and is judged by what it writes.

    Logs ``loss`` in nats a token, and for what was not trained on, what ``judge`` says of the texts written.

    Attributes:
        written: What was to be written and what was, by this process since validation or test began.
    """

    betas = (0.9, 0.99)

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Row] = []

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over tokens of a batch, in nats."""

    @abstractmethod
    def rows(self, batch: Batch) -> list[Row]:
        """Write the texts of a batch, greedily; return each beside what was to be written."""

    @staticmethod
    @abstractmethod
    def judge(rows: Sequence[Row]) -> dict[str, float]:
        """Return measures of what was written by name."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        loss = self.loss(batch)
        self.record(loss=loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the loss, and write."""
        self.record(loss=self.loss(batch))
        self.written += self.rows(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test part."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Forget what was written the last time."""
        self.written = []

    def on_test_epoch_start(self) -> None:
        """The same before a test."""
        self.written = []

    def on_validation_epoch_end(self) -> None:
        """Log how good it is."""
        self._log_quality("val")

    def on_test_epoch_end(self) -> None:
        """The same for the test part."""
        self._log_quality("test")

    def _log_quality(self, stage: str) -> None:
        rows: list[Any] = self.written
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.written)
            rows = [row for part in parts for row in part]
        self.log_dict({f"{stage}/{name}": value for name, value in self.judge(rows).items()})
