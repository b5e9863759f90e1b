"""Sections 4.1 to 4.3: likelihood, next-step prediction, and what it costs."""

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import ImageInfo
from dlplug.media import Image, Table
from dlplug_generative.claims.shared import train_and_test_images
from dlplug_generative.likelihood import discretised_normal

TINY = ImageInfo(1, 3, 3)
SHORT = ("--trainer.max_epochs=12", "--trainer.check_val_every_n_epoch=12", "--data.batch_size=32", "--data.augment=0")


def all_images() -> Tensor:
    """Return the 512 black and white images of 3×3 pixels."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=9))).view(-1, 1, 3, 3)


def normalised(lab: Lab) -> Evidence:
    """Sum the probabilities of every image of 3×3 black or white pixels, weights at random."""
    networks: list[tuple[str, dict[str, Any]]] = [
        ("pixel-cnn", {}),
        ("pixel-rnn", {"cell": "row"}),
        ("pixel-rnn", {"cell": "diagonal"}),
    ]
    images, misses, leaking = all_images(), [], []
    with torch.no_grad():
        for seed in lab.seeds:
            sums = []
            for name, options in networks:
                model = lab.model(name, TINY, seed, **options)
                sharpen(model)
                sums.append(float(model.log_likelihood(images).exp().sum()))
            misses.append(max(abs(total - 1) for total in sums))
            leak = lab.model("pixel-cnn", TINY, seed)
            sharpen(leak)
            causal = leak.net.forward
            # Shifted up by a row and left by a pixel, the features of a pixel depend on the pixel itself.
            leak.net.forward = lambda x, labels, causal=causal: causal(x, labels).roll((-1, -1), (2, 3))
            leaking.append(abs(float(leak.log_likelihood(images).exp().sum()) - 1))
    return Evidence(
        [Measure("distance from 1 of the sum over 512 images, the worst of three networks", misses, "<=", 1e-4)],
        [Measure("the same where each prediction sees its own pixel", leaking, "<=", 1e-4)],
    )


def sharpen(model: Any) -> None:
    """Make a model's random weights three times as large, so that its predictions are far from uniform."""
    for weight in model.parameters():
        weight.mul_(3)


def sum_of_logs(lab: Lab) -> Evidence:
    """Compare the logarithm of a product of probabilities with the sum of logarithms, and with the notes' line."""
    right, wrong = [], []
    images = all_images()[::32]
    for seed in lab.seeds:
        with torch.no_grad():
            logs = lab.model("pixel-cnn", TINY, seed).log_likelihood(images).double()
        product = math.prod(logs.exp().tolist())
        right.append(abs(math.log(product) - float(logs.sum())))
        wrong.append(abs(product - float(logs.sum())))
    digits = lab.data("digits")
    few = digits.splits["train"][0][:200]
    with torch.no_grad():
        nats = lab.model("pixel-cnn", digits.info).log_likelihood(few).double()
    rows = [(n, f"{float(nats[:n].exp().prod()):.3g}", f"{float(nats[:n].sum()):.1f}") for n in (1, 5, 10, 20, 200)]
    return Evidence(
        [Measure("log of the product less the sum of logs, 16 images", right, "<=", 1e-6)],
        [Measure("product less the sum of logs, as the notes write it", wrong, "<=", 1e-6)],
        {"Why logs": Table(("digits", "product in double precision", "sum of logs in nats"), rows)},
        note="The notes write ∏ p(x) = ∑ log p(x) and drop a logarithm: log ∏ p(x) = ∑ log p(x). The largest of one is "
        "that of the other, and the product of a few images is too small for a computer's numbers.",
    )


