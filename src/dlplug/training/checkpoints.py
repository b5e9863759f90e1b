"""When checkpoints are saved, and how they get to the disk and back: whole or not at all."""

import io
import math
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, StochasticWeightAveraging
from torch import Tensor

from dlplug.files import write_atomically
from dlplug.loggers.csv import MetricsFile
from dlplug.panels import find_monitor
from dlplug.registry.provenance import recorded_versions
from dlplug.runs import Run
from dlplug.trained import read_checkpoint
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

    def load_checkpoint(self, path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load plain data and tensors, never code."""
        return read_checkpoint(path, self._model)


class Checkpoints(Checkpoint):
    """Saves last.ckpt after each epoch, and best.ckpt where the model's monitor improves.

    Lightning's ModelCheckpoint skips the last checkpoint of an epoch that is not among the best, and keeps absolute
    paths, which a moved folder breaks.

    Attributes:
        monitor: The metric and whether its ``"min"`` or ``"max"`` is best; None for none.
        best: Its best value so far.
        best_epoch: The epoch that had it, counted from 0.
    """

    def __init__(self, run: Run, model: LightningModule) -> None:
        self._run = run
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

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Cut the metrics back to what this checkpoint vouches for."""
        step = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"] - 1
        for file in _metrics_files(trainer):
            file.resume(checkpoint["epoch"], checkpoint.get("renamed_metrics"), step)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best value so far."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's metrics down, then the checkpoint that vouches for them."""
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
