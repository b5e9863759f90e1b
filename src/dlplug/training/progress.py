"""What a person sees while a model trains."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm  # a notebook's own where there is one

from dlplug.console import plain, say
from dlplug.data import run_seed
from dlplug.loggers.csv import MetricsFile, broken_losses
from dlplug.model import Model
from dlplug.panels import COMMON, find_monitor
from dlplug.runs import Run
from dlplug.training.checkpoints import Checkpoints
from dlplug.training.resume import find

ADVICE = "try a smaller learning rate, --trainer.gradient_clip_val 1, or --trainer.detect_anomaly true"


class EpochSummary(Callback):
    """Says what is trained, a line an epoch, and what came out; keeps times in timing.csv.

    Args:
        run: Where it is trained.
        model: The model's name.
        typed: The command that resumes the run, noted once it trains; empty for a new run.

    Attributes:
        started: When the epoch was, by ``time.monotonic``; None before the first.
        loss: Of the last batch, by the name that a model may not have logged it by; empty before it.
    """

    def __init__(self, run: Run, model: str, typed: Sequence[str] = ()) -> None:
        self._run = run
        self._typed = typed
        self._model = model
        self._timing = MetricsFile(run.path / "timing.csv")
        self.started: float | None = None
        self._first = -1  # the last batch before the epoch, or before where it was resumed
        self._counted = 0.0  # by the model's own axis when the epoch started
        self.loss: dict[str, Any] = {}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Cut the times back to what this checkpoint vouches for."""
        self._timing.resume(checkpoint["epoch"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is trained."""
        if not isinstance(pl_module, Model):  # whose `record` logs what an epoch's end leaves over
            interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
            trainer.log_every_n_steps = int(min(interval, trainer.num_training_batches))  # type: ignore[attr-defined]
        if trainer.is_global_zero:  # only now does a model know its panels, which may depend on its data
            self._run.note(self._typed, (*getattr(pl_module, "panels", ()), *COMMON))
        weights = sum(p.numel() for p in pl_module.parameters())
        datamodule = getattr(trainer, "datamodule", None)
        data = type(datamodule).__name__ if datamodule else "its own data"
        device = trainer.strategy.root_device
        say(f"{self._model}: {weights:,} weights, {data}, seed {run_seed()}, {device} -> {self._run.path}")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what the epoch before brought: only now are all its metrics known."""
        self._end_epoch(trainer, pl_module, trainer.current_epoch)
        self.started = time.monotonic()
        self._first = trainer.fit_loop.total_batch_idx
        self._counted = float(trainer.callback_metrics.get(getattr(pl_module, "axis", ""), 0))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss, which a model need not log."""
        self.loss = {"train/loss": outputs["loss"]} if isinstance(outputs, dict) and "loss" in outputs else {}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what the last epoch brought, and the best one."""
        self._end_epoch(trainer, pl_module, trainer.current_epoch)
        best = find(Checkpoints, trainer)
        if best and best.monitor and best.best is not None:
            _say(trainer, f"best: {best.monitor[0]} {best.best:.4g} in epoch {best.best_epoch + 1}")

    def _end_epoch(self, trainer: Trainer, pl_module: LightningModule, epochs: int) -> None:
        if self.started is None:
            return
        monitor = (getattr(pl_module, "monitor", None) or ("",))[0]
        for name in broken_losses({**self.loss, **trainer.callback_metrics}, monitor):
            _say(trainer, f"epoch {epochs}: {name} is not a number; {ADVICE}")
        seconds = time.monotonic() - self.started
        rate = (trainer.fit_loop.total_batch_idx - self._first) / seconds
        step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
        self._timing.log_metrics({"epoch": epochs - 1, "seconds": seconds, "batches_per_second": rate}, step)
        self._timing.write()
        speed = self.speed(trainer, getattr(pl_module, "axis", "")) or f"{rate:.3g} batches/s"
        for most in (4, 3, 2, 1):  # as many as a terminal's line holds
            metrics = key_metrics(trainer, pl_module, most)
            line = f"epoch {epochs}/{trainer.max_epochs}  {metrics}  ({seconds:.1f} s, {speed})"
            if len(line) < _columns():
                break
        _say(trainer, line)

    def speed(self, trainer: Trainer, axis: str) -> str:
        """Return how fast a model's own axis has grown in this epoch; empty without one."""
        if self.started is None or axis not in trainer.callback_metrics:
            return ""
        done = float(trainer.callback_metrics[axis]) - self._counted
        return f"{done / (time.monotonic() - self.started):,.0f} {axis.partition('/')[2]}/s"


def _columns() -> int:
    """Return the width of the terminal; where there is none, no line is too long."""
    with suppress(OSError, ValueError):  # neither a terminal nor a file
        return os.get_terminal_size(sys.stderr.fileno()).columns or sys.maxsize
    return sys.maxsize


def _say(trainer: Trainer, line: str) -> None:
    """Say something above the bar, where one is drawn."""
    trainer.progress_bar_callback.print(line) if trainer.progress_bar_callback else say(line)


class TrainingBar(ProgressBar):
    """One bar: the epoch, batches a second, and the metrics that matter most."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = tqdm(disable=True)
        self._enabled = True
        self._drawn = 0.0

    def disable(self) -> None:
        """Draw nothing: Lightning asks for it on ranks other than zero."""
        self._enabled = False

    def enable(self) -> None:
        """Draw."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line above the bar."""
        if self._enabled:
            self._bar.write(" ".join(map(plain, args)), file=sys.stderr)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start again from the left."""
        epochs = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
        if self._bar.disable:  # else it is the last epoch's: a notebook keeps what it has shown of each
            self._bar = tqdm(
                disable=not self._enabled,
                leave=False,
                dynamic_ncols=True,
                unit=" batches",
                bar_format="{desc} {bar} {n_fmt}/{total_fmt} {rate_noinv_fmt}{postfix}",
            )
        self._bar.set_description_str(f"epoch {trainer.current_epoch + 1}{epochs}", refresh=False)
        self._bar.reset(None if self.total_train_batches == float("inf") else int(self.total_train_batches))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw at most ten times a second, since for a small network drawing takes longer than a step."""
        if time.monotonic() - self._drawn > 0.1 or batch_idx + 1 == self.total_train_batches:
            # Two metrics are what 80 columns hold.
            summary = find(EpochSummary, trainer)
            speed = summary.speed(trainer, getattr(pl_module, "axis", "")) if summary else ""
            shown = f"{key_metrics(trainer, pl_module, most=2)}  {speed}".rstrip()
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update(batch_idx + 1 - self._bar.n)
            self._bar.refresh()
            self._drawn = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the line to what is said at the end."""
        self._bar.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the line to what is said of it."""
        self._bar.close()


def key_metrics(trainer: Trainer, pl_module: LightningModule, most: int) -> str:
    """Return what matters most: the monitored metric, then those of the first panel, training before others."""
    metrics = trainer.callback_metrics
    monitor = find_monitor(getattr(pl_module, "monitor", None) or "default", metrics)
    curves = [curve for panel in getattr(pl_module, "panels", ())[:1] for curve in panel.curves]
    wanted = ([monitor[0]] if monitor else []) + [f"{stage}/{curve}" for stage in ("train", "val") for curve in curves]
    rest = sorted(metrics, key=lambda name: (name in ("train/grad_norm", "train/lr"), "loss" not in name, name))
    names = [name for name in dict.fromkeys([*wanted, *rest]) if name in metrics]
    return "  ".join(f"{name.removeprefix('train/')} {float(metrics[name]):.3g}" for name in names[:most])
