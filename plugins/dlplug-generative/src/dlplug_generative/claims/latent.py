"""Sections 4.4 and 4.5: bottlenecks and bounds."""

import math
from statistics import fmean
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.autograd.functional import jacobian

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure, Image, Media
from dlplug.plots import plot_bars, plot_curves
from dlplug_generative.claims.shared import train_and_test_images
from dlplug_vision.evaluation.fid import FIDClassifier

GRID = 2001  # points of the integral over the latent variable
BOTTLENECKS = (2, 4, 8)
LATENTS, SAMPLES = 8, 5000


def bottleneck(lab: Lab) -> Evidence:
    """Reconstruct digits through bottlenecks of several sizes, against as many principal components."""
    options = ("--trainer.max_epochs=40", "--trainer.check_val_every_n_epoch=40", "--data.augment=0")
    exchanged = "dlplug_generative.claims.shared.ExchangedPixels"
    gains: dict[tuple[str, int], list[float]] = {}
    shares: dict[str, list[float]] = {"autoencoder": [], "principal components": []}
    figure = None
    for data, k in (*(("digits", k) for k in BOTTLENECKS), (exchanged, BOTTLENECKS[-1])):
        for seed in lab.seeds:
            trained = lab.fit("autoencoder", f"--data={data}", f"--model.latent_dim={k}", *options, seed=seed)
            train, images = train_and_test_images(trained)
            with torch.no_grad():
                through = trained.model(trained.model.encode(images))
            variance = (images - train.mean(0)).square().mean()
            pca = PCA(k, random_state=0).fit(train.flatten(1).numpy())
            linear = torch.from_numpy(pca.inverse_transform(pca.transform(images.flatten(1).numpy()))).view_as(images)
            learned, best_linear = (float(1 - (x - images).square().mean() / variance) for x in (through, linear))
            gains.setdefault((data, k), []).append(learned - best_linear)
        if data == "digits":
            shares["autoencoder"].append(best_linear + fmean(gains[data, k]))
            shares["principal components"].append(best_linear)
            figure = Image(torch.cat([images[:10], through[:10]]), columns=10)
    assert figure is not None
    name = "share of the variance of 64 pixels through {} latents less that of as many principal components"
    return Evidence(
        [Measure(name.format(k), gains["digits", k], ">=", 0.05, "the best linear bottleneck") for k in BOTTLENECKS],
        [
            Measure(f"{name.format(k)}, pixels exchanged between images", gains[exchanged, k], ">=", 0.05)
            for k in BOTTLENECKS[-1:]
        ],
        {
            f"Through {BOTTLENECKS[-1]} latents": figure,
            "Share of the variance": Figure(
                plot_curves(BOTTLENECKS, shares, "size of the bottleneck", "share of the variance explained")
            ),
        },
        note="Only images that have something in common can be compressed: exchanged pixels cannot. 40 epochs.",
    )


def prior(lab: Lab) -> Evidence:
    """Compare where a VAE's latents lie and what its prior decodes to with one trained without the KL term."""
    splits = lab.data("digits").splits
    judge = FIDClassifier.fit(*splits["train"])
    held_out = splits["test"][0]
    options = ("--data=digits", "--model.likelihood=gaussian", f"--model.latent_dim={LATENTS}", "--data.augment=0")
    length = ("--trainer.max_epochs=40", "--trainer.check_val_every_n_epoch=40", "--data.batch_size=32")
    nats: dict[str, list[float]] = {}
    distances: dict[str, list[float]] = {}
    shown: dict[str, Media] = {}
    for seed in lab.seeds:
        for name, beta in (("with the prior", 1), ("without it", 0)):
            model = lab.fit("vae", *options, *length, f"--model.beta={beta}", seed=seed).model
            with torch.no_grad():
                mean, std = model.encode(splits["val"][0])
            variance = mean.var(0) + std.square().mean(0)  # of q(z), all images together
            away = 0.5 * (mean.mean(0).square() + variance - 1 - variance.log())
            nats.setdefault(name, []).append(float(away.mean()))
            samples = model.generate(SAMPLES).pixels
            distances.setdefault(name, []).append(judge.fid(samples, held_out))
            shown[f"Samples of the prior: {name}"] = Image(samples[:36])
    bar = judge.fid(normal_samples(splits["train"][0]), held_out) / 2
    where = "nats a latent between all images' latents and the prior"
    what = "FID of samples of the prior, in the features of a classifier of digits"
    return Evidence(
        [
            Measure(where, nats["with the prior"], "<=", 0.1, "0 where they are the same"),
            Measure(what, distances["with the prior"], "<=", bar, "half of one normal density of 64 pixels"),
        ],
        [
            Measure(f"{where}, trained without the KL term", nats["without it"], "<=", 0.1),
            Measure(f"{what}, trained without the KL term", distances["without it"], "<=", bar),
        ],
        shown,
        note=f"{LATENTS} latents, 40 epochs. The reference is the test part, the features are the training part's.",
    )


