"""What image classifiers share: training, metrics and what is shown."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassF1Score

from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, ImageFile, Media, Text
from dlplug.model import Parts
from dlplug.panels import Panel
from dlplug.supervised import Supervised
from dlplug.trained import start_from
from dlplug_vision.data.image_files import load_image

FILTERS, SALIENCY_MAPS = 64, 8  # how many of each are shown


class Classifier(Supervised):
    """A classifier of images, or a regressor where their targets are numbers, trained by AdamW.

    A subclass makes its layers in ``network``. Of classes, logs ``loss`` in nats and ``accuracy``, and in validation
    and test ``f1``, the macro average over classes, and ``ece``, the expected calibration error (Guo et al., 2017) in
    15 bins; of labels and of numbers what their objective measures (``dlplug.supervised``).

    Args:
        lr: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        init_from: Run folder or file of weights to start from; layers that do not match are left as initialised.

    Attributes:
        net: The network: images from 0 to 1, shape (n, channels, height, width), to outputs (n,
            names): logits, or standardised numbers.
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
            "Above, images; below, the gradient of the largest output, a predicted class's logit, by each pixel "
            "(Simonyan et al., 2014): its size. Healthy: on the object. Broken: on the background or the border, where "
            "a shortcut was learned.",
            media="saliency",
        ),
    )

    scores: ClassVar[dict[str, Callable[..., Metric]]] = {
        "accuracy": partial(MulticlassAccuracy, average="micro"),
        "f1": partial(MulticlassF1Score, average="macro"),
        "ece": partial(MulticlassCalibrationError, n_bins=15),
    }
    most_mistakes = 16

    def __init__(
        self,
        lr: float,
        weight_decay: float = 0.01,
        init_from: str = "",
        class_weights: Literal["balanced"] | None = None,
    ) -> None:
        super().__init__(class_weights)
        if lr <= 0 or weight_decay < 0:
            raise ValueError(f"lr must be above 0 and weight_decay at least 0, not {lr} and {weight_decay}")
        self.lr, self.weight_decay, self.init_from = lr, weight_decay, init_from

    @abstractmethod
    def network(self, info: ImageInfo) -> nn.Module:
        """Return the network.

        Raises:
            ValueError: It cannot fit such images.
        """

    def build(self, info: ImageInfo) -> None:
        """Make the layers and the metrics."""
        if info.target == "class" and info.classes < 2:
            raise ValueError(f"needs at least 2 classes, but these images have {info.classes or 'no'} class labels")
        if info.channels not in (1, 3):
            raise ValueError(f"fits images of 1 or 3 channels, not {info}")
        self.net = self.network(info)
        self.shape = info.channels, info.height, info.width
        self.learn(info.target, info.labels or tuple(map(str, range(info.classes))))

    def initialise(self) -> None:
        """Load the weights that ``init_from`` names, and say which layers they are of."""
        super().initialise()
        if self.init_from:
            say(start_from(self.net, self.init_from))

    def shown(self, batch: Batch, index: int) -> Tensor:
        """Return the image."""
        return batch[0][index].clone()

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network, from images to what ``named_outputs`` says."""
        return {"network": (self.named_outputs, {"images": batch[0]}, {})}

    def generate(self, image: ImageFile, n: int = 3) -> Text:
        """Predict an image's class, labels or numbers.

        Args:
            image: Its file; it is resized and cropped to the size of the training images.
            n: How many of the likeliest classes or labels are named.
        """
        return Text(self.objective.say_best(self(load_image(image, self.shape).to(self.device))[0], n))

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what was measured, the worst mistakes, the first filters and saliency maps."""
        images, targets, *_ = batch
        shown: dict[str, Media] = {"filters": self._filters(), "saliency": self._saliency(images[:SALIENCY_MAPS])}
        shown |= self.objective.show(self(images), targets)
        shown["mistakes"] = Text("No mistakes any more.")  # or those of an earlier epoch would seem to be the last
        if mistakes := self.mistakes():
            caption = ", ".join(
                f"{true or 'none'} as {predicted or 'none'}{f' ({sure})' if sure else ''}"
                for _, true, predicted, sure in mistakes
            )
            images = torch.stack([image.cpu() for image, *_ in mistakes])
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
