"""How Boltzmann machines learn inside Lightning: from statistics of Gibbs chains in place of a loss."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from dlplug import Panel
from dlplug.data import Batch
from dlplug.model import Model, mean_over_processes
from dlplug.optim import set_lr
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.nn.rbm import RBM

ENERGIES_EVERY = 25  # batches

LIKELIHOOD_PANEL = Panel(
    "Learning",
    "Negative log-likelihood",
    "Nats an item, the partition function estimated by annealed importance sampling. Healthy: falls, below that of "
    "units without connections. Broken: rises while the reconstruction improves (the chains no longer mix).",
    curves=("nll",),
    expect=("nll falls",),
)
ENERGY_PANEL = Panel(
    "Learning",
    "Free energies",
    "Mean free energy of the data and of the chains' samples. Healthy: after an early swing "
    "of the chains' both settle, the data's below. Broken: a gap that grows without end (chains that do not mix).",
    curves=("energy_data", "energy_model"),
)


class Boltzmann(Model):
    """A model that learns by contrastive divergence.

    There is no loss to differentiate: the gradient is the statistics of Gibbs chains less those of the data, averaged
    over processes. A subclass calls ``apply_gradients`` with it.

    Attributes:
        lr: The highest learning rate; it falls linearly to 0 at the last epoch.
        momentum: Momentum of gradient descent.
        weight_decay: Decay of the weights, not of the biases.
    """

    automatic_optimization = False
    _fantasies: Any = None  # the units of persistent chains, once there are some
    lr: float
    momentum: float
    weight_decay: float

    def train_batches(self) -> Iterable[Batch]:
        """Return one epoch of this process's training batches, as models get them."""
        data: Any = cast(Any, self.trainer).datamodule
        for batch in data.train_dataloader():
            yield data.prepare_batch(tuple(column.to(self.device) for column in batch))

    def apply_gradients(self, gradients: Sequence[tuple[nn.Module, Sequence[Tensor]]]) -> None:
        """Take one step.

        Args:
            gradients: Machines, each with the gradients of its parameters in their order.
        """
        parameters = [parameter for machine, _ in gradients for parameter in machine.parameters()]
        means = mean_over_processes([value for _, values in gradients for value in values])
        for parameter, gradient in zip(parameters, means, strict=True):
            parameter.grad = gradient.to(parameter.dtype)  # in mixed precision products are of half precision
        self.optimizer().step()
        for machine, _ in gradients:
            for parameter in machine.parameters():
                parameter.grad = None  # the next step may be another machine's

    def optimizer(self) -> LightningOptimizer:
        """Return the optimizer that takes the steps."""
        return cast(LightningOptimizer, self.optimizers())

    def on_train_epoch_start(self) -> None:
        """Set the learning rate."""
        epochs = self.trainer.max_epochs or -1
        progress = self.trainer.current_epoch / epochs if epochs > 0 else 0.0  # 0 where there is no end
        set_lr(self.optimizer(), self.max_lr() * (1 - progress))

    def max_lr(self) -> float:
        """Return the highest learning rate."""
        return self.lr

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return gradient descent with momentum."""
        weights = [p for p in self.parameters() if p.requires_grad and p.dim() > 1]
        biases = [p for p in self.parameters() if p.requires_grad and p.dim() == 1]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": self.weight_decay}, {"params": biases}]
        return torch.optim.SGD(groups, self.lr, self.momentum, fused=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the chains, those of the first process."""
        super().on_save_checkpoint(checkpoint)
        if self._fantasies is not None:
            checkpoint["fantasies"] = self._fantasies

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the chains back."""
        super().on_load_checkpoint(checkpoint)
        self._fantasies = checkpoint.get("fantasies")


class SingleRBM(Boltzmann):
    """A restricted Boltzmann machine by itself.

    Args:
        hidden: Hidden units.
        chains: Gibbs chains that persist from batch to batch (PCD); 0 for chains that start from the batch (CD).
        lr: Highest learning rate; it falls linearly to 0 at the last epoch.
        k: Gibbs steps for each batch.
        momentum: Momentum of gradient descent.
        weight_decay: Decay of the weights.

    Attributes:
        machine: The machine.
    """

    machine: RBM

    def __init__(
        self, hidden: int, chains: int, lr: float, k: int = 1, momentum: float = 0.9, weight_decay: float = 1e-4
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "at least 1", "hidden", "k")
        require(self.hparams, "at least 0", "chains", "weight_decay")
        require(self.hparams, "above 0", "lr")
        require(self.hparams, "from 0 to below 1", "momentum")
        self.hidden, self.k, self.chains = hidden, k, chains
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay

    @abstractmethod
    def visible(self, batch: Batch) -> Tensor:
        """Return the visible units of a batch, shape (n, visible)."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Learn from a batch."""
        # Exercise: run chains from the batch or on from where they were, take a step, and at times record energies.
        data = start = self.visible(batch)
        if self.chains:
            if self._fantasies is None:
                self._fantasies = data[torch.randint(len(data), (self.chains,), device=data.device)]
            start = self._fantasies.to(data.device)  # a checkpoint loads them on the CPU
        model = self.machine.gibbs(start, self.k)
        if self.chains:
            self._fantasies = model.to(self.machine.weight.dtype)  # chains continue in full precision
        self.apply_gradients([(self.machine, self.machine.cd_gradient(data, model))])
        if self.trainer.fit_loop.total_batch_idx % ENERGIES_EVERY == 0:  # measuring takes a third of a step's time
            energies = (self.machine.free_energy(rows).mean() for rows in (data, model))
            self.record(**dict(zip(("energy_data", "energy_model"), energies, strict=True)))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the hidden units' probabilities, shape (n, hidden)."""
        return self.machine.hidden_logits(self.visible(batch)).sigmoid()
