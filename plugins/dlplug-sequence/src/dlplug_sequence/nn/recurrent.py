"""A stack of recurrent cells: what the models of sequences share."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

Cell = Literal["rnn", "gru", "lstm", "irnn"]
Activation = Literal["tanh", "relu"]
Init = Literal["default", "orthogonal", "identity"]
State = tuple[Tensor, ...]  # (h,), for lstm (h, c); each of shape (layers × directions, n, hidden)

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
CLASSES: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """Layers of recurrent cells, run by PyTorch's own kernels.

    Args:
        cell: ``rnn``, s_t = f(W s_{t-1} + U x_t + b), section 2.2 of the notes; ``gru`` (Cho et al., 2014); ``lstm``
            (Hochreiter and Schmidhuber, 1997); ``irnn``, an rnn with relu and identity (Le et al., 2015).
        size: Numbers that go in at a step.
        hidden: Units of a layer, a direction.
        layers: Number of layers.
        dropout: Probability that an output of a layer below the last is dropped.
        bidirectional: Whether a second stack reads backwards; what comes out is twice as wide.
        activation: f of an rnn.
        init: Recurrent weights before training: PyTorch's uniform ones; ``orthogonal`` for each gate, an lstm's forget
            gates with a bias of 1 (Gers et al., 2000); ``identity``, the biases 0 (section 2.8), where the input's
            weights stay PyTorch's: the paper's, a thousandth, learn slowly here.

    Raises:
        ValueError: An option is out of range, or is meant for another cell.
    """

    def __init__(
        self,
        cell: Cell,
        size: int,
        hidden: int,
        layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        activation: Activation = "tanh",
        init: Init = "default",
    ) -> None:
        super().__init__()
        if min(hidden, layers) < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"hidden and layers must be at least 1 and dropout from 0 to below 1, not {hidden}, {layers}, {dropout}"
            )
        if cell == "irnn":
            cell, activation, init = "rnn", "relu", "identity"
        if activation != "tanh" and cell != "rnn":
            raise ValueError(f"activation {activation} is an option of cell rnn: the gates of a {cell} have their own")
        self.cell = cell
        options = {"nonlinearity": activation} if cell == "rnn" else {}
        self.net = CLASSES[cell](
            size,
            hidden,
            num_layers=layers,
            dropout=dropout if layers > 1 else 0.0,  # PyTorch warns that there is nothing to drop
            bidirectional=bidirectional,
            batch_first=True,
            **options,
        )
        if init != "default":
            self._initialise(init)

    def forward(
        self, x: "Tensor | PackedSequence", state: State | None = None
    ) -> "tuple[Tensor | PackedSequence, State]":
        """Read on.

        Args:
            x: Shape (n, time, size), or packed sequences.
            state: Where to go on from; zeros if None.

        Returns:
            The last layer's outputs, shape (n, time, hidden × directions) or packed, and the state after the last step.
        """
        start = None if state is None else state if self.cell == "lstm" else state[0]
        out, end = self.net(x, start)
        return out, end if self.cell == "lstm" else (end,)

    @torch.no_grad()
    def _initialise(self, init: Init) -> None:
        for name, weights in self.net.named_parameters():
            if name.startswith("weight_hh"):
                fill = nn.init.orthogonal_ if init == "orthogonal" else nn.init.eye_
                for gate in weights.chunk(GATES[self.cell]):
                    fill(gate)
            elif init == "identity" and name.startswith("bias"):
                nn.init.zeros_(weights)
            elif init == "orthogonal" and self.cell == "lstm" and name.startswith("bias_ih"):
                nn.init.ones_(weights.chunk(4)[1])
