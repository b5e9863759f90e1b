"""A generative adversarial network for small images."""

import copy
import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad, softplus

from dlplug import InputError, Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, Media
from dlplug.model import Model
from dlplug_generative.codes import great_circles, wanted_labels


class GAN(Model):
    """Two networks compete: the generator draws images from noise, the discriminator tells them from real ones.

    The game is Goodfellow et al. (2014), the networks follow DCGAN (Radford et al., 2016); section 4.6 of the notes.
    The generator upsamples before plain convolutions (Odena et al., 2016) and normalises by pixel (Karras et al.,
    2018), so that no network keeps running state; what is shown comes from a running average of the generator (Yazici
    et al., 2019). The discriminator judges images in packs, real or drawn together, so that a generator that draws too
    little variety gives itself away (PacGAN: Lin et al., 2018), and sees every image moved by a pixel or so at random
    (Zhao et al., 2020), so that it cannot learn the training images by heart.

    Fits images of 8×8 to 64×64 with 1 or 3 channels. Logs ``g_loss`` and ``d_loss`` in nats, ``d_real`` and ``d_fake``,
    the mean probabilities of being real that the discriminator gives to real and to drawn images. With the objective
    ``wasserstein`` (Arjovsky et al., 2017; the gradient's penalty: Gulrajani et al., 2017) the discriminator gives
    scores: the losses are differences of these, and ``d_real`` and ``d_fake``, which take them for logits, are only
    good to compare. A conditional game (Mirza and Osindero, 2014) tells both players the label.

    Args:
        latent_dim: Width of the noise that an image is drawn from.
        width: Channels that the generator ends with; a quarter of the discriminator's after its first halving.
        lr: Learning rate of both players' Adam.
        objective: The generator's: ``non-saturating``, or ``minimax`` as in the notes, where it plays the same loss; or
            the ``wasserstein`` distance for both.
        pack: Images that the discriminator judges together.
        shift: Largest random shift that the discriminator sees, in pixels; 0 for none.
        ema: Decay of the generator's running average a batch; 0 for none.
        conditional: Whether to draw images of a given label.
        penalty: Weight of the penalty on the slope of the discriminator, with ``wasserstein``.
    """

    panels = (
        Panel(
            "Game",
            "Losses",
            "What each player loses, in nats. Healthy: both waver about a level, near 1.39 for the discriminator and "
            "0.69 for the generator if neither wins. Broken: the discriminator's falls to 0, the generator's climbs.",
            curves=("g_loss", "d_loss"),
        ),
        Panel(
            "Game",
            "Judgement",
            "Mean probability of being real that the discriminator gives to real and to drawn images. Healthy: they "
            "come together, the ideal end being 0.5 for both. Broken: 1 and 0, which teaches the generator nothing; "
            "real images that fare worse in validation than in training are learned by heart.",
            curves=("d_real", "d_fake"),
        ),
        Panel(
            "Game",
            "Gradient norms",
            "Length of each player's gradient. Healthy: of one order of magnitude, wavering. Broken: one vanishes, "
            "so that this player no longer learns, or explodes.",
            curves=("g_grad_norm", "d_grad_norm"),
        ),
        Panel(
            "Pictures",
            "Samples",
            "Drawn from the same noise each time. Healthy: they sharpen, then change slowly. Broken: many alike "
            "(mode collapse), or sudden changes of all.",
            media="samples",
        ),
        Panel(
            "Pictures",
            "Interpolation",
            "Each row goes from one noise to another. Healthy: every step is a plausible picture. Broken: sudden "
            "jumps, a sign of learning by heart.",
            media="interpolation",
        ),
    )

    def __init__(
        self,
        latent_dim: int = 64,
        width: int = 16,
        lr: float = 1e-3,
        objective: Literal["non-saturating", "minimax", "wasserstein"] = "non-saturating",
        pack: int = 2,
        shift: int = 1,
        ema: float = 0.999,
        conditional: bool = False,
        penalty: float = 10.0,
    ) -> None:
        super().__init__()
        if latent_dim < 1 or width < 1 or pack < 1:
            raise ValueError(f"latent_dim, width and pack must be at least 1, not {latent_dim}, {width} and {pack}")
        if lr <= 0:
            raise ValueError(f"lr must be above 0, not {lr}")
        if shift < 0 or not 0 <= ema < 1:
            raise ValueError(f"shift must be at least 0 and ema from 0 to 1, not {shift} and {ema}")
        if penalty < 0:
            raise ValueError(f"penalty must be at least 0, not {penalty}")
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_dim, self.width, self.lr, self.objective = latent_dim, width, lr, objective
        self.pack, self.shift, self.ema = pack, shift, ema
        self.conditional, self.penalty = conditional, penalty

    def build(self, info: ImageInfo) -> None:
        """Make both players and the noise that the showcase keeps drawing from."""
        if not (min(info.height, info.width) >= 8 and max(info.height, info.width) <= 64) or info.channels not in (
            1,
            3,
        ):
            raise ValueError(f"fits 8×8 to 64×64 images of 1 or 3 channels, not {info}")
        if self.conditional and not info.classes:
            raise ValueError("conditional needs labelled images")
        self.classes = info.classes if self.conditional else 0
        self.generator = Generator(info, self.latent_dim, self.width, self.classes)
        self.discriminator = Discriminator(info, 4 * self.width, self.pack, self.classes)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.register_buffer("noise", torch.randn(64, self.latent_dim))
        self.noise: Tensor

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Draw.

        Args:
            noise: Shape (n, latent_dim), standard normal.
            labels: Shape (n,), where the model is conditional.

        Returns:
            Images from 0 to 1, of shape (n, channels, height, width).
        """
        images: Tensor = self.average(noise, labels) / 2 + 0.5
        return images

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Play one round: a step of the discriminator, then one of the generator."""
        real, labels = self._packs(batch)
        optimizer_g, optimizer_d = cast(list[LightningOptimizer], self.optimizers())
        drawn = self.generator(torch.randn(len(real), self.latent_dim, device=self.device), labels)
        both = self._shift(torch.cat([real, drawn.detach()]))
        twice = None if labels is None else labels.repeat(2)
        logit_real, logit_fake = self.discriminator(both, twice).chunk(2)
        if self.objective == "wasserstein":
            slope = self._slope(both[: len(real)], both[len(real) :], labels)
            d_loss = logit_fake.mean() - logit_real.mean() + self.penalty * slope
        else:
            d_loss = softplus(-logit_real).mean() + softplus(logit_fake).mean()
        d_norm = self.minimise(d_loss, optimizer_d)

        self.discriminator.requires_grad_(False)  # its gradients are not needed for the generator's step
        g_loss = self._g_loss(self.discriminator(self._shift(drawn), labels))
        g_norm = self.minimise(g_loss, optimizer_g)
        self.discriminator.requires_grad_(True)
        self._average()
        self.record(
            g_loss=g_loss,
            d_loss=d_loss,
            d_real=logit_real.sigmoid().mean(),
            d_fake=logit_fake.sigmoid().mean(),
            g_grad_norm=g_norm,
            d_grad_norm=d_norm,
        )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Judge images that were not trained on, and as many drawn ones."""
        real, labels = self._packs(batch)
        drawn = self.average(torch.randn(len(real), self.latent_dim, device=self.device), labels)
        d_real, d_fake = (self.discriminator(images, labels).sigmoid().mean() for images in (real, drawn))
        self.record(d_real=d_real, d_fake=d_fake)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test images."""
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the probability, shape (n,), of being real that the discriminator gives the pack each image is in."""
        n = len(batch[0])
        filled = [torch.cat([part, part[: -n % self.pack]]) for part in batch]  # the last pack with the first again
        probability: Tensor = self.discriminator(*self._packs(filled)).sigmoid()
        return probability.repeat_interleave(self.pack)[:n]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return an Adam for each player."""
        players: Sequence[nn.Module] = (self.generator, self.discriminator)
        return [torch.optim.Adam(player.parameters(), self.lr, betas=(0.0, 0.99), foreach=True) for player in players]

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what the same noise becomes over time, and what lies between one noise and another."""
        labels = wanted_labels(len(self.noise), -1, self.classes, self.noise.device)
        return {"samples": Image(self(self.noise, labels)), "interpolation": self._interpolate(self.noise[:16])}

    def generate(self, n: int = 64, interpolate: bool = False, label: int = -1) -> Image:
        """Draw images from noise.

        Args:
            n: Number of images, or of rows with ``interpolate``.
            interpolate: Whether to draw ten steps from one image to another in each row.
            label: Class to draw, for a conditional model; -1 for all in turn.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        labels = wanted_labels(n, label, self.classes, self.device)
        if not interpolate:
            return Image(self(torch.randn(n, self.latent_dim, device=self.device), labels))
        return self._interpolate(torch.randn(2 * n, self.latent_dim, device=self.device), label)

    def _interpolate(self, noise: Tensor, label: int = -1) -> Image:
        """Draw a row of images for each two noises, along the great circle where all noise of that length lies."""
        between = great_circles(noise)  # (rows, steps, latent_dim)
        rows, steps, _ = between.shape
        labels = wanted_labels(rows, label, self.classes, noise.device)
        return Image(
            self(between.flatten(0, 1), None if labels is None else labels.repeat_interleave(steps)), columns=steps
        )

    def _packs(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return as many images, from -1 to 1, as make whole packs, and their labels where the game is conditional."""
        images = batch[0] * 2 - 1
        if len(images) < self.pack:
            raise InputError(f"a batch of {len(images)} images is smaller than a pack of {self.pack}")
        whole = len(images) // self.pack * self.pack
        return images[:whole], batch[1][:whole] if self.classes else None

    def _g_loss(self, logit: Tensor) -> Tensor:
        """Return what the generator minimises, given what the discriminator makes of its images."""
        if self.objective == "non-saturating":
            return softplus(-logit).mean()
        return -logit.mean() if self.objective == "wasserstein" else -softplus(logit).mean()

    def _slope(self, real: Tensor, drawn: Tensor, labels: Tensor | None) -> Tensor:
        """Return how far the slope of the discriminator is from 1 between real and drawn packs: a mean square."""
        share = torch.rand(len(real) // self.pack, 1, 1, 1, device=real.device).repeat_interleave(self.pack, 0)
        between = torch.lerp(drawn, real, share).requires_grad_()
        [slopes] = torch.autograd.grad(self.discriminator(between, labels).sum(), between, create_graph=True)
        lengths = slopes.reshape(len(real) // self.pack, -1).square().sum(1).sqrt()  # (n / pack,)
        return (lengths - 1).square().mean()

    @torch.no_grad()
    def _average(self) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - self.ema)

    def _shift(self, images: Tensor) -> Tensor:
        """Move each image by its own few pixels, black coming in at the edges; differentiable."""
        n, _, height, width = images.shape
        reach = self.shift
        if not reach:
            return images
        moved = pad(images, [reach] * 4, value=-1.0)  # (n, channels, height + 2 reach, width + 2 reach)
        top, left = torch.randint(0, 2 * reach + 1, (2, n, 1), device=images.device)
        rows = top + torch.arange(height, device=images.device)  # (n, height)
        columns = left + torch.arange(width, device=images.device)  # (n, width)
        item = torch.arange(n, device=images.device)[:, None, None]
        return moved[item, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # (n, channels, height, width)


def _halvings(info: ImageInfo) -> int:
    """Return how often images are halved to get to a side of 4 to 7."""
    return max(1, int(math.log2(min(info.height, info.width) / 4)))


class PixelNorm(nn.Module):
    """Divides the channels at each pixel by their root mean square; unlike batch normalisation it keeps no state."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, of shape (n, channels, height, width), normalised."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class Generator(nn.Module):
    """Noise to images from -1 to 1, doubling the resolution step by step.

    Args:
        info: What images are like.
        latent_dim: Width of the noise.
        width: Channels after the last doubling.
        classes: That an image is drawn of; 0 for none.
    """

    def __init__(self, info: ImageInfo, latent_dim: int, width: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        steps = _halvings(info)
        self.size = (info.height, info.width)
        self.start = (width * 2**steps, math.ceil(info.height / 2**steps), math.ceil(info.width / 2**steps))
        self.project = nn.Linear(latent_dim + classes, math.prod(self.start))
        layers: list[nn.Module] = [PixelNorm(), nn.ReLU()]
        for step in reversed(range(steps)):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width * 2 ** (step + 1), width * 2**step, 3, padding=1)]
            layers += [PixelNorm(), nn.ReLU()]
        self.draw = nn.Sequential(*layers, nn.Conv2d(width, info.channels, 3, padding=1))

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Draw."""
        if labels is not None:
            noise = torch.cat([noise, one_hot(labels, self.classes).to(noise)], 1)  # (n, latent_dim + classes)
        x = self.project(noise).view(-1, *self.start)  # (n, channels, height / 2^steps, width / 2^steps)
        x = self.draw(x).tanh()  # (n, image channels, height or more, width or more)
        images: Tensor = x[..., : self.size[0], : self.size[1]]  # (n, image channels, height, width)
        return images


class Discriminator(nn.Module):
    """Images from -1 to 1 to the logit of being real, halving the resolution step by step.

    Args:
        info: What images are like.
        width: Channels after the first halving; twice as many units in the last hidden layer.
        pack: Images judged together; they come in as that many times the channels.
        classes: That an image is judged as; 0 for none. Each is a channel more, of 1 for the label's and 0 for others.
    """

    def __init__(self, info: ImageInfo, width: int, pack: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        steps = _halvings(info)
        self.pack = pack
        self.missing = (0, -info.width % 2**steps, 0, -info.height % 2**steps)
        layers: list[nn.Module] = []
        for step in range(steps):
            before = width * 2 ** (step - 1) if step else pack * (info.channels + classes)
            layers += [nn.Conv2d(before, width * 2**step, 4, 2, 1), nn.LeakyReLU(0.2)]
        flat = width * 2 ** (steps - 1) * math.ceil(info.height / 2**steps) * math.ceil(info.width / 2**steps)
        self.tell = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(flat, 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, 1)
        )

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return a logit a pack, shape (n / pack,)."""
        if labels is not None:
            planes = one_hot(labels, self.classes).to(images)[..., None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, planes], 1)  # (n, channels + classes, height, width)
        packs = images.reshape(-1, self.pack * images.shape[1], *images.shape[2:])
        logits: Tensor = self.tell(pad(packs, self.missing, value=-1.0)).squeeze(1)  # (n / pack,)
        return logits
