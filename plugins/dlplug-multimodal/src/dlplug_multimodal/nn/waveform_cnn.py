"""Convolutions over the raw waveform."""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, adaptive_max_pool1d

KERNELS, STRIDES, POOLS = (64, 16, 8, 8), (8, 2, 2, 1), (4, 1, 1, 1)


class WaveformCNN(nn.Module):
    """Four convolutions over time, each with batch normalisation and a ReLU, then their mean and maximum over time.

    The first layer's filters span 8 ms at 8,000 samples a second. With the default channels of the models that use it,
    it has about 53,000 weights.

    Args:
        channels: Filters of each of the four.
        classes: Number of logits.
    """

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(channels) != len(KERNELS) or min(channels) < 1:
            raise ValueError(f"channels must be {len(KERNELS)} numbers of at least 1, not {list(channels)}")
        layers: list[nn.Module] = []
        depth = 1
        for filters, kernel, stride, pool in zip(channels, KERNELS, STRIDES, POOLS, strict=True):
            layers += [nn.Conv1d(depth, filters, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(filters)]
            layers += [nn.ReLU(), nn.MaxPool1d(pool)] if pool > 1 else [nn.ReLU()]
            depth = filters
        self.layers = nn.Sequential(*layers)
        self.width = 2 * depth
        self.classifier = nn.Linear(self.width, classes)

    def features(self, waves: Tensor, segments: int = 1) -> Tensor:
        """Return mean and maximum over time of the last convolution, shape (n, segments × width).

        Args:
            waves: Shape (n, samples), from -1 to 1.
            segments: Equal segments of time, each pooled by itself.
        """
        maps = self.layers(waves.unsqueeze(1))  # (n, channels, frames)
        pooled = adaptive_avg_pool1d(maps, segments), adaptive_max_pool1d(maps, segments)  # (n, channels, segments)
        return torch.cat(pooled, 1).flatten(1)

    def forward(self, waves: Tensor) -> Tensor:
        """Return logits (n, classes) of sounds (n, samples) from -1 to 1."""
        logits: Tensor = self.classifier(self.features(waves))
        return logits
