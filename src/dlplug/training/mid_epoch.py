"""What a checkpoint within an epoch holds besides Lightning's, so that a run resumes there exactly, or why none can."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from lightning.fabric.utilities.seed import _collect_rng_states, _set_rng_states
from lightning.fabric.utilities.types import _Stateful
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer import call
from torch import distributed

from dlplug.errors import InputError
from dlplug.model import Model


def obstacle(trainer: Trainer, pl_module: LightningModule) -> str:
    """Return why no run can resume within an epoch; empty where one can.

    Args:
        trainer: About to train.
        pl_module: Its model.
    """
    loop = trainer.fit_loop
    loaders = loop._combined_loader.flattened if loop._combined_loader else []
    data = type(getattr(trainer, "datamodule", None) or pl_module).__name__
    if not loaders or not all(isinstance(loader, _Stateful) for loader in loaders):
        return f"the training batches of {data} have no state_dict, as those of torchdata's StatefulDataLoader have"
    if loop.max_batches == float("inf"):
        return f"nobody knows how many training batches {data} has"  # Lightning has fetched one more than it trained on
    if isinstance(pl_module, Model) and pl_module.within_epoch() is None:
        return f"{type(pl_module).__name__} keeps in no checkpoint what it has seen of an epoch"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        ours = type(callback).__module__.startswith("dlplug.") or isinstance(callback, ProgressBar)
        if not ours and type(callback).on_train_epoch_start is not Callback.on_train_epoch_start:
            return f"{type(callback).__name__} does something when an epoch starts"
    return "" if trainer._val_check_time_interval is None else "the clock says when to validate"  # type: ignore[attr-defined]


def unkept(trainer: Trainer) -> str:
    """Return which metric of the epoch so far is in no checkpoint, as a reason; empty for none."""
    for result in trainer.fit_loop.epoch_loop._results.values():
        late = result.meta.on_epoch and result.meta.fx == "on_train_batch_end"  # after it has been noted
        if result.update_called and (late or not result.is_tensor):
            return f"{result.meta.name} is measured over the epoch by what no checkpoint holds"
    return ""


def note(trainer: Trainer) -> dict[str, Any]:
    """Return what the next batch will change, and so has to be known at the end of this one."""
    loop = trainer.fit_loop
    assert loop._combined_loader is not None
    assert loop._data_fetcher is not None
    results = loop.epoch_loop._results
    sums = {
        key: {name: value.clone() for name, value in result.metric_state.items()}
        for key, result in results.items()
        if result.update_called and result.meta.on_epoch
    }
    return {
        "noise": _noise(),
        "sums": sums,
        "loaders": loop._combined_loader._state_dicts(),
        "validated": loop.epoch_loop._should_check_val_fx(loop._data_fetcher),
    }


def add(checkpoint: dict[str, Any], noted: Mapping[str, Any], trainer: Trainer, pl_module: LightningModule) -> None:
    """Make a checkpoint that Lightning saves before a batch one of the end of the batch before.

    Lightning takes one of a batch's end for one from before that batch's validation, its metrics and the model's own
    hooks; before the next batch all this is done, but the batch is counted already.

    Args:
        checkpoint: What Lightning saves.
        noted: By ``note``, at the end of the batch before.
        trainer: Training.
        pl_module: Its model.
    """
    loops = checkpoint["loops"]["fit_loop"]
    batches, stepped = loops["epoch_loop.batch_progress"], loops["epoch_loop.state_dict"]
    for counted in (batches["total"], batches["current"]):
        counted["ready"] -= 1
    batches["is_last_batch"] = False
    loops["state_dict"]["combined_loader"] = noted["loaders"]
    carried = pl_module.within_epoch() if isinstance(pl_module, Model) else None
    own = {"noise": noted["noise"], "sums": noted["sums"], "carried": carried}
    checkpoint["within_epoch"] = {
        "step": stepped["_batches_that_stepped"] - 1,
        "batches": trainer.num_training_batches,
        "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
        "ranks": _gathered(move_data_to_device(own, torch.device("cpu")), trainer),
    }
    stepped["_batches_that_stepped"] -= noted["validated"]  # Lightning adds one where it skips that validation


def resume(kept: Mapping[str, Any], trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
    """Take back what ``add`` added, right before the first batch.

    Returns:
        Sums of the epoch so far, for ``add_sums`` once there are those that they are to be added to.

    Raises:
        InputError: An epoch has another number of batches now.
    """
    if kept["batches"] != trainer.num_training_batches:
        raise InputError(
            f"the checkpoint is of an epoch of {kept['batches']} batches, which cannot become "
            f"{trainer.num_training_batches} in its middle"
        )
    # Lightning leaves these out within an epoch: what is set there, such as a rate or a mode, is in no checkpoint.
    call._call_callback_hooks(trainer, "on_train_epoch_start")
    call._call_lightning_module_hook(trainer, "on_train_epoch_start")
    trainer._logger_connector._callback_metrics.update(
        {name: torch.tensor(value, device=pl_module.device) for name, value in kept["metrics"].items()}
    )
    own = kept["ranks"][trainer.global_rank]
    if isinstance(pl_module, Model):
        pl_module.resume_within_epoch(move_data_to_device(own["carried"], pl_module.device))
    _set_rng_states(move_data_to_device(own["noise"], torch.device("cpu")))
    return move_data_to_device(own["sums"], pl_module.device)  # type: ignore[no-any-return]


def add_sums(sums: dict[str, Any], trainer: Trainer) -> None:
    """Add sums of an epoch so far to those that have begun anew, and take them out."""
    results = trainer.fit_loop.epoch_loop._results
    for key in [key for key in sums if key in results]:
        result, meta = results[key], results[key].meta
        combine = meta.reduce_fx if meta.is_max_reduction or meta.is_min_reduction else torch.add
        for name, value in sums.pop(key).items():
            setattr(result, name, combine(getattr(result, name), value))


def _gathered(own: Any, trainer: Trainer) -> list[Any]:
    parts = [own] * trainer.world_size
    if trainer.world_size > 1:
        distributed.all_gather_object(parts, own)
    return parts


def _noise() -> dict[str, Any]:
    states = _collect_rng_states()
    name, keys, *rest = states["numpy"]
    return states | {"numpy": (name, keys.tolist(), *rest)}  # a checkpoint holds no array
