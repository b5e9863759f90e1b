"""The model's side of the bargain: a ``LightningModule`` that builds itself to fit its data."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Literal, get_args, get_type_hints

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, distributed
from torch._utils import _unflatten_dense_tensors
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from dlplug.data import Info
from dlplug.errors import InputError
from dlplug.panels import Panel

# What is exported, by name: a function of tensors that returns a tensor or a dict of them, its inputs, and the names of
# their axes that may have any size besides the first, which is the batch.
Parts = dict[str, tuple[Callable[..., Any], dict[str, Tensor], dict[str, dict[int, str]]]]


class Model(LightningModule):
    """A model whose options are the arguments of ``__init__`` and whose layers are made in ``build``.

    A subclass may also offer, each found by its name alone:

    - ``showcase(batch) -> dict[str, Media]``: what a person would look at, called after each validation on rank zero
      with the first validation batch, in evaluation mode, without gradients and without a trace in any random state.
    - ``generate(**options) -> Media``: what ``dlplug generate RUN`` writes; typed arguments become its options.
    - ``demos() -> dict[str, Callable]``: what else ``dlplug play RUN`` offers, functions by title; typed arguments
      become widgets, and what is returned is shown as ``generate``'s.
    - ``predict_step(batch, batch_idx)``: what ``dlplug predict RUN`` writes of each item, a tensor of shape (items,) or
      (items, k), or a dict of such and of lists. New files have no labels: there the batch ends before them.
    - ``export_parts(batch) -> Parts``: what ``dlplug export RUN`` exports, with inputs of a test batch: ``forward``
      and what it needs of the batch unless given. It raises ``InputError`` where nothing can be.
    - ``shard(mesh)``: calls ``fully_shard(part, mesh=mesh)`` of ``torch.distributed.fsdp`` on its layers, then on
      itself, for ``--trainer.strategy fsdp2``.
    - ``top``: how many of the likeliest classes or words ``predict_step`` names, which ``--top`` sets; see ``rank``.

    Attributes:
        panels: Its dashboard, for the HTML report and W&B: what is drawn together, and how to read it.
        axis: The metric that curves are drawn over, such as ``"train/env_steps"``; the batches trained where empty.
        monitor: The metric that says which checkpoint is best, and whether its ``"min"`` or ``"max"`` is.
        info: What the data is like; None until the layers are built.
        gradient_clip: ``--trainer.gradient_clip_val`` and ``--trainer.gradient_clip_algorithm`` for models that
            use manual optimization, which Lightning does not clip for; ``minimise`` honours it.
    """

    panels: ClassVar[tuple[Panel, ...]] = ()
    axis: ClassVar[str] = ""
    monitor: ClassVar[tuple[str, Literal["min", "max"]] | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.info: Info | None = None
        self.gradient_clip: tuple[float, str] | None = None
        self._initialised = self._is_sharded = False
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def build(self, info: Any) -> None:
        """Make the layers.

        Args:
            info: What the data is like, such as an ``ImageInfo``.

        Raises:
            ValueError: The model cannot fit such data.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no layers: it has no method `build`")

    def configure_model(self) -> None:
        """Build once, from the data at hand. Lightning calls this before each of fit, validate, test and predict."""
        if self.info is None and self._trainer is not None:
            self._build(getattr(getattr(self._trainer, "datamodule", None), "info", None))
        shard: Callable[[Any], None] | None = getattr(self, "shard", None)
        if shard and self._device_mesh is not None and not self._is_sharded:
            shard(self._device_mesh["data_parallel"])
            self._is_sharded = True

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the networks, which is what ``--compile`` does: each child, and each layer of a ``ModuleList``.

        What is between them, such as manual optimization or packed sequences, stays as it is.

        Args:
            args: As ``torch.compile`` takes them.
            kwargs: As ``torch.compile`` takes them.
        """
        for child in self.children():
            for part in child if isinstance(child, torch.nn.ModuleList) else [child]:
                if next(part.parameters(), None) is not None:
                    part.compile(*args, **kwargs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the info, so that the checkpoint alone is enough."""
        if self.info is not None:
            checkpoint["info"] = self.info.to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build from the checkpoint's info: Lightning calls this before it loads the weights."""
        info = Info.from_dict(checkpoint["info"])
        if self.info is None:
            self._build(info)
        elif self.info != info:
            raise InputError(f"the checkpoint was trained on other data: {info.differences(self.info)}")
        self._initialised = True

    def on_fit_start(self) -> None:
        """Initialise once, unless a checkpoint brought what to resume from."""
        if not self._initialised:
            self.initialise()
        self._initialised = True

    def initialise(self) -> None:
        """Set what a checkpoint would bring, before the first batch of a fit without one; by default nothing.

        Layers are made and on their device, and the trainer's data can be read: weights of another run are taken here,
        and means over the training data.
        """

    def _build(self, info: Info | None) -> None:
        if info is None:
            raise InputError(self._missing_info())
        try:
            self.build(info)
        except AttributeError as error:
            if error.obj is not info:
                raise
            raise InputError(f"{type(self).__name__} cannot fit {info}: they have no {error.name}") from error
        except (ValueError, RuntimeError, MemoryError, OverflowError) as error:  # sizes that do not fit, or too large
            raise InputError(f"{type(self).__name__}: {error}") from error
        self.info = info

    def _missing_info(self) -> str:
        """Return the two lines with which data describe themselves to this model."""
        hint = get_type_hints(type(self).build).get("info")
        kinds = [kind for kind in (*get_args(hint), hint) if isinstance(kind, type) and issubclass(kind, Info)]
        kind = kinds[0] if kinds else Info
        values = ", ".join(f"{field.name}=..." for field in fields(kind))
        data = getattr(self._trainer, "datamodule", None)
        where = f"__init__ of {type(data).__name__}" if data else "a LightningDataModule"
        return (
            f"{type(self).__name__} needs data that describes itself: `from {kind.__module__} import {kind.__name__}` "
            f"and, in {where}, `self.info = {kind.__name__}({values})`; dlplug.data.from_tensors does it for tensors"
        )

    @property
    def stage(self) -> Literal["train", "val", "test"]:
        """What runs now, as metrics' names begin."""
        return "train" if self.trainer.training else "test" if self.trainer.testing else "val"

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        """Measure on the test data what validation measures; ``stage`` tells the two apart."""
        if type(self).validation_step is LightningModule.validation_step:
            raise InputError(f"{type(self).__name__} measures nothing: it has neither test_step nor validation_step")
        return self.validation_step(batch, batch_idx)

    def on_test_epoch_start(self) -> None:
        """Begin as a validation does."""
        self.on_validation_epoch_start()

    def on_test_epoch_end(self) -> None:
        """End as a validation does."""
        self.on_validation_epoch_end()

    def record(self, **values: Tensor) -> None:
        """Log scalars under the running stage: ``loss`` becomes ``train/loss``, ``val/loss`` or ``test/loss``.

        While training this costs an addition a batch: what is logged, at the trainer's logging interval and at the
        epoch's end, is the mean since the last time over the batches that recorded it; of ``axis``, which counts, the
        last value. (A ``self.log`` on each batch takes as long as a small network's whole step.) In validation and test
        the mean over all items is logged.

        Args:
            values: Scalar tensors, means over the batch.
        """
        trainer = self.trainer
        if not trainer.training:
            self.log_dict({f"{self.stage}/{k}": v for k, v in values.items()}, sync_dist=trainer.world_size > 1)
            return
        for name, value in values.items():
            value = value.detach()
            if name in self._sums and f"train/{name}" != self.axis:
                total, count = self._sums[name]
                self._sums[name] = (total + value, count + 1)
            else:
                self._sums[name] = (value, 1)
        if is_logging_batch(trainer):
            self._log_means()

    def on_train_epoch_end(self) -> None:
        """Log what was recorded since the last logging interval."""
        if self._sums:
            self._log_means()

    def _log_means(self) -> None:
        means = {f"train/{name}": total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        self.log_dict(means, sync_dist=self.trainer.world_size > 1, batch_size=1)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute gradients, and average them over processes where no wrapper does so."""
        super().manual_backward(loss, *args, **kwargs)
        self._average(self.parameters())

    def _average(self, weights: Iterable[Tensor]) -> None:
        if self.trainer.world_size > 1 and self.trainer.model is self:
            average_gradients([weight for weight in weights if weight.requires_grad])

    def within_epoch(self) -> dict[str, Any] | None:
        """Return what is carried from batch to batch, for a checkpoint of an epoch's middle: each process has its own.

        Returns:
            Tensors and plain values, to which a subclass adds its own; None where no run can resume there.
        """
        return {"sums": self._sums}

    def resume_within_epoch(self, carried: Mapping[str, Any]) -> None:
        """Take back what ``within_epoch`` returned, on the model's device."""
        self._sums = carried["sums"]

    def minimise(self, loss: Tensor, optimizer: LightningOptimizer) -> Tensor:
        """Take one step down a loss, in models that use manual optimization.

        Args:
            loss: A scalar.
            optimizer: One of ``self.optimizers()``.

        Returns:
            The gradient norm before clipping, a scalar.
        """
        optimizer.zero_grad()
        super().manual_backward(loss)
        self._average(weight for group in optimizer.param_groups for weight in group["params"])
        norm = gradient_norm(optimizer.optimizer)
        if self.gradient_clip:
            value, algorithm = self.gradient_clip
            self.clip_gradients(optimizer.optimizer, value, algorithm)
        optimizer.step()
        return norm


def rank(probabilities: Tensor, names: Sequence[str], top: int = 1) -> dict[str, Any]:
    """Return what ``predict_step`` says of probabilities: the likeliest classes, and with which confidence.

    Args:
        probabilities: Shape (n, classes).
        names: The classes' names.
        top: How many; each but the first has columns of its own, such as ``class_2`` and ``confidence_2``.

    Returns:
        A list of n names under each ``class``, and a tensor of shape (n,) under each ``confidence``.
    """
    best = probabilities.topk(min(top, len(names)), 1)
    ranked: dict[str, Any] = {}
    for place, (values, indices) in enumerate(zip(best.values.T, best.indices.T.tolist(), strict=True), start=1):
        suffix = f"_{place}" if place > 1 else ""
        ranked |= {f"class{suffix}": [names[index] for index in indices], f"confidence{suffix}": values}
    return ranked


def is_logging_batch(trainer: Trainer) -> bool:
    """Return whether the batch that is trained on now is one that the trainer's logging interval names."""
    interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(interval) and (trainer.fit_loop.total_batch_idx + 1) % interval == 0  # 0 is never, to Lightning


def mean_over_processes(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the means of tensors over all processes, by one all-reduce; themselves where there is one process."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [*tensors]
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    means = _unflatten_dense_tensors(flat, tensors)  # type: ignore[no-untyped-call]
    return [mean.to(tensor.dtype) for mean, tensor in zip(means, tensors, strict=True)]


def average_gradients(weights: Sequence[Tensor]) -> None:
    """Average gradients over processes; a weight that has none in any of them stays without one."""
    # How many lack each: without it, the processes' tensors would not be of one length where a weight takes no part.
    lacking = torch.tensor([float(weight.grad is None) for weight in weights], device=weights[0].device)
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    *means, lacking = mean_over_processes([*gradients, lacking])
    for weight, mean in zip(weights, means, strict=True):
        weight.grad = mean
    if lacking.max() == 1:
        for index in (lacking == 1).nonzero().flatten().tolist():
            weights[index].grad = None


def gradient_norm(optimizer: Optimizer) -> Tensor:
    """Return the Euclidean norm of the gradient of all weights of an optimizer, a scalar."""
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    norm = torch.nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
    return norm.full_tensor() if isinstance(norm, DTensor) else norm  # of weights that are sharded
