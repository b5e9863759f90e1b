"""What every run gets besides Lightning: media, changed options, gradient norm and learning rate, guarded plugins."""

import functools
import math
import os
import shutil
import sys
import time
import warnings
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.seed import isolate_rng

from dlplug import media
from dlplug.console import plain, say
from dlplug.data import run_seed
from dlplug.errors import InputError
from dlplug.model import gradient_norm, is_logging_batch
from dlplug.report.page import LIVE_SECONDS, write_report
from dlplug.runs import Run
from dlplug.training.fsdp2 import FSDP2Strategy

PROPERTIES = ("name", "version", "save_dir", "log_dir", "root_dir", "experiment", "group_separator")  # of loggers
OFFERED = ("attach", "log_media", "log_checkpoints")  # what a logger has of ours, where it likes
STEPPED = {"last_epoch", "_step_count", "_last_lr", "_is_initial", "T_cur", "T_i", "best", "num_bad_epochs"}
STEPPED |= {"cooldown_counter", "_schedulers"}  # what is no option in the state of a schedule of torch's
RATES = {"base_lrs", "max_lrs"}  # in that state, and below what is in a group of an optimizer
GROUP_RATES = {"lr", "initial_lr", "max_lr", "min_lr"}
# What a schedule may set in a group, and what was done to that.
SCHEDULED = GROUP_RATES | {"momentum", "betas", "base_momentum", "max_momentum", "lr_scale"}
FIRST_PAGE = 3.0  # seconds of training before there is a page: a run that is over by then has one anyway


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
        # Weights that are sharded are together only where all processes call the model.
        if trainer.sanity_checking or not (trainer.is_global_zero or isinstance(trainer.strategy, FSDP2Strategy)):
            return
        showcase: Callable[[Any], dict[str, media.Media]] | None = getattr(pl_module, "showcase", None)
        if showcase is None:
            return
        try:
            with isolate_rng(), torch.no_grad():
                torch.manual_seed(run_seed())
                step = trainer.fit_loop.total_batch_idx + 1
                shown = showcase(self._batch)
                for key, medium in shown.items() if trainer.is_global_zero else ():
                    path = media.save(medium, self._run.path, key, step)
                    media.send(medium, key, path, step, trainer.loggers)
        except Exception as error:
            warnings.warn(f"nothing is shown: showcase raised {type(error).__name__}: {error}", stacklevel=1)


class LiveReport(Callback):
    """Writes the run's page anew while it is trained, never for longer than a fiftieth of the time.

    Args:
        run: The run.
        opens: Whether the browser is to show the page once it is there.
    """

    def __init__(self, run: Run, opens: bool = False) -> None:
        self._run = run
        self._opens = opens
        self._started = self._due = 0.0
        self._first = self._stepped = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the first seconds' curves."""
        self._started = time.monotonic()
        self._due = self._started + FIRST_PAGE
        self._first, self._stepped = trainer.fit_loop.total_batch_idx, trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Write where it is time to."""
        begun = time.monotonic()
        if begun < self._due or not trainer.is_global_zero:
            return
        self._due = sys.maxsize  # a page that fails once costs one warning
        try:
            page = write_report(self._run, self._progress(trainer, begun))
        except Exception as error:
            warnings.warn(f"there is no page while training: {type(error).__name__}: {error}", stacklevel=1)
            return
        ended = time.monotonic()
        self._due = ended + max(LIVE_SECONDS, 50 * (ended - begun))
        if self._opens:
            self._opens = False
            webbrowser.open(page.resolve().as_uri())

    def _progress(self, trainer: Trainer, now: float) -> str:
        done = trainer.fit_loop.total_batch_idx + 1 - self._first
        text = f"Training, epoch {trainer.current_epoch + 1}"
        parts = []  # of the way that are done: by batches, and by steps
        if trainer.max_epochs not in (None, -1):
            text += f" of {trainer.max_epochs}"
            parts.append(done / (trainer.max_epochs * trainer.num_training_batches - self._first))
        if trainer.max_steps > 0:
            parts.append((trainer.global_step - self._stepped) / (trainer.max_steps - self._stepped))
        if not parts or not max(parts):  # open, or batches that nobody has counted
            return text
        seconds = (now - self._started) * (1 / max(parts) - 1)
        return f"{text}, about " + (f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left")


class Compile(Callback):
    """Compiles a model, as its method ``compile`` says: its networks in a ``Model``, ``forward`` in another module.

    Args:
        backend: ``torch.compile``'s.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the layers, where they are not there yet, and compile them; code is made where they are first called."""
        compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")  # torch's choice
        on_cpu = trainer.strategy.root_device.type == "cpu"
        if on_cpu and self._backend == "inductor" and not shutil.which(compiler):
            raise InputError(f"--compile needs a C++ compiler on a CPU, and {compiler} is not there")
        pl_module.configure_model()
        pl_module.compile(backend=self._backend)


