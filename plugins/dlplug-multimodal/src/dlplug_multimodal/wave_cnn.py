"""The network that hears: convolutions over the raw waveform."""

import torch
from torch import Tensor, nn

KERNELS, STRIDES, POOLS = (64, 16, 8, 8), (8, 2, 2, 1), (4, 1, 1, 1)


class WaveCNN(nn.Module):
    """Four convolutions over time, each with batch normalisation and a RELU, then their mean and maximum over time.

    The first filter spans 8 ms at 8,000 samples a second, all four together 0.12 s; what is pooled is a third of a
    hundredth of a second apart. About 50,000 weights.

    Args:
        channels: Filters of each of the four.
        classes: Scores that are given.
    """

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(channels) != len(KERNELS) or min(channels) < 1:
            raise ValueError(f"channels must be {len(KERNELS)} numbers of at least 1, not {list(channels)}")
        layers: list[nn.Module] = []
        before = 1
        for depth, kernel, stride, pool in zip(channels, KERNELS, STRIDES, POOLS, strict=True):
            layers += [nn.Conv1d(before, depth, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(depth)]
            layers += [nn.ReLU(), nn.MaxPool1d(pool)] if pool > 1 else [nn.ReLU()]
            before = depth
        self.layers = nn.Sequential(*layers)
        self.width = 2 * before
        self.scores = nn.Linear(self.width, classes)

    def features(self, waves: Tensor) -> Tensor:
        """Return what is said of sounds (n, samples) in n rows of ``width`` numbers."""
        maps = self.layers(waves.unsqueeze(1))  # (n, channels, frames)
        return torch.cat([maps.mean(2), maps.amax(2)], 1)

    def forward(self, waves: Tensor) -> Tensor:
        """Return scores (n, classes) of sounds (n, samples) from -1 to 1."""
        scores: Tensor = self.scores(self.features(waves))
        return scores
