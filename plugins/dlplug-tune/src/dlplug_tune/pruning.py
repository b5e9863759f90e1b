"""Ends a trial that falls behind. The fork server imports this before it forks trials that may."""

import json
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from optuna import load_study
from optuna.pruners import MedianPruner
from optuna.trial import Trial

from dlplug_tune.study import open_storage


class Prune(Callback):
    """Reports a trial's validations to its study, and stops the training that the study's pruner gives up.

    It raises nothing through the trainer, which ends as after its last epoch; on several devices the first process
    asks, and all stop after the same epoch.

    Args:
        place: JSON: the study's storage and name, the trial's id, and the metric.
    """

    def __init__(self, place: str) -> None:
        self._place: dict[str, Any] = json.loads(place)
        self._trial: Trial | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and ask."""
        if trainer.sanity_checking:
            return
        behind = trainer.is_global_zero and self._is_behind(trainer)
        trainer.should_stop = trainer.should_stop or trainer.strategy.broadcast(behind)

    def _is_behind(self, trainer: Trainer) -> bool:
        if self._trial is None:
            storage, name, number = (self._place[key] for key in ("storage", "study", "trial"))
            study = load_study(study_name=name, storage=open_storage(storage), pruner=MedianPruner())
            self._trial = Trial(study, number)
        value = trainer.callback_metrics.get(self._place["metric"])
        if value is None:
            return False
        self._trial.report(float(value), trainer.current_epoch)
        behind = self._trial.should_prune()
        if behind:
            self._trial.set_user_attr("pruned", trainer.current_epoch + 1)
        return behind
