"""Seeds that resume."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng

from dlplug.data import run_seed


class EpochSeeding(Callback):
    """Seeds each epoch from (the run's seed, rank, epoch), and validation from the run's seed alone.

    So a run that resumes from its last completed epoch is the run that never stopped, and how often it validates
    changes nothing that it learns. A checkpoint of an epoch's middle holds the random states themselves.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._first = True
        self._isolated = isolate_rng()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where a resumed run starts."""
        self._epoch = checkpoint["epoch"] + ("within_epoch" not in checkpoint)

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
