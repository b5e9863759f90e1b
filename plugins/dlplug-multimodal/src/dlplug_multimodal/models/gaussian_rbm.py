"""A restricted Boltzmann machine for pictures: section 5.5 of the notes."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, Media
from dlplug_multimodal.data.tagged_images import TaggedInfo
from dlplug_multimodal.models.boltzmann import GAP, LEARNING, Single
from dlplug_multimodal.nn.ais import log_partition
from dlplug_multimodal.nn.rbm import Gaussian

FILTERS = 100
SHOWN = 10


class Standardised(nn.Module):
    """Images as Gaussian visible units: each pixel less its mean, over its standard deviation times ``noise``.

    Args:
        shape: Channels, height and width.
        noise: Standard deviation that a pixel has left once the hidden units are known, as a share of its own.
    """

    def __init__(self, shape: tuple[int, ...], noise: float) -> None:
        super().__init__()
        self.shape, self.noise = shape, noise
        self.register_buffer("mean", torch.zeros(math.prod(shape)))
        self.register_buffer("scale", torch.ones(math.prod(shape)))
        self.mean: Tensor
        self.scale: Tensor

    def set(self, mean: Tensor, square: Tensor) -> None:
        """Take pixels' means and mean squares.

        A pixel that hardly varies counts as varying by a tenth of what pixels vary by on average.
        """
        variance = (square - mean.square()).clamp_min(0)
        least = 0.1 * variance.mean().sqrt().clamp_min(1e-3)
        self.mean.copy_(mean)
        self.scale.copy_(self.noise * variance.sqrt().clamp_min(least))

    def forward(self, images: Tensor) -> Tensor:
        """Return visible units (n, visible) of images from 0 to 1, of shape (n, channels, height, width)."""
        return (images.flatten(1) - self.mean) / self.scale

    def back(self, visible: Tensor) -> Tensor:
        """Return images of visible units."""
        return (visible * self.scale + self.mean).reshape(-1, *self.shape)


class GaussianRBM(Single):
    """Hidden units that are 0 or 1 and explain real-valued pixels: a Gaussian restricted Boltzmann machine.

    Pixels are standardised by their means and standard deviations over the training images. Learning is contrastive
    divergence (Hinton, 2002), with chains that persist (Tieleman, 2008) where ``chains`` is above 0. Hinton and
    Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks" (2006); section 5.5 of the notes.

    Fits images of any size with 1 or 3 channels, and the pictures of tagged images. Logs ``nll``, nats an image with
    each pixel in units of its standard deviation, and ``reconstruction``, the mean squared error a pixel, from 0 to 1,
    of images given their hidden units' probabilities; and while training the mean free energies of the data and of
    the chains.

    Args:
        hidden: Hidden units.
        noise: Standard deviation that a pixel has left once the hidden units are known, as a share of its own. Smaller
            is sharper and slower to mix.
        k: Times that pixels and hidden units are drawn for each batch.
        chains: Gibbs chains that go on from batch to batch (PCD); 0 for chains that start from the batch (CD).
        lr: Highest learning rate times the number of pixels, since the more there are the more the hidden units hear;
            it falls along a line to 0 at the last epoch.
        momentum: Share of the last step that the next one keeps.
        weight_decay: Decay of the weights.
    """

    monitor = ("val/nll", "min")
    panels = (
        LEARNING,
        Panel(
            "Learning",
            "Reconstruction",
            "Squared error a pixel. Healthy: falls, then is flat. Broken: stays at the pixels' variance (hidden units "
            "say nothing). It is not what is minimised.",
            curves=("reconstruction",),
        ),
        GAP,
        Panel(
            "Pictures",
            "Filters",
            "What each hidden unit adds to a picture; mid-grey is nothing. Healthy: strokes, spots, edges. Broken: "
            "noise, or many alike.",
            media="filters",
        ),
        Panel(
            "Pictures",
            "Samples",
            "What Gibbs chains come to from noise. Healthy: like the data, and varied. Broken: one picture, or noise.",
            media="samples",
        ),
        Panel(
            "Pictures",
            "Reconstructions",
            "Above, validation images; below, what their hidden units say. Healthy: alike.",
            media="reconstructions",
        ),
    )

    def __init__(
        self,
        hidden: int = 256,
        noise: float = 0.7,
        k: int = 1,
        chains: int = 64,
        lr: float = 0.8,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
    ) -> None:
        super().__init__()
        if noise <= 0:
            raise ValueError(f"noise must be above 0, not {noise}")
        self.save_hyperparameters()
        self.check_options(hidden, k, chains, lr, momentum, weight_decay)
        self.noise = noise

    def build(self, info: ImageInfo | TaggedInfo) -> None:
        """Make the machine."""
        if info.channels not in (1, 3):
            raise ValueError(f"fits images of 1 or 3 channels, not {info}")
        shape = (info.channels, info.height, info.width)
        self.pixels = Standardised(shape, self.noise)
        self.machine = Gaussian(math.prod(shape), self.hidden)

    def rate(self) -> float:
        """Return the highest learning rate."""
        return self.lr / len(self.pixels.mean)

    def initialise(self) -> None:
        """Measure the pixels' means and variances."""
        self.pixels.set(*self.share(moments([images for images, _ in self.train_batches()])))

    def visible(self, batch: Batch) -> Tensor:
        """Return standardised pixels."""
        units: Tensor = self.pixels(batch[0])
        return units

    def forward(self, images: Tensor) -> Tensor:
        """Return the hidden units' probabilities, shape (n, hidden), given images from 0 to 1."""
        return self.machine.up(self.pixels(images)).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return what the hidden units' probabilities say of images."""
        return self.pixels.back(self.machine.down(self(images)))

    def on_validation_epoch_start(self) -> None:
        """Estimate the partition."""
        self._log_z, _ = log_partition(self.machine, steps=300)

    def on_test_epoch_start(self) -> None:
        """Estimate the partition with more steps: they only make it less of an underestimate."""
        self._log_z, self._error = log_partition(self.machine, steps=3000)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure images that were not trained on."""
        units = self.visible(batch)
        stretch = units.shape[1] * math.log(self.noise)  # densities are of pixels in units of their deviations
        self.record(
            nll=self.machine.free_energy(units).mean() + self._log_z + stretch,
            reconstruction=(self.reconstruct(batch[0]) - batch[0]).square().mean(),
        )

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test images."""
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the hidden units' probabilities, shape (n, hidden)."""
        hidden: Tensor = self(batch[0])
        return hidden

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show filters, samples and reconstructions."""
        weight = self.machine.weight.detach()
        filters = weight[:, weight.norm(dim=0).argsort(descending=True)[:FILTERS]].T.reshape(-1, *self.pixels.shape)
        reach = max(float(filters.abs().max()), 1e-12)
        few = batch[0][:SHOWN]
        return {
            "filters": Image(filters, low=-reach, high=reach),
            "samples": self.generate(36, 200),
            "reconstructions": Image(torch.cat([few, self.reconstruct(few)]), columns=len(few)),
        }

    def generate(self, n: int = 36, steps: int = 500) -> Image:
        """Draw images by Gibbs sampling: the means of the pixels after the last step.

        Args:
            n: Number of images.
            steps: Times that pixels and hidden units are drawn, from noise, or from the training's chains if there are
                as many.
        """
        if n < 1 or steps < 1:
            raise ValueError(f"n and steps must be at least 1, not {n} and {steps}")
        chains = self._fantasies
        start = torch.randn(n, len(self.pixels.mean), device=self.device) if chains is None else chains.to(self.device)
        if len(start) < n:
            start = torch.randn(n, len(self.pixels.mean), device=self.device)
        drawn = self.machine.gibbs(start[:n], steps)
        return Image(self.pixels.back(self.machine.down(self.machine.up(drawn).sigmoid())))


def moments(images: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return pixels' means and mean squares, each of shape (pixels,), of batches of images or of vectors."""
    pixels: Any = torch.cat(images).flatten(1)
    return pixels.mean(0), pixels.square().mean(0)
