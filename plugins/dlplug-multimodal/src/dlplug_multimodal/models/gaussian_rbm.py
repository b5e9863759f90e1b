"""A restricted Boltzmann machine for images: section 5.5 of the notes."""

import math
from typing import Any

import torch
from torch import Tensor

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, Media
from dlplug.model import mean_over_processes
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import TaggedImageInfo
from dlplug_multimodal.models.boltzmann import ENERGY_PANEL, LIKELIHOOD_PANEL, SingleRBM
from dlplug_multimodal.nn.ais import log_partition
from dlplug_multimodal.nn.rbm import GaussianBernoulliRBM
from dlplug_multimodal.nn.standardizer import Standardizer

FILTERS = 100
RECONSTRUCTIONS = 10


class GaussianRBM(SingleRBM):
    """Binary hidden units that explain real-valued pixels: a Gaussian-Bernoulli restricted Boltzmann machine.

    Pixels are standardised by their means and standard deviations over the training images. Learning is contrastive
    divergence (Hinton, 2002), with persistent chains (Tieleman, 2008) where ``chains`` is above 0. Hinton and
    Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks" (2006); section 5.5 of the notes.

    Fits images of any size with 1 or 3 channels, and those of tagged images. Logs ``nll``, nats an image with each
    pixel in units of its standard deviation, and ``reconstruction``, the mean squared error a pixel, from 0 to 1, of
    images given their hidden units' probabilities; and while training the mean free energies of the data and of the
    chains.

    Args:
        visible_std: Standard deviation of a pixel given the hidden units, as a share of its own. Smaller is sharper and
            slower to mix.
        lr: Highest learning rate times the number of pixels, since the hidden units' input grows with it; it falls
            linearly to 0 at the last epoch.
    """

    monitor = ("val/nll", "min")
    panels = (
        LIKELIHOOD_PANEL,
        Panel(
            "Learning",
            "Reconstruction",
            "Squared error a pixel. Healthy: falls, then is flat. Broken: stays at the pixels' variance (the "
            "hidden units carry nothing). It is not what is minimised.",
            curves=("reconstruction",),
            expect=("reconstruction falls",),
        ),
        ENERGY_PANEL,
        Panel(
            "Images",
            "Filters",
            "What each hidden unit adds to an image; mid-grey is nothing. Healthy: strokes, spots, edges. Broken: "
            "noise, or many alike.",
            media="filters",
        ),
        Panel(
            "Images",
            "Samples",
            "Samples of Gibbs chains. Healthy: like the data, and varied. Broken: all one image, or noise.",
            media="samples",
        ),
        Panel(
            "Images",
            "Reconstructions",
            "Above, validation images; below, their reconstructions from the hidden units. Healthy: alike.",
            media="reconstructions",
        ),
    )

    def __init__(
        self, hidden: int = 256, visible_std: float = 0.7, chains: int = 64, lr: float = 0.8, **kwargs: Any
    ) -> None:
        super().__init__(hidden, chains, lr, **kwargs)
        require(self.hparams, "above 0", "visible_std")
        self.visible_std = visible_std

    def build(self, info: ImageInfo | TaggedImageInfo) -> None:
        """Make the machine."""
        if info.channels not in (1, 3):
            raise ValueError(f"fits images of 1 or 3 channels, not {info}")
        shape = (info.channels, info.height, info.width)
        self.standardizer = Standardizer(shape, self.visible_std)
        self.machine = GaussianBernoulliRBM(math.prod(shape), self.hidden)

    def max_lr(self) -> float:
        """Return the highest learning rate."""
        return self.lr / len(self.standardizer.mean)

    def initialise(self) -> None:
        """Measure the pixels' means and variances."""
        self.standardizer.fit([images for images, _ in self.train_batches()], mean_over_processes)

    def visible(self, batch: Batch) -> Tensor:
        """Return standardised pixels."""
        units: Tensor = self.standardizer(batch[0])
        return units

    def forward(self, images: Tensor) -> Tensor:
        """Return the hidden units' probabilities, shape (n, hidden), given images from 0 to 1."""
        # Exercise: the sigmoid of what the hidden units get of standardised pixels.
        return self.machine.hidden_logits(self.standardizer(images)).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images reconstructed from their hidden units' probabilities."""
        return self.standardizer.inverse(self.machine.visible_input(self(images)))

    def on_validation_epoch_start(self) -> None:
        """Estimate the partition function; for a test with more steps, which only make it less of an underestimate."""
        self._log_z, _ = log_partition(self.machine, steps=3000 if self.stage == "test" else 300)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure likelihood and reconstruction."""
        units = self.visible(batch)
        # Visible units are in units of `visible_std` of the pixels' deviations, the density in units of these.
        log_scale = units.shape[1] * math.log(self.visible_std)
        self.record(
            nll=self.machine.free_energy(units).mean() + self._log_z + log_scale,
            reconstruction=(self.reconstruct(batch[0]) - batch[0]).square().mean(),
        )

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show filters, samples and reconstructions."""
        weight = self.machine.weight.detach()
        filters = weight[:, weight.norm(dim=0).argsort(descending=True)[:FILTERS]].T.reshape(
            -1, *self.standardizer.shape
        )
        largest = max(float(filters.abs().max()), 1e-12)
        few = batch[0][:RECONSTRUCTIONS]
        return {
            "filters": Image(filters, low=-largest, high=largest),
            "samples": self.generate(36, 200),
            "reconstructions": Image(torch.cat([few, self.reconstruct(few)]), columns=len(few)),
        }

    def generate(self, n: int = 36, steps: int = 500) -> Image:
        """Generate images by Gibbs sampling: the means of the pixels after the last step.

        Args:
            n: Number of images.
            steps: Gibbs steps, from the training's persistent chains if there are enough, else from noise.
        """
        if n < 1 or steps < 1:
            raise ValueError(f"n and steps must be at least 1, not {n} and {steps}")
        start = self._fantasies
        if start is None or len(start) < n:
            start = torch.randn(n, len(self.standardizer.mean), device=self.device)
        sample = self.machine.gibbs(start[:n].to(self.device), steps)
        mean = self.machine.visible_input(self.machine.hidden_logits(sample).sigmoid())
        return Image(self.standardizer.inverse(mean))
