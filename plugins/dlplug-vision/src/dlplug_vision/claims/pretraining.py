"""Section 5.3: weights of another network are a better start than random ones."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure
from dlplug.plots import plot_bars
from dlplug_vision.claims.structure import LEARNING_RATES, accuracy
from dlplug_vision.data.mnist5k import MNIST5k

LABELS = 3  # training images of each of the four digits
TIMES = 10  # that they are repeated in an epoch, which has as many batches then
CHOICES = 2  # sets of labelled images a seed


class DigitSubset(MNIST5k):
    """The digits 0 to 5 or 6 to 9 of mnist5k.

    Args:
        upper: Whether 6 to 9.
        labels: Training images of each class, repeated; 0 for all. The others are added to the test images.
        choice: Seed of which.
        shuffled: Whether the training labels are in random order, so that nothing can be learned.
    """

    def __init__(
        self, batch_size: int = 32, upper: bool = False, labels: int = 0, choice: int = 0, shuffled: bool = False
    ) -> None:
        super().__init__(batch_size, augment=1.0)
        self.upper, self.labels, self.choice, self.shuffled = upper, labels, choice, shuffled

    def load(self) -> Any:
        """Return the classes asked for, counted from 0."""
        info, splits = super().load()
        parts: dict[str, Batch] = {}
        for split, (images, labels) in splits.items():
            rows = (labels >= 6) if self.upper else (labels < 6)
            parts[split] = (images[rows], labels[rows] % 6)
        classes = 4 if self.upper else 6
        if self.labels:
            kept, rest = self._choose(parts["train"])
            parts = {**parts, "train": kept, "test": tuple(map(torch.cat, zip(parts["test"], rest, strict=True)))}
        images, labels = parts["train"]
        if self.shuffled:
            labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
        return ImageInfo(info.channels, info.height, info.width, classes), {**parts, "train": (images, labels)}

    def _choose(self, batch: Batch) -> tuple[Batch, Batch]:
        """Part so many images of each class, chosen at random, from the others."""
        order = torch.randperm(len(batch[1]), generator=torch.Generator().manual_seed(self.choice))
        labels = batch[1][order]
        kept = torch.cat([(labels == k).nonzero().flatten()[: self.labels] for k in range(int(labels.max()) + 1)])
        rest = torch.ones(len(order), dtype=torch.bool)
        rest[kept] = False
        kept = order[kept].repeat(TIMES)
        return tuple(column[kept] for column in batch), tuple(column[order[rest]] for column in batch)


def pretraining(lab: Lab) -> Evidence:
    """Learn the digits 6 to 9 from 3 images each, from random weights and from those of a network trained on 0 to 5."""
    subset = "--data=dlplug_vision.claims.pretraining.DigitSubset"
    few = [subset, "--data.upper=true", f"--data.labels={LABELS}", "--data.batch_size=12", "--trainer.max_epochs=12"]
    few += ["--trainer.check_val_every_n_epoch=12", "--trainer.enable_checkpointing=false"]
    random, known, shuffled = "random weights", "digits 0 to 5", "digits 0 to 5, labels shuffled"
    found: dict[str, list[float]] = {random: [], "other random weights": [], known: [], shuffled: []}
    found["digits 0 to 5, frozen, logistic regression"] = []
    rates: dict[str, float] = {}
    for seed in lab.seeds:
        starts: dict[str, list[str]] = {random: [], known: [], shuffled: []}
        other = (subset, "--trainer.max_epochs=5")
        knows = lab.fit("cnn", *other, seed=seed)
        starts[known] = [f"--model.init_from={knows.run.path}"]
        starts[shuffled] = [f"--model.init_from={lab.fit('cnn', *other, '--data.shuffled=true', seed=seed).run.path}"]

        def fit(name: str, choice: int, rate: float, seed: int, starts: dict[str, list[str]] = starts) -> Trained:
            options = (*few, *starts[name], f"--data.choice={choice}", f"--model.lr={rate}")
            return lab.fit("cnn", *options, seed=seed)

        choices = range(CHOICES * seed, CHOICES * (seed + 1))
        for name in starts:
            if name not in rates:
                tried = {rate: fit(name, choices[0], rate, seed).history("val/loss")[-1] for rate in LEARNING_RATES}
                rates[name] = min(tried, key=lambda rate: tried[rate])
            found[name].append(fmean(100 * accuracy(fit(name, k, rates[name], seed)) for k in choices))
        others = (100 * accuracy(fit(random, k, rates[random], seed + 1000)) for k in choices)
        found["other random weights"].append(fmean(others))
        frozen = (100 * frozen_accuracy(knows, k) for k in choices)
        found["digits 0 to 5, frozen, logistic regression"].append(fmean(frozen))
    name = "points of test accuracy gained over random weights"
    return Evidence(
        [
            Measure(name, _gains(found[known], found[random]), ">=", 2),
            Measure(f"points gained over {shuffled}", _gains(found[known], found[shuffled]), ">=", 1),
        ],
        [Measure(f"{name} by other random weights", _gains(found["other random weights"], found[random]), ">=", 2)],
        {"Test accuracy in %": Figure(plot_bars(found, "test accuracy in %"))},
        note=f"120 updates each on 12 images, {CHOICES} sets of them a seed, augmented in all; the last layer starts "
        f"at random. Each has the best in validation of learning rates {LEARNING_RATES}, by the first seed. Even what "
        "was pretrained on shuffled labels is a little better a start than random weights.",
    )


@torch.no_grad()
def frozen_accuracy(known: Trained, choice: int) -> float:
    """Return the test accuracy of logistic regression on what goes into a trained network's last layer."""
    data: Any = DigitSubset(upper=True, labels=LABELS, choice=choice)
    data.setup()
    *body, _ = known.model.net.children()
    vectors: dict[str, tuple[Any, Any]] = {}
    for split, columns in data.splits.items():
        images, labels = data.prepare_batch(columns)
        parts: list[Tensor] = [torch.nn.Sequential(*body)(part) for part in torch.split(images, 500)]
        vectors[split] = torch.cat(parts).flatten(1).numpy(), labels.numpy()
    probes = [LogisticRegression(C=c, max_iter=1000).fit(*vectors["train"]) for c in (0.01, 0.1, 1.0, 10.0)]
    return float(max(probes, key=lambda probe: probe.score(*vectors["val"])).score(*vectors["test"]))


def _gains(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, baseline, strict=True)]
