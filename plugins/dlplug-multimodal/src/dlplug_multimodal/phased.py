"""Models that are trained in two phases: first parts of them apart, then what is built on these."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from dlplug.data import Batch
from dlplug.model import Model
from dlplug_vision.classifier import learning_rate


class Phased(Model, ABC):
    """A model whose first epochs minimise one loss and whose others another, by AdamW.

    The learning rate rises and falls in each phase. It optimises by hand, since each phase leaves weights of the other
    without gradients.

    Attributes:
        lr: The highest learning rate.
        weight_decay: Weight decay of AdamW.
        first_epochs: Length of the first phase.
    """

    automatic_optimization = False
    lr: float
    weight_decay: float
    first_epochs: int

    @abstractmethod
    def first_loss(self, batch: Batch) -> Tensor:
        """Return and record the loss of the first phase."""

    @abstractmethod
    def second_loss(self, batch: Batch) -> Tensor:
        """Return and record the loss of the second phase."""

    @property
    def in_first_phase(self) -> bool:
        """Whether the running epoch is one of the first phase's."""
        return self.trainer.training and self.current_epoch < self.first_epochs

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take one step down the loss of the phase."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        for group in optimizer.param_groups:
            group["lr"] = self.lr * self._share_of_rate()
        loss = self.first_loss(batch) if self.in_first_phase else self.second_loss(batch)
        self.minimise(loss, optimizer)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW, which leaves weights without gradients as they are."""
        return torch.optim.AdamW(self.parameters(), self.lr, weight_decay=self.weight_decay)

    def _share_of_rate(self) -> float:
        total = float(self.trainer.estimated_stepping_batches)
        first = float(self.first_epochs * self.trainer.num_training_batches)
        done = self.trainer.global_step
        if self.in_first_phase:
            return learning_rate(done, min(first, total))
        return learning_rate(int(done - first), total - first)