def sequential(lab: Lab) -> Evidence:
    """Time images sampled pixel by pixel against those sampled at once, and count what the cache saves."""
    info = ImageInfo(1, 28, 28, 10)
    ratios, control, rows = [], [], []
    for seed in lab.seeds:
        pixels, vae, gan = (lab.model(name, info, seed) for name in ("pixel-cnn", "vae", "gan"))
        seconds = {"at once": seconds_per_image(pixels), "pixel-cnn": seconds_per_image(sampler(pixels))}
        seconds |= {"vae": seconds_per_image(sampler(vae)), "gan": seconds_per_image(sampler(gan))}
        slower = max(seconds["vae"], seconds["gan"])
        ratios.append(seconds["pixel-cnn"] / slower)
        control.append(seconds["at once"] / slower)
        rows.append((seed, *(f"{1000 * value:.2f}" for value in seconds.values())))
    small = lab.model("pixel-cnn", ImageInfo(1, 14, 14))
    cached, naive = operations(lambda: small.sample(1)), operations(lambda: small.sample(1, cached=False))
    forward = operations(lambda: small(torch.zeros(1, *small.shape)))
    return Evidence(
        [
            Measure("seconds an image over those of the slower of VAE and GAN, 16 at a time", ratios, ">=", 50),
            Measure("operations of naive sampling over those with a cache, 14×14 pixels", [naive / cached], ">=", 20),
        ],
        [
            Measure("the same of one forward pass over a known image", control, ">=", 50),
            Measure("operations of that forward pass over those of sampling the image", [forward / cached], ">=", 20),
        ],
        {"Milliseconds an image": Table(("seed", "all pixels at once", "pixel-cnn", "vae", "gan"), rows)},
        note="Untrained models of the default size: speed does not depend on the weights.",
    )


def sampler(model: Any) -> Callable[[Tensor], object]:
    """Return a function that samples as many images as it is given."""
    return lambda images: model.generate(len(images))


def seconds_per_image(work: Callable[[Tensor], object]) -> float:
    """Return seconds an image of work on 16 of them, the best of five."""
    images = torch.rand(16, 1, 28, 28).round()
    best = math.inf
    for _ in range(5):
        started = time.perf_counter()
        with torch.no_grad():
            work(images)
        best = min(best, (time.perf_counter() - started) / 16)
    return best


def operations(work: Callable[[], object]) -> int:
    """Return the floating-point operations of work."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def continuous(lab: Lab) -> Evidence:
    """Model grey digits by normal densities, each conditioned on the pixels before it, against one for each pixel."""
    gains: dict[str, list[float]] = {"digits": [], "dlplug_generative.claims.shared.ExchangedPixels": []}
    samples, independent = {}, {}
    for data, seed in itertools.product(gains, lab.seeds):
        options = ("--model.output=gaussian", "--model.hidden_channels=16", "--model.num_layers=3", "--model.lr=1e-2")
        trained = lab.fit("pixel-cnn", f"--data={data}", *options, *SHORT, seed=seed)
        train, test = (trained.model.quantise(images) for images in train_and_test_images(trained))
        with torch.no_grad():
            nats = -float(trained.model.log_likelihood(test).mean())
        if data not in independent:
            independent[data] = -float(discretised_normal(test, *fit_normals(train)).sum((1, 2, 3)).mean())
        gains[data].append((independent[data] - nats) / (64 * math.log(2)))
        samples[data] = Image(trained.model.sample(36))
    name = "bits per dimension below one normal density for each pixel"
    real, exchanged = gains.values()
    return Evidence(
        [Measure(name, real, ">=", 0.5)],
        [Measure(f"{name}, pixels exchanged between images", exchanged, ">=", 0.5)],
        {"Sampled from the densities": samples["digits"]},
        note="The densities for each pixel have the means and deviations of greatest likelihood: much is black, for "
        "which a wide density far below 0 is best. Grey digits stand for the notes' handwriting and speech. Both are "
        "summed over 256 grey levels, so that their nats compare. 12 epochs.",
    )


def fit_normals(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the log standard deviation, by pixel, under which images are most likely."""
    mean = images.mean(0).requires_grad_()
    log_std = images.std(0).clamp_min(1 / 255).log().requires_grad_()
    optimizer = torch.optim.Adam([mean, log_std], 0.02)
    for _ in range(1000):
        loss = -discretised_normal(images, mean, log_std.clamp_min(-8)).sum((1, 2, 3)).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return mean.detach(), log_std.detach().clamp_min(-8)
