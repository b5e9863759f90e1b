"""Stops a run that diverged."""

import torch
from lightning.pytorch import Callback

from dlplug.console import say


class StopAtNaN(Callback):
    """Stops training once the loss is not finite."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Check the loss, where the step returned one."""
        if isinstance(outputs, dict) and "loss" in outputs and not torch.isfinite(outputs["loss"]):
            say(f"stopped in epoch {trainer.current_epoch + 1}: the loss is {outputs['loss']:.3g}")
            trainer.should_stop = True
