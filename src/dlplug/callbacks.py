"""What every run gets besides Lightning: seeds that resume, checkpoints, pictures, vital signs."""

import copy
import random
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from dlplug import media
from dlplug.data import run_seed
from dlplug.errors import InputError
from dlplug.metrics import MetricsFile
from dlplug.model import gradient_norm, is_logging_batch
from dlplug.origins import read_makers
from dlplug.runs import Run


class Seeds(Callback):
    """Seeds each epoch from (the run's seed, rank, epoch), and validation from the run's seed alone.

    So a run that goes on from its last completed epoch is the run that never stopped, and how often it validates
    changes nothing that it learns.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._first = True
        self._isolated = isolate_rng()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where a resumed run goes on."""
        self._epoch = checkpoint["epoch"] + 1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the first epoch here: its DataLoader draws from the random state before the epoch starts."""
        _seed(run_seed(), trainer.global_rank, self._epoch)
        self._first = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the later epochs here, before their DataLoaders draw."""
        if not self._first:
            _seed(run_seed(), trainer.global_rank, trainer.current_epoch)
        self._first = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give each validation the same noise, and keep the training's aside."""
        self._isolated = isolate_rng()
        self._isolated.__enter__()
        _seed(run_seed(), trainer.global_rank, 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the training's noise."""
        self._isolated.__exit__(None, None, None)


def _seed(*numbers: int) -> None:
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class Showcase(Callback):
    """Saves what a model shows at the end of every validation, on rank zero."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._batch: Any = None

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the first batch."""
        if batch_idx == 0 and dataloader_idx == 0:
            self._batch = batch

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the model, and save what it gives; a showcase that raises costs a warning, not the run."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        showcase: Callable[[Any], dict[str, media.Media]] | None = getattr(pl_module, "showcase", None)
        if showcase is None:
            return
        try:
            with isolate_rng(), torch.no_grad():
                torch.manual_seed(run_seed())
                step = trainer.fit_loop.total_batch_idx + 1
                for key, medium in showcase(self._batch).items():
                    path = media.save(medium, self._run.path, key, step)
                    media.send(medium, key, path, step, trainer.loggers)
        except Exception as error:
            warnings.warn(f"nothing is shown: showcase raised {type(error).__name__}: {error}", stacklevel=1)


class Checkpoints(Checkpoint):
    """Saves last.ckpt after each epoch, and best.ckpt where the model's monitor improves.

    Lightning's ModelCheckpoint skips the last checkpoint of an epoch that is not among the best, and keeps absolute
    paths, which a moved folder breaks.

    Attributes:
        monitor: The metric and whether its ``"min"`` or ``"max"`` is best; None for none.
        best: Its best value so far.
        best_epoch: The epoch that had it, counted from 0.
    """

    def __init__(self, run: Run, monitor: tuple[str, str] | None) -> None:
        self._run = run
        self.monitor = monitor
        self.best: float | None = None
        self.best_epoch = -1
        self._makers: list[str] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Learn the folder from rank zero, which made it."""
        self._run = trainer.strategy.broadcast(self._run)
        self._makers = read_makers(self._run.config)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note whose versions made it."""
        checkpoint["made_with"] = self._makers

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Cut the metrics back to what this checkpoint vouches for."""
        for file in _metrics_files(trainer):
            file.resume(checkpoint["epoch"])

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best value so far."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's metrics down, then the checkpoint that vouches for them."""
        _write_metrics(trainer)
        if self._improves(trainer.callback_metrics):
            self.best_epoch = trainer.current_epoch
            trainer.save_checkpoint(self._run.checkpoints / "best.ckpt")
        trainer.save_checkpoint(self._run.checkpoints / "last.ckpt")

    def _improves(self, metrics: Mapping[str, Tensor]) -> bool:
        if self.monitor is None or self.monitor[0] not in metrics:
            return False
        value = float(metrics[self.monitor[0]])
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


class ResumedOptions(Callback):
    """Applies options of the optimiser that changed on resuming, which its restored state would silently undo.

    A schedule's own restored state cannot be changed halfway: that is refused.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what the options ask for; Lightning restores optimisers and schedules right after this."""
        self._groups = [[_options(group) for group in o.param_groups] for o in trainer.optimizers]
        self._schedules = [copy.copy(config.scheduler.state_dict()) for config in trainer.lr_scheduler_configs]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare with what was restored."""
        for asked, config in zip(self._schedules, trainer.lr_scheduler_configs, strict=True):
            restored = config.scheduler.state_dict()
            for name in asked.keys() - {"last_epoch", "_step_count", "_last_lr", "_is_initial"}:
                if asked[name] != restored.get(name):
                    raise InputError(
                        f"{type(config.scheduler).__name__} goes on with {name} {restored.get(name)}: it cannot change "
                        f"to {asked[name]} in a resumed run; start a new one with -c RUN/config.yaml"
                    )
        if trainer.lr_scheduler_configs:
            return
        for optimizer, groups in zip(trainer.optimizers, self._groups, strict=True):
            for group, asked in zip(optimizer.param_groups, groups, strict=True):
                group.update(asked)


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


class Vitals(Callback):
    """Logs the gradient's length and the learning rate at the logging interval.

    Models that optimise by hand have several of each, and log what they find worth it.
    """

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log both before the step, so that a gradient that is no number is seen."""
        if not pl_module.automatic_optimization or not is_logging_batch(trainer):
            return
        pl_module.log("train/grad_norm", gradient_norm(optimizer), batch_size=1)
        pl_module.log("train/lr", optimizer.param_groups[0]["lr"], batch_size=1)
