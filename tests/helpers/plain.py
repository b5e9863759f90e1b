"""A model and data of plain Lightning, without a line of dlplug's."""

import lightning as L
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset


class Net(L.LightningModule):
    """Logs in several of the ways that people write the stage of a metric."""

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Linear(4, 2)

    def _loss(self, batch: list[torch.Tensor], accuracy: str) -> torch.Tensor:
        logits = self.net(batch[0])
        self.log(accuracy, (logits.argmax(1) == batch[1]).float().mean())
        return cross_entropy(logits, batch[1])

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = self._loss(batch, "acc/train")
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val_loss", self._loss(batch, "acc/valid"))

    def test_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("test_loss", self._loss(batch, "acc/test"))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.hparams["lr"])

    def generate(self, n: int = 4) -> dict[str, object]:
        return {"image": torch.rand(n, 1, 8, 8), "words": "hello", "numbers": torch.arange(3.0)}


class Points(L.LightningDataModule):
    """Points on either side of a plane, few enough that an epoch has fewer batches than a logging interval."""

    def _loader(self, seed: int) -> DataLoader[tuple[torch.Tensor, ...]]:
        points = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
        return DataLoader(TensorDataset(points, (points[:, 0] > 0).long()), batch_size=16)

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return self._loader(0)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return self._loader(1)

    def test_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return self._loader(2)
