"""What autoregressive models of images share: output distributions, likelihood and sampling pixel by pixel."""

import math
from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, log_softmax, logsigmoid

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, ImageFile, Media
from dlplug.model import Parts
from dlplug.optim import WarmupCosine
from dlplug_generative.latent import labels_to_sample
from dlplug_generative.likelihood import LEVELS, binarise, discretised_normal
from dlplug_vision.data.image_files import load_image

NUM_PARAMETERS = {"binary": 1, "levels": LEVELS, "gaussian": 2}  # of the distribution of one value
SAMPLES = 25  # in the showcase
COMPLETED = 6  # validation images whose lower half is completed in the showcase


class CausalNetwork(nn.Module, ABC):
    """A network whose features at a pixel depend on the pixels before it alone: rows above, and left in its row."""

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return features of shape (n, hidden_channels, height, width).

        Args:
            x: Images from -1 to 1, of shape (n, channels, height, width).
            labels: Classes of shape (n,) where the model is conditional.
        """

    @abstractmethod
    def init_state(self, x: Tensor, labels: Tensor | None) -> Any:
        """Return the state that sampling keeps of images that are filled in place, row by row from the top."""

    @abstractmethod
    def begin_row(self, state: Any, row: int) -> None:
        """Compute once, for a whole row, all that depends on the rows above it."""

    @abstractmethod
    def step(self, state: Any, row: int, column: int) -> Tensor:
        """Return the features, shape (n, hidden_channels), of a pixel of the row begun; those left of it are filled."""


class PixelModel(WarmupCosine, ABC):
    """An autoregressive model of images: each pixel is predicted from those before it.

    A subclass makes the network in ``network``. Within a pixel the channels follow each other: the distribution of a
    channel's value depends on the channels before it too. Logs ``nll``, the exact negative log-likelihood in nats an
    image, and the same as ``bits_per_dim``.

    Args:
        hidden_channels: Channels of the features.
        num_layers: Layers of the network.
        output: ``binary`` models whether a pixel is above 0.5, ``levels`` its grey level of 256 by a softmax over
            these, ``gaussian`` the grey level by a normal density's mean and standard deviation.
        conditional: Whether to model images given their label.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.

    Attributes:
        net: The network.
    """

    monitor = ("val/nll", "min")
    panels = (
        Panel(
            "Likelihood",
            "Nats an image",
            "Exact negative log-likelihood. Healthy: both curves fall and stay together. Broken: val rises while train "
            "falls (overfitting).",
            curves=("nll",),
            expect=("nll falls",),
        ),
        Panel(
            "Likelihood",
            "Bits per dimension",
            "The same by pixel and channel, in bits (nats / ln 2): what a pixel would take if the model compressed the "
            "images. Healthy: as above. Broken: more than 1 for black and white or 8 for grey levels (guessing).",
            curves=("bits_per_dim",),
            expect=("bits_per_dim falls",),
        ),
        Panel(
            "Images",
            "Samples",
            "Sampled pixel by pixel, with the same seed each time. Healthy: whole figures. Broken: good "
            "strokes that do not join (too small a receptive field), or noise.",
            media="samples",
        ),
        Panel(
            "Images",
            "Completions",
            "Each row: a validation image, then its upper half with four lower halves sampled. Healthy: plausible and "
            "different. Broken: all alike, or strokes that break at the middle.",
            media="completions",
        ),
        Panel(
            "Images",
            "Surprise",
            "Above, validation images; below, the nats of each pixel, white for 2 or more. Healthy: dark but for the "
            "edges where a stroke starts or turns. Broken: grey all over.",
            media="surprise",
        ),
    )

    def __init__(
        self,
        hidden_channels: int,
        num_layers: int,
        output: Literal["binary", "levels", "gaussian"] = "binary",
        conditional: bool = False,
        lr: float = 4e-3,
    ) -> None:
        super().__init__()
        if hidden_channels < 1 or lr <= 0:
            raise ValueError(f"hidden_channels must be at least 1 and lr above 0, not {hidden_channels} and {lr}")
        self.hidden_channels, self.num_layers = hidden_channels, num_layers
        self.output, self.conditional, self.lr = output, conditional, lr

    @abstractmethod
    def network(self, channels: int, classes: int) -> CausalNetwork:
        """Return the network.

        Args:
            channels: Of the images.
            classes: Number of classes that the images are conditioned on; 0 for none.
        """

    def build(self, info: ImageInfo) -> None:
        """Make the network and its output layers."""
        if self.conditional and not info.classes:
            raise ValueError("conditional needs labelled images")
        self.shape = (info.channels, info.height, info.width)
        self.classes = info.classes if self.conditional else 0
        self.net = self.network(info.channels, self.classes)
        self.head = Head(self.hidden_channels, info.channels, NUM_PARAMETERS[self.output])

    def quantise(self, images: Tensor) -> Tensor:
        """Return images as they are modelled: 0 and 1, or multiples of 1/255; of the same shape."""
        if self.output == "binary":
            return binarise(images)
        return (images * (LEVELS - 1)).round() / (LEVELS - 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters of each value's distribution, given the values before it.

        Args:
            images: Quantised images, shape (n, channels, height, width).
            labels: Classes of shape (n,) where the model is conditional.

        Returns:
            Shape (n, channels, 1, 256 or 2, height, width): the logit of being white, logits of all levels, or a mean
            and the logarithm of a standard deviation.
        """
        x = 2 * images - 1
        parameters: Tensor = self.head(self.net(x, labels), x)
        return parameters

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network: quantised images to the parameters of each value given those before it."""
        inputs = {"images": self.quantise(batch[0]), **({"labels": batch[1]} if self.classes else {})}
        return {"network": (lambda *inputs: {"parameters": self(*inputs)}, inputs, {})}

    def log_likelihood(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return log p(x), or log p(x|label), in nats, shape (n,), of images from 0 to 1."""
        return self._log_probabilities(images, labels).sum((1, 2, 3))

    def log_likelihood_by_class(self, images: Tensor) -> Tensor:
        """Return log p(x|y) in nats for every class y, shape (n, classes)."""
        labels = torch.arange(self.classes, device=images.device)
        return torch.stack([self.log_likelihood(images, y.expand(len(images))) for y in labels], 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean negative log-likelihood of a batch."""
        # Exercise: the mean negative log-likelihood, in nats and in bits a value.
        nll = -self.log_likelihood(batch[0], batch[1] if self.classes else None).mean()
        self.record(nll=nll, bits_per_dim=nll / (math.prod(self.shape) * math.log(2)))
        return nll

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure it on images that were not trained on."""
        self.training_step(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return each image's ``nll``, shape (n,); with a conditional model the ``class`` by Bayes' rule as well."""
        images = batch[0]
        if not self.classes:
            return {"nll": -self.log_likelihood(images)}
        given = self.log_likelihood_by_class(images)
        return {"nll": math.log(self.classes) - given.logsumexp(1), "class": given.argmax(1)}

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show samples, completions, and the nats of each pixel."""
        images = self.quantise(batch[0][:COMPLETED])
        labels = batch[1][:COMPLETED] if self.classes else None
        repeated = None if labels is None else labels.repeat_interleave(4)
        completions = self.sample(4 * len(images), repeated, images.repeat_interleave(4, 0), self.shape[1] // 2)
        rows = torch.cat([images[:, None], completions.view(len(images), 4, *self.shape)], 1)  # (few, 5, channels, …)
        surprise = -self._log_probabilities(images, labels).mean(1, keepdim=True) / 2
        return {
            "samples": Image(self.sample(SAMPLES, labels_to_sample(SAMPLES, -1, self.classes, images.device))),
            "completions": Image(rows.flatten(0, 1), columns=5),
            "surprise": Image(torch.cat([images, surprise.expand_as(images)]), columns=len(images)),
        }

    def generate(self, n: int = 64, label: int = -1, complete: ImageFile = "", keep: float = 0.5) -> Image:
        """Sample images pixel by pixel.

        Args:
            n: Number of images.
            label: Class to sample, for a conditional model; -1 for all in turn.
            complete: Image file whose upper part is given: it is shown first, then n completions.
            keep: Share of the rows that is given, with ``complete``.
        """
        if n < 1 or not 0 <= keep < 1:
            raise ValueError(f"n must be at least 1 and keep from 0 to below 1, not {n} and {keep}")
        labels = labels_to_sample(n, label, self.classes, self.device)
        if not complete:
            return Image(self.sample(n, labels))
        image = self.quantise(load_image(complete, self.shape).to(self.device))
        completions = self.sample(n, labels, image.expand(n, *self.shape), int(keep * self.shape[1]))
        return Image(torch.cat([image, completions]))

    @torch.no_grad()
    def sample(
        self, n: int, labels: Tensor | None = None, given: Tensor | None = None, rows: int = 0, cached: bool = True
    ) -> Tensor:
        """Sample images pixel by pixel.

        Args:
            n: Number of images.
            labels: Their classes, shape (n,), for a conditional model.
            given: Quantised images, shape (n, channels, height, width), whose first ``rows`` rows are kept.
            rows: Rows that are given.
            cached: Whether to compute each feature once; otherwise the whole network runs for every value, which gives
                the same and takes as many times longer as there are values.

        Returns:
            Shape (n, channels, height, width), from 0 to 1.
        """
        channels, height, width = self.shape
        images = torch.zeros(n, *self.shape, device=self.device)
        if given is not None:
            images[:, :, :rows] = given[:, :, :rows]
        x = 2 * images - 1
        state = self.net.init_state(x, labels) if cached else None
        for row in range(height):
            if cached:
                self.net.begin_row(state, row)
            for column in range(width):
                features = self.net.step(state, row, column)[..., None, None] if cached else None
                for channel in range(channels if row >= rows else 0):
                    if features is not None:
                        parameters = self.head(features, x[:, :, row, column, None, None])[:, channel, :, 0, 0]
                    else:
                        parameters = self.head(self.net(x, labels), x)[:, channel, :, row, column]
                    x[:, channel, row, column] = 2 * self.sample_values(parameters) - 1
        return (x + 1) / 2

    def sample_values(self, parameters: Tensor) -> Tensor:
        """Return a value from each distribution: shape (n, 1, 256 or 2) to (n,)."""
        if self.output == "binary":
            return torch.bernoulli(parameters[:, 0].sigmoid())
        if self.output == "levels":
            return torch.multinomial(parameters.softmax(1), 1)[:, 0] / (LEVELS - 1)
        mean, log_std = parameters.unbind(1)
        # Rounded to the nearest level: the distribution whose probabilities are measured.
        return self.quantise(torch.normal(mean, log_std.exp()).clamp(0, 1))

    def _log_probabilities(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the log-probability of each value given those before it, of the shape of ``images``."""
        # Exercise: each output's log-probability of the values that are there.
        x = self.quantise(images)
        parameters = self(x, labels)
        if self.output == "binary":
            logits = parameters[:, :, 0]
            return logsigmoid(torch.where(x > 0.5, logits, -logits))
        if self.output == "levels":
            index = (x * (LEVELS - 1)).round().long()
            return log_softmax(parameters, 2).gather(2, index[:, :, None])[:, :, 0]
        return discretised_normal(x, parameters[:, :, 0], parameters[:, :, 1])


class Head(nn.Module):
    """Features of a pixel, and its channels one after another, to the distributions of its channels.

    Args:
        features: Channels of the features.
        channels: Of the image.
        parameters: Number of parameters of a distribution.
    """

    def __init__(self, features: int, channels: int, parameters: int) -> None:
        super().__init__()
        hidden = max(2 * features, parameters // 2)
        self.num_parameters = parameters
        self.from_features = nn.Conv2d(features, channels * hidden, 1)
        self.from_channels = nn.Conv2d(channels, channels * hidden, 1, bias=False) if channels > 1 else None
        self.out = nn.Conv2d(channels * hidden, channels * parameters, 1, groups=channels)
        # Row block k, for the distribution of channel k, sees the channels before k.
        mask = torch.ones(channels, channels).tril(-1).repeat_interleave(hidden, 0)
        self.register_buffer("mask", mask[..., None, None], persistent=False)
        self.mask: Tensor

    def forward(self, features: Tensor, x: Tensor) -> Tensor:
        """Return the parameters, shape (n, channels, parameters, rows, columns).

        Args:
            features: Shape (n, features, rows, columns).
            x: The pixels from -1 to 1, shape (n, channels, rows, columns).
        """
        hidden = self.from_features(features.relu())  # (n, channels * hidden, rows, columns)
        if self.from_channels is not None:
            hidden = hidden + conv2d(x, self.from_channels.weight * self.mask)
        n, _, rows, columns = features.shape
        parameters: Tensor = self.out(hidden.relu()).view(n, -1, self.num_parameters, rows, columns)
        if self.num_parameters == NUM_PARAMETERS["gaussian"]:
            # Starts at a mid grey of wide deviation, which never falls below a tenth of a level.
            mean, log_std = parameters.unbind(2)
            return torch.stack([mean + 0.5, (log_std - 1.5).clamp(-8, 3)], 2)
        return parameters
