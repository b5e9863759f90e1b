"""What the networks that tell images apart share: how they learn, what is measured and what is shown."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)

from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, Media
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug.plots import plot_confusion_matrix
from dlplug.trained import start_from

WORST = 16  # mistakes shown
FILTERS = 64  # filters shown
SALIENT = 8  # images whose saliency is shown


class Classifier(WarmupCosine, ABC):
    """A network that tells images apart, trained on the cross-entropy.

    A subclass makes its layers in ``network``. Logs ``loss`` in nats and ``accuracy``, and for images not trained on
    ``f1``, the mean over classes, and ``calibration``, the expected calibration error (Guo et al., 2017) in 15 bins.

    Attributes:
        net: The network: images from 0 to 1, shape (n, channels, height, width), to scores (n, classes).
    """

    monitor = ("val/loss", "min")
    warmup_fraction = 0.15
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Mean surprise at the right class, in nats; guessing among k classes costs ln k. Healthy: both curves fall "
            "and stay together. Broken: train falls while val rises (overfitting), or neither falls.",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Accuracy",
            "Share of images told right, and F1, its like that counts each class equally. Healthy: rises to a plateau. "
            "Broken: stays at chance, or F1 far below accuracy (rare classes are ignored).",
            curves=("accuracy", "f1"),
        ),
        Panel(
            "Learning",
            "Calibration error",
            "Mean gap between confidence and accuracy, from 0 to 1. Healthy: falls below 0.03. Broken: rises while "
            "accuracy stays: the network grows sure of itself without reason.",
            curves=("calibration",),
        ),
        Panel(
            "What it sees",
            "Confusion",
            "Validation images by true class (rows) and given class (columns). Healthy: a dark diagonal. Broken: "
            "a dark column (all are called that), or a dark square off the diagonal (two classes that it mixes up).",
            media="confusion",
        ),
        Panel(
            "What it sees",
            "Worst mistakes",
            "The wrongly told validation images that surprised it most, worst first. Healthy: you would hesitate too. "
            "Broken: easy images, or wrong labels in the data.",
            media="mistakes",
        ),
        Panel(
            "What it sees",
            "First filters",
            "Weights of the first layer; mid-grey is 0. Healthy: edges, spots and colours. Broken: noise that never "
            "changes, or many alike (too high a learning rate, dead filters).",
            media="filters",
        ),
        Panel(
            "What it sees",
            "Saliency",
            "Above, images; below, how strongly each pixel moves the score of the given class (Simonyan et al., 2014). "
            "Healthy: on the object. Broken: on the background or the frame: it has learnt something else.",
            media="saliency",
        ),
    )

    net: nn.Module

    def __init__(self, lr: float, weight_decay: float, init_from: str) -> None:
        super().__init__()
        if lr <= 0 or weight_decay < 0:
            raise ValueError(f"lr must be above 0 and weight_decay at least 0, not {lr} and {weight_decay}")
        self.lr, self.weight_decay, self.init_from = lr, weight_decay, init_from
        self._worst: tuple[Tensor, ...] | None = None  # losses, images, labels, guesses, confidences
        self._confusion: Tensor | None = None

    @abstractmethod
    def network(self, info: ImageInfo) -> nn.Module:
        """Return the network.

        Raises:
            ValueError: It cannot fit such images.
        """

    def build(self, info: ImageInfo) -> None:
        """Make the layers and the metrics."""
        if info.classes < 2:
            raise ValueError(f"learns to tell classes apart, but these images have {info.classes or 'no'} class labels")
        if info.channels not in (1, 3):
            raise ValueError(f"fits images of 1 or 3 channels, not {info}")
        self.net = self.network(info)
        self.labels = info.labels or tuple(map(str, range(info.classes)))
        options: dict[str, Any] = {"num_classes": info.classes, "validate_args": False}
        self.metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(average="micro", **options),
                "f1": MulticlassF1Score(average="macro", **options),
                "calibration": MulticlassCalibrationError(n_bins=15, **options),
                "confusion": MulticlassConfusionMatrix(**options),
            }
        )

    def initialise(self) -> None:
        """Take the weights that ``init_from`` names, and say which."""
        if self.init_from:
            say(start_from(self.net, self.init_from))

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (n, classes) of images from 0 to 1 of shape (n, channels, height, width)."""
        scores: Tensor = self.net(images)
        return scores

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        images, labels = batch
        scores = self(images)
        loss = cross_entropy(scores, labels)
        self.record(loss=loss, accuracy=(scores.detach().argmax(1) == labels).float().mean())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure, and keep the worst mistakes."""
        images, labels = batch
        scores = self(images).float()  # float: half precision rounds confidences
        losses = cross_entropy(scores, labels, reduction="none")
        self.record(loss=losses.mean())
        self.metrics.update(scores, labels)
        confidences, guesses = scores.softmax(1).max(1)
        wrong = guesses != labels
        found = tuple(part[wrong] for part in (losses, images, labels, guesses, confidences))
        if self._worst is not None:
            found = tuple(torch.cat(parts) for parts in zip(self._worst, found, strict=True))
        order = found[0].argsort(descending=True)[:WORST]
        self._worst = tuple(part[order] for part in found)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test images."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Forget the last time's mistakes."""
        self._worst = None

    def on_validation_epoch_end(self) -> None:
        """Log what was measured over all images, those of other processes included."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """The same on the test images."""
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> None:
        values: dict[str, Tensor] = self.metrics.compute()
        self.metrics.reset()
        self._confusion = values.pop("confusion")
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the name of the class given to each image, and the class's probability of shape (n,)."""
        confidences, classes = self(batch[0]).float().softmax(1).max(1)
        return {"class": [self.labels[index] for index in classes.tolist()], "confidence": confidences}

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what it mixes up, its worst mistakes, its first filters and what it looks at."""
        shown: dict[str, Media] = {"filters": self._filters(), "saliency": self._saliency(batch[0][:SALIENT])}
        if self._confusion is not None:
            shown["confusion"] = Figure(plot_confusion_matrix(self._confusion.cpu(), self.labels))
        if self._worst is not None and len(self._worst[0]):
            _, images, *numbers = (part.cpu() for part in self._worst)
            told = zip(*(part.tolist() for part in numbers), strict=True)
            caption = ", ".join(
                f"{self.labels[label]} as {self.labels[guess]} ({sure:.0%})" for label, guess, sure in told
            )
            shown["mistakes"] = Image(images, columns=4, caption=f"row by row, worst first: {caption}")
        return shown

    def _filters(self) -> Image:
        weight = next(m.weight for m in self.net.modules() if isinstance(m, nn.Conv2d))[:FILTERS].detach().float()
        reach = max(float(weight.abs().max()), 1e-12)
        return Image(weight, low=-reach, high=reach)

    def _saliency(self, images: Tensor) -> Image:
        # Validation runs in inference mode, whose tensors can have no gradients: copies made outside of it can.
        with torch.inference_mode(False), torch.enable_grad():
            pixels = images.clone().requires_grad_()
            score = self(pixels).max(1).values.sum()
            [slopes] = torch.autograd.grad(score, pixels)  # (n, channels, height, width)
        strength = slopes.abs().amax(1, keepdim=True)  # (n, 1, height, width)
        strength = strength / strength.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
        return Image(torch.cat([images, strength.expand_as(images)]), columns=len(images))
