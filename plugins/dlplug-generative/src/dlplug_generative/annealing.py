"""What the models that descend a single loss share: Adam with a learning rate that falls to 0."""

import math

import torch

from dlplug.data import Batch
from dlplug.model import Model


class Annealed(Model):
    """A model trained by Adam, whose learning rate falls along a cosine to 0 at the last batch.

    The rate is set before each batch from the share of batches done, so that a resumed run may be longer.

    Attributes:
        lr: The highest learning rate.
    """

    lr: float

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all weights that are learned."""
        return torch.optim.Adam((p for p in self.parameters() if p.requires_grad), self.lr, foreach=True)

    def on_train_start(self) -> None:
        """Learn how many batches there will be."""
        self._steps = float(self.trainer.estimated_stepping_batches)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        for group in optimizer.param_groups:
            group["lr"] = self.lr * (1 + math.cos(math.pi * self.progress())) / 2

    def progress(self) -> float:
        """Return the share of all batches that is done; 0 where there is no end."""
        return min(1.0, self.trainer.global_step / self._steps)
