"""The FID of generated images in the features of a small classifier.

The Frechet distance between two Gaussians fitted to features is Heusel et al., "GANs Trained by a Two Time-Scale Update
Rule Converge to a Local Nash Equilibrium" (2017). There the features are Inception's; here they come from a classifier
trained on the data set itself, so that figures compare under one classifier and with nothing else.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

FEATURES = 64
BATCH_SIZE = 64
LR = 3e-3


class FIDClassifier(nn.Module):
    """Four convolutions, 64 features and a linear classifier, for images of any size; ``fit`` trains one.

    Args:
        channels: Image channels.
        height: Image height.
        width: Image width.
        classes: Number of classes.
    """

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()

        def conv(in_channels: int, out_channels: int) -> list[nn.Module]:
            conv2d = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
            return [conv2d, nn.BatchNorm2d(out_channels), nn.ReLU()]

        flat = 32 * math.ceil(height / 4) * math.ceil(width / 4)
        self.body = nn.Sequential(
            *conv(channels, 16), *conv(16, 16), nn.MaxPool2d(2, ceil_mode=True),
            *conv(16, 32), *conv(32, 32), nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(), nn.Linear(flat, FEATURES, bias=False), nn.BatchNorm1d(FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of images (n, channels, height, width) from 0 to 1."""
        logits: Tensor = self.head(self.body(images))
        return logits

    @classmethod
    def fit(cls, images: Tensor, labels: Tensor, seed: int = 0, epochs: int = 20) -> "FIDClassifier":
        """Train a classifier.

        Args:
            images: Training images (n, channels, height, width) from 0 to 1.
            labels: Their classes, shape (n,).
            seed: Fixes initial weights, order and augmentation; the global generator is left as it was.
            epochs: Passes over the images.

        Returns:
            The classifier, in evaluation mode.
        """
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = cls(images.shape[1], images.shape[2], images.shape[3], int(labels.max()) + 1)
        optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.01)
        batches = len(images) // BATCH_SIZE
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LR, total_steps=epochs * batches)
        net.train()
        for _ in range(epochs):
            order = torch.randperm(len(images), generator=generator)
            for rows in torch.split(order[: batches * BATCH_SIZE], BATCH_SIZE):
                loss = cross_entropy(net(random_affine(images[rows], generator)), labels[rows])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
        return net.eval()

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return the features (n, 64) of images from 0 to 1, quantised first."""
        return torch.cat([self.body(part) for part in torch.split(quantise(images), 500)])

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        """Return the predicted class (n,) of each image from 0 to 1, quantised first."""
        classes: Tensor = self.head(self.features(images)).argmax(1)
        return classes

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return the share of images classified as labelled."""
        return float((self.classify(images) == labels).double().mean())

    def class_shares(self, samples: Tensor) -> list[float]:
        """Return the share of samples classified as each class."""
        counts = torch.bincount(self.classify(samples), minlength=self.head.out_features)
        return (counts.double() / len(samples)).tolist()

    def fid(self, samples: Tensor, reference: Tensor) -> float:
        """Return the FID of samples against the reference images, in this classifier's features."""
        return frechet_distance(self.features(samples), self.features(reference))


def random_affine(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, scale and translate each image at random by up to 10 degrees, 10 % and 8 % of the side.

    Not dlplug-vision's function of that name, which draws in another order: every FID in the README depends on these.

    Args:
        images: Shape (n, channels, height, width).
        generator: Source of the randomness.

    Returns:
        The augmented images, same shape.
    """
    n = len(images)
    u = torch.rand(n, 4, generator=generator) * 2 - 1  # (n, 4), from -1 to 1
    angle, scale, shift = u[:, 0] * math.pi / 18, 1 + 0.1 * u[:, 1], 0.16 * u[:, 2:]
    cos, sin = angle.cos() * scale, angle.sin() * scale  # (n,), (n,)
    theta = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1)  # (n, 6)
    grid = affine_grid(theta.view(n, 2, 3), list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)  # (n, channels, height, width)


def quantise(images: Tensor) -> Tensor:
    """Round images to the 256 grey levels of real ones, from 0 to 1."""
    return (images.clamp(0, 1) * 255).round() / 255


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Frechet distance of the Gaussians fitted to two sets of features, in float64.

    Args:
        a: Features (n, features).
        b: Features (m, features).

    Returns:
        ``|mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 sqrt(cov_a cov_b))``.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)  # (features, features) each
    # The trace of sqrt(cov_a cov_b) by symmetric matrices alone, whose eigenvalues are real.
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T  # the square root of cov_a
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross)


def nearest_distance(images: Tensor, references: Tensor) -> Tensor:
    """Return each image's L2 distance in pixels to its nearest neighbour among references, shape (n,)."""
    references = references.flatten(1)
    return torch.cat([torch.cdist(part, references).amin(1) for part in torch.split(images.flatten(1), 1000)])


def near_copies(samples: Tensor, train: Tensor, held_out: Tensor) -> float:
    """Return the share of samples nearer to the training set than real new images are.

    Nearer means below the first percentile of the held-out images' own nearest-neighbour distances, so that real images
    show 1 % and only a share clearly above it speaks of copying.

    Args:
        samples: Generated images from 0 to 1.
        train: Training images from 0 to 1.
        held_out: Real images that were not trained on.
    """
    limit = nearest_distance(quantise(held_out), train).double().quantile(0.01)
    return float((nearest_distance(quantise(samples), train) < limit).double().mean())
