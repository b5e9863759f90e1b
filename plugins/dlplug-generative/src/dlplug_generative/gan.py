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
from dlplug.model import Model, Parts
from dlplug_generative.latent import Demo, check_small_images, explore_demo, labels_to_sample, slerp


class GAN(Model):
    """Two networks compete: one generates images from noise, the other tells them from real ones.

    The game is Goodfellow et al. (2014), the networks follow DCGAN (Radford et al., 2016); section 4.6 of the notes.
    The generator upsamples before plain convolutions (Odena et al., 2016) and normalises by pixel (Karras et al.,
    2018), so that no network keeps running statistics; samples come from an exponential moving average of the generator
    (Yazici et al., 2019). The discriminator classifies packs of images, all real or all fake, so that a generator of
    too little variety gives itself away (PacGAN: Lin et al., 2018), and sees every image shifted by a pixel or so at
    random (Zhao et al., 2020), so that it cannot overfit to the training images.

    Fits images of 8×8 to 64×64 with 1 or 3 channels. Logs ``g_loss`` and ``d_loss`` in nats, ``d_real`` and ``d_fake``,
    the mean probabilities of being real that the discriminator gives to real and to fake images. With the objective
    ``wasserstein`` (Arjovsky et al., 2017; gradient penalty: Gulrajani et al., 2017) the discriminator is a critic: the
    losses are differences of its outputs, and ``d_real`` and ``d_fake``, which take these for logits, are only good to
    compare. The critic takes one step a round and not five as there, so that objectives compare at as many updates. A
    conditional GAN (Mirza and Osindero, 2014) gives both networks the label.

    Args:
        latent_dim: Dimension of the noise that an image is made from.
        width: Channels of the generator's last hidden layer; a quarter of those of the discriminator's first.
        lr: Learning rate of both networks' Adam.
        objective: The generator's: ``non-saturating``, or ``minimax`` as in the notes, where it plays the same loss; or
            the ``wasserstein`` distance for both.
        pack: Images that the discriminator classifies together.
        shift: Largest random shift of the images that the discriminator sees, in pixels; 0 for none.
        ema: Decay of the generator's moving average a batch; 0 for none.
        conditional: Whether to generate images of a given label.
        penalty: Weight of the gradient penalty, with ``wasserstein``.
    """

    panels = (
        Panel(
            "Game",
            "Losses",
            "In nats. Healthy: both fluctuate about a level: 1.39 for the discriminator and 0.69 for the generator if "
            "neither wins, about 1.1 and 1.3 where the discriminator leads a little. Broken: the discriminator's falls "
            "to 0, the generator's climbs.",
            curves=("g_loss", "d_loss"),
        ),
        Panel(
            "Game",
            "Discriminator output",
            "Mean probability of being real that the discriminator gives to real and to fake images. Healthy: both "
            "stay near 0.5, real a little above fake; validation, of few images, fluctuates. Broken: 1 and 0, which "
            "leaves the generator no gradient; or real images that score far lower in validation than in training "
            "(overfitting).",
            curves=("d_real", "d_fake"),
            expect=("train/d_real < 0.9", "train/d_fake > 0.1"),
        ),
        Panel(
            "Game",
            "Gradient norms",
            "Norm of each network's gradient. Healthy: of one order of magnitude, fluctuating. Broken: one vanishes, "
            "so that this network no longer learns, or explodes.",
            curves=("g_grad_norm", "d_grad_norm"),
        ),
        Panel(
            "Images",
            "Samples",
            "Generated from the same noise each time. Healthy: they sharpen, then change slowly. Broken: many alike "
            "(mode collapse), or sudden changes of all.",
            media="samples",
        ),
        Panel(
            "Images",
            "Interpolation",
            "Each row goes from one noise vector to another. Healthy: every step is a plausible image. Broken: sudden "
            "jumps, a sign of memorised training images.",
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
        if min(latent_dim, width, pack) < 1:
            raise ValueError(f"latent_dim, width and pack must be at least 1, not {latent_dim}, {width} and {pack}")
        if lr <= 0 or min(shift, penalty) < 0 or not 0 <= ema < 1:
            raise ValueError(
                "lr must be above 0, shift and penalty at least 0 and ema from 0 to below 1, not "
                f"{lr}, {shift}, {penalty} and {ema}"
            )
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_dim, self.width, self.lr, self.objective = latent_dim, width, lr, objective
        self.pack, self.shift, self.ema = pack, shift, ema
        self.conditional, self.penalty = conditional, penalty

    def build(self, info: ImageInfo) -> None:
        """Make both networks and the noise that the showcase always uses."""
        check_small_images(info, self.conditional)
        self.classes = info.classes if self.conditional else 0
        self.generator = Generator(info, self.latent_dim, self.width, self.classes)
        self.discriminator = Discriminator(info, 4 * self.width, self.pack, self.classes)
        self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.register_buffer("noise", torch.randn(64, self.latent_dim))
        self.noise: Tensor

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate images with the averaged generator.

        Args:
            noise: Shape (n, latent_dim), standard normal.
            labels: Shape (n,), where the model is conditional.

        Returns:
            Images from 0 to 1, of shape (n, channels, height, width).
        """
        images: Tensor = self.generator_ema(noise, labels) / 2 + 0.5
        return images

    def export_parts(self, batch: Batch) -> Parts:
        """Return the averaged generator."""
        inputs = {
            "noise": self.noise,
            **({"labels": torch.arange(len(self.noise)) % self.classes} if self.classes else {}),
        }
        return {"generator": (lambda *inputs: {"images": self(*inputs)}, inputs, {})}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a step of the discriminator, then one of the generator."""
        real, labels = self._packs(batch)
        optimizer_g, optimizer_d = cast(list[LightningOptimizer], self.optimizers())
        fake = self.generator(torch.randn(len(real), self.latent_dim, device=self.device), labels)
        both = self._shift(torch.cat([real, fake.detach()]))
        logit_real, logit_fake = self.discriminator(both, None if labels is None else labels.repeat(2)).chunk(2)
        # Exercise: the discriminator's loss, and its step.
        if self.objective == "wasserstein":
            gradient_penalty = self._gradient_penalty(both[: len(real)], both[len(real) :], labels)
            d_loss = logit_fake.mean() - logit_real.mean() + self.penalty * gradient_penalty
        else:
            d_loss = softplus(-logit_real).mean() + softplus(logit_fake).mean()
        d_norm = self.minimise(d_loss, optimizer_d)
        # end

        self.discriminator.requires_grad_(False)  # its gradients are not needed for the generator's step
        g_loss = self._g_loss(self.discriminator(self._shift(fake), labels))
        g_norm = self.minimise(g_loss, optimizer_g)
        self.discriminator.requires_grad_(True)
        self._update_ema()
        self.record(
            g_loss=g_loss,
            d_loss=d_loss,
            d_real=logit_real.sigmoid().mean(),
            d_fake=logit_fake.sigmoid().mean(),
            g_grad_norm=g_norm,
            d_grad_norm=d_norm,
        )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Classify images that were not trained on, and as many fake ones."""
        real, labels = self._packs(batch)
        fake = self.generator_ema(torch.randn(len(real), self.latent_dim, device=self.device), labels)
        d_real, d_fake = (self.discriminator(images, labels).sigmoid().mean() for images in (real, fake))
        self.record(d_real=d_real, d_fake=d_fake)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the probability, shape (n,), of being real that the discriminator gives the pack each image is in."""
        n = len(batch[0])
        if self.classes and len(batch) < 2:
            raise InputError("a conditional gan judges images by their labels, which new files do not have")
        filled = [torch.cat([part, part[: -n % self.pack]]) for part in batch]  # the last pack with the first again
        probability: Tensor = self.discriminator(*self._packs(filled)).sigmoid()
        return probability.repeat_interleave(self.pack)[:n]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return an Adam for each network."""
        networks: Sequence[nn.Module] = (self.generator, self.discriminator)
        # Betas as in Karras et al. (2018); foreach saves Python's loop over the weights.
        return [torch.optim.Adam(net.parameters(), self.lr, betas=(0.0, 0.99), foreach=True) for net in networks]

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what the same noise becomes over time, and interpolations."""
        labels = labels_to_sample(len(self.noise), -1, self.classes, self.noise.device)
        return {"samples": Image(self(self.noise, labels)), "interpolation": self._interpolate(self.noise[:16])}

    def generate(self, n: int = 64, interpolate: bool = False, label: int = -1) -> Image:
        """Generate images from noise.

        Args:
            n: Number of images, or of rows with ``interpolate``.
            interpolate: Whether each row goes from one image to another in ten steps.
            label: Class to generate, for a conditional model; -1 for all in turn.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        labels = labels_to_sample(n, label, self.classes, self.device)
        if not interpolate:
            return Image(self(torch.randn(n, self.latent_dim, device=self.device), labels))
        return self._interpolate(torch.randn(2 * n, self.latent_dim, device=self.device), label)

    def demos(self) -> dict[str, Demo]:
        """Move in the space of the noise, of a conditional model for its first class."""
        start = torch.randn(self.latent_dim, generator=torch.Generator().manual_seed(0)).to(self.device)

        def decode(noise: Tensor) -> Tensor:
            label = 0 if self.classes else -1
            images: Tensor = self(noise, labels_to_sample(len(noise), label, self.classes, self.device))
            return images

        return {"Latent space": explore_demo(decode, start)}

    def _interpolate(self, noise: Tensor, label: int = -1) -> Image:
        """Generate a row of images for each two noise vectors."""
        points = slerp(noise)  # (rows, steps, latent_dim)
        rows, steps, _ = points.shape
        labels = labels_to_sample(rows, label, self.classes, noise.device)
        labels = None if labels is None else labels.repeat_interleave(steps)
        return Image(self(points.flatten(0, 1), labels), columns=steps)

    def _packs(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return as many images, from -1 to 1, as make whole packs, and their labels where the model is conditional."""
        images = batch[0] * 2 - 1
        if len(images) < self.pack:
            raise InputError(f"a batch of {len(images)} images is smaller than a pack of {self.pack}")
        whole = len(images) // self.pack * self.pack
        return images[:whole], batch[1][:whole] if self.classes else None

    def _g_loss(self, logit: Tensor) -> Tensor:
        """Return the generator's loss, given the discriminator's logits of its images."""
        # Exercise: the loss of each objective.
        if self.objective == "non-saturating":
            return softplus(-logit).mean()
        return -logit.mean() if self.objective == "wasserstein" else -softplus(logit).mean()

    def _gradient_penalty(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """Return the mean square of how far the gradient's norm is from 1 between real and fake packs."""
        share = torch.rand(len(real) // self.pack, 1, 1, 1, device=real.device).repeat_interleave(self.pack, 0)
        between = torch.lerp(fake, real, share).requires_grad_()
        [gradients] = torch.autograd.grad(self.discriminator(between, labels).sum(), between, create_graph=True)
        norms = gradients.reshape(len(real) // self.pack, -1).square().sum(1).sqrt()  # (n / pack,)
        return (norms - 1).square().mean()

    @torch.no_grad()
    def _update_ema(self) -> None:
        torch._foreach_lerp_(list(self.generator_ema.parameters()), list(self.generator.parameters()), 1 - self.ema)

    def _shift(self, images: Tensor) -> Tensor:
        """Shift each image by its own few pixels, black coming in at the edges; differentiable."""
        n, _, height, width = images.shape
        if not self.shift:
            return images
        padded = pad(images, [self.shift] * 4, value=-1.0)  # (n, channels, height + 2 shift, width + 2 shift)
        top, left = torch.randint(0, 2 * self.shift + 1, (2, n, 1), device=images.device)
        rows = top + torch.arange(height, device=images.device)  # (n, height)
        columns = left + torch.arange(width, device=images.device)  # (n, width)
        item = torch.arange(n, device=images.device)[:, None, None]
        return padded[item, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # as images


def _num_halvings(info: ImageInfo) -> int:
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
        latent_dim: Dimension of the noise.
        width: Channels after the last doubling.
        classes: Number of classes that it is conditioned on; 0 for none.
    """

    def __init__(self, info: ImageInfo, latent_dim: int, width: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        steps = _num_halvings(info)
        self.size = (info.height, info.width)
        self.smallest = (width * 2**steps, math.ceil(info.height / 2**steps), math.ceil(info.width / 2**steps))
        self.project = nn.Linear(latent_dim + classes, math.prod(self.smallest))
        layers: list[nn.Module] = [PixelNorm(), nn.ReLU()]
        for step in reversed(range(steps)):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width * 2 ** (step + 1), width * 2**step, 3, padding=1)]
            layers += [PixelNorm(), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, info.channels, 3, padding=1))

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (n, channels, height, width) from -1 to 1 of noise (n, latent_dim)."""
        if labels is not None:
            noise = torch.cat([noise, one_hot(labels, self.classes).to(noise)], 1)  # (n, latent_dim + classes)
        x = self.project(noise).view(-1, *self.smallest)  # (n, width 2^steps, height / 2^steps, width / 2^steps)
        x = self.layers(x).tanh()  # (n, image channels, height or more, width or more)
        images: Tensor = x[..., : self.size[0], : self.size[1]]  # (n, image channels, height, width)
        return images


class Discriminator(nn.Module):
    """Images from -1 to 1 to the logit of being real, halving the resolution step by step.

    Args:
        info: What images are like.
        width: Channels after the first halving; twice as many units in the last hidden layer.
        pack: Images classified together; they come in as that many times the channels.
        classes: Number of classes that it is conditioned on; 0 for none. Each adds a channel, of 1 for the image's own
            class and 0 for the others.
    """

    def __init__(self, info: ImageInfo, width: int, pack: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        steps = _num_halvings(info)
        self.pack = pack
        self.padding = (0, -info.width % 2**steps, 0, -info.height % 2**steps)
        layers: list[nn.Module] = []
        for step in range(steps):
            in_channels = width * 2 ** (step - 1) if step else pack * (info.channels + classes)
            layers += [nn.Conv2d(in_channels, width * 2**step, 4, 2, 1), nn.LeakyReLU(0.2)]
        flat = width * 2 ** (steps - 1) * math.ceil(info.height / 2**steps) * math.ceil(info.width / 2**steps)
        layers += [nn.Flatten(), nn.Linear(flat, 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return a logit a pack, shape (n / pack,)."""
        if labels is not None:
            planes = one_hot(labels, self.classes).to(images)[..., None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, planes], 1)  # (n, channels + classes, height, width)
        packs = images.reshape(-1, self.pack * images.shape[1], *images.shape[2:])
        logits: Tensor = self.layers(pad(packs, self.padding, value=-1.0)).squeeze(1)  # (n / pack,)
        return logits
