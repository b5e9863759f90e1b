"""Sections 4.4 and 4.5: bottlenecks and bounds."""

import itertools
import math
from typing import Any

import torch
from sklearn.decomposition import PCA
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Image, Table
from dlplug_generative.claims.shared import train_and_test_images

GRID = 2001  # points of the integral over the latent variable
BOTTLENECKS = (1, 2, 8)


def bottleneck(lab: Lab) -> Evidence:
    """Reconstruct digits through bottlenecks of several sizes, against principal components and exchanged pixels."""
    options = ("--trainer.max_epochs=40", "--trainer.check_val_every_n_epoch=40", "--data.augment=0")
    found: dict[tuple[str, int], list[float]] = {}
    pca_share: dict[tuple[str, int], float] = {}
    figure = None
    exchanged = "dlplug_generative.claims.shared.ExchangedPixels"
    for data, k, seed in itertools.product(("digits", exchanged), BOTTLENECKS, lab.seeds):
        if data != "digits" and k != 8:
            continue
        trained = lab.fit("autoencoder", f"--data={data}", f"--model.latent_dim={k}", *options, seed=seed)
        train, images = train_and_test_images(trained)
        with torch.no_grad():
            reconstructed = trained.model(trained.model.encode(images))
        variance = (images - train.mean(0)).square().mean()
        found.setdefault((data, k), []).append(float(1 - (reconstructed - images).square().mean() / variance))
        pca = PCA(k).fit(train.flatten(1).numpy())
        linear = torch.from_numpy(pca.inverse_transform(pca.transform(images.flatten(1).numpy()))).view_as(images)
        pca_share[data, k] = float(1 - (linear - images).square().mean() / variance)
        figure = Image(torch.cat([images[:10], reconstructed[:10]]), columns=10) if data == "digits" else figure
    eight, two, one = (found["digits", k] for k in (8, 2, 1))
    gaps = [value - pca_share["digits", 2] for value in two]
    rises = [min(b - a, c - b) for a, b, c in zip(one, two, eight, strict=True)]
    rows = [(k, f"{sum(found['digits', k]) / len(one):.3f}", f"{pca_share['digits', k]:.3f}") for k in BOTTLENECKS]
    assert figure is not None
    name = "share of the variance of 64 pixels that 8 latents explain"
    return Evidence(
        [
            Measure(name, eight, ">=", 0.6),
            Measure("the same of 2 latents less that of 2 principal components", gaps, ">=", 0.05),
            Measure("gained from 1 to 2 and from 2 to 8 latents, the lesser", rises, ">=", 0.05),
        ],
        [Measure(f"{name}, pixels exchanged between images", found[exchanged, 8], ">=", 0.6)],
        {"Through 8 latents": figure, "Share of the variance": Table(("k", "autoencoder", "PCA"), rows)},
        note="Only images that have something in common can be compressed: exchanged pixels cannot. 40 epochs.",
    )


def bound(lab: Lab) -> Evidence:
    """Integrate a VAE of one latent dimension numerically, and hold its bounds against the exact log-likelihood."""
    options = ("--data=digits", "--model.latent_dim=1", "--model.hidden=[64]", "--trainer.max_epochs=20")
    excesses, tightenings, without_kl, rows = [], [], [], []
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
        rows.append((seed, *(f"{float(part.mean()):.3f}" for part in (*bounds.values(), exact))))
    name = "nats by which the bound exceeds the exact log-likelihood, the worst of 100 images"
    return Evidence(
        [
            Measure(name, excesses, "<=", 0.02, "what 20,000 samples leave to chance"),
            Measure("nats gained from 1 to 10 and from 10 to 100 samples, the lesser", tightenings, ">=", 0.001),
        ],
        [Measure(f"{name}, the KL term left out", without_kl, "<=", 0.02)],
        {"Nats an image": Table(("seed", "1 sample", "10 samples", "100 samples", "exact"), rows)},
        note=f"The exact value is an integral over {GRID:,} points from -8 to 8.",
    )


def integral(model: Any, images: Tensor) -> Tensor:
    """Return log p(x), shape (n,), of a VAE with one latent dimension."""
    z = torch.linspace(-8, 8, GRID).view(-1, 1, 1).expand(-1, len(images), 1)  # (grid, n, 1)
    prior = -0.5 * z.square().sum(-1) - 0.5 * math.log(2 * math.pi)
    log_joint: Tensor = model.log_likelihood(images, z) + prior
    return log_joint.logsumexp(0) + math.log(16 / (GRID - 1))
