"""Networks for observations."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from dlplug_rl.data.environments import EnvInfo
from dlplug_rl.data.spaces import MAX_ONE_HOT

NATURE_CNN_SIDE = 36  # pixels that the convolutions of Mnih et al. need: 36 → 8 → 3 → 1


class ObservationInput(nn.Module):
    """Observations as a network takes them.

    States become one-hot, images get their channels first and values from 0 to 1, others are flattened. An observation
    of three axes is an image, and the smaller of its first and last axis counts the channels, the first if both are
    alike.

    Args:
        info: What observations are like.

    Raises:
        ValueError: There are too many states for a one-hot.
    """

    def __init__(self, info: EnvInfo) -> None:
        super().__init__()
        shape = info.observation_shape
        self.states, self.is_image = info.states, len(shape) == 3
        if self.states > MAX_ONE_HOT:
            raise ValueError(f"{info.env} has {self.states:,} states, and a network takes {MAX_ONE_HOT:,} at most")
        self.channels_last = self.is_image and shape[2] < shape[0]

    def forward(self, observations: Tensor) -> Tensor:
        """Return shape (n, features), or (n, channels, height, width) for images."""
        if self.states:
            return one_hot(observations.long(), self.states).float()
        if not self.is_image:
            return observations.flatten(1).float()
        x = observations.permute(0, 3, 1, 2) if self.channels_last else observations
        return x.float() / 255 if observations.dtype == torch.uint8 else x.float()


def build_network(
    info: EnvInfo, hidden_sizes: Sequence[int], outputs: int, activation: type[nn.Module], dueling: bool = False
) -> nn.Sequential:
    """Return a network for observations: an encoder and a head.

    Vectors and states go through fully connected layers, images first through the convolutions of Mnih et al.
    (2015), or through one of 3×3 where they are smaller than 36 pixels (Young and Tian, 2019).

    Args:
        info: What observations are like.
        hidden_sizes: Units of the fully connected layers.
        outputs: Numbers that the head gives.
        activation: What follows each fully connected layer.
        dueling: Whether the head is a ``DuelingHead``.
    """
    layers: list[nn.Module] = [ObservationInput(info)]
    example = torch.zeros(1, *info.observation_shape, dtype=torch.long if info.states else torch.float32)
    _, channels, *size = layers[0](example).shape
    if size:
        if min(size) < NATURE_CNN_SIDE:
            layers += [nn.Conv2d(channels, 16, (min(3, size[0]), min(3, size[1]))), nn.ReLU(), nn.Flatten()]
        else:
            layers += [nn.Conv2d(channels, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU()]
            layers += [nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten()]
    with torch.no_grad():
        features = nn.Sequential(*layers)(example).shape[1]
    for units in hidden_sizes:
        layers += [nn.Linear(features, units), activation()]
        features = units
    head = DuelingHead if dueling else nn.Linear
    return nn.Sequential(nn.Sequential(*layers), head(features, outputs))


class DuelingHead(nn.Module):
    """Q as the value of the state plus each action's advantage over the mean action (Wang et al., 2016).

    Args:
        features: Number of features.
        actions: Number of actions.
    """

    def __init__(self, features: int, actions: int) -> None:
        super().__init__()
        self.value, self.advantage = nn.Linear(features, 1), nn.Linear(features, actions)

    def forward(self, x: Tensor) -> Tensor:
        """Return Q, shape (n, actions), of features (n, features)."""
        advantage = self.advantage(x)  # (n, actions)
        q: Tensor = self.value(x) + advantage - advantage.mean(1, keepdim=True)
        return q


class TwinQ(nn.Module):
    """Two networks of one shape that value an action each (Fujimoto et al., 2018), computed together.

    Batched matrix products do both at once: on a CPU small networks cost by the call.

    Args:
        info: What observations are like: vectors or states.
        hidden_sizes: Units of the hidden layers.
        action_size: Numbers of an action.
    """

    def __init__(self, info: EnvInfo, hidden_sizes: Sequence[int], action_size: int) -> None:
        super().__init__()
        self.input = ObservationInput(info)
        sizes = [(info.states or math.prod(info.observation_shape)) + action_size, *hidden_sizes, 1]
        pairs = [[nn.Linear(*pair) for _ in range(2)] for pair in pairwise(sizes)]  # as torch initialises layers
        self.weights = nn.ParameterList(torch.stack([layer.weight.detach().T for layer in pair]) for pair in pairs)
        self.biases = nn.ParameterList(torch.stack([layer.bias.detach()[None] for layer in pair]) for pair in pairs)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return both values, shape (2, n), of actions (n, action_size)."""
        x = torch.cat([self.input(observations), actions], 1).expand(2, -1, -1)  # (2, n, features)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x.relu() if index else x, weight)
        return x.squeeze(2)
