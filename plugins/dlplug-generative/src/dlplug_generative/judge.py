"""The judge of generated images: a small classifier whose features give the FID.

The Frechet distance between two Gaussians fitted to features is Heusel et al., "GANs Trained by
a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017. Here the features come
from a classifier trained on the data set itself, so the figures compare with one another under
one judge and with nothing else.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 64


class JudgeNet(nn.Module):
    """Four convolutions, 64 features and a linear classifier, for images of any size.

    Args:
        channels: Image channels.
        height: Image height.
        width: Image width.
        classes: Number of classes.
    """

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()

        def conv(a: int, b: int) -> list[nn.Module]:
            return [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]

        def halve() -> nn.Module:
            return nn.MaxPool2d(2, ceil_mode=True)

        flat = 32 * math.ceil(height / 4) * math.ceil(width / 4)
        self.num_features = FEATURES
        self.body = nn.Sequential(
            *conv(channels, 16), *conv(16, 16), halve(),
            *conv(16, 32), *conv(32, 32), halve(),
            nn.Flatten(), nn.Linear(flat, FEATURES, bias=False), nn.BatchNorm1d(FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the 64 penultimate features of images in 0..1."""
        features: Tensor = self.body(x)  # (B, C, H, W) -> (B, 64)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the class logits of images in 0..1."""
        logits: Tensor = self.head(self.features(x))  # (B, C, H, W) -> (B, classes)
        return logits


def jitter(images: Tensor, gen: torch.Generator) -> Tensor:
    """Turn, scale and move each image a little (10 degrees, 10 %, 8 % of the side).

    Args:
        images: Images (B, C, H, W).
        gen: Source of the randomness.

    Returns:
        The jittered images, same shape.
    """
    b = len(images)
    u = torch.rand(b, 4, generator=gen) * 2 - 1  # (B, 4) in -1..1
    angle, scale, shift = u[:, 0] * math.pi / 18, 1 + 0.1 * u[:, 1], 0.16 * u[:, 2:]
    cos, sin = angle.cos() * scale, angle.sin() * scale  # (B,), (B,)
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1)  # (B, 6)
    grid = functional.affine_grid(rows.view(b, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)  # (B, C, H, W)


def quantise(images: Tensor) -> Tensor:
    """Round images to the 8-bit grid of real ones, in 0..1."""
    return (images.clamp(0, 1) * 255).round() / 255


def frechet(a: Tensor, b: Tensor) -> float:
    """Return the Frechet distance of the Gaussians fitted to two sets of features, in float64.

    Args:
        a: Features (N, F).
        b: Features (M, F).

    Returns:
        ``|mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 sqrt(cov_a cov_b))``.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)  # (F, F), (F, F)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T  # (F, F), symmetric root of cov_a
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    gap = (a.mean(0) - b.mean(0)).square().sum()
    return float(gap + cov_a.trace() + cov_b.trace() - 2 * cross)


def nearest(images: Tensor, bank: Tensor) -> Tensor:
    """Return each image's L2 pixel distance to its nearest neighbour in the bank."""
    bank = bank.flatten(1)
    return torch.cat([torch.cdist(x, bank).amin(1) for x in torch.split(images.flatten(1), 1000)])


class Judge:
    """A trained classifier that measures generated images.

    Args:
        net: Trained network.
    """

    def __init__(self, net: JudgeNet) -> None:
        self.net = net.eval()

    @classmethod
    def train(cls, images: Tensor, labels: Tensor, seed: int = 0, epochs: int = 20) -> Judge:
        """Train a judge.

        Args:
            images: Training images (N, C, H, W) in 0..1.
            labels: Their classes.
            seed: Fixes initial weights, order and jitter; the global generator is left as it was.
            epochs: Passes over the images.

        Returns:
            The judge.
        """
        batch = 64
        gen = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = JudgeNet(images.shape[1], images.shape[2], images.shape[3], int(labels.max()) + 1)
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
        steps = epochs * (len(images) // batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
        net.train()
        for _ in range(epochs):
            order = torch.randperm(len(images), generator=gen)
            for rows in torch.split(order[: len(images) // batch * batch], batch):
                loss = functional.cross_entropy(net(jitter(images[rows], gen)), labels[rows])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
                schedule.step()
        return cls(net)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return the features (N, 64) of images in 0..1, quantised first."""
        return torch.cat([self.net.features(x) for x in torch.split(quantise(images), 500)])

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        """Return the class (N,) of each image in 0..1, quantised first."""
        classes: Tensor = self.net.head(self.features(images)).argmax(1)
        return classes

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return the share of images classified as labelled."""
        return float((self.classify(images) == labels).double().mean())

    def coverage(self, samples: Tensor) -> list[float]:
        """Return the share of samples judged to be of each class."""
        counts = torch.bincount(self.classify(samples), minlength=self.net.head.out_features)
        return (counts.double() / len(samples)).tolist()

    def fid(self, samples: Tensor, reference: Tensor) -> float:
        """Return the Frechet distance of samples to the reference images, in this judge's features."""
        return frechet(self.features(samples), self.features(reference))


def near_copies(samples: Tensor, train: Tensor, held_out: Tensor) -> float:
    """Return the share of samples nearer to the training set than real new images are.

    Nearer means below the first percentile of the held-out images' own nearest-neighbour
    distances, so real images show 1 % and only a share clearly above it speaks of copying.

    Args:
        samples: Generated images in 0..1.
        train: Training images in 0..1.
        held_out: Real images that were not trained on.

    Returns:
        The share, 0..1.
    """
    limit = nearest(quantise(held_out), train).double().quantile(0.01)
    return float((nearest(quantise(samples), train) < limit).double().mean())
