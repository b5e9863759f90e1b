"""What part of the encoder's states a decoder is given (section 2.9)."""

from typing import Literal

import torch
from torch import Tensor, nn

Score = Literal["none", "dot", "bahdanau", "luong-general"]


class Attention(nn.Module):
    """Gives a decoder's state the mean of the encoder's states, weighted by how well they fit it.

    All queries of an item, steps or hypotheses, share its keys, which are never copied.

    Args:
        score: How a state s and a key h fit: ``dot``, s·h; ``luong-general``, s·W h (Luong et al., 2015);
            ``bahdanau``, v·tanh(W s + U h) (Bahdanau et al., 2015, but with the state after the step, so that all steps
            of a known text are looked up at once).
        size: Numbers of a state and of what it looks at.
    """

    def __init__(self, score: Score, size: int) -> None:
        super().__init__()
        self.score = score
        if score in ("bahdanau", "luong-general"):
            self.key = nn.Linear(size, size, bias=False)
        if score == "bahdanau":
            self.query = nn.Linear(size, size)
            self.energy = nn.Linear(size, 1, bias=False)

    def prepare(self, states: Tensor) -> Tensor:
        """Return the keys of the encoder's states (n, time, size); once a text, whatever is written then."""
        keys: Tensor = states if self.score == "dot" else self.key(states)
        return keys

    def forward(self, queries: Tensor, keys: Tensor, states: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """Look up.

        Args:
            queries: Shape (n, m, size).
            keys: What ``prepare`` returned.
            states: The encoder's, shape (n, time, size).
            padding: Where there is no text, shape (n, time).

        Returns:
            The means (n, m, size) and the weights (n, m, time).
        """
        if self.score == "bahdanau":
            sums = self.query(queries)[:, :, None] + keys[:, None]  # (n, m, time, size)
            fit = self.energy(sums.tanh()).squeeze(3)  # (n, m, time)
        else:
            fit = queries @ keys.transpose(1, 2)  # (n, m, time)
        weights = fit.masked_fill(padding[:, None], -torch.inf).softmax(2)
        return weights @ states, weights
