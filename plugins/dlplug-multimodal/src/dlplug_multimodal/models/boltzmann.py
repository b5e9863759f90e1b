"""How restricted Boltzmann machines learn inside Lightning: statistics in place of a loss."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from dlplug import Panel
from dlplug.data import Batch
from dlplug.model import Model
from dlplug.optim import set_lr
from dlplug_multimodal.nn.rbm import RBM

ENERGIES_EVERY = 25  # batches

LEARNING = Panel(
    "Learning",
    "Log-probability",
    "Nats an item, with a minus, the partition estimated by annealed importance sampling. Healthy: falls, below that "
    "of units without connections. Broken: rises while the reconstruction improves (the chains no longer mix).",
    curves=("nll",),
)
GAP = Panel(
    "Learning",
    "Free energies",
    "Mean free energy of the data and of what the chains hold. Healthy: close together. Broken: the data's far below "
    "(the model puts its mass elsewhere), or a gap that grows (chains that do not mix).",
    curves=("energy_data", "energy_model"),
)


class Boltzmann(Model):
    """A model that learns by contrastive divergence, written down as products of matrices.

    There is no loss to differentiate: the gradient is the statistics of Gibbs chains less those of the data, averaged
    over processes. A subclass calls ``descend`` with it.

    Attributes:
        lr: The highest learning rate; it falls along a line to 0 at the last epoch.
        momentum: Share of the last step that the next one keeps.
        weight_decay: Decay of the weights, not of the biases.
    """

    lr: float
    momentum: float
    weight_decay: float

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    @abstractmethod
    def initialise(self) -> None:
        """Set what depends on the training data's means."""

    def train_batches(self) -> Iterable[Batch]:
        """Return one epoch of this process's training batches, as models get them."""
        data: Any = cast(Any, self.trainer).datamodule
        for batch in data.train_dataloader():
            yield data.prepare_batch(tuple(column.to(self.device) for column in batch))

    def share(self, values: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the means of tensors over all processes."""
        if self.trainer.world_size == 1:
            return values
        return [self.trainer.strategy.reduce(value, reduce_op="mean") for value in values]

    def descend(self, gradients: Sequence[tuple[nn.Module, Sequence[Tensor]]]) -> None:
        """Take one step.

        Args:
            gradients: Machines, each with the gradients of its parameters in their order.
        """
        for machine, found in gradients:
            for parameter, gradient in zip(machine.parameters(), self.share(found), strict=True):
                parameter.grad = gradient.to(parameter.dtype)  # half precision's products are not
        self.descent().step()
        for machine, _ in gradients:
            for parameter in machine.parameters():
                parameter.grad = None  # the next step may be another machine's

    def descent(self) -> LightningOptimizer:
        """Return the optimiser that takes the steps."""
        return cast(LightningOptimizer, self.optimizers())

    def on_train_epoch_start(self) -> None:
        """Set the learning rate."""
        set_lr(self.descent(), self.rate() * (1 - self.done()))

    def rate(self) -> float:
        """Return the highest learning rate."""
        return self.lr

    def done(self) -> float:
        """Return the share of the epochs that is done; 0 where there is no end."""
        epochs = self.trainer.max_epochs or -1
        return self.trainer.current_epoch / epochs if epochs > 0 else 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return gradient descent with momentum."""
        weights = [p for p in self.parameters() if p.requires_grad and p.dim() > 1]
        biases = [p for p in self.parameters() if p.requires_grad and p.dim() == 1]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": self.weight_decay}, {"params": biases}]
        return torch.optim.SGD(groups, self.lr, self.momentum, fused=True)


class Single(Boltzmann):
    """One machine by itself.

    Attributes:
        machine: It.
        k: Times that v and h are drawn for each batch.
        chains: Gibbs chains that go on from batch to batch (PCD); 0 for chains that start from the batch (CD).
    """

    machine: RBM
    k: int
    chains: int

    def check_options(self, hidden: int, k: int, chains: int, lr: float, momentum: float, weight_decay: float) -> None:
        """Keep the options that these machines share, or refuse them."""
        if min(hidden, k) < 1 or chains < 0:
            raise ValueError(f"hidden and k must be at least 1, chains at least 0, not {hidden}, {k} and {chains}")
        if lr <= 0 or not 0 <= momentum < 1 or weight_decay < 0:
            raise ValueError(
                "lr must be above 0, momentum from 0 to below 1 and weight_decay at least 0, not "
                f"{lr}, {momentum} and {weight_decay}"
            )
        self.hidden, self.k, self.chains = hidden, k, chains
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self._fantasies: Tensor | None = None

    @abstractmethod
    def visible(self, batch: Batch) -> Tensor:
        """Return the visible units of a batch, shape (n, visible)."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Learn from a batch."""
        data = self.visible(batch)
        start = self._start(data)
        model = self.machine.gibbs(start, self.k)
        if self.chains:
            self._fantasies = model.to(self.machine.weight.dtype)  # samples go on from them in full precision
        self.descend([(self.machine, self.machine.contrast(data, model))])
        if self._is_logged():
            energies = (self.machine.free_energy(rows).mean() for rows in (data, model))
            self.record(**dict(zip(("energy_data", "energy_model"), energies, strict=True)))

    def _is_logged(self) -> bool:
        """Return whether energies are measured in this batch: they take a third of a step's time."""
        return self.trainer.fit_loop.total_batch_idx % ENERGIES_EVERY == 0

    def _start(self, data: Tensor) -> Tensor:
        if not self.chains:
            return data
        if self._fantasies is None:
            self._fantasies = data[torch.randint(len(data), (self.chains,), device=data.device)]
        return self._fantasies

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the chains, those of the first process."""
        super().on_save_checkpoint(checkpoint)
        if self._fantasies is not None:
            checkpoint["fantasies"] = self._fantasies

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the chains back."""
        super().on_load_checkpoint(checkpoint)
        self._fantasies = checkpoint.get("fantasies")

    def on_train_start(self) -> None:
        """Move the chains to where the model is."""
        if self._fantasies is not None:
            self._fantasies = self._fantasies.to(self.device)
