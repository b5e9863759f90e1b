"""Any network that takes colour images and returns logits, (batch, classes)."""

import torch
from torchvision.models import shufflenet_v2_x0_5

from dlplug.data import ImageInfo
from dlplug.model import Model


class ShuffleNet(Model):
    """ShuffleNet V2 from torchvision, for images of any size."""

    def build(self, info: ImageInfo) -> None:
        """Make the network for the data's number of classes."""
        self.net = shufflenet_v2_x0_5(num_classes=info.classes)

    def training_step(self, batch, batch_idx):
        """Return the loss."""
        images = torch.nn.functional.interpolate(batch[0].expand(-1, 3, -1, -1), 64)  # (batch, 3, 64, 64)
        loss = torch.nn.functional.cross_entropy(self.net(images), batch[1])
        self.record(loss=loss)
        return loss

    validation_step = training_step

    def configure_optimizers(self):
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), 0.003)
