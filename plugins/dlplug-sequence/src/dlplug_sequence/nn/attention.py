"""Attention over the encoder's states (section 2.9)."""

from typing import Literal

import torch
from torch import Tensor, nn

Score = Literal["none", "dot", "bahdanau", "luong-general"]


class Attention(nn.Module):
    """Gives a decoder's state the mean of the encoder's states, weighted by the softmax of their scores.

    All queries of an item, steps or hypotheses, share its keys, which are never copied.

    Args:
        score: The score of a state s and a key h: ``dot``, s·h; ``luong-general``, s·W h (Luong et al., 2015);
            ``bahdanau``, v·tanh(W s + U h) (Bahdanau et al., 2015, but with the state after the step, so that all steps
            of a known text are computed at once).
        size: Size of a state and of a key.
    """

    def __init__(self, score: Score, size: int) -> None:
        super().__init__()
        self.score = score
        if score in ("bahdanau", "luong-general"):
            self.key = nn.Linear(size, size, bias=False)
        if score == "bahdanau":
            self.query = nn.Linear(size, size)
            self.energy = nn.Linear(size, 1, bias=False)

    def project_keys(self, states: Tensor) -> Tensor:
        """Return the keys of the encoder's states (n, time, size): once a text, however many tokens are generated."""
        keys: Tensor = states if self.score == "dot" else self.key(states)
        return keys

    def forward(self, queries: Tensor, keys: Tensor, states: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: Shape (n, m, size).
            keys: What ``project_keys`` returned.
            states: The encoder's, shape (n, time, size).
            padding: Where there is no text, shape (n, time).

        Returns:
            The context vectors (n, m, size) and the attention weights (n, m, time).
        """
        if self.score == "bahdanau":
            sums = self.query(queries)[:, :, None] + keys[:, None]  # (n, m, time, size)
            scores = self.energy(sums.tanh()).squeeze(3)  # (n, m, time)
        else:
            scores = queries @ keys.transpose(1, 2)  # (n, m, time)
        weights = scores.masked_fill(padding[:, None], -torch.inf).softmax(2)
        return weights @ states, weights
