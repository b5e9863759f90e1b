"""A PixelRNN: Row LSTM or Diagonal BiLSTM."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad

from dlplug_generative.pixels import CausalNetwork, PixelModel

FIRST = 7  # kernel size of the first convolution, as in the paper
REACH = FIRST // 2


class PixelRNN(PixelModel):
    """Predicts each pixel from those before it with LSTMs that run over the rows or diagonals of an image.

    Van den Oord et al., "Pixel Recurrent Neural Networks" (2016); section 4.2 of the notes. ``row`` reads the rows from
    the top, each pixel's state coming from three of the row above, so that its receptive field is a triangle;
    ``diagonal`` reads the diagonals from both sides and sees all that came before, save for the end of the row above
    where it is more than three pixels away. The first layer is a convolution under mask A, which leaves the pixel
    itself out; in the others mask B leaves it in.

    Fits images of any size with 1 or 3 channels. Logs ``nll``, the exact negative log-likelihood in nats an image, and
    the same as ``bits_per_dim``.

    Args:
        hidden_channels: Channels of the features and of the LSTMs' states.
        num_layers: LSTM layers.
        cell: ``row`` for the Row LSTM, ``diagonal`` for the Diagonal BiLSTM.
    """

    def __init__(
        self, hidden_channels: int = 32, num_layers: int = 2, cell: Literal["row", "diagonal"] = "row", **kwargs: Any
    ) -> None:
        super().__init__(hidden_channels, num_layers, **kwargs)
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, not {num_layers}")
        self.save_hyperparameters()
        self.cell = cell

    def network(self, channels: int, classes: int) -> CausalNetwork:
        """Return the convolution under mask A and the LSTMs."""
        kind = RowLSTM if self.cell == "row" else DiagonalBiLSTM
        layers = [kind(self.hidden_channels, classes) for _ in range(self.num_layers)]
        return LSTMStack(channels, self.hidden_channels, layers)


class MaskedConv2d(nn.Conv2d):
    """A square convolution under mask A, which sees only the pixels before each.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel: Kernel size, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2)
        mask = torch.zeros(kernel * kernel)
        mask[: kernel * kernel // 2] = 1
        self.register_buffer("mask", mask.view(kernel, kernel), persistent=False)
        self.mask: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (n, out_channels, height, width)."""
        return conv2d(x, self.weight * self.mask, self.bias, padding=self.kernel_size[0] // 2)


def lstm_cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Take a step of an LSTM: gates (n, 4 channels, …) and cell state (n, channels, …) to hidden and cell state."""
    # Exercise: forget, input and output gate and the candidate, in this order.
    f, i, o, g = gates.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class LSTMLayer(nn.Module, ABC):
    """An LSTM layer: what it adds to features, for whole images and pixel by pixel.

    Args:
        channels: Channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return shape (n, channels, height, width) for features ``x`` of that shape."""

    @abstractmethod
    def init_state(self, n: int, width: int, labels: Tensor | None) -> Any:
        """Return the state that sampling keeps of n images."""

    @abstractmethod
    def begin_row(self, state: Any) -> None:
        """Compute what depends on the row above alone."""

    @abstractmethod
    def step(self, state: Any, column: int, x: Tensor) -> Tensor:
        """Return what is added to a pixel's features ``x``, shape (n, channels); those left of it came before."""


class RowLSTM(LSTMLayer):
    """Reads rows from the top: a state comes from three states of the row above, the input and the one left of it.

    Args:
        channels: Channels of the features.
        classes: Number of classes that the gates are conditioned on; 0 for none.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels)
        self.input_to_state = nn.Conv2d(channels, 4 * channels, (1, 2))  # 1×3 under mask B: the third is hidden
        self.state_to_state = nn.Conv1d(channels, 4 * channels, 3, padding=1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)
        self.class_embedding = nn.Embedding(classes, 4 * channels) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Run over all rows."""
        # Exercise: the gates of all inputs at once, then a row after the other.
        inputs = self.input_to_state(pad(x, (1, 0)))  # (n, 4 channels, height, width)
        if self.class_embedding is not None:
            inputs = inputs + self.class_embedding(labels)[..., None, None]
        h = c = torch.zeros_like(x[:, :, 0])  # (n, channels, width)
        states = []
        for gates in inputs.unbind(2):
            h, c = lstm_cell(gates + self.state_to_state(h), c)
            states.append(h)
        added: Tensor = self.out(torch.stack(states, 2))
        return added

    def init_state(self, n: int, width: int, labels: Tensor | None) -> dict[str, Tensor]:
        """Allocate it."""
        zeros = self.out.weight.new_zeros(n, self.channels, width)
        bias = self.class_embedding(labels) if self.class_embedding is not None else zeros.new_zeros(1)
        return {"bias": bias, "c": zeros, "h": zeros.clone(), "gates": zeros, "inputs": pad(zeros, (1, 0))}

    def begin_row(self, state: dict[str, Tensor]) -> None:
        """Read the states above at once."""
        state["gates"] = self.state_to_state(state["h"])  # (n, 4 channels, width)

    def step(self, state: dict[str, Tensor], column: int, x: Tensor) -> Tensor:
        """Advance the LSTM of one column by a row."""
        state["inputs"][:, :, column + 1] = x
        window = state["inputs"][:, :, column : column + 2].flatten(1)  # (n, 2 channels)
        gates = linear(window, self.input_to_state.weight.flatten(1), self.input_to_state.bias)
        gates = gates + state["bias"] + state["gates"][:, :, column]
        h, state["c"][:, :, column] = lstm_cell(gates, state["c"][:, :, column])
        state["h"][:, :, column] = h
        return linear(h, self.out.weight.flatten(1), self.out.bias)


class DiagonalLSTM(nn.Module):
    """An LSTM along the diagonals from the left: a state comes from the input, the state left of it and that above.

    Args:
        channels: Channels of the features.
        classes: Number of classes that the gates are conditioned on; 0 for none.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.input_to_state = nn.Conv2d(channels, 4 * channels, 1)
        self.state_to_state = nn.Conv1d(channels, 4 * channels, 2, bias=False)
        self.class_embedding = nn.Embedding(classes, 4 * channels) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return the hidden states, of the shape of ``x``: (n, channels, height, width)."""
        height, width = x.shape[2:]
        inputs = self.input_to_state(x)  # (n, 4 channels, height, width)
        if self.class_embedding is not None:
            inputs = inputs + self.class_embedding(labels)[..., None, None]
        h = c = torch.zeros_like(x[..., 0])  # (n, channels, height)
        rows = torch.arange(height, device=x.device)
        states = []
        for k, gates in enumerate(skew(inputs).unbind(3)):
            h, c = lstm_cell(gates + self.state_to_state(pad(h, (1, 0))), c)
            inside = (rows <= k).to(x.dtype)  # the diagonal has not reached the rows below
            h, c = h * inside, c * inside
            states.append(h)
        return unskew(torch.stack(states, 3), width)

    def step(self, x: Tensor, above: Tensor, h: Tensor, c: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states at one pixel, each (n, channels), from the hidden state above it and those left of it."""
        before = torch.stack([above, h], 2).flatten(1)
        gates = linear(x, self.input_to_state.weight.flatten(1), self.input_to_state.bias)
        gates = gates + linear(before, self.state_to_state.weight.flatten(1))
        return lstm_cell(gates + bias, c)

    def class_bias(self, labels: Tensor | None) -> Tensor:
        """Return what the labels add to the gates."""
        if self.class_embedding is None:
            return self.state_to_state.weight.new_zeros(1)
        bias: Tensor = self.class_embedding(labels)
        return bias


def skew(x: Tensor) -> Tensor:
    """Shift row k of features (n, channels, height, width) right by k, so that a diagonal becomes a column."""
    n, channels, height, width = x.shape
    flat = pad(x, (0, height)).flatten(2)[..., :-height]
    return flat.view(n, channels, height, width + height - 1)


def unskew(x: Tensor, width: int) -> Tensor:
    """Undo ``skew`` of features of that width."""
    n, channels, height, _ = x.shape
    return pad(x.flatten(2), (0, height)).view(n, channels, height, width + height)[..., :width]


@dataclass
class DiagonalState:
    """What sampling keeps of a Diagonal BiLSTM.

    Attributes:
        biases: Of the gates of both directions.
        inputs: The current row, shape (n, channels, width).
        left: Hidden states from the left in that row and, right of the current pixel, in the row above; likewise.
        right: Hidden states from the right in the row above, likewise.
        last: Hidden and cell state from the left at the last pixel, each (n, channels).
        started: Whether there is a row above.
    """

    biases: tuple[Tensor, Tensor]
    inputs: Tensor
    left: Tensor
    right: Tensor
    last: tuple[Tensor, Tensor]
    started: bool = False


class DiagonalBiLSTM(LSTMLayer):
    """Two LSTMs along the diagonals, from both sides; the states from the right are taken from the row above.

    Args:
        channels: Channels of the features.
        classes: Number of classes that the gates are conditioned on; 0 for none.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels)
        self.left, self.right = DiagonalLSTM(channels, classes), DiagonalLSTM(channels, classes)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Run over all diagonals."""
        right = self.right(x.flip(3), labels).flip(3)  # (n, channels, height, width)
        added: Tensor = self.out(self.left(x, labels) + pad(right, (0, 0, 1, 0))[:, :, :-1])
        return added

    def init_state(self, n: int, width: int, labels: Tensor | None) -> DiagonalState:
        """Allocate it."""
        inputs, left, right = self.out.weight.new_zeros(3, n, self.channels, width)
        zeros = inputs.new_zeros(n, self.channels)
        biases = self.left.class_bias(labels), self.right.class_bias(labels)
        return DiagonalState(biases, inputs, left, right, (zeros, zeros))

    def begin_row(self, state: DiagonalState) -> None:
        """Run from the right over the row that is now complete."""
        zeros = torch.zeros_like(state.last[0])
        state.last = (zeros, zeros)
        if state.started:
            last = state.last
            for column in reversed(range(state.inputs.shape[2])):
                x, above = state.inputs[:, :, column], state.right[:, :, column]
                last = self.right.step(x, above, *last, state.biases[1])
                state.right[:, :, column] = last[0]
        state.started = True

    def step(self, state: DiagonalState, column: int, x: Tensor) -> Tensor:
        """Advance from the left by one pixel."""
        state.inputs[:, :, column] = x
        state.last = self.left.step(x, state.left[:, :, column], *state.last, state.biases[0])
        state.left[:, :, column] = state.last[0]
        both = state.last[0] + state.right[:, :, column]
        return linear(both, self.out.weight.flatten(1), self.out.bias)


@dataclass
class State:
    """What sampling keeps.

    Attributes:
        x: The images, filled in place.
        padded: The same in a margin of zeros, as far as they are filled.
        layers: The state of each layer.
    """

    x: Tensor
    padded: Tensor
    layers: list[Any]


class LSTMStack(CausalNetwork):
    """A convolution under mask A, then LSTM layers that each add to its features.

    Args:
        channels: Of the images.
        hidden_channels: Of the features.
        layers: The LSTM layers.
    """

    def __init__(self, channels: int, hidden_channels: int, layers: Sequence[LSTMLayer]) -> None:
        super().__init__()
        self.input_conv = MaskedConv2d(channels, hidden_channels, FIRST)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return features of the pixels before each pixel."""
        features: Tensor = self.input_conv(x)  # (n, hidden_channels, height, width)
        for layer in self.layers:
            features = features + layer(features, labels)
        return features

    def init_state(self, x: Tensor, labels: Tensor | None) -> State:
        """Allocate it."""
        layers = [layer.init_state(len(x), x.shape[3], labels) for layer in self._layers()]
        return State(x, torch.zeros_like(pad(x, [REACH] * 4)), layers)

    def begin_row(self, state: State, row: int) -> None:
        """Copy the row that is now complete, and begin the next in all layers."""
        if row:
            state.padded[:, :, row - 1 + REACH, REACH : REACH + state.x.shape[3]] = state.x[:, :, row - 1]
        for layer, layer_state in zip(self._layers(), state.layers, strict=True):
            layer.begin_row(layer_state)

    def step(self, state: State, row: int, column: int) -> Tensor:
        """Advance all layers by one pixel."""
        if column:
            state.padded[:, :, row + REACH, column - 1 + REACH] = state.x[:, :, row, column - 1]
        window = state.padded[:, :, row : row + FIRST, column : column + FIRST].flatten(1)
        weight = (self.input_conv.weight * self.input_conv.mask).flatten(1)
        features: Tensor = linear(window, weight, self.input_conv.bias)  # (n, hidden_channels)
        for layer, layer_state in zip(self._layers(), state.layers, strict=True):
            features = features + layer.step(layer_state, column, features)
        return features

    def _layers(self) -> list[LSTMLayer]:
        return list(self.layers)  # type: ignore[arg-type]
