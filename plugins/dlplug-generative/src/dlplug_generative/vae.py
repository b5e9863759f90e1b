"""A variational autoencoder for images."""

import math
from typing import Literal

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, ImageFile, Media
from dlplug.model import Parts
from dlplug.optim import WarmupCosine
from dlplug_generative.latent import Demo, explore_demo, interpolate_demo, mlp, plot_latent, slerp
from dlplug_generative.likelihood import binarise, discretised_normal
from dlplug_vision.data.image_files import load_image

ACTIVE = 0.01  # nats of KL above which a latent dimension counts as active
IMPORTANCE_SAMPLES = {"val": 10, "test": 200}  # of the bound that is measured: few where it is measured often


class VAE(WarmupCosine):
    """A variational autoencoder: images as noisy functions of a few normal latent variables, learned by the ELBO.

    Kingma and Welling (2014), Rezende et al. (2014); section 4.5 of the notes. The encoder gives a normal q(z|x) with
    diagonal covariance; the decoder gives p(x|z), pixels independent given z. Both are fully connected, so that images
    of any size fit.

    Logs ``loss``, the negative ELBO in nats an image, and its parts ``kl`` and ``reconstruction``; in validation and
    test also ``nll``, the tighter importance-weighted bound (IWAE: Burda et al., 2016; 10 samples in validation, 200 in
    a test), the same as ``bits_per_dim``, and ``active_units``, the latent dimensions whose KL is above 0.01 nats.

    Args:
        latent_dim: Number of latent dimensions.
        hidden: Units of the encoder's hidden layers; the decoder's are the same in reverse.
        likelihood: ``bernoulli`` models whether a pixel is above 0.5, ``gaussian`` its grey level of 256, with one
            learned standard deviation for all pixels.
        beta: Weight of the KL term in training, or of log p(z) - log q(z|x) in each sample's; 1 for the bound itself.
        kl_warmup: Share of the batches over which that weight rises from 0.
        num_samples: Samples of the importance-weighted bound in training; 1 for the ELBO.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    monitor = ("val/nll", "min")
    panels = (
        Panel(
            "Bound",
            "Negative ELBO",
            "In nats an image; loss with one sample, nll with more (importance-weighted), which is tighter. Healthy: "
            "both fall, train and val close. Broken: val rises (overfitting).",
            curves=("loss", "nll"),
            expect=("loss falls", "nll falls"),
        ),
        Panel(
            "Bound",
            "KL and reconstruction",
            "Nats for the latent variables (KL) and for the image given them. Healthy: reconstruction falls; KL "
            "levels off far above 0. Broken: KL near 0: the decoder ignores the latents (posterior collapse).",
            curves=("kl", "reconstruction"),
            expect=("reconstruction falls", "kl > 1"),
        ),
        Panel(
            "Bound",
            "Bits per dimension",
            "nll by pixel and channel, in bits (nats / ln 2): what a pixel would take if the model compressed the "
            "images. Healthy: falls.",
            curves=("bits_per_dim",),
            expect=("bits_per_dim falls",),
        ),
        Panel(
            "Bound",
            "Active units",
            "Latent dimensions whose KL is above 0.01 nats. Healthy: all, or, where there are more than the data need, "
            "some. Broken: none.",
            curves=("active_units",),
            expect=("active_units > 0",),
        ),
        Panel(
            "Images",
            "Samples",
            "Decoded from the prior, the same noise each time. Healthy: plausible, if soft. Broken: mixtures of "
            "several images (the posterior fills another region than the prior).",
            media="samples",
        ),
        Panel(
            "Images",
            "Reconstructions",
            "Above, validation images; below, reconstructions. Healthy: alike but smoother. Broken: all the same.",
            media="reconstructions",
        ),
        Panel(
            "Images",
            "Traversals",
            "Each row moves one latent dimension from -3 to 3, the most active ones first. Healthy: one thing changes "
            "at a time. Broken: nothing does.",
            media="traversals",
        ),
        Panel(
            "Latent space",
            "KL by dimension",
            "Nats of each latent dimension, sorted. Healthy: most far above 0. Broken: all near 0.",
            media="kl",
        ),
        Panel(
            "Latent space",
            "Map",
            "Validation images at the means of the two most active dimensions, coloured by label. Healthy: a round "
            "cloud about 0 with labels in groups. Broken: a point, or islands far from 0.",
            media="map",
        ),
    )

    def __init__(
        self,
        latent_dim: int = 24,
        hidden: tuple[int, ...] = (300, 300),
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        beta: float = 1.0,
        kl_warmup: float = 0.2,
        num_samples: int = 1,
        lr: float = 2e-3,
    ) -> None:
        super().__init__()
        if min(latent_dim, num_samples, *hidden) < 1 or lr <= 0 or beta < 0 or not 0 <= kl_warmup <= 1:
            raise ValueError(
                "latent_dim, num_samples and hidden must be at least 1, lr above 0, beta at least 0 and kl_warmup from "
                f"0 to 1, not {latent_dim}, {num_samples}, {list(hidden)}, {lr}, {beta} and {kl_warmup}"
            )
        self.save_hyperparameters()
        self.latent_dim, self.hidden, self.likelihood = latent_dim, hidden, likelihood
        self.beta, self.kl_warmup, self.num_samples, self.lr = beta, kl_warmup, num_samples, lr

    def build(self, info: ImageInfo) -> None:
        """Make encoder and decoder, and the noise that the showcase always decodes."""
        self.shape = (info.channels, info.height, info.width)
        pixels = math.prod(self.shape)
        self.encoder = mlp(pixels, *self.hidden, 2 * self.latent_dim)
        self.decoder = mlp(self.latent_dim, *reversed(self.hidden), pixels)
        self.log_std = nn.Parameter(torch.tensor(-1.5), requires_grad=self.likelihood == "gaussian")
        self.register_buffer("noise", torch.randn(64, self.latent_dim))
        self.noise: Tensor

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return q(z|x): means and standard deviations, shapes (n, latent_dim).

        Args:
            images: Shape (n, channels, height, width), from 0 to 1.
        """
        mean, raw = self.encoder(self._observed(images)).chunk(2, dim=-1)
        return mean, softplus(raw) + 1e-4

    def forward(self, z: Tensor) -> Tensor:
        """Decode: return the mean images, shape (n, channels, height, width), of latent variables (n, latent_dim)."""
        images: Tensor = self.decoder(z).sigmoid().view(-1, *self.shape)
        return images

    def export_parts(self, batch: Batch) -> Parts:
        """Return the encoder, to means and standard deviations, and the decoder, from latent variables."""

        def encode(images: Tensor) -> dict[str, Tensor]:
            return dict(zip(("mean", "std"), self.encode(images), strict=True))

        return {
            "encoder": (encode, {"images": batch[0]}, {}),
            "decoder": (lambda latents: {"images": self(latents)}, {"latents": self.encode(batch[0])[0]}, {}),
        }

    def log_weights(self, images: Tensor, samples: int, kl_weight: float = 1.0) -> Tensor:
        """Return log p(x|z) + kl_weight (log p(z) - log q(z|x)) in nats, shape (samples, n), for z from q(z|x)."""
        # Exercise: draw z by reparameterisation; both normal densities have the same constants.
        mean, std = self.encode(images)
        noise = torch.randn(samples, *mean.shape, device=mean.device)
        z = mean + std * noise  # (samples, n, latent_dim)
        log_prior_ratio = (0.5 * (noise.square() - z.square()) + std.log()).sum(-1)  # log p(z) - log q(z|x)
        return kl_weight * log_prior_ratio + self.log_likelihood(images, z)

    def log_likelihood(self, images: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z) in nats, shape (..., n), for latent variables (..., n, latent_dim)."""
        x, logits = self._observed(images), self.decoder(z)  # (n, pixels), (..., n, pixels)
        if self.likelihood == "bernoulli":
            losses = binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
            return -losses.sum(-1)
        return discretised_normal(x, logits.sigmoid(), self.log_std).sum(-1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the negative ELBO of a batch, the KL term weighted."""
        images = batch[0]
        if self.num_samples > 1:
            bound = _log_mean_exp(self.log_weights(images, self.num_samples, self._kl_weight()))
            self.record(loss=-bound.mean())
            return -bound.mean()
        kl, reconstruction = self._elbo_terms(images)
        return (self._kl_weight() * kl.sum(-1) + reconstruction).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the bounds."""
        kl, _ = self._elbo_terms(batch[0])
        nll = -_log_mean_exp(self.log_weights(batch[0], IMPORTANCE_SAMPLES[self.stage])).mean()
        self.record(
            nll=nll,
            bits_per_dim=nll / (math.prod(self.shape) * math.log(2)),
            active_units=(kl.mean(0) > ACTIVE).sum().float(),
        )

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the latents: the means of q(z|x), shape (n, latent_dim)."""
        return self.encode(batch[0])[0]

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show samples, reconstructions, traversals, and the latent space."""
        images = batch[0]
        mean, _ = self.encode(images)
        kl = self.kl_and_reconstruction(images)[0].mean(0)  # (latent_dim,)
        order = kl.argsort(descending=True)
        few = images[:10]
        shown: dict[str, Media] = {
            "samples": Image(self(self.noise)),
            "reconstructions": Image(torch.cat([few, self(mean[:10])]), columns=len(few)),
            "traversals": self._traverse(mean[:1], order[:8]),
            "kl": Figure(_plot_kl(kl[order].tolist())),
        }
        if self.latent_dim > 1 and len(batch) > 1 and batch[1].dim() == 1:
            points, axes = mean[:, order[:2]].cpu(), ("most active dimension", "second most active dimension")
            shown["map"] = Figure(plot_latent(points, batch[1].cpu(), *axes))
        return shown

    def generate(self, n: int = 64, traverse: bool = False, interpolate: bool = False, image: ImageFile = "") -> Image:
        """Sample images from the prior.

        Args:
            n: Number of images, of latent dimensions with ``traverse``, or of rows with ``interpolate``.
            traverse: Whether each row moves one latent dimension from -3 to 3.
            interpolate: Whether each row goes from one sample to another along the great circle.
            image: An image file: it is shown instead, beside its reconstruction.
        """
        if image:
            pixels = load_image(image, self.shape).to(self.device)
            return Image(torch.cat([pixels, self(self.encode(pixels)[0])]))
        if n < 1 or (traverse and interpolate):
            raise ValueError(f"n must be at least 1, not {n}, with at most one of traverse and interpolate")
        if interpolate:
            points = slerp(torch.randn(2 * n, self.latent_dim, device=self.device))  # (n, steps, latent_dim)
            return Image(self(points.flatten(0, 1)), columns=points.shape[1])
        if traverse:
            start = torch.randn(1, self.latent_dim, device=self.device)
            return self._traverse(start, torch.arange(min(n, self.latent_dim), device=self.device))
        return Image(self(torch.randn(n, self.latent_dim, device=self.device)))

    def demos(self) -> dict[str, Demo]:
        """Move in the latent space, and from one picture to another."""
        read = lambda path: load_image(path, self.shape).to(self.device)  # noqa: E731
        return {
            "Latent space": explore_demo(self, torch.zeros(self.latent_dim, device=self.device)),
            "Interpolation": interpolate_demo(lambda images: self.encode(images)[0], self, read),
        }

    def _observed(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return binarise(flat) if self.likelihood == "bernoulli" else flat

    def kl_and_reconstruction(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return KL(q(z|x) ‖ p(z)) by dimension, shape (n, latent_dim), and -log p(x|z) for one z, shape (n,)."""
        # Exercise: the closed form of the divergence, and the cost of a z drawn by reparameterisation.
        mean, std = self.encode(images)
        kl = 0.5 * (mean.square() + std.square() - 1) - std.log()
        return kl, -self.log_likelihood(images, mean + std * torch.randn_like(mean))

    def _elbo_terms(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Log the negative ELBO and its terms, and return the terms."""
        kl, reconstruction = self.kl_and_reconstruction(images)
        terms = {"kl": kl.sum(-1).mean(), "reconstruction": reconstruction.mean()}
        self.record(loss=(kl.sum(-1) + reconstruction).mean(), **terms)
        return kl, reconstruction

    def _kl_weight(self) -> float:
        return self.beta * min(1.0, self.progress() / self.kl_warmup) if self.kl_warmup else self.beta

    def _traverse(self, start: Tensor, dimensions: Tensor, steps: int = 9) -> Image:
        rows = start.repeat(len(dimensions), steps, 1)  # (rows, steps, latent_dim)
        values = torch.linspace(-3, 3, steps, device=start.device)
        rows[torch.arange(len(dimensions)), :, dimensions] = values
        return Image(self(rows.flatten(0, 1)), columns=steps)


def _log_mean_exp(log_weights: Tensor) -> Tensor:
    """Return the log of the mean of exp over the samples: shape (samples, n) to (n,)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def _plot_kl(nats: list[float]) -> Drawing:
    drawing = Drawing(figsize=(5, 3), layout="constrained")
    drawing.add_subplot(xlabel="latent dimension, sorted", ylabel="KL in nats").bar(range(len(nats)), nats)
    return drawing
