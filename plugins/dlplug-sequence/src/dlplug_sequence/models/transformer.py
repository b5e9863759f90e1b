"""Translation by attention alone."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from dlplug_sequence.data.padded import PAD_CODE
from dlplug_sequence.models.translator import Translator
from dlplug_sequence.nn.beam_search import State
from dlplug_sequence.nn.decoder import Memory


class Transformer(Translator):
    """An encoder and a decoder without recurrence: today's reference for translation (Vaswani et al., 2017).

    Layers normalise what goes into them (Xiong et al., 2020); positions are told by sines.

    Args:
        width: Numbers that stand for a token; even, and a multiple of ``heads``.
        heads: Looks at once, each at its own part of the numbers.
        layers: Layers of the encoder, and of the decoder.
        dropout: Probability that a number that a layer adds is dropped while training.
        lr: Highest learning rate of Adam; it rises over the first tenth and falls along a cosine to 0.
    """

    warmup_fraction = 0.1

    def __init__(
        self, width: int = 128, heads: int = 4, layers: int = 2, dropout: float = 0.0, lr: float = 2e-3
    ) -> None:
        super().__init__()
        if min(width, heads, layers) < 1 or width % heads or width % 2 or lr <= 0 or not 0 <= dropout < 1:
            raise ValueError(
                "width, heads and layers must be at least 1, width even and a multiple of heads, dropout from 0 to "
                f"below 1 and lr above 0, not {width}, {heads}, {layers}, {dropout} and {lr}"
            )
        self.save_hyperparameters()
        self.width, self.heads, self.layers, self.dropout, self.lr = width, heads, layers, dropout, lr

    def prepare(self, source: int, target: int) -> None:
        """Make the layers."""
        self.embed_source = nn.Embedding(source, self.width, padding_idx=PAD_CODE)
        self.embed_target = nn.Embedding(target, self.width, padding_idx=PAD_CODE)
        for embedding in (self.embed_source, self.embed_target):
            nn.init.normal_(embedding.weight, std=0.5)  # positions are about 0.7 long a pair
        options = (self.width, self.heads, self.dropout)
        self.encoder = nn.ModuleList(Layer(*options, crossed=False) for _ in range(self.layers))
        self.decoder = nn.ModuleList(Layer(*options, crossed=True) for _ in range(self.layers))
        self.norm_source, self.norm_target = nn.LayerNorm(self.width), nn.LayerNorm(self.width)
        self.drop = nn.Dropout(self.dropout)
        self.out = nn.Linear(self.width, target)

    def read(self, source: Tensor) -> tuple[Memory, State]:
        """Return each layer's keys and values of the texts, and a state that holds no token."""
        keep = (source != PAD_CODE)[:, None, None]  # (n, 1, 1, time)
        x = self.drop(self.embed_source(source) + positions(source.shape[1], self.width, source.device))
        for layer in self.encoder:
            x, _ = layer(x, keep)
        x = self.norm_source(x)
        memory = [part for layer in self.decoder for part in layer.remember(x)]  # type: ignore[operator]
        nothing = x.new_zeros(len(source), 1, self.heads, 0, self.width // self.heads)
        return (keep, *memory), (nothing,) * (2 * self.layers)

    def write(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Take a step for all hypotheses, whose keys and values so far are the state."""
        n, width = tokens.shape
        place = state[0].shape[3]
        where = positions(place + 1, self.width, tokens.device)[place:]
        x = self.embed_target(tokens) + where  # (n, width, width of a token)
        after: list[Tensor] = []
        for number, layer in enumerate(self.decoder):
            before = tuple(part.flatten(0, 1) for part in state[2 * number : 2 * number + 2])
            x, seen = layer(x.reshape(n * width, 1, -1), None, before, memory[0], memory[1 + 2 * number :][:2], width)
            after += [part.unflatten(0, (n, width)) for part in seen]
        scores: Tensor = self.out(self.norm_target(x)).view(n, width, -1)
        return scores, tuple(after)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return scores (n, time, vocabulary) of what follows each token of ``target``, the true ones before it."""
        (keep, *memory), _ = self.read(source)
        time = target.shape[1]
        past = torch.ones(time, time, dtype=torch.bool, device=target.device).tril()
        x = self.drop(self.embed_target(target) + positions(time, self.width, target.device))  # (n, time, width)
        for number, layer in enumerate(self.decoder):
            x, _ = layer(x, past, (), keep, memory[2 * number :][:2])
        scores: Tensor = self.out(self.norm_target(x))
        return scores


class Layer(nn.Module):
    """Looks at the text itself, in a decoder then at the text that is translated, and then thinks.

    Args:
        width: Numbers of a token.
        heads: Looks at once.
        dropout: Probability that a number that is added is dropped.
        crossed: Whether it is a decoder's.
    """

    def __init__(self, width: int, heads: int, dropout: float, crossed: bool) -> None:
        super().__init__()
        self.own, self.norm_own = Look(width, heads), nn.LayerNorm(width)
        if crossed:
            self.cross, self.norm_cross = Look(width, heads), nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def remember(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Return a decoder's keys and values of the texts (n, time, width)."""
        return self.cross.remember(texts)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        before: tuple[Tensor, ...] = (),
        keep: Tensor | None = None,
        memory: tuple[Tensor, ...] = (),
        width: int = 1,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return what it makes of tokens, and their keys and values.

        Args:
            x: Shape (n · width, time, numbers).
            mask: Which tokens may be looked at, as it fits (n, heads, time, time); None for all.
            before: Keys and values of the tokens before.
            keep: Which tokens of the memory may be looked at.
            memory: Keys and values of the texts, shape (n, heads, time, numbers).
            width: Hypotheses of an item, which share its memory.
        """
        normed = self.norm_own(x)
        keys, values = self.own.remember(normed)
        if before:
            keys, values = torch.cat([before[0], keys], dim=2), torch.cat([before[1], values], dim=2)
        x = x + self.drop(self.own(normed, keys, values, mask))
        if memory:
            # Hypotheses are steps of one item here, so that the memory is not copied for each.
            queries = self.norm_cross(x).reshape(-1, width * x.shape[1], x.shape[2])
            x = x + self.drop(self.cross(queries, *memory, keep)).view_as(x)
        return x + self.drop(self.think(x)), (keys, values)


class Look(nn.Module):
    """Attention with several heads.

    Args:
        width: Numbers of a token.
        heads: Looks at once.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value, self.out = (nn.Linear(width, w) for w in (width, 2 * width, width))

    def remember(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of tokens (n, time, width): each (n, heads, time, width / heads)."""
        keys, values = self.key_value(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return keys, values

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Return what tokens (n, time, width) find among keys and values (n, heads, time, width / heads)."""
        queries = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (n, heads, time, width / heads)
        found = scaled_dot_product_attention(queries, keys, values, mask)
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))  # (n, time, width)
        return out


def positions(time: int, width: int, device: torch.device) -> Tensor:
    """Return sines and cosines that tell positions, shape (time, width)."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    angles = torch.arange(time, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
