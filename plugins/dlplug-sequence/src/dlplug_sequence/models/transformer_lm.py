"""A language model that attends to all tokens before."""

import torch
from torch import Tensor, nn

from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.neural_lm import NeuralLM


class TransformerLM(NeuralLM):
    """Self-attention over the tokens before: what followed the gated cells of section 2.8 and the attention of 2.9.

    Vaswani et al. (2017), as a decoder alone (Radford et al., 2018), norms before each part. Nothing is carried from
    batch to batch while training: ``data.length`` is what it can look back on. To write, it keeps the last tokens.

    Args:
        context: Most tokens that it looks at; training rows are best as long.
        width: Numbers that stand for a token.
        heads: Attention heads of a layer; they share the width.
        layers: Number of layers.
        dropout: Probability that a number between parts is dropped.
        lr: Highest learning rate of Adam; it rises over the first twentieth and falls along a cosine to 0.
    """

    warmup_fraction = 0.05

    def __init__(
        self,
        context: int = 128,
        width: int = 128,
        heads: int = 4,
        layers: int = 3,
        dropout: float = 0.0,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        if min(context, width, heads, layers) < 1 or width % heads or lr <= 0 or not 0 <= dropout < 1:
            raise ValueError(
                "context, width, heads and layers must be at least 1, width a multiple of heads, dropout from 0 to "
                f"below 1 and lr above 0, not {context}, {width}, {heads}, {layers}, {dropout} and {lr}"
            )
        self.save_hyperparameters()
        self.context, self.width, self.heads, self.layers = context, width, heads, layers
        self.dropout, self.lr = dropout, lr

    def prepare(self, vocabulary: Vocabulary) -> None:
        """Make the layers."""
        self.embed = nn.Embedding(len(vocabulary), self.width)
        self.position = nn.Embedding(self.context, self.width)
        layer = nn.TransformerEncoderLayer(
            self.width, self.heads, 4 * self.width, self.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.net = nn.TransformerEncoder(layer, self.layers, nn.LayerNorm(self.width), enable_nested_tensor=False)
        self.out = nn.Linear(self.width, len(vocabulary))
        for embedding in (self.embed, self.position):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, tokens: Tensor, state: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read tokens (n, time) after those of the state; rows longer than the context are read in pieces of it."""
        pieces = []
        for piece in tokens.split(self.context, dim=1):  # type: ignore[no-untyped-call]
            seen = torch.cat([*state, piece], dim=1)[:, -self.context :]  # (n, at most context)
            pieces.append(self._scores(seen)[:, -piece.shape[1] :])
            state = (seen[:, 1 - self.context :],) if self.context > 1 else ()
        return torch.cat(pieces, dim=1), state

    def _scores(self, tokens: Tensor) -> Tensor:
        time = tokens.shape[1]
        x = self.embed(tokens) + self.position.weight[:time]  # (n, time, width)
        mask = nn.Transformer.generate_square_subsequent_mask(time, device=x.device, dtype=x.dtype)
        scores: Tensor = self.out(self.net(x, mask, is_causal=True))  # (n, time, vocabulary)
        return scores
