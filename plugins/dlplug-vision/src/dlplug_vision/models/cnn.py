"""The notes' convolutional network."""

from collections import OrderedDict
from typing import Any, Literal

from torch import nn

from dlplug.data import ImageInfo
from dlplug_vision.models.classifier import Classifier


class CNN(Classifier):
    """A convolutional network: CONV, RELU, POOL, FC, as in section 3.1 of the notes (LeCun et al., 1998).

    Each number in ``channels`` is a CONV with as many filters (the depth), batch normalisation (Ioffe and Szegedy,
    2015) and a RELU; after every ``pool_every`` of them a POOL halves the image. Then a hidden FC and the one that
    computes the class scores, the logits. A CONV or a POOL turns a side of n into (n + 2 padding - kernel) / stride +
    1, rounded down.

    Fits images of 8×8 to 224×224 with 1 or 3 channels. Logs ``loss`` in nats and ``accuracy``, and in validation and
    test ``f1``, the macro average over classes, and ``ece``, the expected calibration error.

    Args:
        channels: Filters of each CONV.
        kernel: Kernel size.
        stride: How far a filter moves at a time.
        padding: Zeros added at each edge.
        pooling: Pooling over 2×2 pixels: ``max``, ``mean``, or ``none`` for no POOL.
        pool_every: CONVs before each POOL.
        norm: Whether batch normalisation follows each CONV.
        hidden: Units of the hidden FC; 0 for none.
        dropout: Dropout probability before the last FC.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = (16, 16, 32, 32),
        kernel: int = 3,
        stride: int = 1,
        padding: int = 1,
        pooling: Literal["max", "mean", "none"] = "max",
        pool_every: int = 2,
        norm: bool = True,
        hidden: int = 64,
        dropout: float = 0.0,
        lr: float = 3e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(lr, **kwargs)
        if not channels or min(*channels, kernel, stride, pool_every) < 1 or padding < 0 or hidden < 0:
            raise ValueError(
                "channels, kernel, stride and pool_every must be at least 1, padding and hidden at least 0, not "
                f"{list(channels)}, {kernel}, {stride}, {pool_every}, {padding} and {hidden}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, not {dropout}")
        self.save_hyperparameters()
        self.channels, self.kernel, self.stride, self.padding = channels, kernel, stride, padding
        self.pooling, self.pool_every, self.norm = pooling, pool_every, norm
        self.hidden, self.dropout = hidden, dropout

    def network(self, info: ImageInfo) -> nn.Module:
        """Return the layers in order, by names that stay the same where options change other layers."""
        # Exercise: the layers by name: CONV, normalisation, RELU and at times POOL; flatten, the hidden FC, the scores.
        layers: dict[str, nn.Module] = {}
        in_channels, height, width = info.channels, info.height, info.width
        for k, out_channels in enumerate(self.channels, start=1):
            # Batch normalisation subtracts a bias before it again.
            conv = nn.Conv2d(in_channels, out_channels, self.kernel, self.stride, self.padding, bias=not self.norm)
            layers |= {f"conv{k}": conv, **({f"norm{k}": nn.BatchNorm2d(out_channels)} if self.norm else {})}
            layers[f"relu{k}"] = nn.ReLU()
            in_channels = out_channels
            height, width = (output_size(n, self.kernel, self.stride, self.padding) for n in (height, width))
            if min(height, width) < 1:
                raise ValueError(
                    f"kernel {self.kernel}, stride {self.stride} and padding {self.padding} leave nothing of {info} "
                    f"after {k} of {len(self.channels)} CONVs"
                )
            if self.pooling != "none" and k % self.pool_every == 0 and min(height, width) > 1:
                layers[f"pool{k}"] = nn.MaxPool2d(2) if self.pooling == "max" else nn.AvgPool2d(2)
                height, width = output_size(height, 2, 2, 0), output_size(width, 2, 2, 0)
        layers["flatten"], features = nn.Flatten(), in_channels * height * width
        if self.hidden:
            layers["hidden"] = nn.Linear(features, self.hidden, bias=not self.norm)
            layers |= {"hidden_norm": nn.BatchNorm1d(self.hidden)} if self.norm else {}
            layers["hidden_relu"] = nn.ReLU()
        # The notes call the logits class scores.
        layers |= {"dropout": nn.Dropout(self.dropout), "scores": nn.Linear(self.hidden or features, info.outputs)}
        return nn.Sequential(OrderedDict(layers))


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Return the side of the output of a CONV or POOL on an image of side ``size``; below 1 where nothing is left."""
    # Exercise: the side that the class docstring gives.
    return (size + 2 * padding - kernel) // stride + 1
