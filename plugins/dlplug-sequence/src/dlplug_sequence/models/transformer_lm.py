"""A transformer language model."""

import torch
from torch import Tensor, nn

from dlplug.data import Batch
from dlplug.model import Parts
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import NeuralLM


class TransformerLM(NeuralLM):
    """Self-attention over the tokens before: what followed the gated cells of section 2.8 and the attention of 2.9.

    Vaswani et al. (2017), the decoder alone (Radford et al., 2018), with layer norms before each part. Nothing is
    carried from batch to batch in training: the context is ``data.seq_len`` there. In generation it keeps the last
    tokens.

    Args:
        context_length: Maximum number of tokens it attends to; best equal to ``data.seq_len``.
        d_model: Embedding dimension.
        num_heads: Attention heads of a layer; they divide ``d_model``.
        num_layers: Number of layers.
        dropout: Dropout probability.
        lr: Highest learning rate of Adam, after a linear warmup; it decays along a cosine to 0.
    """

    warmup_fraction = 0.05

    def __init__(
        self,
        context_length: int = 128,
        d_model: int = 128,
        num_heads: int = 4,
        num_layers: int = 3,
        dropout: float = 0.0,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        sizes = (context_length, d_model, num_heads, num_layers)
        if min(sizes) < 1 or d_model % num_heads or lr <= 0 or not 0 <= dropout < 1:
            raise ValueError(
                "context_length, d_model, num_heads and num_layers must be at least 1, d_model a multiple of "
                f"num_heads, dropout from 0 to below 1 and lr above 0, not {sizes}, {dropout} and {lr}"
            )
        self.save_hyperparameters()
        self.context_length, self.d_model, self.num_heads, self.num_layers = sizes
        self.dropout, self.lr = dropout, lr

    def build_layers(self, vocabulary: Vocabulary) -> None:
        """Make the layers."""
        self.embed = nn.Embedding(len(vocabulary), self.d_model)
        self.position = nn.Embedding(self.context_length, self.d_model)
        sizes = (self.d_model, self.num_heads, 4 * self.d_model)
        layer = nn.TransformerEncoderLayer(*sizes, self.dropout, "gelu", batch_first=True, norm_first=True)
        self.net = nn.TransformerEncoder(layer, self.num_layers, nn.LayerNorm(self.d_model), enable_nested_tensor=False)
        self.out = nn.Linear(self.d_model, len(vocabulary))
        for embedding in (self.embed, self.position):
            nn.init.normal_(embedding.weight, std=0.02)  # as in GPT (Radford et al., 2018)

    def forward(self, tokens: Tensor, state: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read tokens (n, time) after those of the state; rows longer than the context are read in pieces of it."""
        pieces = []
        for piece in tokens.split(self.context_length, dim=1):  # type: ignore[no-untyped-call]
            seen = torch.cat([*state, piece], dim=1)[:, -self.context_length :]  # (n, at most context_length)
            pieces.append(self._logits(seen)[:, -piece.shape[1] :])
            state = (seen[:, 1 - self.context_length :],) if self.context_length > 1 else ()
        return torch.cat(pieces, dim=1), state

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network: tokens, at most ``context_length`` in a row, to logits."""
        tokens = batch[0][:, : self.context_length]
        return {
            "network": (lambda tokens: {"logits": self._logits(tokens)}, {"tokens": tokens}, {"tokens": {1: "time"}})
        }

    def _logits(self, tokens: Tensor) -> Tensor:
        # Exercise: add the positions, attend to the past alone, and compute the logits.
        time = tokens.shape[1]
        x = self.embed(tokens) + self.position.weight[:time]  # (n, time, d_model)
        mask = nn.Transformer.generate_square_subsequent_mask(time, device=x.device, dtype=x.dtype)
        logits: Tensor = self.out(self.net(x, mask, is_causal=True))  # (n, time, vocabulary)
        return logits
