"""Translation by attention alone."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from dlplug.data import Batch
from dlplug.model import Parts
from dlplug_sequence.data.padded import PAD_ID
from dlplug_sequence.models.translator import Translator
from dlplug_sequence.nn.beam_search import State
from dlplug_sequence.nn.decoder import Memory


class Transformer(Translator):
    """An encoder and a decoder without recurrence: today's reference for translation (Vaswani et al., 2017).

    Layer norms come before each part (Xiong et al., 2020), where the paper's come after it; positional encodings are
    sinusoidal.

    Args:
        d_model: Embedding dimension; even, and a multiple of ``num_heads``.
        num_heads: Attention heads.
        num_layers: Layers of the encoder, and of the decoder.
        dropout: Dropout probability.
        lr: Highest learning rate of Adam, after a linear warmup; it decays along a cosine to 0.
    """

    warmup_fraction = 0.1

    def __init__(
        self, d_model: int = 128, num_heads: int = 4, num_layers: int = 2, dropout: float = 0.0, lr: float = 2e-3
    ) -> None:
        super().__init__()
        sizes = (d_model, num_heads, num_layers)
        if min(sizes) < 1 or d_model % num_heads or d_model % 2 or lr <= 0 or not 0 <= dropout < 1:
            raise ValueError(
                "d_model, num_heads and num_layers must be at least 1, d_model even and a multiple of num_heads, "
                f"dropout from 0 to below 1 and lr above 0, not {sizes}, {dropout} and {lr}"
            )
        self.save_hyperparameters()
        self.d_model, self.num_heads, self.num_layers = sizes
        self.dropout, self.lr = dropout, lr

    def build_layers(self, source: int, target: int) -> None:
        """Make the layers."""
        self.embed_source = nn.Embedding(source, self.d_model, padding_idx=PAD_ID)
        self.embed_target = nn.Embedding(target, self.d_model, padding_idx=PAD_ID)
        for embedding in (self.embed_source, self.embed_target):
            nn.init.normal_(embedding.weight, std=0.5)  # like positions: the sine and cosine of a rate have a rms of .7
        options = (self.d_model, self.num_heads, self.dropout)
        self.encoder = nn.ModuleList(Layer(*options, cross_attention=False) for _ in range(self.num_layers))
        self.decoder = nn.ModuleList(Layer(*options, cross_attention=True) for _ in range(self.num_layers))
        self.norm_source, self.norm_target = nn.LayerNorm(self.d_model), nn.LayerNorm(self.d_model)
        self.drop = nn.Dropout(self.dropout)
        self.out = nn.Linear(self.d_model, target)

    def encode(self, source: Tensor) -> tuple[Memory, State]:
        """Return the keys and values of the texts for each layer of the decoder, and a state without tokens."""
        keep = (source != PAD_ID)[:, None, None]  # (n, 1, 1, time)
        x = self.drop(self.embed_source(source) + positional_encoding(source.shape[1], self.d_model, source.device))
        for layer in self.encoder:
            x, _ = layer(x, keep)
        x = self.norm_source(x)
        memory = [part for layer in self.decoder for part in layer.cross_attention.keys_values(x)]  # type: ignore[operator, union-attr]
        nothing = x.new_zeros(source.shape[0], 1, self.num_heads, 0, self.d_model // self.num_heads)
        return (keep, *memory), (nothing,) * (2 * self.num_layers)

    def decode_step(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Take a step for all hypotheses; the state is the keys and values of the tokens so far."""
        n, beams = tokens.shape
        position = state[0].shape[3]
        x = self.embed_target(tokens) + positional_encoding(position + 1, self.d_model, tokens.device)[position:]
        x = x.view(n * beams, 1, -1)  # (n · beams, 1, d_model)
        after: list[Tensor] = []
        for i, layer in enumerate(self.decoder):
            before = tuple(part.flatten(0, 1) for part in state[2 * i : 2 * i + 2])
            x, seen = layer(x, None, before, memory[0], memory[1 + 2 * i :][:2], beams)
            after += [part.unflatten(0, (n, beams)) for part in seen]
        logits: Tensor = self.out(self.norm_target(x)).view(n, beams, -1)
        return logits, tuple(after)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return logits (n, time, vocabulary) of what follows each token of ``target``, with teacher forcing."""
        return self._decode(target, *self.encode(source)[0])

    def align(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the cross-attention weights of each token after the first of ``target``, the mean of all heads."""
        maps: list[Tensor] = []

        def keep_weights(attention: nn.Module, given: tuple[Tensor, ...]) -> None:
            assert isinstance(attention, MultiHeadAttention)
            x, keys, _, mask = given
            maps.append(attention.weights(x, keys, mask).mean(1))

        # forward itself never has the weights: they are in the kernel.
        hooks = [layer.cross_attention.register_forward_pre_hook(keep_weights) for layer in self.decoder]  # type: ignore[union-attr]
        try:
            self(source, target[:, :-1])
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack(maps).mean(0)

    def export_parts(self, batch: Batch) -> Parts:
        """Return the encoder, and the decoder, which is given all tokens so far: it keeps no state."""
        source, target = batch[:2]
        memory = self.encode(source)[0]
        names = ["keep", *(f"{kind}_{layer}" for layer in range(self.num_layers) for kind in ("keys", "values"))]

        def encode(tokens: Tensor) -> dict[str, Tensor]:
            return dict(zip(names, self.encode(tokens)[0], strict=True))

        def decode(tokens: Tensor, *memory: Tensor) -> dict[str, Tensor]:
            return {"logits": self._decode(tokens, *memory)}

        axes = {"tokens": {1: "time"}, **{key: {2: "positions"} for key in names}, "keep": {3: "positions"}}
        inputs = {"tokens": target, **dict(zip(names, memory, strict=True))}
        return {
            "encoder": (encode, {"tokens": source}, {"tokens": {1: "positions"}}),
            "decoder": (decode, inputs, axes),
        }

    def _decode(self, target: Tensor, keep: Tensor, *memory: Tensor) -> Tensor:
        time = target.shape[1]
        causal = torch.ones(time, time, dtype=torch.bool, device=target.device).tril()
        x = self.embed_target(target) + positional_encoding(time, self.d_model, target.device)  # (n, time, d_model)
        x = self.drop(x)
        for i, layer in enumerate(self.decoder):
            x, _ = layer(x, causal, (), keep, memory[2 * i :][:2])
        logits: Tensor = self.out(self.norm_target(x))
        return logits


