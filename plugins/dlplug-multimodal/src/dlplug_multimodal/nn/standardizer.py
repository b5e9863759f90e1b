"""Images as visible units of a Gaussian restricted Boltzmann machine."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Standardizer(nn.Module):
    """Images as Gaussian visible units: each pixel less its mean, over its standard deviation times ``visible_std``.

    Args:
        shape: Channels, height and width.
        visible_std: Standard deviation of a pixel given the hidden units, as a share of its own.
    """

    def __init__(self, shape: tuple[int, ...], visible_std: float) -> None:
        super().__init__()
        self.shape, self.visible_std = shape, visible_std
        self.mean = nn.Buffer(torch.zeros(math.prod(shape)))
        self.scale = nn.Buffer(torch.ones(math.prod(shape)))

    def fit(self, images: list[Tensor], reduce_mean: Callable[[list[Tensor]], Sequence[Tensor]] | None = None) -> None:
        """Measure the pixels' means and standard deviations.

        A pixel that hardly varies is given a tenth of the average standard deviation, or it would be blown up.

        Args:
            images: Batches of images or of vectors.
            reduce_mean: Returns the means of tensors over all processes, where there are several.
        """
        pixels = torch.cat(images).flatten(1)
        moments = [pixels.mean(0), pixels.square().mean(0)]
        mean, square = reduce_mean(moments) if reduce_mean else moments
        variance = (square - mean.square()).clamp_min(0)
        least = 0.1 * variance.mean().sqrt().clamp_min(1e-3)
        self.mean.copy_(mean)
        self.scale.copy_(self.visible_std * variance.sqrt().clamp_min(least))

    def forward(self, images: Tensor) -> Tensor:
        """Return visible units (n, visible) of images from 0 to 1, of shape (n, channels, height, width)."""
        return (images.flatten(1) - self.mean) / self.scale

    def inverse(self, visible: Tensor) -> Tensor:
        """Return images of visible units."""
        return (visible * self.scale + self.mean).reshape(-1, *self.shape)
