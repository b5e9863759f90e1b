"""Residual networks, from scratch or from weights."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
import torchvision
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.utils.checkpoint import checkpoint

from dlplug.data import ImageInfo
from dlplug.errors import InputError
from dlplug_vision.models.torchvision import Pretrained

STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
BLOCKS = ("layer1", "layer2", "layer3", "layer4")
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
        channels_last: Whether tensors in memory have their channels last, for GPUs; a CPU was a fifth slower with it.
        activation_checkpointing: Whether blocks compute their activations again for the gradient instead of keeping
            them: a third more time, for a fraction of the memory.
    """

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101, 152] = 18,
        weights: str = "",
        freeze: Literal["none", "backbone"] | int = "none",
        stem: Literal["auto", "small", "large"] = "auto",
        channels_last: bool = False,
        activation_checkpointing: bool = False,
        lr: float = 2e-3,
        weight_decay: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(lr, weight_decay, **kwargs)
        if isinstance(freeze, int) and not 0 <= freeze <= len(STAGES):
            raise ValueError(f"freeze must be none, backbone or a number from 0 to {len(STAGES)}, not {freeze}")
        self.save_hyperparameters()
        self.architecture, self.weights, self.stem = f"resnet{depth}", weights, stem
        self.channels_last, self.activation_checkpointing = channels_last, activation_checkpointing
        self.num_frozen = {"none": 0, "backbone": len(STAGES)}[freeze] if isinstance(freeze, str) else freeze

    def network(self, info: ImageInfo) -> nn.Module:
        """Return torchvision's network, its first stages frozen."""
        # Exercise: torchvision's network, its stem for small images, and the frozen stages.
        net: nn.Module = torchvision.models.get_model(self.architecture, num_classes=info.outputs)
        small = min(info.height, info.width) < LARGE and not self.weights
        if self.stem == "small" or (self.stem == "auto" and small):
            net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            net.maxpool = nn.Identity()
        for name in BLOCKS if self.activation_checkpointing else ():
            setattr(net, name, CheckpointedStage(*getattr(net, name)))
        for stage in self._frozen_stages(net):
            stage.requires_grad_(False).eval()
        return net.to(memory_format=torch.channels_last) if self.channels_last else net

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the network, unless its blocks compute their activations again in a way that no compiler takes.

        Raises:
            InputError: They do.
        """
        if self.activation_checkpointing:
            raise InputError("resnet: --compile and activation_checkpointing exclude each other; take one of them")
        super().compile(*args, **kwargs)

    def shard(self, mesh: DeviceMesh) -> None:
        """Shard each block apart, and what is around them together."""
        for name in BLOCKS:
            for block in getattr(self.net, name):
                fully_shard(block, mesh=mesh)
        fully_shard(self, mesh=mesh)

    def train(self, mode: bool = True) -> "ResNet":
        """Switch between training and evaluation; frozen stages keep the statistics of their normalisation, too."""
        super().train(mode)
        if hasattr(self, "net"):
            for stage in self._frozen_stages(self.net):
                stage.eval()
        return self

    def _frozen_stages(self, net: nn.Module) -> list[nn.Module]:
        return [net.get_submodule(name) for stage in STAGES[: self.num_frozen] for name in stage]


class CheckpointedStage(nn.Sequential):
    """Blocks that compute their activations again for the gradient; their normalisation counts a batch once."""

    def forward(self, input: Tensor) -> Tensor:
        """Return what the last block makes of images (n, channels, height, width)."""
        for block in self:
            contexts = partial(_contexts, block)
            input = (
                checkpoint(block, input, use_reentrant=False, context_fn=contexts) if self.training else block(input)
            )
        return input


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _untracked(block)


@contextmanager
def _untracked(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(1)
