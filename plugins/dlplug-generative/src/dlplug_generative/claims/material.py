"""What claims share: digits mixed up or with few labels, what was seen and tested, differences seed by seed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlplug.claims import Trained
from dlplug.data import Batch, ImageInfo
from dlplug_vision.data.digits import Digits


class Mixed(Digits):
    """digits with each pixel taken from another image at random: every pixel's values stay, what binds them goes."""

    def load(self) -> tuple[ImageInfo, dict[str, Batch]]:
        """Return the splits, mixed."""
        info, splits = super().load()
        return info, {name: (mix(images), labels) for name, (images, labels) in splits.items()}


class Few(Digits):
    """digits of which some training images are repeated in place of the others, so that there are as many updates.

    Args:
        batch_size: Images a batch.
        augment: As in ``digits``.
        each: Training images of each class that are kept.
        choice: Another number keeps others.
        shuffled: Whether the kept images exchange their labels at random, so that nothing can be learnt from them.
    """

    def __init__(
        self, batch_size: int = 32, augment: float = 0.0, each: int = 10, choice: int = 0, shuffled: bool = False
    ) -> None:
        super().__init__(batch_size, augment)
        self.each, self.choice, self.shuffled = each, choice, shuffled

    def load(self) -> tuple[ImageInfo, dict[str, Batch]]:
        """Return the splits, that for training reduced."""
        info, splits = super().load()
        images, labels = splits["train"]
        kept = few(labels, self.each, self.choice)
        given = labels[kept.roll(len(kept) // 2)] if self.shuffled else labels[kept]
        times = len(labels) // len(kept)
        return info, {**splits, "train": (images[kept].repeat(times, 1, 1, 1), given.repeat(times))}


def few(labels: Tensor, each: int, choice: int) -> Tensor:
    """Return the indices of so many items of each class, all of a smaller class, in random order.

    Args:
        labels: Shape (n,).
        each: Items of each class.
        choice: Another number chooses others.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(choice))
    kept = [(labels[order] == label).nonzero().flatten()[:each] for label in torch.unique(labels)]
    return order[torch.cat(kept).sort().values]


def mix(images: Tensor) -> Tensor:
    """Return images (n, channels, height, width) whose pixels each come from an image of their own."""
    order = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)).argsort(0)
    return images.gather(0, order)


def seen_and_tested(trained: Trained) -> tuple[Tensor, Tensor]:
    """Return the images, from 0 to 1, that a model was trained on and those that it is tested on."""
    data = trained.data
    train, test = (data.prepare_batch(data.splits[name])[0] for name in ("train", "test"))  # type: ignore[attr-defined]
    return train, test


def less(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the differences, seed by seed."""
    return [one - other for one, other in zip(ones, others, strict=True)]
