"""A stack of recurrent cells: what the models of sequences share."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Cell = Literal["rnn", "gru", "lstm", "irnn"]
Activation = Literal["tanh", "relu"]
Init = Literal["default", "orthogonal", "identity"]
State = tuple[Tensor, ...]  # (h,), for lstm (h, c); each of shape (num_layers × directions, n, hidden_size)

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
STEPS: dict[str, Callable[..., Any]] = {
    "tanh": torch.rnn_tanh_cell,
    "relu": torch.rnn_relu_cell,
    "gru": torch.gru_cell,
    "lstm": torch.lstm_cell,
}
is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", bool)  # torch 2.6 has none
CLASSES: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """Layers of recurrent cells, run by PyTorch's own kernels.

    Args:
        cell: ``rnn``, s_t = f(W s_{t-1} + U x_t + b), section 2.2 of the notes; ``gru`` (Cho et al., 2014); ``lstm``
            (Hochreiter and Schmidhuber, 1997); ``irnn``, an rnn with relu and identity (Le et al., 2015).
        input_size: Size of the input at a time step.
        hidden_size: Hidden units of a layer, in each direction.
        num_layers: Number of layers.
        dropout: Dropout probability of the outputs of each layer but the last.
        bidirectional: Whether a second stack reads backwards; the output is then twice as wide.
        activation: f of an rnn.
        init: Recurrent weights before training: PyTorch's uniform ones; ``orthogonal`` for each gate, an lstm's forget
            gates with a bias of 1 (Gers et al., 2000); ``identity``, the biases 0 (section 2.8).

    Raises:
        ValueError: An option is out of range, or is meant for another cell.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        activation: Activation = "tanh",
        init: Init = "default",
    ) -> None:
        super().__init__()
        if min(hidden_size, num_layers) < 1 or not 0 <= dropout < 1:
            raise ValueError(
                "hidden_size and num_layers must be at least 1 and dropout from 0 to below 1, not "
                f"{hidden_size}, {num_layers}, {dropout}"
            )
        if cell == "irnn":
            cell, activation, init = "rnn", "relu", "identity"
        if activation != "tanh" and cell != "rnn":
            raise ValueError(f"activation {activation} is an option of cell rnn: the gates of a {cell} have their own")
        self.cell, self._step = cell, STEPS[activation if cell == "rnn" else cell]
        options = {"nonlinearity": activation} if cell == "rnn" else {}
        self.net = CLASSES[cell](
            input_size,
            hidden_size,
            num_layers=num_layers,
            dropout=dropout if num_layers > 1 else 0.0,  # PyTorch warns that there is nothing to drop
            bidirectional=bidirectional,
            batch_first=True,
            **options,
        )
        if init != "default":
            self._initialise(init)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read a sequence.

        Args:
            x: Shape (n, time, input_size).
            state: The state before the first step; zeros if None.

        Returns:
            The last layer's outputs, shape (n, time, hidden_size × directions), and the state after the last step.
        """
        if is_exporting():
            return self._scan(x, torch.ones_like(x[..., 0], dtype=torch.bool), state)
        start = None if state is None else state if self.cell == "lstm" else state[0]
        out, end = self.net(x, start)
        return out, end if self.cell == "lstm" else (end,)

    def read_padded(self, x: Tensor, kept: Tensor) -> tuple[Tensor, State]:
        """Read sequences of different lengths, packed: no cell reads padding.

        Args:
            x: Shape (n, time, input_size).
            kept: Where there is no padding, shape (n, time); padding comes last.

        Returns:
            The last layer's outputs, 0 where there is padding, and the state after each sequence's last step.
        """
        if is_exporting():
            return self._scan(x, kept)
        packed = pack_padded_sequence(x, kept.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        out, end = self.net(packed)
        states, _ = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
        return states, end if self.cell == "lstm" else (end,)

    def _scan(self, x: Tensor, kept: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Do so step by step, for exporters, which know no packed sequences and would unroll PyTorch's own kernels."""
        from torch._higher_order_ops.scan import scan

        directions = 1 + self.net.bidirectional
        zeros = x.new_zeros(self.net.num_layers * directions, x.shape[0], self.net.hidden_size)
        start = state or (zeros,) * (2 if self.cell == "lstm" else 1)
        keep = kept.T.unsqueeze(2).to(x.dtype)  # (time, n, 1)
        ends: list[State] = []
        x = x.transpose(0, 1)
        for layer in range(self.net.num_layers):
            outs = []
            for direction in range(directions):
                suffix = f"l{layer}{'_reverse' * direction}"
                weights = [getattr(self.net, f"{name}_{suffix}") for name in WEIGHTS]

                def step(
                    before: State, now: tuple[Tensor, Tensor], weights: list[Tensor] = weights
                ) -> tuple[State, Tensor]:
                    values, keep = now
                    after = self._step(values, before if self.cell == "lstm" else before[0], *weights)
                    after = after if self.cell == "lstm" else (after,)
                    # Where there is padding the state stays: read backwards it is still 0 at the last token.
                    after = tuple(a * keep + b * (1 - keep) for a, b in zip(after, before, strict=True))
                    return after, after[0] * keep

                first = tuple(part[len(ends)].clone() for part in start)
                inputs = (x.flip(0), keep.flip(0)) if direction else (x, keep)
                end, out = scan(step, first, inputs)
                ends.append(end)
                outs.append(out.flip(0) if direction else out)
            x = torch.cat(outs, 2)
        return x.transpose(0, 1), tuple(torch.stack(parts) for parts in zip(*ends, strict=True))

    @torch.no_grad()
    def _initialise(self, init: Init) -> None:
        # The input's weights stay PyTorch's: Le et al.'s, of a thousandth, learn slowly here.
        for name, weights in self.net.named_parameters():
            if name.startswith("weight_hh"):
                fill = nn.init.orthogonal_ if init == "orthogonal" else nn.init.eye_
                for gate in weights.chunk(GATES[self.cell]):
                    fill(gate)
            elif init == "identity" and name.startswith("bias"):
                nn.init.zeros_(weights)
            elif init == "orthogonal" and self.cell == "lstm" and name.startswith("bias_ih"):
                nn.init.ones_(weights.chunk(4)[1])  # PyTorch's second gate is the forget gate
