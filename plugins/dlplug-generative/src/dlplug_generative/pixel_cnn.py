"""A gated PixelCNN."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from dlplug_generative.pixels import CausalNetwork, PixelModel


class PixelCNN(PixelModel):
    """Predicts each pixel from those above and left of it with convolutions: the fast sibling of ``pixel-rnn``.

    The gated PixelCNN of van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016); section 4.2
    of the notes. A vertical stack of layers sees all rows above, a horizontal one the row itself, so that there is no
    blind spot. In place of masked filters the input of the first layer is shifted down a row, or right a pixel, which
    comes to the same.

    Fits images of any size with 1 or 3 channels. Logs ``nll``, the exact negative log-likelihood in nats an image, and
    the same as ``bits_per_dim``.

    Args:
        hidden_channels: Channels of each stack.
        num_layers: Gated layers after the first.
        kernel: Kernel size, odd; that of the first layer is 4 larger.
    """

    def __init__(self, hidden_channels: int = 24, num_layers: int = 5, kernel: int = 3, **kwargs: Any) -> None:
        super().__init__(hidden_channels, num_layers, **kwargs)
        if num_layers < 0 or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"num_layers must be at least 0 and kernel odd and above 0, not {num_layers} and {kernel}")
        self.save_hyperparameters()
        self.kernel = kernel

    def network(self, channels: int, classes: int) -> CausalNetwork:
        """Return the two stacks."""
        width = self.hidden_channels
        first = GatedLayer(channels, width, self.kernel + 4, classes)
        return GatedStacks([first, *(GatedLayer(width, width, self.kernel, classes) for _ in range(self.num_layers))])


class GatedLayer(nn.Module):
    """One layer of both stacks.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel: Kernel size, odd.
        classes: Number of classes that the gates are conditioned on; 0 for none.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, classes: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.residual = in_channels == out_channels
        self.vertical = nn.Conv2d(in_channels, 2 * out_channels, (self.reach + 1, kernel))
        self.vertical_to_horizontal = nn.Conv2d(2 * out_channels, 2 * out_channels, 1)
        self.horizontal = nn.Conv2d(in_channels, 2 * out_channels, (1, self.reach + 1))
        self.out = nn.Conv2d(out_channels, out_channels, 1)
        self.class_embedding = nn.Embedding(classes, 4 * out_channels) if classes else None

    def class_biases(self, labels: Tensor | None) -> tuple[Tensor, Tensor] | tuple[float, float]:
        """Return what the labels add before the gates of the stacks: shapes (n, 2 out_channels, 1, 1); 0 for none."""
        if self.class_embedding is None:
            return 0.0, 0.0
        vertical, horizontal = self.class_embedding(labels)[..., None, None].chunk(2, 1)
        return vertical, horizontal

    def forward(self, vertical: Tensor, horizontal: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return both stacks' features, shape (n, out_channels, height, width)."""
        # Exercise: both convolutions, padded so that no pixel sees itself; the vertical one feeds the horizontal.
        vertical_bias, horizontal_bias = self.class_biases(labels)
        v = self.vertical(pad(vertical, (self.reach, self.reach, self.reach, 0)))  # (n, 2 out_channels, height, width)
        h = self.horizontal(pad(horizontal, (self.reach, 0, 0, 0))) + self.vertical_to_horizontal(v)
        out = self.out(gate(h + horizontal_bias))
        return gate(v + vertical_bias), out + horizontal if self.residual else out


def gate(x: Tensor) -> Tensor:
    """Return tanh of one half of the channels times the sigmoid of the other half."""
    # Exercise: the gate that the docstring says.
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


@dataclass
class State:
    """What sampling keeps: for each layer its inputs, and what comes down from the vertical stack.

    Attributes:
        x: The images, filled in place.
        vertical: Shape (n, in_channels, reach + height, width + 2 reach), zeros at the edges.
        horizontal: One row, shape (n, in_channels, reach + width).
        from_vertical: One row, shape (n, 2 out_channels, width).
        biases: Of the two stacks' gates.
    """

    x: Tensor
    vertical: list[Tensor]
    horizontal: list[Tensor]
    from_vertical: list[Tensor]
    biases: list[tuple[Tensor, Tensor] | tuple[float, float]]


class GatedStacks(CausalNetwork):
    """All layers.

    Args:
        layers: The first takes images, each other the output of the one before.
    """

    def __init__(self, layers: list[GatedLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return features of the pixels before each pixel."""
        vertical = pad(x, (0, 0, 1, 0))[:, :, :-1]  # shifted down
        horizontal = pad(x, (1, 0, 0, 0))[..., :-1]  # shifted right
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal, labels)  # (n, hidden_channels, height, width) twice
        return horizontal

    def init_state(self, x: Tensor, labels: Tensor | None) -> State:
        """Allocate it."""
        n, _, height, width = x.shape
        state = State(x, [], [], [], [])
        for layer in self._layers():
            channels, reach = layer.vertical.in_channels, layer.reach
            state.vertical.append(x.new_zeros(n, channels, reach + height, width + 2 * reach))
            state.horizontal.append(x.new_zeros(n, channels, reach + width))
            state.from_vertical.append(x.new_empty(0))
            state.biases.append(layer.class_biases(labels))
        return state

    def begin_row(self, state: State, row: int) -> None:
        """Run the vertical stack for one row."""
        width = state.x.shape[3]
        inputs = state.x[:, :, row - 1] if row else torch.zeros_like(state.x[:, :, 0])
        for k, layer in enumerate(self._layers()):
            vertical, reach = state.vertical[k], layer.reach
            vertical[:, :, row + reach, reach : reach + width] = inputs
            v = layer.vertical(vertical[:, :, row : row + reach + 1])  # (n, 2 out_channels, 1, width)
            state.from_vertical[k] = layer.vertical_to_horizontal(v)[:, :, 0]
            inputs = gate(v + state.biases[k][0])[:, :, 0]
            state.horizontal[k].zero_()

    def step(self, state: State, row: int, column: int) -> Tensor:
        """Run the horizontal stack for one pixel."""
        inputs = state.x[:, :, row, column - 1] if column else torch.zeros_like(state.x[:, :, 0, 0])
        for k, layer in enumerate(self._layers()):
            horizontal, reach, bias = state.horizontal[k], layer.reach, state.biases[k][1]
            horizontal[:, :, column + reach] = inputs
            window = horizontal[:, :, column : column + reach + 1].flatten(1)  # (n, in_channels * (reach + 1))
            h = linear(window, layer.horizontal.weight.flatten(1), layer.horizontal.bias)
            h = h + state.from_vertical[k][:, :, column] + (bias if isinstance(bias, float) else bias[..., 0, 0])
            out = linear(gate(h), layer.out.weight.flatten(1), layer.out.bias)
            inputs = out + inputs if layer.residual else out
        return inputs

    def _layers(self) -> list[GatedLayer]:
        return list(self.layers)  # type: ignore[arg-type]
