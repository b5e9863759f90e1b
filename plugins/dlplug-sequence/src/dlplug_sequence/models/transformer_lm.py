"""A transformer language model."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from dlplug.data import Batch
from dlplug.model import Parts
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import NeuralLM, State
from dlplug_sequence.nn.causal import CausalLayer

LOGITS = 2**24  # held at once: 64 MB in single precision


class TransformerLM(NeuralLM):
    """Self-attention over the tokens before: what followed the gated cells of section 2.8 and the attention of 2.9.

    Vaswani et al. (2017), the decoder alone (Radford et al., 2018), with layer norms before each part. Nothing is
    carried from batch to batch in training: the context is ``data.seq_len`` there. In generation it keeps the keys and
    values of the tokens so far; once there are more than ``context_length``, it encodes the last ones again for each.

    Args:
        context_length: Maximum number of tokens it attends to; best equal to ``data.seq_len``.
        d_model: Embedding dimension.
        num_heads: Attention heads of a layer; they divide ``d_model``.
        num_layers: Number of layers.
        dropout: Dropout probability.
        tie_embeddings: Whether input and output share their embeddings (Press and Wolf, 2017).
        activation_checkpointing: Whether layers compute their activations again for the gradient instead of keeping
            them: a third more time, for a fraction of the memory.
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
        tie_embeddings: bool = False,
        activation_checkpointing: bool = False,
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
        self.tie_embeddings, self.activation_checkpointing = tie_embeddings, activation_checkpointing

    def build_layers(self, vocabulary: Vocabulary) -> None:
        """Make the layers."""
        self.embed = nn.Embedding(len(vocabulary), self.d_model)
        self.position = nn.Embedding(self.context_length, self.d_model)
        layer = CausalLayer(self.d_model, self.num_heads, self.dropout)
        self.net = nn.TransformerEncoder(layer, self.num_layers, nn.LayerNorm(self.d_model), enable_nested_tensor=False)
        self.out = nn.Linear(self.d_model, len(vocabulary))
        for embedding in (self.embed, self.position):
            nn.init.normal_(embedding.weight, std=0.02)  # as in GPT (Radford et al., 2018)
        if self.tie_embeddings:
            self.out.weight = self.embed.weight

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the layers, whose code is the same, so that it is made once."""
        for layer in self.net.layers:
            layer.compile(*args, **kwargs)

    def shard(self, mesh: DeviceMesh) -> None:
        """Shard each layer apart, and what is around them together."""
        for layer in self.net.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(self, mesh=mesh)
        for method in ("losses", "next_logits"):  # they call the layers too
            register_fsdp_forward_method(self, method)

    def forward(self, tokens: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Read tokens (n, time) after those of the state; rows longer than the context are read in pieces of it."""
        pieces = []
        for piece in tokens.split(self.context_length, dim=1):  # type: ignore[no-untyped-call]
            x, state = self._read(piece, state, keep=False)
            pieces.append(self.out(x))
        return torch.cat(pieces, dim=1), state

    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return nats (n, time), and the state after the last token; never are all logits held at once."""
        pieces = []
        rows = (part.split(self.context_length, dim=1) for part in (tokens, targets))  # type: ignore[no-untyped-call]
        for piece, following in zip(*rows, strict=True):
            x, state = self._read(piece, state, keep=False)
            pieces.append(chunked_cross_entropy(self.out, x, following))
        return torch.cat(pieces, dim=1), state

    def next_logits(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return logits of what follows the last token, and keep the keys and values of all for the next call."""
        for piece in tokens.split(self.context_length, dim=1):  # type: ignore[no-untyped-call]
            x, state = self._read(piece, state, keep=True)
        return self.out(x[:, -1]), state

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network: tokens, at most ``context_length`` in a row, to logits."""
        tokens = batch[0][:, : self.context_length]
        return {
            "network": (
                lambda tokens: {"logits": self.out(self._encode(tokens))},
                {"tokens": tokens},
                {"tokens": {1: "time"}},
            )
        }

    def _read(self, tokens: Tensor, state: State, keep: bool) -> tuple[Tensor, State]:
        """Return what tokens (n, at most context_length) become, (n, time, d_model), and the state after them.

        A state is the last tokens (n, at most context_length) and, where it is kept, a cache of their keys and values,
        which the next call writes into. It holds while the context has room: then positions move, and what is in the
        context is encoded again.
        """
        seen = torch.cat([*state[:1], tokens], dim=1)[:, -self.context_length :]
        n, time = tokens.shape
        if state[1:] and seen.shape[1] == state[0].shape[1] + time:
            return self._encode(tokens, state[1], state[0].shape[1]), (seen, state[1])
        head = self.d_model // self.num_heads
        sizes = (self.num_layers, 2, n, self.num_heads, self.context_length, head)
        kept = (self.embed.weight.new_empty(sizes),) if keep else ()
        return self._encode(seen, *kept)[:, -time:], (seen, *kept)

    def _encode(self, tokens: Tensor, cache: Tensor | None = None, start: int = 0) -> Tensor:
        # Exercise: add the positions, and let each layer attend to the past alone.
        x = self.embed(tokens) + self.position.weight[start : start + tokens.shape[1]]  # (n, time, d_model)
        for number, layer in enumerate(self.net.layers):
            if self.activation_checkpointing and self.training:
                x = checkpoint(layer, x, use_reentrant=False)
            else:
                x = layer(x, None if cache is None else cache[number], start)
        normed: Tensor = self.net.norm(x)  # type: ignore[misc]
        return normed


def chunked_cross_entropy(out: nn.Linear, x: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each target, whose logits are computed in chunks and, for the gradient, once more.

    Args:
        out: The last layer, to logits.
        x: What it reads, shape (n, time, d_model).
        targets: Shape (n, time).

    Returns:
        Nats, shape (n, time).
    """
    rows = max(1, LOGITS // out.out_features)
    if targets.numel() <= rows:
        return _cross_entropy(out, x.flatten(0, 1), targets.flatten()).view_as(targets)
    chunks = zip(x.flatten(0, 1).split(rows), targets.flatten().split(rows), strict=True)  # type: ignore[no-untyped-call]
    nats = [checkpoint(_cross_entropy, out, *chunk, use_reentrant=False) for chunk in chunks]
    return torch.cat(nats).view_as(targets)


def _cross_entropy(out: nn.Linear, x: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(out(x).float(), targets, reduction="none")
