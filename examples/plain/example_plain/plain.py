"""A LightningModule that does not use dlplug."""

import torch
from lightning.pytorch import LightningModule


class Plain(LightningModule):
    """One layer.

    Args:
        lr: Learning rate.
    """

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(64, 10)

    def training_step(self, batch, batch_idx):
        """Return the loss."""
        loss = torch.nn.functional.cross_entropy(self.layer(batch[0].flatten(1)), batch[1])
        self.log("train/loss" if self.training else "test/loss", loss)
        return loss

    test_step = training_step

    def configure_optimizers(self):
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), self.hparams.lr)
