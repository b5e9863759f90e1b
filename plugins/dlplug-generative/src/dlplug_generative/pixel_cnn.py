"""A gated PixelCNN."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from dlplug_generative.pixels import PixelModel, Trunk


class PixelCNN(PixelModel):
    """Predicts each pixel from those above and left of it with convolutions: the fast sibling of ``pixel-rnn``.

    The gated PixelCNN of van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016); section 4.2
    of the notes. A stack of layers sees all rows above, a second one the row itself, so that no pixel above is hidden.
    In place of masked filters what goes into the first layer is moved down a row, or right a pixel, which comes to the
    same.

    Fits images of any size with 1 or 3 channels. Logs ``nll``, the exact negative log-likelihood in nats an image, and
    ``bits`` a dimension.

    Args:
        width: Channels of each stack.
        layers: Gated layers after the first.
        kernel: Side of the filters, odd; those of the first layer are 4 wider.
        output: ``binary`` models whether a pixel is above 0.5, ``levels`` its grey level of 256 as a class of its own,
            ``gaussian`` the grey level by a normal density's mean and spread.
        conditional: Whether to model images given their label.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    def __init__(
        self,
        width: int = 24,
        layers: int = 5,
        kernel: int = 3,
        output: Literal["binary", "levels", "gaussian"] = "binary",
        conditional: bool = False,
        lr: float = 4e-3,
    ) -> None:
        super().__init__(width, output, conditional, lr)
        if layers < 0 or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"layers must be at least 0 and kernel odd and above 0, not {layers} and {kernel}")
        self.save_hyperparameters()
        self.layers, self.kernel = layers, kernel

    def trunk(self, channels: int, classes: int) -> Trunk:
        """Return the two stacks."""
        first = Gated(channels, self.width, self.kernel + 4, classes)
        return Stacks([first, *(Gated(self.width, self.width, self.kernel, classes) for _ in range(self.layers))])


class Gated(nn.Module):
    """One layer of both stacks.

    Args:
        before: Channels that come in.
        width: Channels that go out.
        kernel: Side of the filters, odd.
        classes: That the gates depend on; 0 for none.
    """

    def __init__(self, before: int, width: int, kernel: int, classes: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.residual = before == width
        self.above = nn.Conv2d(before, 2 * width, (self.reach + 1, kernel))
        self.down = nn.Conv2d(2 * width, 2 * width, 1)
        self.left = nn.Conv2d(before, 2 * width, (1, self.reach + 1))
        self.out = nn.Conv2d(width, width, 1)
        self.labels = nn.Embedding(classes, 4 * width) if classes else None

    def biases(self, labels: Tensor | None) -> tuple[Tensor, Tensor] | tuple[float, float]:
        """Return what the labels add to the gates of both stacks: shapes (n, 2 width, 1, 1), or 0 without labels."""
        if self.labels is None:
            return 0.0, 0.0
        one, other = self.labels(labels)[..., None, None].chunk(2, 1)
        return one, other

    def forward(self, rows: Tensor, pixels: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return both stacks' maps, shape (n, width, height, width of the image)."""
        bias, other = self.biases(labels)
        upper = self.above(pad(rows, (self.reach, self.reach, self.reach, 0)))  # (n, 2 width, height, …)
        lower = self.left(pad(pixels, (self.reach, 0, 0, 0))) + self.down(upper)
        out = self.out(gate(lower + other))
        return gate(upper + bias), out + pixels if self.residual else out


def gate(x: Tensor) -> Tensor:
    """Return tanh of one half of the channels times the sigmoid of the other half."""
    one, other = x.chunk(2, 1)
    return one.tanh() * other.sigmoid()


@dataclass
class State:
    """What sampling keeps: for each layer what goes into it, and what comes down from the upper stack.

    Attributes:
        x: The images, filled in place.
        rows: Shape (n, before, reach + height, width of the image + 2 reach), zeros at the edges.
        pixels: One row, shape (n, before, reach + width of the image).
        down: One row, shape (n, 2 width, width of the image).
        biases: Of the two stacks' gates.
    """

    x: Tensor
    rows: list[Tensor]
    pixels: list[Tensor]
    down: list[Tensor]
    biases: list[tuple[Tensor, Tensor] | tuple[float, float]]


class Stacks(Trunk):
    """All layers.

    Args:
        layers: The first takes images, the others what the one before gives.
    """

    def __init__(self, layers: list[Gated]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return features of the pixels before each pixel."""
        rows = pad(x, (0, 0, 1, 0))[:, :, :-1]  # moved down
        pixels = pad(x, (1, 0, 0, 0))[..., :-1]  # moved right
        for layer in self.layers:
            rows, pixels = layer(rows, pixels, labels)  # (n, width, height, width of the image) twice
        return pixels

    def start(self, x: Tensor, labels: Tensor | None) -> State:
        """Make room."""
        n, _, height, width = x.shape
        state = State(x, [], [], [], [])
        for layer in self._layers():
            before, reach = layer.above.in_channels, layer.reach
            state.rows.append(x.new_zeros(n, before, reach + height, width + 2 * reach))
            state.pixels.append(x.new_zeros(n, before, reach + width))
            state.down.append(x.new_empty(0))
            state.biases.append(layer.biases(labels))
        return state

    def row(self, state: State, row: int) -> None:
        """Take the upper stack one row on."""
        width = state.x.shape[3]
        incoming = state.x[:, :, row - 1] if row else torch.zeros_like(state.x[:, :, 0])
        for k, layer in enumerate(self._layers()):
            rows, reach = state.rows[k], layer.reach
            rows[:, :, row + reach, reach : reach + width] = incoming
            upper = layer.above(rows[:, :, row : row + reach + 1])  # (n, 2 width, 1, width of the image)
            state.down[k] = layer.down(upper)[:, :, 0]
            incoming = gate(upper + state.biases[k][0])[:, :, 0]
            state.pixels[k].zero_()

    def pixel(self, state: State, row: int, column: int) -> Tensor:
        """Take the lower stack one pixel on."""
        incoming = state.x[:, :, row, column - 1] if column else torch.zeros_like(state.x[:, :, 0, 0])
        for k, layer in enumerate(self._layers()):
            pixels, reach, other = state.pixels[k], layer.reach, state.biases[k][1]
            pixels[:, :, column + reach] = incoming
            window = pixels[:, :, column : column + reach + 1].flatten(1)  # (n, before * (reach + 1))
            lower = linear(window, layer.left.weight.flatten(1), layer.left.bias) + state.down[k][:, :, column]
            lower = lower + (other if isinstance(other, float) else other[..., 0, 0])
            out = linear(gate(lower), layer.out.weight.flatten(1), layer.out.bias)
            incoming = out + incoming if layer.residual else out
        return incoming

    def _layers(self) -> list[Gated]:
        return list(self.layers)  # type: ignore[arg-type]
