"""Section 5.3: weights of another network are a better start than random ones."""

from pathlib import Path
from typing import Any

import torch

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import ImageInfo
from dlplug.media import Table
from dlplug_vision.claims.structure import LEARNING_RATES, accuracy
from dlplug_vision.data.mnist5k import MNIST5k


class DigitSubset(MNIST5k):
    """The digits 0 to 5 or 6 to 9 of mnist5k.

    Args:
        upper: Whether 6 to 9.
        labels: Training images of each class; 0 for all. The others are added to the test images.
        shuffled: Whether the training labels are in random order, so that nothing can be learned.
    """

    def __init__(self, upper: bool = False, labels: int = 0, shuffled: bool = False, augment: float = 0.0) -> None:
        super().__init__(batch_size=32, augment=augment)
        self.upper, self.labels, self.shuffled = upper, labels, shuffled

    def load(self) -> Any:
        """Return the classes asked for, counted from 0."""
        info, splits = super().load()
        parts = {}
        for split, (images, labels) in splits.items():
            rows = (labels >= 6) if self.upper else (labels < 6)
            parts[split] = (images[rows], labels[rows] % 6)
        images, labels = parts["train"]
        classes = 4 if self.upper else 6
        if self.labels:
            kept = torch.zeros(len(labels), dtype=torch.bool)
            kept[torch.cat([(labels == k).nonzero().flatten()[: self.labels] for k in range(classes)])] = True
            test_images, test_labels = parts["test"]
            parts["test"] = (torch.cat([test_images, images[~kept]]), torch.cat([test_labels, labels[~kept]]))
            images, labels = images[kept], labels[kept]
        if self.shuffled:
            labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
        return ImageInfo(info.channels, info.height, info.width, classes), {**parts, "train": (images, labels)}


def pretraining(lab: Lab) -> Evidence:
    """Learn the digits 6 to 9 from 3 images each, from random weights and from those of a network trained on 0 to 5."""
    subset = "--data=dlplug_vision.claims.pretraining.DigitSubset"
    few = [subset, "--data.upper=true", "--data.labels=3", "--trainer.max_epochs=120"]
    few += ["--trainer.check_val_every_n_epoch=120", "--trainer.enable_checkpointing=false"]
    other = (subset, "--data.augment=1", "--trainer.max_epochs=10")
    rates = (*LEARNING_RATES, 3e-2)

    def points(seed: int, lr: float, init_from: Path | str = "") -> float:
        options = [f"--model.lr={lr}", *([f"--model.init_from={init_from}"] if init_from else [])]
        return 100 * accuracy(lab.fit("cnn", *few, *options, seed=seed))

    rows = []
    for seed in lab.seeds:
        pretrained = lab.fit("cnn", *other, seed=seed).run.path
        shuffled = lab.fit("cnn", *other, "--data.shuffled=true", seed=seed).run.path
        best = max(points(seed, lr) for lr in rates)
        rows.append((seed, best, points(seed, 3e-3, pretrained), points(seed, 3e-3, shuffled)))
    name = "points of test accuracy gained over random weights"
    return Evidence(
        [Measure(name, [pretrained - random for _, random, pretrained, _ in rows], ">=", 5)],
        [Measure(f"{name}, from shuffled labels", [shuffled - random for _, random, _, shuffled in rows], ">=", 5)],
        {"Test accuracy": Table(("seed", "random weights", "digits 0 to 5", "shuffled labels"), rows)},
        note="120 updates each on 12 images; the last layer starts at random in all. Random weights have the best of "
        f"learning rates {rates} on the test images, which flatters them. With 20 images a class the gain is 1 to 3.",
    )