class OptimizerOverrides(Callback):
    """Applies options of the optimizer that changed on resuming, which its restored state would silently undo.

    A schedule's own restored state cannot be changed halfway: that is refused.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what the options ask for; Lightning restores optimizers and schedules right after this."""
        self._groups = [[_options(group) for group in o.param_groups] for o in trainer.optimizers]
        self._schedules = [(schedule, _lasting(schedule)) for schedule in _schedules(trainer)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare with what was restored."""
        for schedule, asked in self._schedules:
            restored = _lasting(schedule)
            for name in asked:
                if asked[name] != restored.get(name):
                    raise InputError(
                        f"{type(schedule).__name__} resumes with {name} {restored.get(name)}: it cannot change "
                        f"to {asked[name]} in a resumed run; start a new one with -c RUN/config.yaml"
                    )
        scheduled = SCHEDULED if trainer.lr_scheduler_configs else set()
        for optimizer, groups in zip(trainer.optimizers, self._groups, strict=True):
            for group, options in zip(optimizer.param_groups, groups, strict=True):
                group.update({k: v for k, v in ({"lr_scale": 1.0} | options).items() if k not in scheduled})


def _schedules(trainer: Trainer) -> Iterator[Any]:
    """Yield each schedule and those that it is made of."""
    found: list[Any] = [config.scheduler for config in trainer.lr_scheduler_configs]
    for schedule in found:
        found += getattr(schedule, "_schedulers", ())
        yield schedule


def _lasting(schedule: Any) -> dict[str, Any]:
    """Return what a schedule was made with, its rates as they were before ``LearningRateScaling``."""
    groups = schedule.optimizer.param_groups if hasattr(schedule, "optimizer") else [{}]
    scale = groups[0].get("lr_scale", 1.0)
    state = {name: value for name, value in schedule.state_dict().items() if name not in STEPPED}
    return state | {name: [float(f"{rate / scale:.9g}") for rate in state[name]] for name in RATES & state.keys()}


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


class LearningRateScaling(Callback):
    """Raises learning rates where processes multiply the batch, or says that the batch is larger.

    By the square root of the number of processes for Adam and its like, by the number itself for SGD.

    Sources: Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms" (2022); Goyal et al.,
    "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (2017), without its warmup.

    Args:
        asked: Whether they are to be raised.
    """

    def __init__(self, asked: bool) -> None:
        self._asked = asked

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the scale where weights are sharded: there no option is restored that an optimizer does not have."""
        for optimizer in () if trainer.strategy.lightning_restore_optimizer else trainer.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("lr_scale", 1.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Multiply what the optimizers begin with, or what they were left with on another number of processes."""
        count = trainer.world_size
        if not self._asked:
            if count > 1:
                say(f"{count} processes make batches {count} times as large; --scale_lr raises the learning rate")
            return
        for optimizer in trainer.optimizers:
            scale = count if isinstance(optimizer, torch.optim.SGD) else math.sqrt(count)
            change = scale / optimizer.param_groups[0].get("lr_scale", 1.0)
            for group in optimizer.param_groups:
                group.update({key: group[key] * change for key in GROUP_RATES & group.keys()}, lr_scale=scale)
            for schedule in _schedules(trainer):
                if getattr(schedule, "optimizer", None) is optimizer:
                    for name in RATES & vars(schedule).keys():
                        setattr(schedule, name, [rate * change for rate in getattr(schedule, name)])


class GradNormAndLRMonitor(Callback):
    """Logs the gradient norm and the learning rate at the logging interval.

    Models that use manual optimization have several of each, and log what they find worth it.
    """

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log both before the step, so that a gradient that is not a number is seen."""
        if not pl_module.automatic_optimization or not is_logging_batch(trainer):
            return
        pl_module.log("train/grad_norm", gradient_norm(optimizer), batch_size=1)
        pl_module.log("train/lr", optimizer.param_groups[0]["lr"], batch_size=1)


def guard(target: object) -> bool:
    """Call a plugin's callback or logger until it raises: that is a warning, and it is left out from then on.

    Returns:
        Whether it can be used: not one that already raises when it is looked at.
    """
    name, left_out = f"{type(target).__module__}.{type(target).__qualname__}", list[str]()
    _call(_guard, name, left_out, target, name, left_out)
    return not left_out


def _guard(target: Any, name: str, left_out: list[str]) -> None:
    kind: Any = type(target)
    guarded: dict[str, Any] = {"__module__": kind.__module__}
    for attribute in PROPERTIES if isinstance(target, Logger) else ():
        given = getattr(kind, attribute, None)
        if isinstance(given, property) and given.fget:
            guarded[attribute] = property(functools.partial(_call, given.fget, name, left_out))
            # That one opens what it logs to, and what has an `attach` may not be ready before it.
            if attribute != "experiment" and not hasattr(kind, "attach"):
                given.fget(target)
    if isinstance(target, Callback):
        guarded["state_key"] = target.state_key  # as it is now, and plain text
        hash(target.state_key)
    for method in {*dir(Callback), *dir(Logger), *OFFERED}:
        given = getattr(target if method in OFFERED else kind, method, None)
        if method in OFFERED and not callable(given or id):
            raise TypeError(f"its {method} is no method")
        # What a callback does not override does nothing, and would be called through the guard on every batch.
        if method[0] != "_" and callable(given) and given is not getattr(Callback, method, None):
            setattr(target, method, functools.partial(_call, getattr(target, method), name, left_out))
    if len(guarded) > 1:  # a property is its class's
        target.__class__ = type(kind)(kind.__name__, (kind,), {**guarded, "__qualname__": kind.__qualname__})


def _call(method: Callable[..., Any], name: str, left_out: list[str], *args: Any, **kwargs: Any) -> Any:
    if left_out:
        return None
    try:
        return method(*args, **kwargs)
    except (KeyboardInterrupt, SIGTERMException, InputError):
        raise
    except BaseException as error:
        if not left_out:  # by a property of its own that raised in this method
            called = getattr(method, "__name__", type(method).__name__).replace("_guard", "at first sight")
            warnings.warn(f"{name} is left out: {called}: {type(error).__name__}: {plain(error)}", stacklevel=1)
        left_out.append(name)
