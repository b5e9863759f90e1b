"""A PixelRNN: Row LSTM or Diagonal BiLSTM."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad

from dlplug_generative.pixels import PixelModel, Trunk

FIRST = 7  # side of the first convolution


class PixelRNN(PixelModel):
    """Predicts each pixel from those before it with LSTMs that run over the rows of an image.

    Van den Oord et al., "Pixel Recurrent Neural Networks" (2016); section 4.2 of the notes. ``row`` reads the rows from
    the top, each pixel's state coming from three of the row above, so that it sees a triangle; ``diagonal`` reads the
    diagonals from both sides and sees all that came before, save for the end of the row above where it is more than
    three pixels away. The first layer is a convolution under mask A, which leaves the pixel itself out; in the others
    mask B leaves it in.

    Fits images of any size with 1 or 3 channels. Logs ``nll``, the exact negative log-likelihood in nats an image, and
    ``bits`` a dimension.

    Args:
        width: Channels of the features and of the LSTMs' states.
        layers: LSTM layers.
        cell: ``row`` for the Row LSTM, ``diagonal`` for the Diagonal BiLSTM.
        output: ``binary`` models whether a pixel is above 0.5, ``levels`` its grey level of 256 as a class of its own,
            ``gaussian`` the grey level by a normal density's mean and spread.
        conditional: Whether to model images given their label.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    def __init__(
        self,
        width: int = 32,
        layers: int = 2,
        cell: Literal["row", "diagonal"] = "row",
        output: Literal["binary", "levels", "gaussian"] = "binary",
        conditional: bool = False,
        lr: float = 4e-3,
    ) -> None:
        super().__init__(width, output, conditional, lr)
        if layers < 1:
            raise ValueError(f"layers must be at least 1, not {layers}")
        self.save_hyperparameters()
        self.layers, self.cell = layers, cell

    def trunk(self, channels: int, classes: int) -> Trunk:
        """Return the convolution under mask A and the LSTMs."""
        kind = RowLSTM if self.cell == "row" else DiagonalBiLSTM
        return Recurrent(channels, self.width, [kind(self.width, classes) for _ in range(self.layers)])


