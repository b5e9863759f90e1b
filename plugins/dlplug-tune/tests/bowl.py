"""A model whose loss is known beforehand, and its data."""

import os
import time

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset


class Points(L.LightningDataModule):
    """Eight points."""

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(8, 1)), batch_size=4)

    val_dataloader = test_dataloader = train_dataloader


class Bowl(L.LightningModule):
    """The loss of an epoch is the distance from x = 0.3, and falls a little.

    Args:
        x: Where it is.
        n: How large.
        kind: How it behaves.
        slow: Seconds an epoch.
    """

    monitor = ("val/loss", "min")

    def __init__(self, x: float = 0.5, n: int = 3, kind: str = "sound", slow: float = 0.0):
        super().__init__()
        self.save_hyperparameters()
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        self.layer = torch.nn.Linear(1, n)

    def training_step(self, batch, batch_idx):
        time.sleep(self.hparams.slow / 2)
        if self.hparams.kind == "broken":
            raise RuntimeError("it is broken")
        if self.hparams.kind == "full":
            raise OSError(28, os.strerror(28))
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        if self.hparams.kind == "endless":
            self.log("val/loss", float("inf"))
            return
        self.log("val/loss", abs(self.hparams.x - 0.3) + 0.01 / (1 + self.current_epoch))
        self.log("val/size", float(self.hparams.n))

    def test_step(self, batch, batch_idx):
        self.log("test/loss", 0.0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Silent(Bowl):
    """One that is not validated."""

    def validation_step(self, batch, batch_idx):
        pass


class Nameless(Bowl):
    """One that names no monitor."""

    monitor = None