class Layer(nn.Module):
    """Self-attention, in a decoder cross-attention to the encoded texts, and a feed-forward network.

    Args:
        d_model: Embedding dimension.
        num_heads: Attention heads.
        dropout: Dropout probability.
        cross_attention: Whether it is a decoder's.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float, cross_attention: bool) -> None:
        super().__init__()
        self.self_attention, self.norm_self = MultiHeadAttention(d_model, num_heads), nn.LayerNorm(d_model)
        if cross_attention:
            self.cross_attention, self.norm_cross = MultiHeadAttention(d_model, num_heads), nn.LayerNorm(d_model)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(d_model), nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model)
        )
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        before: tuple[Tensor, ...] = (),
        keep: Tensor | None = None,
        memory: tuple[Tensor, ...] = (),
        beams: int = 1,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the tokens' new embeddings, and their keys and values.

        Args:
            x: Shape (n · beams, time, d_model).
            mask: Which tokens may be attended to, broadcast to (n, num_heads, time, time); None for all.
            before: Keys and values of the tokens before.
            keep: Which tokens of the memory may be attended to.
            memory: Keys and values of the texts, shape (n, num_heads, time, d_model / num_heads).
            beams: Hypotheses of an item, which share its memory.
        """
        normed = self.norm_self(x)
        keys, values = self.self_attention.keys_values(normed)
        if before:
            keys, values = torch.cat([before[0], keys], dim=2), torch.cat([before[1], values], dim=2)
        x = x + self.drop(self.self_attention(normed, keys, values, mask))
        if memory:
            # Hypotheses are steps of one item here, so that the memory is not copied for each.
            queries = self.norm_cross(x).reshape(-1, beams * x.shape[1], x.shape[2])
            x = x + self.drop(self.cross_attention(queries, *memory, keep)).view_as(x)
        return x + self.drop(self.feed_forward(x)), (keys, values)


class MultiHeadAttention(nn.Module):
    """Multi-head attention whose keys and values are computed apart, so that they can be cached.

    Args:
        d_model: Embedding dimension.
        num_heads: Attention heads.
    """

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key_value, self.out = (nn.Linear(d_model, size) for size in (d_model, 2 * d_model, d_model))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of tokens (n, time, d_model): each (n, num_heads, time, d_model / num_heads)."""
        keys, values = self.key_value(x).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return keys, values

    def weights(self, x: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Return the weights with which tokens (n, time, d_model) attend to keys (n, num_heads, keys, size)."""
        queries = self.query(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        weights: Tensor = (queries @ keys.mT / keys.shape[3] ** 0.5).masked_fill(~mask, -torch.inf).softmax(3)
        return weights

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from tokens (n, time, d_model) to keys and values; return shape (n, time, d_model)."""
        # Exercise: queries by head, attention, and the heads joined again.
        queries = self.query(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        attended = scaled_dot_product_attention(queries, keys, values, mask)  # (n, num_heads, time, d_model / heads)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out


def positional_encoding(time: int, d_model: int, device: torch.device) -> Tensor:
    """Return sinusoidal positional encodings, shape (time, d_model)."""
    # Exercise: sines and cosines in turn, of wavelengths from 2π to 10,000 · 2π.
    rates = torch.exp(torch.arange(0, d_model, 2, device=device) * (-math.log(10_000) / d_model))
    angles = torch.arange(time, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
