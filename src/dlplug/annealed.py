"""How a model that descends a single loss may do so: AdamW, with a learning rate that falls to 0."""

import math
from typing import Any, ClassVar

import torch

from dlplug.model import Model


class Annealed(Model):
    """A model trained by AdamW, whose learning rate may rise at first and falls along a cosine to 0 at the last batch.

    The rate is set before each batch from the share of batches done, so that a resumed run may be longer.

    Attributes:
        lr: The highest learning rate.
        betas: Adam's decays of its means of gradients and of their squares.
        weight_decay: Decay of all weights; without it AdamW is Adam.
        lr_warm_up: Share of the batches in which the rate rises from nearly 0.
    """

    lr: float
    weight_decay: float = 0.0
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    lr_warm_up: ClassVar[float] = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW over all weights that are learned."""
        learned = (weight for weight in self.parameters() if weight.requires_grad)
        # One kernel for all weights takes a third of the time; in mixed precision Lightning clips no gradients for it.
        fused = not self.trainer.precision.endswith("mixed")
        return torch.optim.AdamW(learned, self.lr, self.betas, weight_decay=self.weight_decay, fused=fused)

    def on_train_start(self) -> None:
        """Learn how many batches there will be."""
        self._steps = float(self.trainer.estimated_stepping_batches)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        for group in optimizer.param_groups:
            group["lr"] = self.lr * self._share_of_rate()

    def progress(self) -> float:
        """Return the share of all batches that is done; 0 where there is no end."""
        return min(1.0, self.trainer.global_step / self._steps)

    def _share_of_rate(self) -> float:
        done = self.progress()
        if done < self.lr_warm_up:
            return min(1.0, (done + 1 / self._steps) / self.lr_warm_up)
        return (1 + math.cos(math.pi * done)) / 2
