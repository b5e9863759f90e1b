"""Section 4.6 on digits: whether a GAN's samples can be told from real images, and are sharper than a VAE's."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import ImageInfo
from dlplug.media import Image, Table
from dlplug_generative.claims.shared import differences, exchange_pixels
from dlplug_generative.gan import Discriminator

LEVELS = 16  # steps from black to white in digits
SAMPLES, HELD_OUT = 5000, 352  # and how many of them test a discriminator: as many as of real images
SHORT = ("--trainer.max_epochs=40", "--trainer.check_val_every_n_epoch=40", "--data.batch_size=32", "--data.augment=0")
LONG = ("--trainer.max_epochs=60", "--trainer.check_val_every_n_epoch=60", "--data.batch_size=32", "--data.augment=0")
RATES = ("1e-3", "2e-3", "5e-3")  # what the VAE, which loses, may choose from


def fooled(lab: Lab) -> Evidence:
    """Train new discriminators against a generator before and after its training, and against exchanged pixels."""
    data = lab.data("digits")
    real = data.splits["train"][0], torch.cat([data.splits[name][0] for name in ("val", "test")])
    before, after, exchanged = [], [], []
    for seed in lab.seeds:
        untrained, trained = (
            lab.model("gan", data.info, seed),
            lab.fit("gan", "--data=digits", *SHORT, seed=seed).model,
        )
        torch.manual_seed(seed)
        before.append(discriminator_accuracy(data.info, real, sample(untrained)))
        after.append(discriminator_accuracy(data.info, real, sample(trained)))
        fake = exchange_pixels(real[0]), exchange_pixels(real[1])
        exchanged.append(discriminator_accuracy(data.info, real, fake))
    name = "held-out accuracy of a new discriminator"
    return Evidence(
        [
            Measure(f"{name} before training less that after it", differences(before, after), ">=", 0.1),
            Measure(f"{name} after training", after, "<=", 0.9, "0.5 is guessing"),
        ],
        [
            Measure(f"{name} before training less that on exchanged pixels", differences(before, exchanged), ">=", 0.1),
            Measure(f"{name} before training", before, "<=", 0.9),
        ],
        {"Samples after training": Image(sample(trained)[0][:36])},
        note="40 epochs on digits. Unlike in the plane it does not end in a tie: a new discriminator still tells most "
        "samples from real images.",
    )


@torch.no_grad()
def sample(model: Any) -> tuple[Tensor, Tensor]:
    """Return samples to learn from and to test on, in the grey levels of digits: others would give fakes away."""
    images = (model.generate(SAMPLES).pixels * LEVELS).round() / LEVELS
    return images[:-HELD_OUT], images[-HELD_OUT:]


def discriminator_accuracy(info: ImageInfo, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> float:
    """Return the accuracy of a new discriminator on real and fake images that it did not learn from.

    Args:
        info: What images are like.
        real: Images from 0 to 1 to learn from, and others to test on.
        fake: The same of fake ones.
    """
    discriminator = Discriminator(info, width=32, pack=1)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3)
    for _ in range(400):
        logit_real, logit_fake = (
            discriminator(2 * train[torch.randint(len(train), (64,))] - 1) for train, _ in (real, fake)
        )
        loss = softplus(-logit_real).mean() + softplus(logit_fake).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        logit_real, logit_fake = (discriminator(2 * test - 1) for _, test in (real, fake))
    return float((logit_real > 0).float().mean() + (logit_fake <= 0).float().mean()) / 2


def blur(lab: Lab) -> Evidence:
    """Compare the power at high frequencies of a VAE's samples of digits with that of a GAN's and of real ones."""
    vae = ("vae", "--data=digits", "--model.likelihood=gaussian", "--model.hidden=[128,128]", *LONG)
    tried = {rate: lab.fit(*vae, f"--model.lr={rate}", seed=lab.seeds[0]).history("val/nll")[-1] for rate in RATES}
    rate = min(tried, key=lambda rate: tried[rate])
    splits = lab.data("digits").splits
    real, figures = spectral_power(splits["train"][0]), {}
    found = {"new real images": (spectral_power(splits["test"][0]) / real)[None]}
    for name, options in (("VAE", (*vae, f"--model.lr={rate}")), ("GAN", ("gan", "--data=digits", *LONG))):
        samples = [sample(lab.fit(*options, seed=seed).model)[0] for seed in lab.seeds]
        found[name] = torch.stack([spectral_power(images) / real for images in samples])  # (seeds, 2)
        figures[f"Samples of the {name}"] = Image(samples[0][:36])
    rows = [(name, *(f"{share:.2f}" for share in shares.mean(0).tolist())) for name, shares in found.items()]
    high_vae, high_gan = (found[name][:, 1] for name in ("VAE", "GAN"))
    power, baseline = "power at high frequencies over that of a GAN's", "a GAN that samples noise would get there"
    return Evidence(
        [Measure(f"{power}, a VAE's samples", (high_vae / high_gan).tolist(), "<=", 0.9)],
        [Measure(f"{power}, real images", (1 / high_gan).tolist(), "<=", 0.9, baseline)],
        {"Power over real": Table(("images", "low frequencies", "high frequencies"), rows), **figures},
        note="High: above half the highest frequency. A VAE shows the means of its normal densities. It has as many "
        "updates as the GAN and the best of three learning rates.",
    )


def spectral_power(images: Tensor) -> Tensor:
    """Return the mean power, below and above half the highest frequency, of images (n, channels, height, width)."""
    power = torch.fft.fft2(images).abs().square().mean((0, 1))  # (height, width)
    frequency = torch.hypot(torch.fft.fftfreq(images.shape[2])[:, None], torch.fft.fftfreq(images.shape[3]))
    return torch.stack([power[frequency <= 0.25].mean(), power[frequency > 0.25].mean()])
