"""Residual networks, from scratch or from weights."""

from typing import Any, Literal

import torchvision
from torch import nn

from dlplug.data import ImageInfo
from dlplug_vision.models.torchvision import Pretrained

STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
LARGE = 64  # side of images for which torchvision's own stem is used


class ResNet(Pretrained):
    """Torchvision's residual network (He et al., 2016), from scratch or pretrained: 3.1 and 5.3 of the notes.

    For images below 64×64 the first layer is 3×3 without stride and pooling, as in that paper's section 4.2;
    torchvision's own is 7×7 with both, and is what pretrained weights need. Grey images become three equal channels.

    Fits images of 8×8 to 224×224 with 1 or 3 channels. Logs ``loss`` in nats and ``accuracy``, and in validation and
    test ``f1``, the macro average over classes, and ``ece``, the expected calibration error.

    Args:
        depth: Number of layers: 18, 34, 50, 101 or 152.
        weights: Pretrained weights: a file in torchvision's layout, or ``imagenet`` for torchvision's own, which are
            downloaded once; none from scratch.
        freeze: What is not trained: ``none``, ``backbone`` for all but the last layer, or a number for that many of the
            five stages, from the first.
        stem: First layer: ``small``, ``large`` (torchvision's), or ``auto`` for ``small`` where images are below 64×64
            and there are no ``weights``.
    """

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101, 152] = 18,
        weights: str = "",
        freeze: Literal["none", "backbone"] | int = "none",
        stem: Literal["auto", "small", "large"] = "auto",
        lr: float = 2e-3,
        weight_decay: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(lr, weight_decay, **kwargs)
        if isinstance(freeze, int) and not 0 <= freeze <= len(STAGES):
            raise ValueError(f"freeze must be none, backbone or a number from 0 to {len(STAGES)}, not {freeze}")
        self.save_hyperparameters()
        self.architecture, self.weights, self.stem = f"resnet{depth}", weights, stem
        self.num_frozen = {"none": 0, "backbone": len(STAGES)}[freeze] if isinstance(freeze, str) else freeze

    def network(self, info: ImageInfo) -> nn.Module:
        """Return torchvision's network, its first stages frozen."""
        # Exercise: torchvision's network, its stem for small images, and the frozen stages.
        net: nn.Module = torchvision.models.get_model(self.architecture, num_classes=info.outputs)
        small = min(info.height, info.width) < LARGE and not self.weights
        if self.stem == "small" or (self.stem == "auto" and small):
            net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            net.maxpool = nn.Identity()
        for stage in self._frozen_stages(net):
            stage.requires_grad_(False).eval()
        return net

    def train(self, mode: bool = True) -> "ResNet":
        """Switch between training and evaluation; frozen stages keep the statistics of their normalisation, too."""
        super().train(mode)
        if hasattr(self, "net"):
            for stage in self._frozen_stages(self.net):
                stage.eval()
        return self

    def _frozen_stages(self, net: nn.Module) -> list[nn.Module]:
        return [net.get_submodule(name) for stage in STAGES[: self.num_frozen] for name in stage]
