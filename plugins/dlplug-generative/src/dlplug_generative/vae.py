"""A variational autoencoder for images."""

import math
from typing import Literal

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, Media
from dlplug.optim import WarmupCosine
from dlplug_generative.codes import great_circles, mlp, plot_latent
from dlplug_generative.likelihood import binarise, discretised_normal

ACTIVE = 0.01  # nats of KL below which a latent dimension counts as collapsed
IMPORTANCE = {"val": 10, "test": 200}  # samples of the bound that is measured


class VAE(WarmupCosine):
    """Images as noisy functions of a few normal variables, learned by a lower bound on their probability.

    Kingma and Welling (2014), Rezende et al. (2014); section 4.5 of the notes. The encoder gives a normal q(z|x) with
    diagonal covariance; the decoder gives p(x|z), each pixel apart. Both are fully connected, so that images of any
    size fit.

    Logs ``loss``, the bound's negative in nats an image, and its parts ``kl`` and ``reconstruction``; for images not
    trained on also ``nll``, the tighter importance-weighted bound (Burda et al., 2016; 10 samples in validation, 200 in
    a test), ``bits`` a dimension of it, and ``active``, the latent dimensions that carry more than 0.01 nats.

    Args:
        latent_dim: Latent dimensions.
        hidden: Units of the encoder's hidden layers; the decoder's are the same in reverse.
        likelihood: ``bernoulli`` models whether a pixel is above 0.5, ``gaussian`` its grey level of 256, with one
            learned spread for all pixels.
        beta: Weight of the KL term while training; 1 for the bound itself.
        warm_up: Share of the batches over which the KL term's weight rises from 0.
        samples: Samples of the importance-weighted bound while training; 1 for the plain bound.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    monitor = ("val/nll", "min")
    panels = (
        Panel(
            "Bound",
            "Negative bound",
            "Nats an image that the lower bound allows; loss with one sample, nll with more, which is tighter. "
            "Healthy: both fall, train and val close. Broken: val rises (overfitting).",
            curves=("loss", "nll"),
        ),
        Panel(
            "Bound",
            "Its two parts",
            "Nats for what the latent variables say (KL) and for what is left of the image. Healthy: KL rises, then "
            "holds. Broken: KL near 0, so that the decoder ignores the latent variables (posterior collapse).",
            curves=("kl", "reconstruction"),
        ),
        Panel(
            "Bound",
            "Active dimensions",
            "Latent dimensions that carry more than 0.01 nats. Healthy: about as many as the data need, the others "
            "switched off. Broken: none.",
            curves=("active",),
        ),
        Panel(
            "Pictures",
            "Samples",
            "Decoded from the prior, the same noise each time. Healthy: plausible, if soft. Broken: mixtures of "
            "several images (the posterior fills another region than the prior).",
            media="samples",
        ),
        Panel(
            "Pictures",
            "Reconstructions",
            "Above, validation images; below, what comes back through the code. Healthy: alike but smoother. Broken: "
            "all the same.",
            media="reconstructions",
        ),
        Panel(
            "Pictures",
            "Traversals",
            "Each row moves one latent dimension from -3 to 3, the most active ones first. Healthy: one thing changes "
            "at a time. Broken: nothing does.",
            media="traversals",
        ),
        Panel(
            "Latent space",
            "KL by dimension",
            "Nats that each latent dimension carries, sorted. Healthy: some large, a tail near 0. Broken: all near 0.",
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
        warm_up: float = 0.2,
        samples: int = 1,
        lr: float = 2e-3,
    ) -> None:
        super().__init__()
        if min(latent_dim, samples, *hidden) < 1 or lr <= 0 or beta < 0 or not 0 <= warm_up <= 1:
            raise ValueError(
                "latent_dim, samples and hidden must be at least 1, lr above 0, beta at least 0 and warm_up from 0 to "
                f"1, not {latent_dim}, {samples}, {list(hidden)}, {lr}, {beta} and {warm_up}"
            )
        self.save_hyperparameters()
        self.latent_dim, self.hidden, self.likelihood = latent_dim, hidden, likelihood
        self.beta, self.warm_up, self.samples, self.lr = beta, warm_up, samples, lr

    def build(self, info: ImageInfo) -> None:
        """Make encoder and decoder, and the noise that the showcase keeps decoding."""
        self.shape = (info.channels, info.height, info.width)
        pixels = math.prod(self.shape)
        self.encoder = mlp(pixels, *self.hidden, 2 * self.latent_dim)
        self.decoder = mlp(self.latent_dim, *reversed(self.hidden), pixels)
        self.log_spread = nn.Parameter(torch.tensor(-1.5), requires_grad=self.likelihood == "gaussian")
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
        """Return the mean images, shape (n, channels, height, width), of latent variables (n, latent_dim)."""
        images: Tensor = self.decoder(z).sigmoid().view(-1, *self.shape)
        return images

    def log_weights(self, images: Tensor, samples: int) -> Tensor:
        """Return log p(x, z) - log q(z|x) in nats, shape (samples, n), for z drawn from q(z|x)."""
        mean, spread = self.encode(images)
        noise = torch.randn(samples, *mean.shape, device=mean.device)
        z = mean + spread * noise  # (samples, n, latent_dim)
        log_prior_ratio = (0.5 * (noise.square() - z.square()) + spread.log()).sum(-1)  # log p(z) - log q(z|x)
        return log_prior_ratio + self.log_likelihood(images, z)

    def log_likelihood(self, images: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z) in nats, shape (..., n), for latent variables (..., n, latent_dim)."""
        x, logits = self._observed(images), self.decoder(z)  # (n, pixels), (..., n, pixels)
        if self.likelihood == "bernoulli":
            losses = binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
            return -losses.sum(-1)
        return discretised_normal(x, logits.sigmoid(), self.log_spread).sum(-1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the negative bound on a batch, the KL term weighed."""
        images = batch[0]
        if self.samples > 1:
            log_weights = self.log_weights(images, self.samples)
            loss = -_mean_exp(log_weights).mean()
            self.record(loss=loss)
            return loss
        kl, reconstruction = self._parts(images)
        self.record(
            loss=(kl.sum(-1) + reconstruction).mean(), kl=kl.sum(-1).mean(), reconstruction=reconstruction.mean()
        )
        return (self._weight() * kl.sum(-1) + reconstruction).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the bounds."""
        self._measure(batch[0], "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test images, with more samples."""
        self._measure(batch[0], "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the codes: the means of q(z|x), shape (n, latent_dim)."""
        return self.encode(batch[0])[0]

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show samples, reconstructions, and what the latent variables mean."""
        images = batch[0]
        mean, _ = self.encode(images)
        kl = self._parts(images)[0].mean(0)  # (latent_dim,)
        order = kl.argsort(descending=True)
        few = images[:10]
        shown: dict[str, Media] = {
            "samples": Image(self(self.noise)),
            "reconstructions": Image(torch.cat([few, self(mean[:10])]), columns=len(few)),
            "traversals": self._traverse(mean[:1], order[:8]),
            "kl": Figure(_plot_kl(kl[order].tolist())),
        }
        if self.latent_dim > 1 and len(batch) > 1:
            shown["map"] = Figure(
                plot_latent(
                    mean[:, order[:2]].cpu(), batch[1].cpu(), "most active dimension", "second most active dimension"
                )
            )
        return shown

    def generate(self, n: int = 64, traverse: bool = False, interpolate: bool = False) -> Image:
        """Draw images from the prior.

        Args:
            n: Number of images, of latent dimensions with ``traverse``, or of rows with ``interpolate``.
            traverse: Whether to move one latent dimension from -3 to 3 in each row.
            interpolate: Whether to draw rows that go from one point to another along the great circle.
        """
        if n < 1 or (traverse and interpolate):
            raise ValueError(f"n must be at least 1, not {n}, with at most one of traverse and interpolate")
        if interpolate:
            between = great_circles(torch.randn(2 * n, self.latent_dim, device=self.device))  # (n, steps, latent_dim)
            return Image(self(between.flatten(0, 1)), columns=between.shape[1])
        if traverse:
            start = torch.randn(1, self.latent_dim, device=self.device)
            return self._traverse(start, torch.arange(min(n, self.latent_dim), device=self.device))
        return Image(self(torch.randn(n, self.latent_dim, device=self.device)))

    def _observed(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return binarise(flat) if self.likelihood == "bernoulli" else flat

    def _parts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return KL(q(z|x) ‖ p(z)) by dimension, shape (n, latent_dim), and -log p(x|z) for one z, shape (n,)."""
        mean, spread = self.encode(images)
        kl = 0.5 * (mean.square() + spread.square() - 1) - spread.log()
        return kl, -self.log_likelihood(images, mean + spread * torch.randn_like(mean))

    def _measure(self, images: Tensor, stage: str) -> None:
        kl, reconstruction = self._parts(images)
        nll = -_mean_exp(self.log_weights(images, IMPORTANCE[stage])).mean()
        self.record(
            loss=(kl.sum(-1) + reconstruction).mean(),
            kl=kl.sum(-1).mean(),
            reconstruction=reconstruction.mean(),
            nll=nll,
            bits=nll / (math.prod(self.shape) * math.log(2)),
            active=(kl.mean(0) > ACTIVE).sum().float(),
        )

    def _weight(self) -> float:
        return self.beta * min(1.0, self.progress() / self.warm_up) if self.warm_up else self.beta

    def _traverse(self, start: Tensor, dimensions: Tensor, steps: int = 9) -> Image:
        rows = start.repeat(len(dimensions), steps, 1)  # (rows, steps, latent_dim)
        values = torch.linspace(-3, 3, steps, device=start.device)
        rows[torch.arange(len(dimensions)), :, dimensions] = values
        return Image(self(rows.flatten(0, 1)), columns=steps)


def _mean_exp(log_weights: Tensor) -> Tensor:
    """Return the log of the mean of exp over the samples: shape (samples, n) to (n,)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def _plot_kl(nats: list[float]) -> Drawing:
    drawing = Drawing(figsize=(5, 3), layout="constrained")
    drawing.add_subplot(xlabel="latent dimension, sorted", ylabel="KL in nats").bar(range(len(nats)), nats)
    return drawing
