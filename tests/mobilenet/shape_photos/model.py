import torch
from lightning.pytorch import LightningModule
from torchvision.models import mobilenet_v3_small


class MobileNet(LightningModule):
    """A MobileNet, as somebody who has never heard of dlplug would wrap it.

    Args:
        num_classes: Number of classes.
        lr: Learning rate.
    """

    def __init__(self, num_classes: int = 2, lr: float = 1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.net = mobilenet_v3_small(num_classes=num_classes)

    def forward(self, images):
        return self.net(images)

    def _step(self, batch, stage):
        images, labels = batch
        logits = self(images)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        self.log(f"{stage}_loss", loss, prog_bar=True)
        self.log(f"{stage}_acc", (logits.argmax(1) == labels).float().mean())
        return loss

    def training_step(self, batch, batch_idx):
        return self._step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self._step(batch, "val")

    def test_step(self, batch, batch_idx):
        self._step(batch, "test")

    def predict_step(self, batch, batch_idx):
        return self(batch[0]).softmax(1)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
