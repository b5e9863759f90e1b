"""What observations go through."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from dlplug_rl.data.environments import EnvInfo

NATURE = 36  # pixels that a picture needs for the convolutions of Mnih et al.


class Inputs(nn.Module):
    """Observations as numbers that a network takes.

    States become a one among zeros, pictures get their channels first and values from 0 to 1, others are flattened.

    Args:
        info: What observations are like.
    """

    def __init__(self, info: EnvInfo) -> None:
        super().__init__()
        self.states, self.picture = info.states, len(info.shape) == 3
        self.last = self.picture and info.shape[2] < info.shape[0]  # channels last

    def forward(self, observations: Tensor) -> Tensor:
        """Return shape (n, features), or (n, channels, height, width) for pictures."""
        if self.states:
            return one_hot(observations.long(), self.states).float()
        if not self.picture:
            return observations.flatten(1).float()
        x = observations.permute(0, 3, 1, 2) if self.last else observations
        return x.float() / 255 if observations.dtype == torch.uint8 else x.float()


def body(info: EnvInfo, hidden: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> tuple[nn.Sequential, int]:
    """Return a network for observations, and how many features it gives.

    Vectors and states go through fully connected layers, pictures first through the convolutions of Mnih et al.
    (2015), or through one of 3×3 where they are smaller than 36 pixels (Young and Tian, 2019).

    Args:
        info: What observations are like.
        hidden: Units of the fully connected layers.
        activation: What follows each of these.
    """
    layers: list[nn.Module] = [Inputs(info)]
    if len(info.shape) == 3:
        channels, *size = sorted(info.shape)
        if min(size) < NATURE:
            layers += [nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten()]
        else:
            layers += [nn.Conv2d(channels, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU()]
            layers += [nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten()]
    dtype = torch.long if info.states else torch.float32
    with torch.no_grad():
        width = nn.Sequential(*layers)(torch.zeros(1, *info.shape, dtype=dtype)).shape[1]
    for units in hidden:
        layers += [nn.Linear(width, units), activation()]
        width = units
    return nn.Sequential(*layers), width
