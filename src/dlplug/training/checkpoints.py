"""When checkpoints are saved, and how they get to the disk and back: whole or not at all."""

import io
import math
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, StochasticWeightAveraging
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from dlplug.console import say
from dlplug.files import write_atomically
from dlplug.loggers.csv import MetricsFile
from dlplug.panels import find_monitor
from dlplug.registry.provenance import recorded_versions
from dlplug.runs import Run
from dlplug.trained import read_checkpoint
from dlplug.training import mid_epoch
from dlplug.training.fsdp2 import sweep_shards
from dlplug.training.launch import Preemption
from dlplug.training.plain_data import plain_data
from dlplug.training.resume import find, ran_out_of_time


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, syncs and renames it; Lightning's goes through another file system.

    Args:
        model: The class that the checkpoints it reads have to be of.
    """

    def __init__(self, model: type) -> None:
        super().__init__()
        self._model = model

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Save a checkpoint so that a kill at any moment leaves the old or the new one, whole."""
        buffer = io.BytesIO()
        torch.save(plain_data(checkpoint), buffer)
        write_atomically(Path(path), buffer.getvalue())
        sweep_shards(Path(path))  # of a run that was sharded before

    def load_checkpoint(self, path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load plain data and tensors, never code."""
        return read_checkpoint(path, self._model)


class Checkpoints(Checkpoint):
    """Saves last.ckpt after each epoch and, asked for or preempted, within one; best.ckpt where the monitor improves.

    Lightning's ModelCheckpoint skips the last checkpoint of an epoch that is not among the best, and keeps absolute
    paths, which a moved folder breaks.

    Args:
        run: The run, in whose folder they are.
        model: What is trained.
        preemption: Says when a signal came.
        every_n_train_steps: Optimizer steps from one checkpoint within an epoch to the next; None for no such.
        train_time_interval: Time from one to the next; None for no such.

    Attributes:
        monitor: The metric and whether its ``"min"`` or ``"max"`` is best; None for none.
        best: Its best value so far.
        best_epoch: The epoch that had it, counted from 0.
    """

    def __init__(
        self,
        run: Run,
        model: LightningModule,
        preemption: Preemption,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
    ) -> None:
        self._run, self._preemption = run, preemption
        self._every_n_train_steps, self._interval = every_n_train_steps, train_time_interval
        self._obstacle = ""
        self._saved_at = (0, time.monotonic())  # which step, and when
        self._noted: dict[str, Any] | None = None  # where a checkpoint within the epoch is to be saved
        self._resumed: dict[str, Any] | None = None  # what the checkpoint of an epoch's middle holds besides
        self._sums: dict[str, Any] = {}  # of that epoch
        self.monitor: tuple[str, str] | None = getattr(model, "monitor", None)
        self._by_default = not hasattr(model, "monitor")
        self.best: float | None = None
        self.best_epoch = -1
        self._versions: list[str] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Learn the folder from rank zero, which made it and may be the only one that has it."""
        versions = recorded_versions(self._run.config) if trainer.is_global_zero else []
        self._run, self._versions = trainer.strategy.broadcast((self._run, versions))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Record the versions that the run was made with, and the one that saves."""
        checkpoint.update(made_with=self._versions, dlplug_version=version("dlplug"))
        if self._noted:
            mid_epoch.add(checkpoint, self._noted, trainer, pl_module)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Cut the metrics back to what this checkpoint vouches for."""
        self._resumed = checkpoint.get("within_epoch")
        stepped = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
        step = self._resumed["step"] if self._resumed else stepped - 1
        for file in _metrics_files(trainer):
            file.resume(checkpoint["epoch"], checkpoint.get("renamed_metrics"), step)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best value so far."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on within an epoch, and say where no checkpoint will allow that."""
        if self._resumed:
            self._sums = mid_epoch.resume(self._resumed, trainer, pl_module)
            self._resumed = None
        self._obstacle = mid_epoch.obstacle(trainer, pl_module)
        if self._obstacle and (self._every_n_train_steps or self._interval):
            say(f"there are no checkpoints within an epoch: {self._obstacle}")

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Note where a checkpoint within the epoch is due: it is saved once all that belongs to this batch is done."""
        loop = trainer.fit_loop.epoch_loop
        mid_epoch.add_sums(self._sums, trainer)
        if loop._num_ready_batches_reached() or not (self._preemption.agreed or self._is_due(trainer)):
            return self._stop()
        self._obstacle = self._obstacle or mid_epoch.unkept(trainer)
        if self._obstacle:
            if self._preemption.agreed:
                say(f"this epoch starts anew when the run is resumed: {self._obstacle}")
            return self._stop()
        if not loop._should_accumulate():
            self._noted = mid_epoch.note(trainer)

    def on_train_batch_start(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Save the checkpoint that was due when the batch before ended."""
        if not self._noted:
            return
        for file in _metrics_files(trainer):
            file.write()
        trainer.save_checkpoint(self._run.checkpoints / "last.ckpt")
        self._saved_at, self._noted = (trainer.global_step, time.monotonic()), None
        self._stop()

    def _stop(self) -> None:
        if self._preemption.agreed:
            raise SIGTERMException

    def _is_due(self, trainer: Trainer) -> bool:
        if self._obstacle or self._saved_at[0] == trainer.global_step:
            return False
        if self._every_n_train_steps and trainer.global_step % self._every_n_train_steps == 0:
            return True
        if not self._interval:
            return False
        due = time.monotonic() - self._saved_at[1] >= self._interval.total_seconds()
        return bool(trainer.strategy.broadcast(due))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's metrics down, then the checkpoint that vouches for them."""
        self._noted = None  # the epoch ended where a checkpoint was due
        _write_metrics(trainer)
        if ran_out_of_time(trainer) and self._run.last:
            return  # the run resumes exactly from the epoch before
        if self._improves(trainer.callback_metrics):
            self.best_epoch = trainer.current_epoch
            trainer.save_checkpoint(self._run.checkpoints / "best.ckpt")
        epochs = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        if not (
            find(StochasticWeightAveraging, trainer) and epochs == trainer.max_epochs
        ):  # else the average comes first
            trainer.save_checkpoint(self._run.checkpoints / "last.ckpt")
        self._send(trainer)

    def _send(self, trainer: Trainer) -> None:
        """Tell the loggers that have a method ``log_checkpoints`` which checkpoints were saved."""
        names = ["best.ckpt"] if self.best_epoch == trainer.current_epoch else []
        paths = [self._run.checkpoints / name for name in (*names, "last.ckpt")]
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if log_checkpoints := getattr(logger, "log_checkpoints", None):
                log_checkpoints({path: self.best for path in paths if path.is_file()})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the average of the last epochs' weights, which is what a run that averages is measured by."""
        if (average := find(StochasticWeightAveraging, trainer)) and trainer.current_epoch >= (trainer.max_epochs or 0):
            if average.n_averaged:
                trainer.save_checkpoint(self._run.checkpoints / "best.ckpt")
            trainer.save_checkpoint(self._run.checkpoints / "last.ckpt")
            self._send(trainer)

    def _improves(self, metrics: Mapping[str, Tensor]) -> bool:
        if self._by_default:  # a model of plain Lightning, which is monitored by what it logs
            self.monitor = find_monitor("default", metrics)
        if self.monitor is None or self.monitor[0] not in metrics:
            return False
        value = float(metrics[self.monitor[0]])
        if math.isnan(value):  # no later value would be better than it
            return False
        improves = self.best is None or (value < self.best if self.monitor[1] == "min" else value > self.best)
        if improves:
            self.best = value
        return improves


def _write_metrics(trainer: Trainer) -> None:
    # Lightning logs these after all hooks of the epoch, and so after its checkpoint: a run killed in between would
    # lose them. There is no public way to see them; lightning is bound below its next minor version for this.
    metrics = {name: float(value) for name, value in trainer._logger_connector.metrics["log"].items()}
    for file in _metrics_files(trainer):
        if metrics:
            step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
            file.log_metrics({"epoch": trainer.current_epoch, **metrics}, step)
        file.write()


def _metrics_files(trainer: Trainer) -> list[MetricsFile]:
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]
