"""An autoencoder for images."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, ImageFile, Media
from dlplug.model import Parts
from dlplug.optim import WarmupCosine
from dlplug_generative.latent import Demo, explore_demo, interpolate_demo, mlp, plot_latent
from dlplug_vision.data.image_files import load_image


class Autoencoder(WarmupCosine):
    """An encoder compresses images to a few latent variables, from which a decoder reconstructs them.

    Section 4.4 of the notes: the bottleneck forces the network to learn what images have in common. ``noise`` makes it
    a denoising autoencoder (Vincent et al., 2008), which reconstructs images from ones with pixels masked; ``sparsity``
    a sparse one, whose latents are mostly 0.

    Fits images of any size with ``network`` dense, of 4×4 and more with conv; 1 or 3 channels. Logs ``loss``, the mean
    squared error a pixel of images from 0 to 1, and in validation and test ``active_fraction``, the share of latents
    above 0.01 in size.

    Args:
        latent_dim: Dimension of the bottleneck.
        network: ``dense`` or ``conv``, with convolutions that halve the image twice.
        hidden_size: Units of the two hidden layers of ``dense``; ``conv`` begins with a sixteenth as many channels.
        noise: Masking noise: share of the pixels that the encoder sees as 0 in training.
        sparsity: Weight of the L1 penalty on the latents; above 0, a ReLU also keeps them from being negative.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Reconstruction",
            "Squared error",
            "Mean a pixel. Healthy: both fall, and lie below that of as many principal components. Broken: val rises "
            "(overfitting), or both stay at the variance of the pixels (the latents carry nothing).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Reconstruction",
            "Active latents",
            "Share of the latents that are not 0. Healthy: all without sparsity, few with it. Broken: none.",
            curves=("active_fraction",),
            expect=("active_fraction > 0",),
        ),
        Panel(
            "Images",
            "Reconstructions",
            "Above, validation images; below, reconstructions. Healthy: alike but smoother. Broken: all the same.",
            media="reconstructions",
        ),
        Panel(
            "Images",
            "Interpolation",
            "Each row goes straight from one validation image's latents to another's. Healthy: one figure bends into "
            "the other. Broken: one fades while the other appears (memorised training images).",
            media="interpolation",
        ),
        Panel(
            "Images",
            "Map",
            "Validation images at the two latent dimensions of highest variance, coloured by label. Healthy: labels in "
            "groups. Broken: a point or a line.",
            media="map",
        ),
    )

    def __init__(
        self,
        latent_dim: int = 16,
        network: Literal["dense", "conv"] = "dense",
        hidden_size: int = 256,
        noise: float = 0.0,
        sparsity: float = 0.0,
        lr: float = 2e-3,
    ) -> None:
        super().__init__()
        if latent_dim < 1 or hidden_size < 16 or not 0 <= noise < 1 or sparsity < 0 or lr <= 0:
            raise ValueError(
                "latent_dim must be at least 1, hidden_size at least 16, noise from 0 to below 1, sparsity at least 0 "
                f"and lr above 0, not {latent_dim}, {hidden_size}, {noise}, {sparsity} and {lr}"
            )
        self.save_hyperparameters()
        self.latent_dim, self.network, self.hidden_size = latent_dim, network, hidden_size
        self.noise, self.sparsity, self.lr = noise, sparsity, lr

    def build(self, info: ImageInfo) -> None:
        """Make encoder and decoder, and room for the latents of a few images."""
        self.shape = (info.channels, info.height, info.width)
        self.encoder, self.decoder = self._dense() if self.network == "dense" else self._conv()
        self.register_buffer("examples", torch.zeros(16, self.latent_dim))
        self.examples: Tensor

    def encode(self, images: Tensor) -> Tensor:
        """Return the latents, shape (n, latent_dim), of images (n, channels, height, width) from 0 to 1."""
        # Exercise: the encoder's latents, none below 0 where they are to be sparse.
        latents: Tensor = self.encoder(images)
        return torch.relu(latents) if self.sparsity else latents

    def forward(self, latents: Tensor) -> Tensor:
        """Decode: return the images, shape (n, channels, height, width), of latents (n, latent_dim)."""
        _, height, width = self.shape
        images: Tensor = self.decoder(latents)
        return images[..., :height, :width].sigmoid()

    def export_parts(self, batch: Batch) -> Parts:
        """Return encoder and decoder."""
        latents = self.encode(batch[0])
        return {
            "encoder": (lambda images: {"latents": self.encode(images)}, {"images": batch[0]}, {}),
            "decoder": (lambda latents: {"images": self(latents)}, {"latents": latents}, {}),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the reconstruction error of a batch, and the L1 penalty where the latents are to be sparse."""
        # Exercise: mask some pixels, reconstruct all, and add the penalty.
        images = batch[0]
        masked = images * (torch.rand_like(images) >= self.noise) if self.noise else images
        latents = self.encode(masked)
        loss: Tensor = (self(latents) - images).square().mean()
        self.record(loss=loss)
        return loss + self.sparsity * latents.abs().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the error, and keep the latents of some images, which ``generate`` starts from."""
        latents = self._measure(batch[0])
        if batch_idx == 0:
            self.examples[: len(latents)] = latents[: len(self.examples)]

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the error; the latents kept stay those of validation images."""
        self._measure(batch[0])

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the latents, shape (n, latent_dim)."""
        return self.encode(batch[0])

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show reconstructions, interpolations and the latent space."""
        latents, few = self.encode(batch[0]), batch[0][:10]
        shown: dict[str, Media] = {
            "reconstructions": Image(torch.cat([few, self(latents[:10])]), columns=len(few)),
            "interpolation": self._interpolate(self.examples),
        }
        if self.latent_dim > 1 and len(batch) > 1 and batch[1].dim() == 1:
            points = latents[:, latents.var(0).argsort(descending=True)[:2]].cpu()
            shown["map"] = Figure(plot_latent(points, batch[1].cpu(), "latent dimension of highest variance", "second"))
        return shown

    def generate(self, n: int = 8, interpolate: bool = True, image: ImageFile = "") -> Image:
        """Interpolate between images: an autoencoder has no distribution to sample, only latents of images it has seen.

        Args:
            n: Number of rows, at most 8.
            interpolate: Whether each row goes from one validation image's latents to another's; otherwise it shows the
                two ends alone.
            image: An image file: it is shown instead, beside its reconstruction.
        """
        if image:
            pixels = load_image(image, self.shape).to(self.device)
            return Image(torch.cat([pixels, self(self.encode(pixels))]))
        if not 1 <= n <= len(self.examples) // 2:
            raise ValueError(f"n must be from 1 to {len(self.examples) // 2}, not {n}")
        return self._interpolate(self.examples[: 2 * n], steps=10 if interpolate else 2)

    def demos(self) -> dict[str, Demo]:
        """Move in the latent space, and from one picture to another."""
        read = lambda path: load_image(path, self.shape).to(self.device)  # noqa: E731
        return {
            "Latent space": explore_demo(self, self.examples[0]),
            "Interpolation": interpolate_demo(self.encode, self, read),
        }

    def _measure(self, images: Tensor) -> Tensor:
        latents = self.encode(images)
        active = (latents.abs() > 0.01).float().mean()
        self.record(loss=(self(latents) - images).square().mean(), active_fraction=active)
        return latents

    def _interpolate(self, latents: Tensor, steps: int = 10) -> Image:
        first, last = latents.view(-1, 2, 1, self.latent_dim).unbind(1)  # (rows, 1, latent_dim) each
        t = torch.linspace(0, 1, steps, device=latents.device)[:, None]
        return Image(self(torch.lerp(first, last, t).flatten(0, 1)), columns=steps)

    def _dense(self) -> tuple[nn.Module, nn.Module]:
        pixels, hidden = math.prod(self.shape), (self.hidden_size, self.hidden_size)
        encoder = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, self.latent_dim))
        return encoder, nn.Sequential(mlp(self.latent_dim, *hidden, pixels), nn.Unflatten(1, self.shape))

    def _conv(self) -> tuple[nn.Module, nn.Module]:
        channels, height, width = self.shape
        if min(height, width) < 4:
            raise ValueError(f"network conv fits images of 4×4 and more, not {channels}×{height}×{width}")
        first, rows, columns = self.hidden_size // 16, -(-height // 4), -(-width // 4)
        encoder = nn.Sequential(
            nn.ZeroPad2d((0, -width % 4, 0, -height % 4)),
            *(nn.Conv2d(channels, first, 4, 2, 1), nn.ReLU()),
            *(nn.Conv2d(first, 2 * first, 4, 2, 1), nn.ReLU()),
            *(nn.Flatten(), mlp(2 * first * rows * columns, self.hidden_size, self.latent_dim)),
        )
        decoder = nn.Sequential(
            *(mlp(self.latent_dim, self.hidden_size, 2 * first * rows * columns), nn.ReLU()),
            nn.Unflatten(1, (2 * first, rows, columns)),
            *(nn.ConvTranspose2d(2 * first, first, 4, 2, 1), nn.ReLU()),
            nn.ConvTranspose2d(first, channels, 4, 2, 1),
        )
        return encoder, decoder
