"""Section 4.6 on digits: whether what a GAN draws can be told from real images, and is sharper than a VAE's."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import ImageInfo
from dlplug.media import Image, Table
from dlplug_generative.claims.material import less, mix
from dlplug_generative.gan import Discriminator

LEVELS = 16  # steps from black to white in digits
DRAWN, HELD_OUT = 5000, 352  # images drawn, and how many of them test a discriminator: as many as are real
SHORT = ("--trainer.max_epochs=40", "--trainer.check_val_every_n_epoch=40", "--data.batch_size=32", "--data.augment=0")
LONG = ("--trainer.max_epochs=60", "--trainer.check_val_every_n_epoch=60", "--data.batch_size=32", "--data.augment=0")
RATES = ("1e-3", "2e-3", "5e-3")  # what the VAE, which loses, may choose from


def fooled(lab: Lab) -> Evidence:
    """Train new discriminators on digits: against a generator before its game and after, and against mixed pixels."""
    data = lab.data("digits")
    real = data.splits["train"][0], torch.cat([data.splits[name][0] for name in ("val", "test")])
    before, after, mixed = [], [], []
    for seed in lab.seeds:
        untrained, trained = (
            lab.model("gan", data.info, seed),
            lab.fit("gan", "--data=digits", *SHORT, seed=seed).model,
        )
        torch.manual_seed(seed)
        before.append(caught(data.info, real, drawn(untrained)))
        after.append(caught(data.info, real, drawn(trained)))
        mixed.append(caught(data.info, real, (mix(real[0]), mix(real[1]))))
    name = "held-out accuracy of a new discriminator"
    return Evidence(
        [
            Measure(f"{name} before the game less that after it", less(before, after), ">=", 0.1),
            Measure(f"{name} after the game", after, "<=", 0.9, "0.5 is guessing"),
        ],
        [
            Measure(f"{name} before the game less that on pixels of different images", less(before, mixed), ">=", 0.1),
            Measure(f"{name} before the game", before, "<=", 0.9),
        ],
        {"Drawn after the game": Image(drawn(trained)[0][:36])},
        note="40 epochs of the game on digits. Unlike in the plane it does not end in a tie: a new discriminator still "
        "tells most drawn images from real ones.",
    )


@torch.no_grad()
def drawn(model: Any) -> tuple[Tensor, Tensor]:
    """Return images, all but some and those, in the grey levels of digits: others would give away what is drawn."""
    images = (model.generate(DRAWN).pixels * LEVELS).round() / LEVELS
    return images[:-HELD_OUT], images[-HELD_OUT:]


def caught(info: ImageInfo, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> float:
    """Return the accuracy of a new discriminator on real and fake images that it did not learn from.

    Args:
        info: What images are like.
        real: Images from 0 to 1 to learn from, and others to be tested on.
        fake: The same of those to be told from them.
    """
    discriminator = Discriminator(info, width=32, pack=1)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3)
    for _ in range(400):
        one, other = (discriminator(2 * seen[torch.randint(len(seen), (64,))] - 1) for seen, _ in (real, fake))
        loss = softplus(-one).mean() + softplus(other).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        one, other = (discriminator(2 * tested - 1) for _, tested in (real, fake))
    return float((one > 0).float().mean() + (other <= 0).float().mean()) / 2


def blur(lab: Lab) -> Evidence:
    """Hold the power at high frequencies of digits drawn by a VAE against that of a GAN's and of real ones."""
    vae = ("vae", "--data=digits", "--model.likelihood=gaussian", "--model.hidden=[128,128]", *LONG)
    tried = {rate: lab.fit(*vae, f"--model.lr={rate}", seed=lab.seeds[0]).history("val/nll")[-1] for rate in RATES}
    rate = min(tried, key=lambda rate: tried[rate])
    splits = lab.data("digits").splits
    real, pictures = powers(splits["train"][0]), {}
    found = {"nobody: new real images": (powers(splits["test"][0]) / real)[None]}
    for name, options in (("a VAE", (*vae, f"--model.lr={rate}")), ("a GAN", ("gan", "--data=digits", *LONG))):
        drawn_by = [drawn(lab.fit(*options, seed=seed).model)[0] for seed in lab.seeds]
        found[name] = torch.stack([powers(images) / real for images in drawn_by])  # (seeds, 2)
        pictures[f"Drawn by {name}"] = Image(drawn_by[0][:36])
    rows = [(name, *(f"{share:.2f}" for share in shares.mean(0).tolist())) for name, shares in found.items()]
    high_vae, high_gan = (found[name][:, 1] for name in ("a VAE", "a GAN"))
    power = "power at high frequencies over that of a GAN's"
    return Evidence(
        [Measure(f"{power}, a VAE's images", (high_vae / high_gan).tolist(), "<=", 0.9)],
        [
            Measure(
                f"{power}, real images", (1 / high_gan).tolist(), "<=", 0.9, "a GAN that draws noise would get there"
            )
        ],
        {"Power over real": Table(("drawn by", "low frequencies", "high frequencies"), rows), **pictures},
        note="High: above half the highest frequency. A VAE shows the means of its normal densities. It has as many "
        "updates as the GAN and the best of three learning rates.",
    )


def powers(images: Tensor) -> Tensor:
    """Return the mean power, below and above half the highest frequency, of images (n, channels, height, width)."""
    power = torch.fft.fft2(images).abs().square().mean((0, 1))  # (height, width)
    frequency = torch.hypot(torch.fft.fftfreq(images.shape[2])[:, None], torch.fft.fftfreq(images.shape[3]))
    return torch.stack([power[frequency <= 0.25].mean(), power[frequency > 0.25].mean()])