class Masked(nn.Conv2d):
    """A square convolution under mask A, which sees only the pixels before each.

    Args:
        before: Channels that come in.
        width: Channels that go out.
        kernel: Side, odd.
    """

    def __init__(self, before: int, width: int, kernel: int) -> None:
        super().__init__(before, width, kernel, padding=kernel // 2)
        seen = torch.zeros(kernel * kernel)
        seen[: kernel * kernel // 2] = 1
        self.register_buffer("seen", seen.view(kernel, kernel), persistent=False)
        self.seen: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (n, width, height, width of the image)."""
        return conv2d(x, self.weight * self.seen, self.bias, padding=self.kernel_size[0] // 2)


def step(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Take an LSTM one step on: gates (n, 4 width, …) and memory (n, width, …) to state and memory."""
    keep, write, show, content = gates.chunk(4, 1)
    memory = keep.sigmoid() * memory + write.sigmoid() * content.tanh()
    return show.sigmoid() * memory.tanh(), memory


class Layer(nn.Module, ABC):
    """An LSTM layer: what it adds to features, for whole images and a pixel at a time."""

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return shape (n, width, height, width of the image) for features ``x`` of that shape."""

    @abstractmethod
    def start(self, n: int, columns: int, labels: Tensor | None) -> Any:
        """Return the state that sampling keeps of n images."""

    @abstractmethod
    def row(self, state: Any) -> None:
        """Begin a row."""

    @abstractmethod
    def pixel(self, state: Any, column: int, x: Tensor) -> Tensor:
        """Return what is added to a pixel's features ``x``, shape (n, width); those left of it came before."""


class RowLSTM(Layer):
    """Reads rows from the top: a state comes from three states of the row above, the input and the one left of it.

    Args:
        width: Channels.
        classes: That the gates depend on; 0 for none.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.width = width
        self.input = nn.Conv2d(width, 4 * width, (1, 2))  # 1×3 under mask B: the third pixel is hidden
        self.state = nn.Conv1d(width, 4 * width, 3, padding=1, bias=False)
        self.out = nn.Conv2d(width, width, 1)
        self.labels = nn.Embedding(classes, 4 * width) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Run over all rows."""
        inputs = self.input(pad(x, (1, 0)))  # (n, 4 width, height, width of the image)
        if self.labels is not None:
            inputs = inputs + self.labels(labels)[..., None, None]
        state = memory = torch.zeros_like(x[:, :, 0])  # (n, width, width of the image)
        states = []
        for gates in inputs.unbind(2):
            state, memory = step(gates + self.state(state), memory)
            states.append(state)
        added: Tensor = self.out(torch.stack(states, 2))
        return added

    def start(self, n: int, columns: int, labels: Tensor | None) -> dict[str, Tensor]:
        """Make room."""
        zeros = self.out.weight.new_zeros(n, self.width, columns)
        bias = self.labels(labels) if self.labels is not None else zeros.new_zeros(1)
        return {"bias": bias, "memory": zeros, "here": zeros.clone(), "gates": zeros, "inputs": pad(zeros, (1, 0))}

    def row(self, state: dict[str, Tensor]) -> None:
        """Read the states above at once."""
        state["gates"] = self.state(state["here"])  # (n, 4 width, width of the image)

    def pixel(self, state: dict[str, Tensor], column: int, x: Tensor) -> Tensor:
        """Take the LSTM of one column a row on."""
        state["inputs"][:, :, column + 1] = x
        window = state["inputs"][:, :, column : column + 2].flatten(1)  # (n, 2 width)
        gates = linear(window, self.input.weight.flatten(1), self.input.bias)
        gates = gates + state["bias"] + state["gates"][:, :, column]
        here, state["memory"][:, :, column] = step(gates, state["memory"][:, :, column])
        state["here"][:, :, column] = here
        return linear(here, self.out.weight.flatten(1), self.out.bias)


class Diagonal(nn.Module):
    """An LSTM along the diagonals from the left: a state comes from the input, the state left of it and that above.

    Args:
        width: Channels.
        classes: That the gates depend on; 0 for none.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.input = nn.Conv2d(width, 4 * width, 1)
        self.state = nn.Conv1d(width, 4 * width, 2, bias=False)
        self.labels = nn.Embedding(classes, 4 * width) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return the states, of the shape of ``x``: (n, width, height, width of the image)."""
        height, columns = x.shape[2:]
        inputs = self.input(x)  # (n, 4 width, height, width of the image)
        if self.labels is not None:
            inputs = inputs + self.labels(labels)[..., None, None]
        state = memory = torch.zeros_like(x[..., 0])  # (n, width, height)
        rows = torch.arange(height, device=x.device)
        states = []
        for k, gates in enumerate(skew(inputs).unbind(3)):
            state, memory = step(gates + self.state(pad(state, (1, 0))), memory)
            inside = (rows <= k).to(x.dtype)  # the diagonal has not reached the rows below
            state, memory = state * inside, memory * inside
            states.append(state)
        return unskew(torch.stack(states, 3), columns)

    def advance(self, x: Tensor, above: Tensor, here: Tensor, memory: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return state and memory at one pixel, each (n, width), from the state above it and those left of it."""
        before = torch.stack([above, here], 2).flatten(1)
        gates = linear(x, self.input.weight.flatten(1), self.input.bias) + linear(before, self.state.weight.flatten(1))
        return step(gates + bias, memory)

    def bias(self, labels: Tensor | None) -> Tensor:
        """Return what the labels add to the gates."""
        bias: Tensor = self.labels(labels) if self.labels is not None else self.state.weight.new_zeros(1)
        return bias


def skew(x: Tensor) -> Tensor:
    """Move row k of maps (n, channels, height, width) right by k, so that a diagonal becomes a column."""
    n, channels, height, width = x.shape
    flat = pad(x, (0, height)).flatten(2)[..., :-height]
    return flat.view(n, channels, height, width + height - 1)


def unskew(x: Tensor, width: int) -> Tensor:
    """Undo ``skew`` of maps that were so wide."""
    n, channels, height, _ = x.shape
    return pad(x.flatten(2), (0, height)).view(n, channels, height, width + height)[..., :width]


@dataclass
class DiagonalState:
    """What sampling keeps of a Diagonal BiLSTM.

    Attributes:
        biases: Of the gates of both directions.
        inputs: The row worked on, shape (n, width, width of the image).
        left: States from the left in that row and, right of the pixel worked on, in the row above; likewise.
        right: States from the right in the row above, likewise.
        here: State and memory from the left at the last pixel, each (n, width).
        started: Whether there is a row above.
    """

    biases: tuple[Tensor, Tensor]
    inputs: Tensor
    left: Tensor
    right: Tensor
    here: tuple[Tensor, Tensor]
    started: bool = False


class DiagonalBiLSTM(Layer):
    """Two LSTMs along the diagonals, from both sides; the states from the right are taken from the row above.

    Args:
        width: Channels.
        classes: That the gates depend on; 0 for none.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.width = width
        self.left, self.right = Diagonal(width, classes), Diagonal(width, classes)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Run over all diagonals."""
        right = self.right(x.flip(3), labels).flip(3)  # (n, width, height, width of the image)
        added: Tensor = self.out(self.left(x, labels) + pad(right, (0, 0, 1, 0))[:, :, :-1])
        return added

    def start(self, n: int, columns: int, labels: Tensor | None) -> DiagonalState:
        """Make room."""
        rows = self.out.weight.new_zeros(3, n, self.width, columns)
        nothing = rows.new_zeros(n, self.width)
        biases = self.left.bias(labels), self.right.bias(labels)
        return DiagonalState(biases, rows[0], rows[1], rows[2], (nothing, nothing))

    def row(self, state: DiagonalState) -> None:
        """Run from the right over the row that is now complete."""
        nothing = torch.zeros_like(state.here[0])
        state.here = (nothing, nothing)
        if state.started:
            here = (nothing, nothing)
            for column in reversed(range(state.inputs.shape[2])):
                x, above = state.inputs[:, :, column], state.right[:, :, column]
                here = self.right.advance(x, above, *here, state.biases[1])
                state.right[:, :, column] = here[0]
        state.started = True

    def pixel(self, state: DiagonalState, column: int, x: Tensor) -> Tensor:
        """Go one pixel on from the left."""
        state.inputs[:, :, column] = x
        state.here = self.left.advance(x, state.left[:, :, column], *state.here, state.biases[0])
        state.left[:, :, column] = state.here[0]
        both = state.here[0] + state.right[:, :, column]
        return linear(both, self.out.weight.flatten(1), self.out.bias)


@dataclass
class State:
    """What sampling keeps.

    Attributes:
        x: The images, filled in place.
        padded: The same with a margin of zeros, as far as they are filled.
        layers: Of each layer.
    """

    x: Tensor
    padded: Tensor
    layers: list[Any]


class Recurrent(Trunk):
    """A convolution under mask A, then LSTM layers that each add to its features.

    Args:
        channels: Of the images.
        width: Of the features.
        layers: The LSTM layers.
    """

    def __init__(self, channels: int, width: int, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.first = Masked(channels, width, FIRST)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return features of the pixels before each pixel."""
        features: Tensor = self.first(x)  # (n, width, height, width of the image)
        for layer in self.layers:
            features = features + layer(features, labels)
        return features

    def start(self, x: Tensor, labels: Tensor | None) -> State:
        """Make room."""
        n, _, _, columns = x.shape
        layers = [layer.start(n, columns, labels) for layer in self._layers()]
        return State(x, torch.zeros_like(pad(x, [FIRST // 2] * 4)), layers)

    def row(self, state: State, row: int) -> None:
        """Take over the row that is now complete, and begin the next in all layers."""
        reach, columns = FIRST // 2, state.x.shape[3]
        if row:
            state.padded[:, :, row - 1 + reach, reach : reach + columns] = state.x[:, :, row - 1]
        for layer, kept in zip(self._layers(), state.layers, strict=True):
            layer.row(kept)

    def pixel(self, state: State, row: int, column: int) -> Tensor:
        """Go one pixel on in all layers."""
        if column:
            state.padded[:, :, row + FIRST // 2, column - 1 + FIRST // 2] = state.x[:, :, row, column - 1]
        window = state.padded[:, :, row : row + FIRST, column : column + FIRST].flatten(1)
        features: Tensor = linear(
            window, (self.first.weight * self.first.seen).flatten(1), self.first.bias
        )  # (n, width)
        for layer, kept in zip(self._layers(), state.layers, strict=True):
            features = features + layer.pixel(kept, column, features)
        return features

    def _layers(self) -> list[Layer]:
        return list(self.layers)  # type: ignore[arg-type]
