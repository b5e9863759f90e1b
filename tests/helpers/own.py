"""A model and data of a user's own, with no base class of ours; copied into the working directory of tests."""

import os
import random
import signal
import time

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset


class OwnData(L.LightningDataModule):
    """Points.

    Args:
        size: How many.
    """

    def __init__(self, size: int = 32):
        super().__init__()
        self.size = size

    def _loader(self, shuffle):
        points = torch.randn(self.size, 4, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(points), batch_size=8, shuffle=shuffle)

    def train_dataloader(self):
        return self._loader(shuffle=True)

    def val_dataloader(self):
        return self._loader(shuffle=False)

    test_dataloader = predict_dataloader = val_dataloader


class OwnModel(L.LightningModule):
    """A line with noise from every random state, and a schedule.

    Args:
        width: Hidden units.
        lr: Learning rate.
        steps: Length of the schedule in epochs; none if 0.
        slow: Seconds to wait after each batch.
    """

    def __init__(self, width: int = 3, lr: float = 0.1, steps: int = 0, slow: float = 0.0):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Dropout(0.2), torch.nn.Linear(width, 1))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        noise = random.random() + np.random.rand() + torch.randn(())
        loss = (self(batch[0]) - noise).square().mean()
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        time.sleep(self.hparams.slow)
        if os.environ.get("KILL_AT") == f"{self.current_epoch},{batch_idx}":
            os.kill(os.getpid(), signal.SIGKILL)

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self(batch[0]).square().mean() + torch.randn(()))

    def test_step(self, batch, batch_idx):
        self.log("test/loss", self(batch[0]).square().mean())

    def predict_step(self, batch, batch_idx):
        return {"y": self(batch[0]), "first": batch[0][:, 0]}

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        if not self.hparams.steps:
            return optimizer
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.hparams.steps)]
