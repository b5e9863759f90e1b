"""Sections 4.1 to 4.3: likelihood, next-step prediction, and what it costs."""

import itertools
import math
import operator
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, Table
from dlplug.plots import plot_bars, plot_curves
from dlplug_generative.claims.shared import differences, train_and_test_images
from dlplug_generative.likelihood import binarise, discretised_normal

TINY = ImageInfo(1, 3, 3)
DRAWN = 20_000  # images
DATA = {
    "": "digits",
    ", upside down": "dlplug_generative.claims.shared.UpsideDown",
    ", exchanged": "dlplug_generative.claims.shared.ExchangedPixels",
}
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
            misses.append(miss(max(sums, key=lambda total: abs(total - 1))))
            leak = lab.model("pixel-cnn", TINY, seed)
            sharpen(leak)
            causal = leak.net.forward
            # Shifted up by a row and left by a pixel, the features of a pixel depend on the pixel itself.
            leak.net.forward = lambda x, labels, causal=causal: causal(x, labels).roll((-1, -1), (2, 3))
            leaking.append(miss(float(leak.log_likelihood(images).exp().sum())))
    name = "decimal logarithm of the distance from 1 of the sum over 512 images"
    drawing = plot_curves(
        lab.seeds,
        {"three causal networks, the worst": misses, "a network that sees its own pixel": leaking},
        "seed",
        name,
    )
    levels = "distance from 1 of the sum over 256 grey levels, the worst of 1,769 normal densities"
    without_tails = level_sums(density_times_width)
    return Evidence(
        [
            Measure(f"{name}, the worst of three networks", misses, "<=", -4, "-7: single precision"),
            Measure(levels, [level_sums(discretised_normal)], "<=", 1e-4, exact=True),
        ],
        [
            Measure(f"{name} where each prediction sees its own pixel", leaking, "<=", -4),
            Measure(f"{levels}, each times a level's width", [without_tails], "<=", 1e-4, exact=True),
        ],
        {"Sums of probabilities": Figure(drawing)},
    )


def level_sums(log_probability: Callable[[Tensor, Tensor, Tensor], Tensor]) -> float:
    """Return how far from 1 grey levels' probabilities sum, the worst of means within and outside, narrow and wide."""
    means, log_stds = torch.linspace(-1, 2, 61).double()[:, None], torch.linspace(-6, 1, 29).double()
    grey = torch.arange(256).double()[:, None, None] / 255
    return float((log_probability(grey, means, log_stds).exp().sum(0) - 1).abs().max())


