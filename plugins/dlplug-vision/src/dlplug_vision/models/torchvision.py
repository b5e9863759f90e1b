"""Any classification network of torchvision, from scratch or from weights."""

from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from dlplug.console import say
from dlplug.data import ImageInfo
from dlplug.errors import InputError, did_you_mean
from dlplug.trained import start_from, take
from dlplug_vision.models.classifier import Classifier

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what torchvision's weights expect
SIDES = (16, 32, 48, 64, 96, 128, 160, 192, 224)  # tried where images are too small


class Pretrained(Classifier):
    """A network of torchvision's on images normalised as its weights expect them.

    Attributes:
        architecture: Its name in ``torchvision.models``.
        weights: A file, ``imagenet``, or nothing.
    """

    architecture: str
    weights: str

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (n, names) of images from 0 to 1 of shape (n, channels, height, width)."""
        # Exercise: normalise the images by channel, and call the network.
        mean, std = (inputs.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        outputs: Tensor = self.net((inputs - mean) / std)  # one channel becomes three here
        return outputs

    def initialise(self) -> None:
        """Load ``weights``, then those of ``init_from``, and say which layers they are of."""
        if self.weights == "imagenet":
            say(take(self.net, self._download(), self.weights))
        elif self.weights:
            say(start_from(self.net, self.weights))
        super().initialise()

    def _download(self) -> dict[str, Tensor]:
        choice: Any = torchvision.models.get_model_weights(self.architecture).DEFAULT
        try:
            weights: dict[str, Tensor] = choice.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"cannot download the weights of {self.architecture} ({error}); fetch {choice.url.rpartition('/')[2]} "
                "elsewhere and give its path as --model.weights"
            ) from error
        return weights


class Torchvision(Pretrained):
    """A classification network of ``torchvision.models``, by name, with outputs for the data's classes or numbers.

    Grey images become three equal channels. Many networks halve images five times: they need about 32×32, some 64×64 or
    more, which is said before training. ``vit`` networks are made for the images' size, a multiple of their patches.
    Auxiliary outputs of ``googlenet`` and ``inception_v3`` are left out.

    Args:
        name: The network, such as ``resnet18``, ``efficientnet_b0`` or ``convnext_tiny``.
        weights: Pretrained weights: a file in torchvision's layout, as it publishes them, or ``imagenet`` for its own,
            which are downloaded once; none from scratch. The last layer is new where there are other classes.
    """

    def __init__(
        self,
        name: str = "resnet18",  # of this and a ShuffleNet the better on mnist5k's validation digits
        weights: str = "",
        lr: float = 2e-3,
        weight_decay: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(lr, weight_decay, **kwargs)
        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            raise InputError(f"name: torchvision has no network {name!r} that classifies, {did_you_mean(name, known)}")
        self.save_hyperparameters()
        self.architecture, self.weights = name, weights

    def network(self, info: ImageInfo) -> nn.Module:
        """Return torchvision's network, which is tried on two images."""
        options: dict[str, Any] = {}
        if self.architecture in ("googlenet", "inception_v3"):
            # Published weights of these expect images from -1 to 1, which this option makes of normalised ones.
            options = {"aux_logits": False, "init_weights": True, "transform_input": bool(self.weights)}
        elif self.architecture.startswith("vit_"):
            if info.height != info.width or info.height % int(self.architecture[-2:]):
                patch = self.architecture[-2:]
                raise ValueError(f"{self.architecture} needs squares of a multiple of {patch}×{patch}, not {info}")
            options = {"image_size": info.height}
        elif self.architecture.startswith("maxvit"):
            options = {"input_size": (info.height, info.width)}
        try:
            net: nn.Module = torchvision.models.get_model(self.architecture, num_classes=info.outputs, **options)
        except ValueError as error:
            raise ValueError(f"{self.architecture} does not fit {info}: {error}") from error
        if not _runs(net, info.height, info.width):
            enough = next((side for side in SIDES if _runs(net, side, side)), SIDES[-1])
            raise ValueError(f"{info} are too small for {self.architecture}: it needs about {enough}×{enough}")
        return net


@torch.no_grad()
def _runs(net: nn.Module, height: int, width: int) -> bool:
    net.eval()
    try:
        net(torch.zeros(2, 3, height, width))
    except (RuntimeError, AssertionError):
        return False
    finally:
        net.train()
    return True
