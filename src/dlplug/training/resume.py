"""What a resumed run needs besides its seeds to be the run that never stopped, and what is refused since none can."""

from collections.abc import Iterable
from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch import callbacks as known

from dlplug.console import say
from dlplug.errors import InputError

T = TypeVar("T")

# Why no run can have a callback: its config would not run again to the same metrics.
FOUND = "what it finds stands in no config; find it once, then set it"
CLOCK = "what the clock and the machine say is different every time; timing.csv has seconds and batches a second"
REFUSED: dict[type[Callback], str] = {
    known.BatchSizeFinder: FOUND,
    known.LearningRateFinder: FOUND,
    known.DeviceStatsMonitor: CLOCK,
    known.ThroughputMonitor: CLOCK,
    known.Timer: "the clock would end a second run elsewhere; take --trainer.max_steps, or --trainer.max_time",
    known.OnExceptionCheckpoint: "the next new run would resume from its checkpoint; `dlplug fit RUN` does without it",
    known.SpikeDetection: "Lightning cannot load its state: the run could neither be resumed nor tested",
}


def refuse(callbacks: Iterable[Callback]) -> None:
    """Refuse callbacks with which the saved config would not run again to the same metrics.

    Raises:
        InputError: There is one.
    """
    for callback in callbacks:
        for kind, why in REFUSED.items():
            if isinstance(callback, kind):
                raise InputError(f"--trainer.callbacks {type(callback).__name__}: {why}")


def find(kind: type[T], trainer: Trainer) -> T | None:
    """Return the first of the trainer's callbacks of a class."""
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)  # type: ignore[attr-defined]


def ran_out_of_time(trainer: Trainer) -> bool:
    """Return whether the clock (``--trainer.max_time``) ended the epoch before its last batch."""
    timer = find(known.Timer, trainer)
    left = timer.time_remaining() if timer else None
    return left is not None and left <= 0 and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


class ExactResume(Callback):
    """Resumes where Lightning would go wrong, or says why it cannot. It has to be the first callback."""

    def __init__(self) -> None:
        self._max_epochs: int | None = None
        self._max_steps = -1
        self._stopped = False
        self._states: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the layers before weight averaging copies the model, which would average nothing otherwise."""
        self._max_epochs = trainer.max_epochs
        if bool(trainer.ckpt_path) != trainer.strategy.broadcast(bool(trainer.ckpt_path)):
            raise InputError("the run is resumed on another node, but its folder is not on this one: nodes share it")
        if find(known.StochasticWeightAveraging, trainer):
            pl_module.configure_model()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Record what a resumed run has to know besides Lightning's own."""
        checkpoint["stopped_early"] = trainer.should_stop and find(known.EarlyStopping, trainer) is not None
        if find(known.StochasticWeightAveraging, trainer):
            checkpoint["averaged_until"] = self._max_epochs

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuse what cannot be resumed exactly."""
        if trainer.state.fn != "fit":
            return
        if min(checkpoint["epoch"], checkpoint["global_step"]) < 0:
            raise InputError(f"the checkpoint {trainer.ckpt_path} is damaged: it is of a negative epoch or step")
        if trainer.strategy.lightning_restore_optimizer:  # where weights are sharded, the strategy does
            self._states = len(checkpoint.get("optimizer_states") or ())
        loops = checkpoint["loops"]["fit_loop"]
        batches, epochs = loops["epoch_loop.batch_progress"], loops["epoch_progress"]["current"]["processed"]
        until = checkpoint.get("averaged_until", self._max_epochs)
        if until != self._max_epochs:
            raise InputError(
                f"StochasticWeightAveraging was to end after {until} epochs: trainer.max_epochs cannot become "
                f"{self._max_epochs} in a resumed run; start a new one with -c RUN/config.yaml"
            )
        max_steps, max_epochs = trainer.max_steps, trainer.max_epochs if trainer.max_epochs is not None else -1
        if 0 <= max_steps <= checkpoint["global_step"] or 0 <= max_epochs <= epochs:
            return  # nothing is left to train
        if find(known.ModelPruning, trainer):
            raise InputError(
                "ModelPruning: a checkpoint has the pruned weights alone, from which no run resumes exactly"
            )
        self._stopped, self._max_steps = checkpoint.get("stopped_early", False), max_steps
        within = checkpoint.get("within_epoch")
        if within and len(within["ranks"]) != trainer.world_size:
            raise InputError(
                f"the checkpoint is of the middle of epoch {epochs + 1} on {len(within['ranks'])} processes: only from "
                f"an epoch's end on can there be {trainer.world_size}"
            )
        if batches["current"]["ready"] and not batches["is_last_batch"] and not self._stopped and not within:
            raise InputError(
                f"the checkpoint is of batch {batches['current']['ready']} within epoch {epochs}: only from an epoch's "
                "end does a run resume exactly; start a new one with -c RUN/config.yaml"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hide the limit in steps: with one, Lightning takes a checkpoint of an epoch's end for one of its middle."""
        if self._max_steps != -1:
            trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the limit again, and stay stopped where the run had stopped early."""
        if self._states not in (None, len(trainer.optimizers)):  # Lightning restores as many as there are
            raise InputError(
                f"the checkpoint {trainer.ckpt_path} has the state of {self._states} optimizers, the model has "
                f"{len(trainer.optimizers)}: from it no run resumes exactly"
            )
        if self._max_steps != -1:
            trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        if self._stopped:
            trainer.should_stop = True
            say("the run had been stopped early, and stays so")
