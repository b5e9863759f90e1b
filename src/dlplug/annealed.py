"""How a model that descends a single loss may do so: AdamW, with a learning rate that falls to 0."""

import math
from typing import Any, ClassVar

import torch

from dlplug.model import Model


class Annealed(Model):
    """A model trained by AdamW, whose learning rate may rise at first and falls along a cosine to 0 at the last batch.

    The rate is set before each batch from the number of batches done, so that a resumed run may be longer.

    Attributes:
        lr: The highest learning rate.
        betas: Adam's decays of its means of gradients and of their squares.
        weight_decay: Decay of all weights; without it AdamW is Adam.
        lr_warm_up: Share of the batches in which the rate rises from nearly 0.
        total_steps: Steps that the optimiser will take, once training starts; infinite where there is no end.
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
        self.total_steps = float(self.trainer.estimated_stepping_batches)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        rate = self.lr * self.share_of_rate()
        for group in optimizer.param_groups:
            group["lr"] = rate

    def progress(self) -> float:
        """Return the share of all batches that is done; 0 where there is no end."""
        return min(1.0, self.trainer.global_step / self.total_steps)

    def share_of_rate(self) -> float:
        """Return the share of the highest learning rate that the next batch is learned from with."""
        return self.annealed(self.trainer.global_step, self.total_steps)

    def annealed(self, step: float, steps: float) -> float:
        """Return the share of the highest learning rate at a step out of so many; 1 where there is no end."""
        if math.isinf(steps):
            return 1.0
        rise = self.lr_warm_up * steps
        if step < rise:
            return (step + 1) / (rise + 1)
        return (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1.0, steps - rise)))) / 2
