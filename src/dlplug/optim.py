"""Learning rates: the schedule, AdamW that follows it, and the one place that sets a rate."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer

from dlplug.model import Model


def warmup_cosine(step: float, total_steps: float, warmup_fraction: float = 0.0) -> float:
    """Return the share of the highest learning rate at a step: linear warmup, then a cosine decay to 0.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), without restarts.

    Args:
        step: Steps taken so far.
        total_steps: Steps there will be; infinite where there is no end, and then the rate stays at its highest.
        warmup_fraction: Share of the steps in which the rate rises from nearly 0.
    """
    if math.isinf(total_steps):
        return 1.0
    warmup = warmup_fraction * total_steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, total_steps - warmup)))) / 2


def set_lr(optimizer: torch.optim.Optimizer | LightningOptimizer, lr: float | Sequence[float]) -> None:
    """Set the learning rate of an optimizer: one for all parameter groups, or one a group.

    With ``--scale_lr`` it is multiplied by what the number of processes asks for.
    """
    groups = optimizer.param_groups
    rates = [lr] * len(groups) if isinstance(lr, float | int) else lr
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate * group.get("lr_scale", 1.0)


class WarmupCosine(Model):
    """A model trained by AdamW, whose learning rate warms up and then decays along a cosine to 0 at the last batch.

    The rate is set before each batch from the number of batches done, so that a resumed run may be longer; a scheduler
    of torch's keeps the length that it was made with.

    Attributes:
        lr: The highest learning rate.
        betas: Adam's decays of its means of gradients and of their squares.
        weight_decay: Decay of all weights; without it AdamW is Adam.
        warmup_fraction: Share of the steps in which the rate rises from nearly 0.
        total_steps: Steps that the optimizer will take, once training starts; infinite where there is no end.
    """

    lr: float
    weight_decay: float = 0.0
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    warmup_fraction: ClassVar[float] = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW over all parameters that require gradients."""
        parameters = (parameter for parameter in self.parameters() if parameter.requires_grad)
        # One kernel for all weights takes a third of the time.
        optimizer = torch.optim.AdamW(parameters, self.lr, self.betas, weight_decay=self.weight_decay, fused=True)
        # It would also unscale gradients of float16; Lightning clips them only where it unscales them itself.
        optimizer._step_supports_amp_scaling = False
        return optimizer

    def on_train_start(self) -> None:
        """Learn how many steps there will be."""
        self.total_steps = float(self.trainer.estimated_stepping_batches)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        set_lr(optimizer, self.lr * self.lr_scale())

    def progress(self) -> float:
        """Return the share of all steps that is done; 0 where there is no end."""
        return min(1.0, self.trainer.global_step / self.total_steps)

    def lr_scale(self) -> float:
        """Return the share of the highest learning rate that the next step is taken with."""
        return warmup_cosine(self.trainer.global_step, self.total_steps, self.warmup_fraction)
