"""The network that hears: convolutions over the raw waveform."""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, adaptive_max_pool1d

KERNELS, STRIDES, POOLS = (64, 16, 8, 8), (8, 2, 2, 1), (4, 1, 1, 1)


class WaveCNN(nn.Module):
    """Four convolutions over time, each with batch normalisation and a RELU, then their mean and maximum over time.

    The first layer's filters span 8 ms at 8,000 samples a second. With the default widths of the models that use it,
    it has about 53,000 weights.

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

    def features(self, waves: Tensor, parts: int = 1) -> Tensor:
        """Return mean and maximum over time of the last convolution, shape (n, parts × width).

        Args:
            waves: Shape (n, samples), from -1 to 1.
            parts: Equal parts of the time that are told apart.
        """
        maps = self.layers(waves.unsqueeze(1))  # (n, channels, frames)
        pooled = adaptive_avg_pool1d(maps, parts), adaptive_max_pool1d(maps, parts)  # each (n, channels, parts)
        return torch.cat(pooled, 1).flatten(1)

    def forward(self, waves: Tensor) -> Tensor:
        """Return scores (n, classes) of sounds (n, samples) from -1 to 1."""
        scores: Tensor = self.scores(self.features(waves))
        return scores
