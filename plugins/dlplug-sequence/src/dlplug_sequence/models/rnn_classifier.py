"""A classifier that reads a text with recurrent cells."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlplug_sequence.data.padded import PAD_CODE
from dlplug_sequence.models.text_classifier import TextClassifier
from dlplug_sequence.nn.recurrent import Activation, Cell, Init, Recurrent

Pool = Literal["last", "max", "mean"]


class RNNClassifier(TextClassifier):
    """Recurrent cells read a text; the last state, or all states pooled, decide its class (section 2.4).

    Texts of different lengths are packed: a cell never reads padding.

    Args:
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        activation: Of an rnn.
        init: Recurrent weights before training.
        hidden: Units of a layer, a direction.
        layers: Number of layers.
        bidirectional: Whether a second stack reads backwards.
        pool: What is classified: the ``last`` state, as in the notes, or each unit's ``max`` or ``mean`` over time.
        embedding: Numbers that stand for a word.
        dropout: Probability that a number between layers is dropped while training.
        word_dropout: Probability that a word is unknown while training, so that no single word decides.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    def __init__(
        self,
        cell: Cell = "gru",
        activation: Activation = "tanh",
        init: Init = "default",
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        pool: Pool = "max",
        embedding: int = 64,
        dropout: float = 0.5,
        word_dropout: float = 0.2,
        lr: float = 5e-3,
    ) -> None:
        super().__init__(word_dropout)
        if embedding < 1 or lr <= 0:
            raise ValueError(f"embedding must be at least 1 and lr above 0, not {embedding} and {lr}")
        self.save_hyperparameters()
        self.cell, self.activation, self.init = cell, activation, init
        self.hidden, self.layers, self.bidirectional, self.pool = hidden, layers, bidirectional, pool
        self.embedding, self.dropout, self.lr = embedding, dropout, lr

    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the layers."""
        recurrent = Recurrent(
            self.cell,
            self.embedding,
            self.hidden,
            self.layers,
            self.dropout,
            self.bidirectional,
            self.activation,
            self.init,
        )
        width = self.hidden * (1 + self.bidirectional)
        return Reader(vocabulary, self.embedding, recurrent, self.pool, self.dropout, nn.Linear(width, classes))


class Reader(nn.Module):
    """Embeds a text's tokens, reads them, and scores the classes by what it made of them.

    Args:
        vocabulary: Number of tokens.
        embedding: Numbers that stand for a token.
        recurrent: What reads.
        pool: What is scored.
        dropout: Probability that a number is dropped before scoring.
        out: The last layer.
    """

    def __init__(
        self, vocabulary: int, embedding: int, recurrent: Recurrent, pool: Pool, dropout: float, out: nn.Linear
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding, padding_idx=PAD_CODE)
        self.recurrent, self.pool, self.drop, self.out = recurrent, pool, nn.Dropout(dropout), out

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores (n, classes) of tokens (n, time), padded with 0."""
        lengths = (tokens != PAD_CODE).sum(1).cpu()
        x = self.embed(tokens)  # (n, time, embedding)
        packed, state = self.recurrent(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        if self.pool == "last":
            directions = self.recurrent.net.bidirectional + 1
            pooled = state[0][-directions:].transpose(0, 1).flatten(1)  # (n, hidden × directions)
        else:
            states, _ = pad_packed_sequence(packed, batch_first=True)  # (n, time, hidden × directions)
            padding = (tokens == PAD_CODE)[:, : states.shape[1], None]
            if self.pool == "max":
                pooled = states.masked_fill(padding, -torch.inf).amax(1)
            else:
                pooled = states.masked_fill(padding, 0).sum(1) / lengths.to(states.device)[:, None]
        scores: Tensor = self.out(self.drop(pooled))  # (n, classes)
        return scores
