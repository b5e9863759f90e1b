"""Section 4.6 on digits: who can tell a GAN's samples from real images, and whether they are sharper than a VAE's."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import ImageInfo
from dlplug.media import Figure, Image, Table
from dlplug.plots import plot_bars
from dlplug_generative.claims.shared import differences
from dlplug_generative.gan import Discriminator, Generator
from dlplug_generative.vae import VAE

LEVELS = 16  # steps from black to white in digits
SAMPLES, HELD_OUT = 5000, 352  # and how many of them test a discriminator: as many as of real images
SHORT = ("--trainer.max_epochs=40", "--trainer.check_val_every_n_epoch=40", "--data.batch_size=32", "--data.augment=0")
LATENTS, WIDTH = 64, 16  # of the generator that a VAE and a GAN share: the latter's defaults
RATES = ("1e-3", "2e-3", "5e-3")  # what the VAE, which loses, may choose from


def fooled(lab: Lab) -> Evidence:
    """Train new discriminators against a generator before and after its training, and against normal densities."""
    data = lab.data("digits")
    real = data.splits["train"][0], torch.cat([data.splits[name][0] for name in ("val", "test")])
    fakes = {"normal densities": class_samples(*data.splits["train"])}
    halves = ((images[::2], images[1::2]) for images in real)
    one, other = zip(*halves, strict=True)
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        fakes["the GAN, untrained"] = sample(lab.model("gan", data.info, seed))
        fakes["the GAN"] = sample(lab.fit("gan", "--data=digits", "--model.pack=1", *SHORT, seed=seed).model)
        torch.manual_seed(seed)
        for name, images in fakes.items():
            found.setdefault(name, []).append(newcomer_accuracy(data.info, real, images))
        found.setdefault("other real images", []).append(newcomer_accuracy(data.info, one, other))
    share = "accuracy of a new discriminator on new real images and samples"
    gain = "the same on samples of a normal density a class, less it"
    normal, untrained, trained, _ = found.values()
    return Evidence(
        [
            Measure(share, trained, "<=", 0.82, "0.5 is guessing"),
            Measure(gain, differences(normal, trained), ">=", 0.04),
        ],
        [
            Measure(f"{share}, before training", untrained, "<=", 0.82),
            Measure(f"{share}, of normal densities", normal, "<=", 0.82),
            Measure(f"{gain} before training", differences(normal, untrained), ">=", 0.04),
        ],
        {
            "Who is told from real images": Figure(plot_bars(found, "accuracy of a new discriminator")),
            **{f"Samples of {name}": Image(images[0][:36]) for name, images in fakes.items()},
        },
        note="40 epochs on digits. A new discriminator sees samples of the finished generator alone: 400 batches of 64 "
        "real and 64 of 4,648 fake images. It still tells four of five: the generator does not win.",
    )


def class_samples(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return samples of a normal density a class, in the grey levels of digits, as ``sample`` does."""
    flat, generator = images.flatten(1), np.random.default_rng(0)
    each = -(-SAMPLES // (int(labels.max()) + 1))
    drawn = [
        generator.multivariate_normal(flat[labels == k].mean(0), np.cov(flat[labels == k], rowvar=False), each)
        for k in range(int(labels.max()) + 1)
    ]
    mixed = torch.from_numpy(generator.permutation(np.concatenate(drawn))[:SAMPLES]).float()
    return in_levels(mixed.view(-1, *images.shape[1:]).clamp(0, 1))


def told_apart(discriminator: Any, real: Tensor, fake: Tensor) -> float:
    """Return the mean of the shares of real and of fake images, from 0 to 1, that are classified right."""
    with torch.no_grad():
        logit_real, logit_fake = (discriminator(2 * images - 1) for images in (real, fake))
    return float((logit_real > 0).float().mean() + (logit_fake <= 0).float().mean()) / 2


@torch.no_grad()
def sample(model: Any) -> tuple[Tensor, Tensor]:
    """Return samples to learn from and to test on, in the grey levels of digits: others would give fakes away."""
    return in_levels(model.generate(SAMPLES).pixels)


def in_levels(images: Tensor) -> tuple[Tensor, Tensor]:
    """Round images to the grey levels of digits, and part those to test on from the others."""
    images = (images * LEVELS).round() / LEVELS
    return images[:-HELD_OUT], images[-HELD_OUT:]


def newcomer_accuracy(info: ImageInfo, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> float:
    """Return the accuracy of a new discriminator on real and fake images that it did not learn from.

    Args:
        info: What images are like.
        real: Images from 0 to 1 to learn from, and others to test on.
        fake: The same of fake ones.
    """
    discriminator = Discriminator(info, width=64, pack=1)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3)
    for _ in range(400):
        logit_real, logit_fake = (
            discriminator(2 * train[torch.randint(len(train), (64,))] - 1) for train, _ in (real, fake)
        )
        loss = softplus(-logit_real).mean() + softplus(logit_fake).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return told_apart(discriminator, real[1], fake[1])


class GeneratorLogits(nn.Module):
    """A GAN's generator as a VAE's decoder: latent variables (..., latent_dim) to the logits of pixels (..., pixels).

    Args:
        generator: It; the sigmoid of twice what its last layer gives is its tanh, from 0 to 1.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits."""
        x = self.generator.project(z.flatten(0, -2)).view(-1, *self.generator.smallest)
        logits: Tensor = 2 * self.generator.layers(x).flatten(1)
        return logits.view(*z.shape[:-1], -1)


class ConvolutionalVAE(VAE):
    """A ``vae`` of grey levels whose decoder is the generator that ``gan`` has."""

    def __init__(self, lr: float = 2e-3) -> None:
        super().__init__(latent_dim=LATENTS, hidden=(128, 128), likelihood="gaussian", lr=lr)
        self.save_hyperparameters()

    def build(self, info: ImageInfo) -> None:
        """Make the encoder and that decoder."""
        super().build(info)
        self.decoder = nn.Sequential(GeneratorLogits(Generator(info, LATENTS, WIDTH)))


def blur(lab: Lab) -> Evidence:
    """Train one generator as a VAE's decoder and in a GAN; compare their samples' power at high frequencies."""
    vae = (f"{__name__}.ConvolutionalVAE", "--data=digits", *SHORT)
    tried = {rate: lab.fit(*vae, f"--model.lr={rate}", seed=lab.seeds[0]) for rate in RATES}
    rate = min(tried, key=lambda rate: tried[rate].history("val/nll")[-1])
    gan = ("gan", "--data=digits", f"--model.latent_dim={LATENTS}", f"--model.width={WIDTH}", *SHORT)
    splits = lab.data("digits").splits
    reference = spectral_power(splits["train"][0])
    found: dict[str, list[Tensor]] = {}
    images: dict[str, Tensor] = {}
    for seed in lab.seeds:
        first = seed == lab.seeds[0]
        means = (tried[rate] if first else lab.fit(*vae, f"--model.lr={rate}", seed=seed)).model
        images["the VAE's means"], images["the GAN's"] = sample(means)[0], sample(lab.fit(*gan, seed=seed).model)[0]
        noise = means.log_std.detach().exp() * torch.randn_like(images["the VAE's means"])
        images["the VAE's, with their noise"] = (images["the VAE's means"] + noise).clamp(0, 1)
        images["new real images"] = splits["test"][0]
        for name, shown in images.items():
            found.setdefault(name, []).append(spectral_power(shown) / reference)
    shares = {name: torch.stack(values) for name, values in found.items()}  # (seeds, 2) each
    rows = [(name, *(f"{share:.2f}" for share in values.mean(0).tolist())) for name, values in shares.items()]
    over = {name: (values[:, 1] / shares["the GAN's"][:, 1]).tolist() for name, values in shares.items()}
    power = "power at high frequencies over that of the GAN's samples"
    return Evidence(
        [Measure(f"{power}: the VAE's means", over["the VAE's means"], "<=", 0.95)],
        [
            Measure(f"{power}: the VAE's with their noise", over["the VAE's, with their noise"], "<=", 0.95),
            Measure(f"{power}: new real images", over["new real images"], "<=", 0.95, "a GAN of noise would be above"),
        ],
        {
            "Power over real images'": Table(("images", "low frequencies", "high frequencies"), rows),
            "Power at high frequencies": Figure(plot_bars(over, "power over that of the GAN's samples")),
            **{f"Images: {name}": Image(shown[:36]) for name, shown in images.items()},
        },
        note="High: above half the highest frequency. One generator, trained by likelihood under independent normal "
        "densities or by a discriminator; as many epochs; the VAE has the best in validation of three learning rates.",
    )


def spectral_power(images: Tensor) -> Tensor:
    """Return the mean power, below and above half the highest frequency, of images (n, channels, height, width)."""
    power = torch.fft.fft2(images).abs().square().mean((0, 1))  # (height, width)
    frequency = torch.hypot(torch.fft.fftfreq(images.shape[2])[:, None], torch.fft.fftfreq(images.shape[3]))
    return torch.stack([power[frequency <= 0.25].mean(), power[frequency > 0.25].mean()])
