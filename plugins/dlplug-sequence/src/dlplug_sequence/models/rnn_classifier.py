"""A recurrent classifier of texts."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from dlplug_sequence.data.padded import PAD_ID
from dlplug_sequence.models.text_classifier import TextClassifier
from dlplug_sequence.nn.recurrent import Activation, Cell, Init, Recurrent

Pool = Literal["last", "max", "mean"]


class RNNClassifier(TextClassifier):
    """Recurrent cells read a text; the last state, or all states pooled, decide its class (section 2.4).

    Texts of different lengths are packed: a cell never reads padding.

    Args:
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        activation: Activation function of an rnn.
        init: Initialisation of recurrent weights.
        hidden_size: Hidden units of a layer, in each direction.
        num_layers: Number of layers.
        bidirectional: Whether a second stack reads backwards.
        pool: What is classified: the ``last`` state, as in the notes, or each unit's ``max`` or ``mean`` over time.
        embedding_dim: Embedding dimension.
        dropout: Dropout probability between layers.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    def __init__(
        self,
        cell: Cell = "gru",
        activation: Activation = "tanh",
        init: Init = "default",
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        pool: Pool = "max",
        embedding_dim: int = 64,
        dropout: float = 0.5,
        word_dropout: float = 0.2,
        lr: float = 5e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(word_dropout, **kwargs)
        if embedding_dim < 1 or lr <= 0:
            raise ValueError(f"embedding_dim must be at least 1 and lr above 0, not {embedding_dim} and {lr}")
        self.save_hyperparameters()
        self.cell, self.activation, self.init = cell, activation, init
        self.hidden_size, self.num_layers, self.bidirectional, self.pool = hidden_size, num_layers, bidirectional, pool
        self.embedding_dim, self.dropout, self.lr = embedding_dim, dropout, lr

    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the layers."""
        sizes = (self.embedding_dim, self.hidden_size, self.num_layers, self.dropout)
        recurrent = Recurrent(self.cell, *sizes, self.bidirectional, self.activation, self.init)
        out = nn.Linear(self.hidden_size * (1 + self.bidirectional), classes)
        return RNNEncoder(vocabulary, self.embedding_dim, recurrent, self.pool, self.dropout, out)


class RNNEncoder(nn.Module):
    """Embeds a text's tokens, encodes them with recurrent cells, and classifies the pooled states.

    Args:
        vocabulary: Number of tokens.
        embedding_dim: Embedding dimension.
        recurrent: The recurrent cells.
        pool: What is classified.
        dropout: Dropout probability of the pooled states.
        out: The last layer.
    """

    def __init__(
        self, vocabulary: int, embedding_dim: int, recurrent: Recurrent, pool: Pool, dropout: float, out: nn.Linear
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding_dim, padding_idx=PAD_ID)
        self.recurrent, self.pool, self.drop, self.out = recurrent, pool, nn.Dropout(dropout), out

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (n, classes) of tokens (n, time), padded with 0."""
        # Exercise: embed, read, pool what was read without the padding, and classify.
        kept = tokens != PAD_ID  # (n, time)
        states, state = self.recurrent.read_padded(self.embed(tokens), kept)  # (n, time, hidden_size × directions)
        if self.pool == "last":
            directions = self.recurrent.net.bidirectional + 1
            pooled = state[0][-directions:].transpose(0, 1).flatten(1)  # (n, hidden_size × directions)
        elif self.pool == "max":
            pooled = states.masked_fill(~kept[..., None], -torch.inf).amax(1)
        else:
            pooled = states.sum(1) / kept.sum(1, keepdim=True)
        logits: Tensor = self.out(self.drop(pooled))  # (n, classes)
        return logits
