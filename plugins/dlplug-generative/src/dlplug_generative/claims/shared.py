"""What claims share: digits with pixels exchanged or with few labels, images of a run, differences seed by seed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlplug.claims import Trained
from dlplug.data import Batch, ImageInfo
from dlplug_vision.data.digits import Digits


class ExchangedPixels(Digits):
    """digits with each pixel taken from another image at random: every pixel keeps its values, but not their joint."""

    def load(self) -> tuple[ImageInfo, dict[str, Batch]]:
        """Return the splits, pixels exchanged."""
        info, splits = super().load()
        return info, {name: (exchange_pixels(images), labels) for name, (images, labels) in splits.items()}


class UpsideDown(Digits):
    """digits turned upside down."""

    def load(self) -> tuple[ImageInfo, dict[str, Batch]]:
        """Return the splits, turned."""
        info, splits = super().load()
        return info, {name: (images.flip(2), labels) for name, (images, labels) in splits.items()}


class ExchangedLabels(Digits):
    """digits whose training images have each other's labels at random."""

    def load(self) -> tuple[ImageInfo, dict[str, Batch]]:
        """Return the splits, the training labels exchanged."""
        info, splits = super().load()
        images, labels = splits["train"]
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        return info, {**splits, "train": (images, labels[order])}


def choose(labels: Tensor, each: int, choice: int) -> Tensor:
    """Return the indices of that many items of each class, all of a smaller class, in random order.

    Args:
        labels: Shape (n,).
        each: Items of each class.
        choice: Seed of which.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(choice))
    kept = [(labels[order] == label).nonzero().flatten()[:each] for label in torch.unique(labels)]
    return order[torch.cat(kept).sort().values]


def exchange_pixels(images: Tensor) -> Tensor:
    """Return images (n, channels, height, width) whose pixels each come from an image of their own."""
    order = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)).argsort(0)
    return images.gather(0, order)


def train_and_test_images(trained: Trained) -> tuple[Tensor, Tensor]:
    """Return the training and the test images of a run, from 0 to 1."""
    data = trained.data
    train, test = (data.prepare_batch(data.splits[name])[0] for name in ("train", "test"))  # type: ignore[attr-defined]
    return train, test


def differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Return a - b, seed by seed."""
    return [one - other for one, other in zip(a, b, strict=True)]
