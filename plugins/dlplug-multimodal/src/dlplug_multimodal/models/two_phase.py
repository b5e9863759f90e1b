"""Models that are trained in two phases: first their parts apart, then what is built on these."""

from abc import ABC, abstractmethod

from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from dlplug.data import Batch
from dlplug.optim import WarmupCosine, warmup_cosine


class TwoPhase(WarmupCosine, ABC):
    """A model whose first epochs minimise one loss and whose remaining epochs another.

    The learning rate warms up and decays in each phase. It optimises by hand, since each phase leaves weights of the
    other without gradients.

    Attributes:
        first_epochs: Length of the first phase.
    """

    automatic_optimization = False
    warmup_fraction = 0.15
    first_epochs: int

    @abstractmethod
    def first_loss(self, batch: Batch) -> Tensor:
        """Return and record the loss of the first phase."""

    @abstractmethod
    def second_loss(self, batch: Batch) -> Tensor:
        """Return and record the loss of the second phase."""

    @property
    def in_first_phase(self) -> bool:
        """Whether a fit is in its first phase, training or validating."""
        return self.trainer.state.fn == TrainerFn.FITTING and self.current_epoch < self.first_epochs

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take one step of the phase."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        loss = self.first_loss(batch) if self.in_first_phase else self.second_loss(batch)
        self.minimise(loss, optimizer)

    def lr_scale(self) -> float:
        """Return the share of the highest learning rate, which warms up and decays in each phase."""
        first = float(self.first_epochs * self.trainer.num_training_batches)
        done = self.trainer.global_step
        if self.in_first_phase:
            return warmup_cosine(done, min(first, self.total_steps), self.warmup_fraction)
        return warmup_cosine(done - first, self.total_steps - first, self.warmup_fraction)
