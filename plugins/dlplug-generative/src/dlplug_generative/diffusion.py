"""A diffusion model for small images, trained by flow matching."""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad, pixel_shuffle, pixel_unshuffle, silu

from dlplug import InputError, Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, Media
from dlplug.model import Parts
from dlplug.optim import WarmupCosine
from dlplug_generative.latent import check_small_images, labels_to_sample
from dlplug_generative.likelihood import LEVELS

PATH = (0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1)  # times at which the showcase looks at a path
STEPS = (1, 2, 4, 8, 16, 32)  # numbers of steps that the showcase compares
LIKELIHOOD_STEPS = 20  # of the likelihood's equation: with 80 it changes by less than 1 %
Velocity = Callable[[Tensor, Tensor], Tensor]


class Diffusion(WarmupCosine):
    """Images as noise that a learned flow carries to them in small steps.

    Flow matching (Lipman et al., 2023) along straight paths (rectified flow: Liu et al., 2023), the deterministic view
    of a diffusion model (Ho et al., 2020; Song et al., 2021): between noise z and an image x the point at time t is
    ``(1 - t) z + t x``, and a U-Net learns the mean velocity ``x - z`` there. Samples follow it from noise at time 0 to
    time 1 by Heun's method (Karras et al., 2022). What the notes' section 4.6 led to.

    Times are drawn from a logit-normal distribution (Esser et al., 2024), which trains most where the path is neither
    noise nor image; samples come from an exponential moving average of the network. Images of more than 16 pixels
    are split into patches of 2×2, which are channels to the network: a quarter of the time for about the same quality.

    Fits images of 8×8 to 64×64 with 1 or 3 channels. Logs ``loss``, the mean square error of the velocity a pixel, in
    images from -1 to 1; in a test also ``nll``, nats an image of 256 grey levels by the probability-flow equation (Chen
    et al., 2018; Song et al., 2021: an upper bound, since the levels are dequantised by uniform noise), and the same as
    ``bits_per_dim``.

    Args:
        width: Channels of the U-Net's first level; those of the next have twice as many, up to four times.
        num_blocks: Residual blocks of each level, on the way down and on the way up.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
        ema: Decay of the network's moving average a batch; 0 for none.
        conditional: Whether to generate images of a given label.
        label_dropout: Share of training images whose label is left out, which guidance needs (Ho and Salimans, 2022).
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Flow",
            "Velocity error",
            "Mean square error of the velocity a pixel. Healthy: falls fast, then slowly, train and val close; never "
            "near 0, since many paths cross at each point. Broken: val rises (overfitting: copies of training images).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Images",
            "Samples",
            "From the same noise each time. Healthy: they sharpen, then change slowly. Broken: noisy, or all alike.",
            media="samples",
        ),
        Panel(
            "Images",
            "From noise to image",
            "Each row is a path, left at time 0. Healthy: a rough shape first, then details. Broken: noise to the "
            "last picture (the steps are too few or the network too small).",
            media="paths",
        ),
        Panel(
            "Images",
            "Number of steps",
            "A column has the same noise, a row 1, 2, 4, 8, 16 or 32 steps. Healthy: from a blurred mean to sharp "
            "images, which hardly change from 8 on. Broken: the last row differs from the one before.",
            media="steps",
        ),
    )

    def __init__(
        self,
        width: int = 32,
        num_blocks: int = 1,
        lr: float = 2e-3,
        ema: float = 0.999,
        conditional: bool = False,
        label_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width < 8 or width % 8 or num_blocks < 1 or lr <= 0 or not 0 <= ema < 1 or not 0 <= label_dropout <= 1:
            raise ValueError(
                "width must be a multiple of 8, num_blocks at least 1, lr above 0, ema from 0 to below 1 and "
                f"label_dropout from 0 to 1, not {width}, {num_blocks}, {lr}, {ema} and {label_dropout}"
            )
        self.save_hyperparameters()
        self.width, self.num_blocks, self.lr, self.ema = width, num_blocks, lr, ema
        self.conditional, self.label_dropout = conditional, label_dropout

    def build(self, info: ImageInfo) -> None:
        """Make the network and the noise that the showcase always uses."""
        check_small_images(info, self.conditional)
        self.classes = info.classes if self.conditional else 0
        self.network = UNet(info, self.width, self.num_blocks, self.classes)
        self.network_ema = copy.deepcopy(self.network).requires_grad_(False)
        self.register_buffer("noise", torch.randn(64, info.channels, info.height, info.width))
        self.noise: Tensor

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the averaged network's velocity.

        Args:
            x: Points of paths, shape (n, channels, height, width), images being from -1 to 1.
            time: From 0, noise, to 1, images; shape (n,).
            labels: Shape (n,), where the model is conditional; -1 for none.

        Returns:
            Of the shape of ``x``.
        """
        velocity: Tensor = self.network_ema(x, time, labels)
        return velocity

    def export_parts(self, batch: Batch) -> Parts:
        """Return the averaged network: the velocity at a point and time."""
        n = len(self.noise)
        inputs = {"x": self.noise, "time": torch.linspace(0, 1, n, device=self.device)}
        if self.classes:
            inputs["labels"] = torch.arange(n, device=self.device) % self.classes
        return {"network": (lambda *inputs: {"velocity": self(*inputs)}, inputs, {})}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, some labels left out."""
        images, labels = self._inputs(batch)
        if labels is not None:
            labels = labels.masked_fill(torch.rand(len(labels), device=labels.device) < self.label_dropout, -1)
        loss = _velocity_error(lambda x, time: self.network(x, time, labels), dequantise(images))
        self.record(loss=loss)
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Average the weights, at first over few batches, since the initial weights are worth nothing."""
        done = self.trainer.global_step
        decay = min(self.ema, (1 + done) / (10 + done))
        with torch.no_grad():
            averages: list[Tensor] = list(self.network_ema.parameters())
            torch._foreach_lerp_(averages, list(self.network.parameters()), 1 - decay)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the averaged network; in a test its likelihood too."""
        images, labels = self._inputs(batch)
        self.record(loss=_velocity_error(lambda x, time: self(x, time, labels), dequantise(images)))
        if self.stage == "test":
            nll = self.nll(images, labels).mean()
            self.record(nll=nll, bits_per_dim=nll / (images[0].numel() * math.log(2)))

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return each image's ``nll`` in nats, shape (n,)."""
        images, labels = self._inputs(batch)
        return {"nll": self.nll(images, labels)}

    def nll(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the negative log-likelihood in nats, shape (n,), of images (n, channels, height, width) from 0 to 1.

        The flow is followed back to the noise; on the way the divergence of the velocity, which says how it squeezes
        volumes, is summed up, estimated by one random direction (Hutchinson; FFJORD: Grathwohl et al., 2019).
        """
        x = dequantise(images)
        sign = torch.randint(0, 2, x.shape, device=x.device) * 2.0 - 1  # as many -1 as 1: less variance than normal
        with torch.inference_mode(False):  # in which Lightning tests, and where nothing has a gradient
            velocity: Velocity = lambda x, time: self(x, time, labels)  # noqa: E731
            noise, divergence = log_density_flow(velocity, x.clone(), sign.clone(), LIKELIHOOD_STEPS)
        prior = -0.5 * (noise.square() + math.log(2 * math.pi)).flatten(1).sum(1)  # (n,)
        # A level is 2 / 256 wide in images from -1 to 1: its probability is the density times that, pixel by pixel.
        return -(prior - divergence) - x[0].numel() * math.log(2 / LEVELS)

    @torch.no_grad()
    def sample(self, noise: Tensor, steps: int, labels: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """Return the path from noise to images.

        Args:
            noise: Shape (n, channels, height, width), standard normal.
            steps: Steps of Heun's method, of two evaluations each but the last.
            labels: Shape (n,), where the model is conditional.
            guidance: Weight of the label: 1 for the model's own density, above for surer and less varied images.

        Returns:
            Images from 0 to 1 after each step, shape (steps + 1, n, channels, height, width).
        """

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            with_label: Tensor = self(x, time, labels)
            if labels is None or guidance == 1:
                return with_label
            return torch.lerp(self(x, time, torch.full_like(labels, -1)), with_label, guidance)

        path = [noise]
        for step in range(steps - 1):
            path.append(heun_step(velocity, path[-1], step / steps, 1 / steps))
        # The last step goes along the velocity at its start, to the mean image there (as in Karras et al., 2022): what
        # is left of the noise would show in a black background. FID of validation images in 10 steps: 3.0, not 5.9.
        last = path[-1]
        path.append(last + velocity(last, last.new_full((len(last),), (steps - 1) / steps)) / steps)
        return torch.stack(path) / 2 + 0.5

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show samples, paths, and what fewer steps give."""
        labels = labels_to_sample(len(self.noise), -1, self.classes, self.noise.device)
        paths = self.sample(self.noise, 16, labels)  # (17, n, channels, height, width)
        few, few_labels = self.noise[:10], None if labels is None else labels[:10]
        times = [round(16 * time) for time in PATH]
        rows = torch.cat([self.sample(few, steps, few_labels)[-1] for steps in STEPS])
        return {
            "samples": Image(paths[-1]),
            "paths": Image(paths[times, :8].transpose(0, 1).flatten(0, 1), columns=len(times)),
            "steps": Image(rows, columns=len(few)),
        }

    def generate(
        self, n: int = 64, steps: int = 16, label: int = -1, guidance: float = 1.0, paths: bool = False
    ) -> Image:
        """Generate images from noise.

        Args:
            n: Number of images, or of rows with ``paths``.
            steps: Steps of Heun's method from noise to image.
            label: Class to generate, for a conditional model; -1 for all in turn.
            guidance: Weight of the label; above 1 for surer and less varied images.
            paths: Whether each row goes from noise to an image.
        """
        if min(n, steps) < 1 or guidance < 0:
            raise ValueError(f"n and steps must be at least 1 and guidance at least 0, not {n}, {steps} and {guidance}")
        if guidance != 1 and not self.classes:
            raise ValueError(f"guidance must be 1, not {guidance}: this model is not conditional")
        labels = labels_to_sample(n, label, self.classes, self.device)
        images = self.sample(torch.randn(n, *self.noise.shape[1:], device=self.device), steps, labels, guidance)
        if not paths:
            return Image(images[-1])
        times = torch.linspace(0, steps, min(steps + 1, 9)).round().long()
        return Image(images[times].transpose(0, 1).flatten(0, 1), columns=len(times))

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        if self.classes and len(batch) < 2:
            raise InputError(
                "a conditional diffusion model takes images with their labels, which new files do not have"
            )
        return batch[0], batch[1] if self.classes else None


def _velocity_error(velocity: Velocity, images: Tensor) -> Tensor:
    """Return the mean square error of a velocity at points of random paths to images from -1 to 1."""
    # Exercise: a time and a point on the path from noise to each image, and how far the velocity is from the path's.
    noise = torch.randn_like(images)
    time = torch.randn(len(images), device=images.device).sigmoid()  # logit-normal
    share = time[:, None, None, None]
    error: Tensor = velocity(torch.lerp(noise, images, share), time) - (images - noise)
    return error.square().mean()


def dequantise(images: Tensor) -> Tensor:
    """Return images from -1 to 1 of images from 0 to 1 whose 256 grey levels are spread by uniform noise.

    A density of numbers that are always the same would be infinite there (Theis et al., 2016).
    """
    levels = (images * (LEVELS - 1)).round()
    return (levels + torch.rand_like(images)) * (2 / LEVELS) - 1


def heun_step(velocity: Velocity, x: Tensor, time: float, step: float) -> Tensor:
    """Return where a step of Heun's method leads from ``x``: along the mean of the velocities at both ends."""
    # Exercise: the velocity at the start, the one where it would lead, and a step along their mean.
    start = velocity(x, x.new_full((len(x),), time))
    end = velocity(x + step * start, x.new_full((len(x),), time + step))
    return x + step / 2 * (start + end)


def log_density_flow(velocity: Velocity, x: Tensor, sign: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Follow a flow from time 1 back to 0.

    Args:
        velocity: Of points (n, …) at times (n,).
        x: Where it starts, shape (n, …).
        sign: A random direction of that shape, with a mean of 0 and a variance of 1.
        steps: Steps of Heun's method.

    Returns:
        The noise that it comes from, and the integral of the velocity's divergence along the way from there, shape
        (n,): the log-density at ``x`` is that of the noise minus this integral.
    """

    def both(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            speed = velocity(at, time)
            [gradient] = torch.autograd.grad((speed * sign).sum(), at)
        return speed.detach(), (gradient * sign).flatten(1).sum(1)

    total, step = x.new_zeros(len(x)), 1 / steps
    for index in range(steps, 0, -1):
        start, rate = both(x, x.new_full((len(x),), index / steps))
        end, end_rate = both(x - step * start, x.new_full((len(x),), (index - 1) / steps))
        x, total = x - step / 2 * (start + end), total + step / 2 * (rate + end_rate)
    return x, total


class UNet(nn.Module):
    """The velocity of images at a time: down to a side of 4 to 7 and up again, with skip connections.

    Ronneberger et al. (2015) with the residual blocks and the attention of Ho et al. (2020); the time scales and shifts
    channels (Perez et al., 2018).

    Args:
        info: What images are like.
        width: Channels of the first level.
        num_blocks: Residual blocks a level, each way.
        classes: Number of classes that it is conditioned on; 0 for none.
    """

    def __init__(self, info: ImageInfo, width: int, num_blocks: int, classes: int) -> None:
        super().__init__()
        side = min(info.height, info.width)
        self.patch, self.classes = 2 if side > 16 else 1, classes
        halvings = max(1, int(math.log2(side / self.patch / 4)))
        unit = self.patch * 2**halvings
        self.padding = (0, -info.width % unit, 0, -info.height % unit)
        pixels = info.channels * self.patch**2
        widths = [width * min(2**level, 4) for level in range(halvings + 1)]
        embedding_dim = 4 * width
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.logspace(0, 3, width // 2), persistent=False)
        self.embed = nn.Sequential(nn.Linear(width + classes, embedding_dim), nn.SiLU())
        self.first = nn.Conv2d(pixels, width, 3, padding=1)

        def block(in_channels: int, out_channels: int) -> ResidualBlock:
            return ResidualBlock(in_channels, out_channels, embedding_dim)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        kept, channels = [width], width
        for level, out_channels in enumerate(widths):
            for _ in range(num_blocks):
                self.down.append(block(channels, out_channels))
                channels = out_channels
                kept.append(channels)
            if level < halvings:
                self.down.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                kept.append(channels)
        self.middle = nn.ModuleList([block(channels, channels), Attention(channels), block(channels, channels)])
        for level, out_channels in reversed(list(enumerate(widths))):
            for _ in range(num_blocks + 1):
                self.up.append(block(channels + kept.pop(), out_channels))
                channels = out_channels
            if level:
                self.up.append(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, padding=1)))
        out = nn.Conv2d(channels, pixels, 3, padding=1)
        for weight in (out.weight, out.bias):
            nn.init.zeros_(weight)  # type: ignore[arg-type]  # the first velocities are 0: a bias is not None here
        self.last = nn.Sequential(nn.GroupNorm(8, channels), nn.SiLU(), out)

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return velocities (n, channels, height, width) of points of that shape at times (n,), for labels (n,)."""
        height, width = x.shape[-2:]
        angles = time[:, None] * self.frequencies  # (n, width / 2)
        embedding = torch.cat([angles.sin(), angles.cos()], 1)
        if labels is not None:
            known = one_hot(labels.clamp_min(0), self.classes) * (labels >= 0)[:, None]
            embedding = torch.cat([embedding, known.to(embedding)], 1)
        embedding = self.embed(embedding)  # (n, embedding_dim)
        x = self.first(pixel_unshuffle(pad(x, self.padding), self.patch))
        kept = [x]
        for layer in self.down:
            x = layer(x, embedding) if isinstance(layer, ResidualBlock) else layer(x)
            kept.append(x)
        for layer in self.middle:
            x = layer(x, embedding)
        for layer in self.up:
            x = layer(torch.cat([x, kept.pop()], 1), embedding) if isinstance(layer, ResidualBlock) else layer(x)
        velocities: Tensor = pixel_shuffle(self.last(x), self.patch)[..., :height, :width]
        return velocities


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, normalised by groups, scaled and shifted by an embedding.

    Args:
        in_channels: Channels of what comes in.
        out_channels: Channels of what goes out.
        embedding_dim: Dimension of the embedding.
    """

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, in_channels), nn.GroupNorm(8, out_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.condition = nn.Linear(embedding_dim, 2 * out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # each block begins as its shortcut: deep networks train from the first batch

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return (n, out_channels, height, width) of (n, in_channels, height, width) and (n, embedding_dim)."""
        scale, shift = self.condition(embedding)[..., None, None].chunk(2, 1)
        inner = self.conv1(silu(self.norm1(x)))
        inner = self.conv2(silu(self.norm2(inner) * (1 + scale) + shift))
        result: Tensor = self.shortcut(x) + inner
        return result


class Attention(nn.Module):
    """Self-attention over all pixels, beside a shortcut.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.attention = nn.MultiheadAttention(channels, 4, batch_first=True)
        nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return ``x``, (n, channels, height, width), with what its pixels see of each other; not of the embedding."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)  # (n, height × width, channels)
        seen, _ = self.attention(pixels, pixels, pixels, need_weights=False)
        result: Tensor = x + seen.transpose(1, 2).reshape(x.shape)
        return result
