"""What models that generate texts share: how they are trained, and how their texts are scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from dlplug.data import Batch
from dlplug.optim import WarmupCosine

Row = TypeVar("Row")


class TextGenerator(WarmupCosine, ABC, Generic[Row]):
    """A model trained to predict each token after the true ones before it, and scored by the texts that it generates.

    Logs ``loss`` in nats a token, and in validation and test what ``score`` says of the generated texts.

    Attributes:
        generated: References and generated texts, of this process since validation or test began.
    """

    # Adam averages squared gradients over about 100 steps, not 1,000 as by default.
    betas = (0.9, 0.99)

    def __init__(self) -> None:
        super().__init__()
        self.generated: list[Row] = []

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy over the tokens of a batch, in nats."""

    @abstractmethod
    def decode_batch(self, batch: Batch) -> list[Row]:
        """Generate the texts of a batch, greedily; return each with its reference."""

    @staticmethod
    @abstractmethod
    def score(rows: Sequence[Row]) -> dict[str, float]:
        """Return metrics of generated texts by name."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        loss = self.loss(batch)
        self.record(loss=loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the loss, and generate."""
        self.training_step(batch, batch_idx)
        self.generated += self.decode_batch(batch)

    def on_validation_epoch_start(self) -> None:
        """Forget what was generated the last time."""
        self.generated = []

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        rows: list[Any] = self.generated
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.generated)
            rows = [row for part in parts for row in part]
        self.log_dict({f"{self.stage}/{name}": value for name, value in self.score(rows).items()})
