"""What image classifiers share: training, metrics and what is shown."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

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
from dlplug.data import Batch, ImageInfo, class_weights
from dlplug.media import Figure, Image, Media, Text
from dlplug.model import rank
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug.plots import plot_confusion_matrix
from dlplug.trained import start_from
from dlplug_vision.data.image_files import load_image

MISTAKES, FILTERS, SALIENCY_MAPS = 16, 64, 8  # how many of each are shown


class Classifier(WarmupCosine, ABC):
    """An image classifier, trained on the cross-entropy by AdamW.

    A subclass makes its layers in ``network``. Logs ``loss`` in nats and ``accuracy``, and in validation and test
    ``f1``, the macro average over classes, and ``ece``, the expected calibration error (Guo et al., 2017) in 15 bins.

    Args:
        lr: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        init_from: Run folder or file of weights to start from; layers that do not match are left as initialised.
        class_weights: ``balanced`` weights each class's loss in training by its share, so that rare classes count as
            much as frequent ones; None weights all images alike.

    Attributes:
        net: The network: images from 0 to 1, shape (n, channels, height, width), to logits (n, classes).
    """

    monitor = ("val/loss", "min")
    warmup_fraction = 0.15  # chosen with cnn's recipes, on validation images
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Cross-entropy in nats; guessing among k classes costs ln k. Healthy: both curves fall "
            "and stay together. Broken: train falls while val rises (overfitting), or neither falls.",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Accuracy",
            "Share of images classified right, and macro F1, which weights all classes equally. Healthy: rises to a "
            "plateau. Broken: stays at chance, or F1 far below accuracy (rare classes are ignored).",
            curves=("accuracy", "f1"),
            expect=("accuracy rises", "f1 rises"),
        ),
        Panel(
            "Learning",
            "Calibration error",
            "Expected calibration error: the mean gap between confidence and accuracy, from 0 to 1. Healthy: falls "
            "below 0.03. Broken: rises while accuracy stays (overconfidence).",
            curves=("ece",),
            expect=("ece < 0.03",),
        ),
        Panel(
            "Mistakes",
            "Confusion",
            "Validation images by true class (rows) and predicted class (columns). Healthy: a dark diagonal. Broken: "
            "a dark column (one class is always predicted), or a dark square off the diagonal (two classes confused).",
            media="confusion",
        ),
        Panel(
            "Mistakes",
            "Worst mistakes",
            "The misclassified validation images of highest loss, worst first. Healthy: you would hesitate too. "
            "Broken: easy images, or wrong labels in the data.",
            media="mistakes",
        ),
        Panel(
            "Interpretation",
            "First filters",
            "Weights of the first convolution; mid-grey is 0. Healthy: edges, spots and colours. Broken: noise that "
            "never changes, or many alike (too high a learning rate, dead filters).",
            media="filters",
        ),
        Panel(
            "Interpretation",
            "Saliency",
            "Above, images; below, the size of the gradient of the predicted class's logit by each pixel (Simonyan et "
            "al., 2014). Healthy: on the object. Broken: on the background or the border: a shortcut was learned.",
            media="saliency",
        ),
    )

    net: nn.Module
    top = 1

    def __init__(
        self,
        lr: float,
        weight_decay: float = 0.01,
        init_from: str = "",
        class_weights: Literal["balanced"] | None = None,
    ) -> None:
        super().__init__()
        if lr <= 0 or weight_decay < 0:
            raise ValueError(f"lr must be above 0 and weight_decay at least 0, not {lr} and {weight_decay}")
        self.lr, self.weight_decay, self.init_from, self.class_weights = lr, weight_decay, init_from, class_weights
        self._mistakes: tuple[Tensor, ...] | None = None  # losses, images, labels, predictions, confidences
        self._confusion: Tensor | None = None
        self._class_weights: Tensor | None = None

    @abstractmethod
    def network(self, info: ImageInfo) -> nn.Module:
        """Return the network.

        Raises:
            ValueError: It cannot fit such images.
        """

    def build(self, info: ImageInfo) -> None:
        """Make the layers and the metrics."""
        if info.classes < 2:
            raise ValueError(f"needs at least 2 classes, but these images have {info.classes or 'no'} class labels")
        if info.channels not in (1, 3):
            raise ValueError(f"fits images of 1 or 3 channels, not {info}")
        self.net = self.network(info)
        self.shape = info.channels, info.height, info.width
        self.labels = info.labels or tuple(map(str, range(info.classes)))
        options: dict[str, Any] = {"num_classes": info.classes, "validate_args": False}
        self.metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(average="micro", **options),
                "f1": MulticlassF1Score(average="macro", **options),
                "ece": MulticlassCalibrationError(n_bins=15, **options),
                "confusion": MulticlassConfusionMatrix(**options),
            }
        )

    def on_fit_start(self) -> None:
        """Weight the classes, and say how many images each has."""
        super().on_fit_start()
        weights = class_weights(getattr(self.trainer, "datamodule", None), self.labels)
        self._class_weights = None if weights is None or not self.class_weights else weights.to(self.device)

    def initialise(self) -> None:
        """Load the weights that ``init_from`` names, and say which layers they are of."""
        if self.init_from:
            say(start_from(self.net, self.init_from))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) of images from 0 to 1 of shape (n, channels, height, width)."""
        logits: Tensor = self.net(images)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        images, labels = batch
        logits = self(images)
        loss = cross_entropy(logits, labels, self._class_weights)
        self.record(loss=loss, accuracy=(logits.detach().argmax(1) == labels).float().mean())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics, and keep the worst mistakes."""
        images, labels = batch
        logits = self(images).float()  # float: half precision rounds confidences
        losses = cross_entropy(logits, labels, reduction="none")
        self.record(loss=losses.mean())
        self.metrics.update(logits, labels)
        confidences, predictions = logits.softmax(1).max(1)
        wrong = predictions != labels
        mistakes = tuple(part[wrong] for part in (losses, images, labels, predictions, confidences))
        if self._mistakes is not None:
            mistakes = tuple(torch.cat(parts) for parts in zip(self._mistakes, mistakes, strict=True))
        worst = mistakes[0].argsort(descending=True)[:MISTAKES]
        self._mistakes = tuple(part[worst] for part in mistakes)

    def on_validation_epoch_start(self) -> None:
        """Drop the mistakes of the last validation."""
        self._mistakes = None

    def on_validation_epoch_end(self) -> None:
        """Log the metrics over all images, those of other processes included."""
        values: dict[str, Tensor] = self.metrics.compute()
        self.metrics.reset()
        self._confusion = values.pop("confusion")
        self.log_dict({f"{self.stage}/{name}": value for name, value in values.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the names of each image's likeliest classes, and their probabilities, shapes (n,)."""
        return rank(self(batch[0]).float().softmax(1), self.labels, self.top)

    def generate(self, image: str, n: int = 3) -> Text:
        """Classify an image.

        Args:
            image: Its file; it is resized and cropped to the size of the training images.
            n: How many of the likeliest classes are named.
        """
        probabilities = self(load_image(image, self.shape).to(self.device))[0].float().softmax(0)
        best = probabilities.topk(min(n, len(self.labels)))
        named = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        return Text(", ".join(f"{self.labels[index]} {share:.1%}" for share, index in named))

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the confusion matrix, the worst mistakes, the first filters and saliency maps."""
        shown: dict[str, Media] = {"filters": self._filters(), "saliency": self._saliency(batch[0][:SALIENCY_MAPS])}
        if self._confusion is not None:
            shown["confusion"] = Figure(plot_confusion_matrix(self._confusion.cpu(), self.labels))
        if self._mistakes is not None and not len(self._mistakes[0]):
            shown["mistakes"] = Text("No mistakes any more.")  # or those of an earlier epoch would seem to be the last
        elif self._mistakes is not None:
            _, images, *rest = (part.cpu() for part in self._mistakes)
            caption = ", ".join(
                f"{self.labels[label]} as {self.labels[prediction]} ({confidence:.0%})"
                for label, prediction, confidence in zip(*(part.tolist() for part in rest), strict=True)
            )
            shown["mistakes"] = Image(images, columns=4, caption=f"row by row, worst first: {caption}")
        return shown

    def _filters(self) -> Image:
        weight = next(m.weight for m in self.net.modules() if isinstance(m, nn.Conv2d))[:FILTERS].detach().float()
        largest = max(float(weight.abs().max()), 1e-12)
        return Image(weight, low=-largest, high=largest)

    def _saliency(self, images: Tensor) -> Image:
        # Validation runs in inference mode, whose tensors can have no gradients: copies made outside of it can.
        with torch.inference_mode(False), torch.enable_grad():
            pixels = images.clone().requires_grad_()
            [gradients] = torch.autograd.grad(self(pixels).max(1).values.sum(), pixels)  # (n, channels, height, width)
        saliency = gradients.abs().amax(1, keepdim=True)  # (n, 1, height, width)
        saliency = saliency / saliency.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
        return Image(torch.cat([images, saliency.expand_as(images)]), columns=len(images))
