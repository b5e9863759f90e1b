"""What autoregressive models of images share: outputs, probabilities, sampling a pixel at a time, what is shown."""

import math
from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, log_softmax, logsigmoid

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, Media
from dlplug.optim import WarmupCosine
from dlplug_generative.codes import wanted_labels
from dlplug_generative.likelihood import LEVELS, binarise, discretised_normal
from dlplug_vision.data.image_files import read_image

OUTPUTS = {"binary": 1, "levels": LEVELS, "gaussian": 2}  # numbers that stand for the distribution of one value
SHOWN = 25  # images sampled for the showcase
COMPLETED = 6  # validation images whose lower half is drawn anew


class Trunk(nn.Module, ABC):
    """A network whose features at a pixel depend on the pixels before it alone: rows above, and left in its row."""

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return features of shape (n, width, height, width of the image).

        Args:
            x: Images from -1 to 1, of shape (n, channels, height, width of the image).
            labels: Classes of shape (n,) where the model is conditional.
        """

    @abstractmethod
    def start(self, x: Tensor, labels: Tensor | None) -> Any:
        """Return the state that sampling keeps of images that are filled in place, row by row from the top."""

    @abstractmethod
    def row(self, state: Any, row: int) -> None:
        """Work out once, for a whole row, all that depends on the rows above it."""

    @abstractmethod
    def pixel(self, state: Any, row: int, column: int) -> Tensor:
        """Return the features, shape (n, width), of a pixel of the row worked on; those left of it are filled in."""


class PixelModel(WarmupCosine, ABC):
    """Images as sequences of pixels, each predicted from those before it; a subclass makes the network in ``trunk``.

    Within a pixel the channels follow each other: the distribution of a channel's value depends on the channels before
    it too. Logs ``nll``, the exact negative log-likelihood in nats an image, and ``bits`` a dimension.

    Attributes:
        net: The network, a ``Trunk``.
    """

    monitor = ("val/nll", "min")
    panels = (
        Panel(
            "Likelihood",
            "Nats an image",
            "Exact negative log-likelihood. Healthy: both curves fall and stay together. Broken: val rises while train "
            "falls (overfitting).",
            curves=("nll",),
        ),
        Panel(
            "Likelihood",
            "Bits a dimension",
            "The same by pixel and channel, to compare across sizes of images. Healthy: as above. Broken: more than 1 "
            "for black and white or 8 for grey levels, which is guessing.",
            curves=("bits",),
        ),
        Panel(
            "Pictures",
            "Samples",
            "Drawn pixel by pixel, from the same randomness each time. Healthy: whole figures. Broken: good strokes "
            "that do not join (the network sees too little of what is above), or noise.",
            media="samples",
        ),
        Panel(
            "Pictures",
            "Completions",
            "Each row: a validation image, then its upper half with four lower halves drawn. Healthy: plausible and "
            "different. Broken: all alike, or strokes that break at the middle.",
            media="completions",
        ),
        Panel(
            "Pictures",
            "Surprise",
            "Above, validation images; below, the nats that each pixel cost, white for 2 or more. Healthy: dark but "
            "for the edges where a stroke starts or turns. Broken: grey all over.",
            media="surprise",
        ),
    )

    def __init__(
        self, width: int, output: Literal["binary", "levels", "gaussian"], conditional: bool, lr: float
    ) -> None:
        super().__init__()
        if width < 1 or lr <= 0:
            raise ValueError(f"width must be at least 1 and lr above 0, not {width} and {lr}")
        self.width, self.output, self.conditional, self.lr = width, output, conditional, lr

    @abstractmethod
    def trunk(self, channels: int, classes: int) -> Trunk:
        """Make the network.

        Args:
            channels: Of the images.
            classes: That the images are conditioned on; 0 for none.
        """

    def build(self, info: ImageInfo) -> None:
        """Make the network and its output layers."""
        if self.conditional and not info.classes:
            raise ValueError("conditional needs labelled images")
        self.shape = (info.channels, info.height, info.width)
        self.classes = info.classes if self.conditional else 0
        self.net = self.trunk(info.channels, self.classes)
        self.head = Head(self.width, info.channels, OUTPUTS[self.output])

    def observed(self, images: Tensor) -> Tensor:
        """Return what the model is about: 0 and 1, or multiples of 1/255; of the shape of ``images``."""
        if self.output == "binary":
            return binarise(images)
        return (images * (LEVELS - 1)).round() / (LEVELS - 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the numbers that stand for each value's distribution, given the values before it.

        Args:
            images: Observed values, shape (n, channels, height, width).
            labels: Classes of shape (n,) where the model is conditional.

        Returns:
            Shape (n, channels, 1, 256 or 2, height, width): a logit of being white, logits of all levels, or a mean and
            the logarithm of a spread.
        """
        x = 2 * images - 1
        parameters: Tensor = self.head(self.net(x, labels), x)
        return parameters

    def log_likelihood(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return log p(x), or log p(x|label), in nats, shape (n,), of images from 0 to 1."""
        return self._log_probabilities(images, labels).sum((1, 2, 3))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean negative log-likelihood of a batch."""
        return self._measure(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure it on images that were not trained on."""
        self._measure(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test images."""
        self._measure(batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return each image's ``nll``, shape (n,); with a conditional model the ``class`` by Bayes' rule as well."""
        images = batch[0]
        if not self.classes:
            return {"nll": -self.log_likelihood(images)}
        given = self.log_likelihood_by_class(images)
        return {"nll": math.log(self.classes) - given.logsumexp(1), "class": given.argmax(1)}

    def log_likelihood_by_class(self, images: Tensor) -> Tensor:
        """Return log p(x|y) in nats for every class y, shape (n, classes)."""
        labels = torch.arange(self.classes, device=images.device)
        return torch.stack([self.log_likelihood(images, y.expand(len(images))) for y in labels], 1)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show samples, completions, and where the nats go."""
        images = self.observed(batch[0][:COMPLETED])
        labels = batch[1][:COMPLETED] if self.classes else None
        half = self.shape[1] // 2
        again = None if labels is None else labels.repeat_interleave(4)
        drawn = self.sample(4 * len(images), again, images.repeat_interleave(4, 0), half)
        rows = torch.cat([images[:, None], drawn.view(len(images), 4, *self.shape)], 1)  # (few, 5, channels, …)
        surprise = -self._log_probabilities(images, labels).mean(1, keepdim=True) / 2
        return {
            "samples": Image(self.sample(SHOWN, wanted_labels(SHOWN, -1, self.classes, images.device))),
            "completions": Image(rows.flatten(0, 1), columns=5),
            "surprise": Image(torch.cat([images, surprise.expand_as(images)]), columns=len(images)),
        }

    def generate(self, n: int = 64, label: int = -1, complete: str = "", keep: float = 0.5) -> Image:
        """Draw images pixel by pixel.

        Args:
            n: Number of images.
            label: Class to draw, for a conditional model; -1 for all in turn.
            complete: A picture's file, whose upper part is given: it is shown first, then n completions.
            keep: Share of the rows that is given, with ``complete``.
        """
        if n < 1 or not 0 <= keep < 1:
            raise ValueError(f"n must be at least 1 and keep from 0 to below 1, not {n} and {keep}")
        labels = wanted_labels(n, label, self.classes, self.device)
        if not complete:
            return Image(self.sample(n, labels))
        picture = self.observed(read_image(complete, *self.shape).to(self.device) / (LEVELS - 1))[None]
        rows = int(keep * self.shape[1])
        drawn = self.sample(n, labels, picture.expand(n, *self.shape), rows)
        return Image(torch.cat([picture, drawn]))

    @torch.no_grad()
    def sample(
        self, n: int, labels: Tensor | None = None, given: Tensor | None = None, rows: int = 0, cached: bool = True
    ) -> Tensor:
        """Draw images pixel by pixel.

        Args:
            n: Number of images.
            labels: Their classes, shape (n,), for a conditional model.
            given: Observed values, shape (n, channels, height, width), whose first ``rows`` rows are kept.
            rows: Rows that are given.
            cached: Whether to work out each feature once; otherwise the whole network runs for every value, which gives
                the same, so many times slower.

        Returns:
            Shape (n, channels, height, width), from 0 to 1.
        """
        channels, height, width = self.shape
        images = torch.zeros(n, *self.shape, device=self.device)
        if given is not None:
            images[:, :, :rows] = given[:, :, :rows]
        x = 2 * images - 1
        state = self.net.start(x, labels) if cached else None
        for row in range(height):
            if cached:
                self.net.row(state, row)
            for column in range(width):
                features = self.net.pixel(state, row, column)[..., None, None] if cached else None
                for channel in range(channels if row >= rows else 0):
                    if features is not None:
                        parameters = self.head(features, x[:, :, row, column, None, None])[:, channel, :, 0, 0]
                    else:
                        parameters = self.head(self.net(x, labels), x)[:, channel, :, row, column]
                    x[:, channel, row, column] = 2 * self.draw(parameters) - 1
        return (x + 1) / 2

    def draw(self, parameters: Tensor) -> Tensor:
        """Return a value for each distribution: shape (n, 1, 256 or 2) to (n,)."""
        if self.output == "binary":
            return torch.bernoulli(parameters[:, 0].sigmoid())
        if self.output == "levels":
            return torch.multinomial(parameters.softmax(1), 1)[:, 0] / (LEVELS - 1)
        mean, log_spread = parameters.unbind(1)
        # Rounded to the nearest level: the distribution whose probabilities are measured.
        return self.observed(torch.normal(mean, log_spread.exp()).clamp(0, 1))

    def _log_probabilities(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the log-probability of each value given those before it, of the shape of ``images``."""
        x = self.observed(images)
        parameters = self(x, labels)
        if self.output == "binary":
            logits = parameters[:, :, 0]
            return logsigmoid(torch.where(x > 0.5, logits, -logits))
        if self.output == "levels":
            index = (x * (LEVELS - 1)).round().long()
            return log_softmax(parameters, 2).gather(2, index[:, :, None])[:, :, 0]
        return discretised_normal(x, parameters[:, :, 0], parameters[:, :, 1])

    def _measure(self, batch: Batch) -> Tensor:
        nll = -self.log_likelihood(batch[0], batch[1] if self.classes else None).mean()
        self.record(nll=nll, bits=nll / (math.prod(self.shape) * math.log(2)))
        return nll


class Head(nn.Module):
    """Features of a pixel, and its channels one after another, to the distributions of its channels.

    Args:
        width: Features.
        channels: Of the image.
        outputs: Numbers that stand for a distribution.
    """

    def __init__(self, width: int, channels: int, outputs: int) -> None:
        super().__init__()
        hidden = max(2 * width, outputs // 2)
        self.outputs = outputs
        self.widen = nn.Conv2d(width, channels * hidden, 1)
        self.before = nn.Conv2d(channels, channels * hidden, 1, bias=False) if channels > 1 else None
        self.out = nn.Conv2d(channels * hidden, channels * outputs, 1, groups=channels)
        # Row block k, for the distribution of channel k, sees the channels before k.
        mask = torch.ones(channels, channels).tril(-1).repeat_interleave(hidden, 0)
        self.register_buffer("mask", mask[..., None, None], persistent=False)
        self.mask: Tensor

    def forward(self, features: Tensor, x: Tensor) -> Tensor:
        """Return shape (n, channels, outputs, rows, columns) of features (n, width, rows, columns) and pixels ``x``."""
        hidden = self.widen(features.relu())  # (n, channels * hidden, rows, columns)
        if self.before is not None:
            hidden = hidden + conv2d(x, self.before.weight * self.mask)
        n, _, rows, columns = features.shape
        parameters: Tensor = self.out(hidden.relu()).view(n, -1, self.outputs, rows, columns)
        if self.outputs == OUTPUTS["gaussian"]:  # start at a grey of wide spread; no spread below a tenth of a level
            mean, log_spread = parameters.unbind(2)
            return torch.stack([mean + 0.5, (log_spread - 1.5).clamp(-8, 3)], 2)
        return parameters
