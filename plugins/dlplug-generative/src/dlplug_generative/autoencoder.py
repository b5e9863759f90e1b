"""An autoencoder for images."""

import math
from typing import Literal

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, Media
from dlplug.optim import WarmupCosine
from dlplug_generative.codes import mlp, plot_latent


class Autoencoder(WarmupCosine):
    """An encoder presses images into a few numbers, a decoder reconstructs them from these.

    Section 4.4 of the notes: the bottleneck forces the network to learn what images have in common. ``noise`` makes it
    a denoising autoencoder (Vincent et al., 2008), which sees images with pixels taken out and has to give the whole
    ones; ``sparsity`` a sparse one, whose codes are mostly 0.

    Fits images of any size with ``network`` dense, of 4×4 and more with conv; 1 or 3 channels. Logs ``loss``, the mean
    squared error a pixel of images from 0 to 1, and for images not trained on ``active``, the share of codes above
    0.01 in size.

    Args:
        latent_dim: Width of the bottleneck.
        network: ``dense`` or ``conv``, with convolutions that halve the image twice.
        width: Units of the two hidden layers of ``dense``; a sixteenth of it are the first channels of ``conv``.
        noise: Share of the pixels that the encoder does not see while training.
        sparsity: Weight of the mean absolute code in what is minimised; above 0, codes are also kept from being
            negative.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Reconstruction",
            "Squared error",
            "Mean a pixel. Healthy: both fall, and lie below that of as many principal components. Broken: val rises "
            "(overfitting), or both stay at the variance of the pixels (the code says nothing).",
            curves=("loss",),
        ),
        Panel(
            "Reconstruction",
            "Active codes",
            "Share of the code's numbers that are not 0. Healthy: all without sparsity, few with it. Broken: none.",
            curves=("active",),
        ),
        Panel(
            "Pictures",
            "Reconstructions",
            "Above, validation images; below, what comes back through the bottleneck. Healthy: alike but smoother. "
            "Broken: all the same.",
            media="reconstructions",
        ),
        Panel(
            "Pictures",
            "Interpolation",
            "Each row goes straight from one validation image's code to another's. Healthy: one figure bends into the "
            "other. Broken: one fades while the other appears (codes learned by heart).",
            media="interpolation",
        ),
        Panel(
            "Pictures",
            "Map",
            "Validation images at the two code dimensions that vary most, coloured by label. Healthy: labels in "
            "groups. Broken: a point or a line.",
            media="map",
        ),
    )

    def __init__(
        self,
        latent_dim: int = 16,
        network: Literal["dense", "conv"] = "dense",
        width: int = 256,
        noise: float = 0.0,
        sparsity: float = 0.0,
        lr: float = 2e-3,
    ) -> None:
        super().__init__()
        if latent_dim < 1 or width < 16 or not 0 <= noise < 1 or sparsity < 0 or lr <= 0:
            raise ValueError(
                "latent_dim must be at least 1, width at least 16, noise from 0 to below 1, sparsity at least 0 and lr "
                f"above 0, not {latent_dim}, {width}, {noise}, {sparsity} and {lr}"
            )
        self.save_hyperparameters()
        self.latent_dim, self.network, self.width = latent_dim, network, width
        self.noise, self.sparsity, self.lr = noise, sparsity, lr

    def build(self, info: ImageInfo) -> None:
        """Make encoder and decoder, and two rows of codes to start drawing from."""
        self.shape = (info.channels, info.height, info.width)
        make = self._dense if self.network == "dense" else self._conv
        self.encoder, self.decoder = make()
        self.register_buffer("examples", torch.zeros(16, self.latent_dim))
        self.examples: Tensor

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes, shape (n, latent_dim), of images (n, channels, height, width) from 0 to 1."""
        codes: Tensor = self.encoder(images)
        return torch.relu(codes) if self.sparsity else codes

    def forward(self, codes: Tensor) -> Tensor:
        """Return the images, shape (n, channels, height, width), of codes (n, latent_dim)."""
        _, height, width = self.shape
        images: Tensor = self.decoder(codes)
        return images[..., :height, :width].sigmoid()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the reconstruction error of a batch, and the codes' size where they are to be sparse."""
        images = batch[0]
        seen = images * (torch.rand_like(images) >= self.noise) if self.noise else images
        codes = self.encode(seen)
        loss: Tensor = (self(codes) - images).square().mean()
        self.record(loss=loss)
        return loss + self.sparsity * codes.abs().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the error on images that were not trained on, and keep the codes of some of them."""
        codes = self.encode(batch[0])
        if batch_idx == 0:
            self.examples[: len(codes)] = codes[: len(self.examples)]
        self._measure(batch[0], codes)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the error on the test images."""
        self._measure(batch[0], self.encode(batch[0]))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the codes, shape (n, latent_dim)."""
        return self.encode(batch[0])

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show reconstructions and what lies between codes."""
        codes, few = self.encode(batch[0]), batch[0][:10]
        shown: dict[str, Media] = {
            "reconstructions": Image(torch.cat([few, self(codes[:10])]), columns=len(few)),
            "interpolation": self._interpolate(self.examples),
        }
        if self.latent_dim > 1 and len(batch) > 1:
            order = codes.var(0).argsort(descending=True)[:2]
            shown["map"] = Figure(self._map(codes[:, order], batch[1]))
        return shown

    def generate(self, n: int = 8, interpolate: bool = True) -> Image:
        """Draw images from codes: an autoencoder has no distribution to sample, but lines between codes it knows.

        Args:
            n: Number of rows, at most 8.
            interpolate: Whether each row goes from one validation image's code to another's; otherwise it shows the two
                ends alone.
        """
        if not 1 <= n <= len(self.examples) // 2:
            raise ValueError(f"n must be from 1 to {len(self.examples) // 2}, not {n}")
        return self._interpolate(self.examples[: 2 * n], steps=10 if interpolate else 2)

    def _measure(self, images: Tensor, codes: Tensor) -> None:
        active = (codes.abs() > 0.01).float().mean()
        self.record(loss=(self(codes) - images).square().mean(), active=active)

    def _interpolate(self, codes: Tensor, steps: int = 10) -> Image:
        first, last = codes.view(-1, 2, 1, self.latent_dim).unbind(1)  # (rows, 1, latent_dim) each
        along = torch.linspace(0, 1, steps, device=codes.device)[:, None]
        return Image(self(torch.lerp(first, last, along).flatten(0, 1)), columns=steps)

    def _map(self, codes: Tensor, labels: Tensor) -> Drawing:
        return plot_latent(codes.cpu(), labels.cpu(), "code dimension that varies most", "second most")

    def _dense(self) -> tuple[nn.Module, nn.Module]:
        pixels = math.prod(self.shape)
        encoder = nn.Sequential(nn.Flatten(), mlp(pixels, self.width, self.width, self.latent_dim))
        decoder = nn.Sequential(mlp(self.latent_dim, self.width, self.width, pixels), nn.Unflatten(1, self.shape))
        return encoder, decoder

    def _conv(self) -> tuple[nn.Module, nn.Module]:
        channels, height, width = self.shape
        if min(height, width) < 4:
            raise ValueError(f"network conv fits images of 4×4 and more, not {channels}×{height}×{width}")
        first, rows, columns = self.width // 16, -(-height // 4), -(-width // 4)
        encoder = nn.Sequential(
            nn.ZeroPad2d((0, -width % 4, 0, -height % 4)),
            *(nn.Conv2d(channels, first, 4, 2, 1), nn.ReLU()),
            *(nn.Conv2d(first, 2 * first, 4, 2, 1), nn.ReLU()),
            *(nn.Flatten(), mlp(2 * first * rows * columns, self.width, self.latent_dim)),
        )
        decoder = nn.Sequential(
            *(mlp(self.latent_dim, self.width, 2 * first * rows * columns), nn.ReLU()),
            nn.Unflatten(1, (2 * first, rows, columns)),
            *(nn.ConvTranspose2d(2 * first, first, 4, 2, 1), nn.ReLU()),
            nn.ConvTranspose2d(first, channels, 4, 2, 1),
        )
        return encoder, decoder