def density_times_width(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the logarithm of the density times a level's width: what lies below 0 or above 1 counts to none."""
    return -0.5 * ((x - mean) / log_std.exp()).square() - log_std - 0.5 * math.log(2 * math.pi) - math.log(255)


def miss(total: float) -> float:
    """Return the decimal logarithm of the distance of a sum of probabilities from 1."""
    return math.log10(abs(total - 1) + 1e-9)


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
    least = [math.log(5e-324)] * 200
    sums = {"sum of logs": nats.cumsum(0).tolist(), "log of the least positive number of 64 bits": least}
    rows = [(n, f"{float(nats[:n].exp().prod()):.3g}", f"{float(nats[:n].sum()):.1f}") for n in (1, 5, 10, 20, 200)]
    return Evidence(
        [Measure("log of the product less the sum of logs, 16 images", right, "<=", 1e-6)],
        [Measure("product less the sum of logs, as the notes write it", wrong, "<=", 1e-6)],
        {
            "Why logs": Table(("digits", "product in double precision", "sum of logs in nats"), rows),
            "Sum of logs": Figure(plot_curves(range(1, 201), sums, "digits", "sum of logs in nats")),
        },
        note="The notes write ∏ p(x) = ∑ log p(x) and drop a logarithm: log ∏ p(x) = ∑ log p(x). The largest of one is "
        "that of the other, and the product of a few images is too small for a computer's numbers.",
    )


def step_by_step(lab: Lab) -> Evidence:
    """Hold frequencies of images sampled pixel by pixel against their probabilities, all 512 images counted."""
    images = all_images()
    found: dict[str, list[float]] = {"drawn from p at once": [], "pixel by pixel": [], "all pixels at once": []}
    for seed in lab.seeds:
        model = lab.model("pixel-cnn", TINY, seed)
        with torch.no_grad():
            sharpen(model)
            p = model.log_likelihood(images).exp()
            alone = model(torch.zeros(1, *model.shape))[:, :, 0].sigmoid()  # as though nothing were drawn yet
        torch.manual_seed(seed)
        exact = torch.multinomial(p, DRAWN, replacement=True)
        drawn = {
            "pixel by pixel": model.sample(DRAWN),
            "all pixels at once": alone.expand(DRAWN, -1, -1, -1).bernoulli(),
        }
        found["drawn from p at once"].append(distance(torch.bincount(exact, minlength=len(p)), p))
        for name, samples in drawn.items():
            codes = (samples.flatten(1) * 2 ** torch.arange(8, -1, -1)).sum(1).long()  # places in all_images
            found[name].append(distance(torch.bincount(codes, minlength=len(p)), p))
    over = {
        name: [a / b for a, b in zip(values, found["drawn from p at once"], strict=True)]
        for name, values in found.items()
    }
    name = "distance of frequencies from p over that of as many exact draws"
    return Evidence(
        [Measure(f"{name}: pixel by pixel", over["pixel by pixel"], "<=", 1.5, "1: nothing but chance")],
        [Measure(f"{name}: all pixels at once, not conditioned", over["all pixels at once"], "<=", 1.5)],
        {"Total variation distance": Figure(plot_bars(found, "distance of frequencies from p"))},
        note="Images of 3×3 black and white pixels; random weights made three times as large, so that pixels depend on "
        "each other.",
    )


def distance(counts: Tensor, p: Tensor) -> float:
    """Return the total variation distance of frequencies from probabilities, shape (n,) both."""
    return float((counts / counts.sum() - p).abs().sum() / 2)


def sequential(lab: Lab) -> Evidence:
    """Count the network's passes that wait for each other when an image is sampled, and time them."""
    info = ImageInfo(1, 28, 28, 10)
    models = {name: lab.model(name, info) for name in ("pixel-cnn", "vae", "gan")}
    passes = {
        "pixel-cnn": calls(models["pixel-cnn"], models["pixel-cnn"].head),
        "vae": calls(models["vae"], models["vae"].decoder),
        "gan": calls(models["gan"], models["gan"].generator_ema),
    }
    slower, control = [], []
    for seed in lab.seeds:
        pixels, *others = (lab.model(name, info, seed) for name in models)
        at_once = max(cpu_seconds(partial(model.generate, 16)) for model in others)
        slower.append(cpu_seconds(partial(pixels.generate, 16)) / at_once)
        control.append(cpu_seconds(partial(pixels.log_likelihood, torch.rand(16, *pixels.shape))) / at_once)
    small = lab.model("pixel-cnn", ImageInfo(1, 14, 14))
    cached, naive = operations(lambda: small.sample(1)), operations(lambda: small.sample(1, cached=False))
    forward = operations(lambda: small(torch.zeros(1, *small.shape)))
    counts = {name: [float(count)] for name, count in passes.items()}
    return Evidence(
        [
            Measure(
                "passes one after another for an image of 28×28, over a GAN's",
                [passes["pixel-cnn"] / passes["gan"]],
                ">=",
                784,
                exact=True,
            ),
            Measure("CPU time of 16 images over that of the slower of VAE and GAN", slower, ">=", 50),
            Measure(
                "operations without a cache over those with one, 14×14 pixels", [naive / cached], ">=", 20, exact=True
            ),
        ],
        [
            Measure("passes of a VAE over a GAN's", [passes["vae"] / passes["gan"]], ">=", 784, exact=True),
            Measure("CPU time of the likelihood of 16 known images over it", control, ">=", 50),
            Measure("operations of that over those of sampling with a cache", [forward / cached], ">=", 20, exact=True),
        ],
        {"Passes one after another": Figure(plot_bars(counts, "passes for an image", log=True))},
        note="Untrained models of the default size: speed does not depend on the weights. The likelihood of an image "
        "that is there takes one pass: training is not slow.",
    )


def calls(model: Any, part: nn.Module) -> int:
    """Return how often a part of a model runs when one image is generated."""
    count = [0]
    hook = part.register_forward_hook(lambda *_: operator.setitem(count, 0, count[0] + 1))
    model.generate(1)
    hook.remove()
    return count[0]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor's seconds that work takes, the best of three."""
    best = math.inf
    for _ in range(3):
        started = time.process_time()
        with torch.no_grad():
            work()
        best = min(best, time.process_time() - started)
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


def densities(lab: Lab) -> Evidence:
    """Measure nats an image by a pixel-cnn, also upside down, by a VAE and by a mixture."""
    same = ("--trainer.check_val_every_n_epoch=20", "--data.batch_size=32", "--data.augment=0.5")
    options = (
        "--model.hidden_channels=16",
        "--model.num_layers=3",
        "--model.lr=1e-2",
        "--trainer.max_epochs=20",
        *same,
    )
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        for name, data in DATA.items():
            trained = lab.fit("pixel-cnn", f"--data={data}", *options, seed=seed)
            splits: Any = trained.data.splits  # type: ignore[attr-defined]
            found.setdefault(f"pixel-cnn{name}", []).append(lab.test(trained)["test/nll"])
            found.setdefault(f"mixture{name}", []).append(mixture_nll(splits, seed))
        vae = lab.fit("vae", "--data=digits", "--model.hidden=[128,128]", "--trainer.max_epochs=40", *same, seed=seed)
        found.setdefault("vae, at most", []).append(lab.test(vae)["test/nll"])
    gain, order = "nats an image fewer than {}", "nats an image more, learned and measured upside down"
    pixels, mixture = found["pixel-cnn"], found["mixture"]
    exchanged = differences(found["mixture, exchanged"], found["pixel-cnn, exchanged"])
    return Evidence(
        [
            Measure(gain.format("a VAE's bound"), differences(found["vae, at most"], pixels), ">=", 0.3),
            Measure(gain.format("a mixture of Bernoulli densities"), differences(mixture, pixels), ">=", 0.3),
            Measure(order, differences(found["pixel-cnn, upside down"], pixels), "<=", 0.3),
        ],
        [
            Measure(f"{gain.format('the mixture')}, pixels exchanged between images", exchanged, ">=", 0.3),
            Measure("nats an image more by the mixture", differences(mixture, pixels), "<=", 0.3),
        ],
        {"Nats an image": Figure(plot_bars(found, "nats a test image"))},
        note="Black and white digits. The mixture has the best in validation of four sizes. From the bottom to the top "
        "is as good as from the top to the bottom: the order of pixels is a choice, not how digits come about.",
    )


def mixture_nll(splits: Mapping[str, Batch], seed: int) -> float:
    """Return the nats a test image of the mixture of independent pixels that is best in validation."""
    train, val, test = (binarise(splits[name][0]).flatten(1) for name in ("train", "val", "test"))
    fitted = [fit_mixture(train, components, seed) for components in (10, 20, 40, 80)]
    best = max(fitted, key=lambda mixture: float(mixture_log_likelihood(val, *mixture).logsumexp(1).mean()))
    return -float(mixture_log_likelihood(test, *best).logsumexp(1).mean())


def fit_mixture(x: Tensor, components: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return weights (components,) and probabilities (components, pixels) of a mixture, by expectation maximisation."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.full((components,), 1 / components)
    p = 0.25 + 0.5 * torch.rand(components, x.shape[1], generator=generator)
    for _ in range(60):
        shares = mixture_log_likelihood(x, weights, p).softmax(1)  # (n, components)
        total = shares.sum(0)
        weights, p = (total + 1) / (total + 1).sum(), (shares.T @ x + 0.5) / (total[:, None] + 1)
    return weights, p


def mixture_log_likelihood(x: Tensor, weights: Tensor, p: Tensor) -> Tensor:
    """Return log p(x, component), shape (n, components)."""
    return weights.log() + x @ p.log().T + (1 - x) @ (1 - p).log().T
