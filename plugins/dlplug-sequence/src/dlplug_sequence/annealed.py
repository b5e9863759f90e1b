"""How the models of this plugin that follow a gradient do so."""

import math
from typing import Any

import torch

from dlplug.model import Model


class Annealed(Model):
    """A model optimised by Adam, whose learning rate rises from nearly 0 to ``lr`` and falls along a cosine to 0.

    Attributes:
        lr: Highest learning rate.
        warm_up: Share of the batches in which it rises.
    """

    lr: float
    warm_up: float = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam; its learning rate is set before each batch, so that a resumed run may be longer."""
        return torch.optim.Adam(self.parameters(), self.lr, betas=(0.9, 0.99), foreach=True)

    def on_train_start(self) -> None:
        """Learn how many batches there will be."""
        self._steps = float(self.trainer.estimated_stepping_batches)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        done = min(1.0, self.trainer.global_step / self._steps)
        rate = (done + 1 / self._steps) / self.warm_up if done < self.warm_up else (1 + math.cos(math.pi * done)) / 2
        for group in optimizer.param_groups:
            group["lr"] = self.lr * min(1.0, rate)