def normal_samples(images: Tensor) -> Tensor:
    """Return samples of one normal density of all pixels of images (n, channels, height, width)."""
    flat = images.flatten(1).numpy()
    drawn = np.random.default_rng(0).multivariate_normal(flat.mean(0), np.cov(flat, rowvar=False), SAMPLES)
    return torch.from_numpy(drawn).float().clamp(0, 1).view(-1, *images.shape[1:])


def implicit(lab: Lab) -> Evidence:
    """Count the dimensions that a GAN's samples span about one of them, and those of a VAE's."""
    info = lab.data("digits").info
    size = info.channels * info.height * info.width
    shares: dict[str, list[float]] = {"gan": [], "vae": []}
    spectra: dict[str, list[float]] = {}
    for seed in lab.seeds:
        for name, found in shares.items():
            model = lab.model(name, info, seed, latent_dim=LATENTS)
            model.double()
            point = torch.randn(1, LATENTS).double()
            moves = jacobian(model, point).view(size, LATENTS)  # type: ignore[no-untyped-call]
            covariance = moves @ moves.T
            if name == "vae":  # its pixels vary on their own besides
                covariance += torch.eye(size) * model.log_std.exp().square()
            spectra[name] = torch.linalg.eigvalsh(covariance).flip(0).clamp_min(1e-16).sqrt().tolist()
            found.append(int(torch.linalg.matrix_rank(covariance, hermitian=True)) / size)
    name = f"share of the {size} dimensions of an image that samples vary in"
    drawing = plot_curves(range(1, size + 1), spectra, "dimension", "standard deviation about a sample", log=True)
    return Evidence(
        [
            Measure(
                f"{name}: a GAN of {LATENTS} latents", shares["gan"], "<=", LATENTS / size, "its latents", exact=True
            )
        ],
        [Measure(f"{name}: a VAE of as many", shares["vae"], "<=", LATENTS / size, exact=True)],
        {"Spread about a sample": Figure(drawing)},
        note="Untrained weights: it holds for any. Outside so thin a set the density is 0, and on it infinite: p(x) of "
        "a new image is no number, though sampling is easy. A VAE has a normal density about each point.",
    )


def bound(lab: Lab) -> Evidence:
    """Integrate a VAE of one latent dimension numerically, and hold its bounds against the exact log-likelihood."""
    options = ("--data=digits", "--model.latent_dim=1", "--model.hidden=[64]", "--trainer.max_epochs=20")
    excesses, tightenings, without_kl = [], [], []
    shown: dict[str, list[float]] = {}
    for seed in lab.seeds:
        trained = lab.fit("vae", *options, "--data.augment=0", seed=seed)
        model = trained.model
        images = train_and_test_images(trained)[1][:100]
        with torch.no_grad():
            exact = integral(model, images)  # (n,)
            weights = model.log_weights(images, 20_000)  # (samples, n)
            bounds = {k: weights.unflatten(0, (-1, k)).logsumexp(1).sub(math.log(k)).mean(0) for k in (1, 10, 100)}
            kl, _ = model.kl_and_reconstruction(images)
        excesses.append(float((bounds[1] - exact).max()))
        tightenings.append(float(torch.stack([bounds[10] - bounds[1], bounds[100] - bounds[10]]).mean(1).min()))
        without_kl.append(float((bounds[1] + kl.sum(1) - exact).max()))
        for name, part in {**{f"{k} samples": bound for k, bound in bounds.items()}, "exact": exact}.items():
            shown.setdefault(name, []).append(float(part.mean()))
    name = "nats by which the bound exceeds the exact log-likelihood, the worst of 100 images"
    return Evidence(
        [
            Measure(name, excesses, "<=", 0.02, "what 20,000 samples leave to chance"),
            Measure("nats gained from 1 to 10 and from 10 to 100 samples, the lesser", tightenings, ">=", 0.001),
        ],
        [Measure(f"{name}, the KL term left out", without_kl, "<=", 0.02)],
        {"Nats an image": Figure(plot_bars(shown, "nats a test image"))},
        note=f"The exact value is an integral over {GRID:,} points from -8 to 8.",
    )


def integral(model: Any, images: Tensor) -> Tensor:
    """Return log p(x), shape (n,), of a VAE with one latent dimension."""
    z = torch.linspace(-8, 8, GRID).view(-1, 1, 1).expand(-1, len(images), 1)  # (grid, n, 1)
    prior = -0.5 * z.square().sum(-1) - 0.5 * math.log(2 * math.pi)
    log_joint: Tensor = model.log_likelihood(images, z) + prior
    return log_joint.logsumexp(0) + math.log(16 / (GRID - 1))
