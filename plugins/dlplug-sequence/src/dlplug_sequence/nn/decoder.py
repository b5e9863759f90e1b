"""The recurrent decoder: of a text that was encoded (section 2.4), or of an image (5.6)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dlplug_sequence.data.padded import BOS_ID, EOS_ID, PAD_ID
from dlplug_sequence.nn.attention import Attention, Score
from dlplug_sequence.nn.beam_search import BeamResult, State, beam_search
from dlplug_sequence.nn.recurrent import Cell, Recurrent

ExportPart = tuple[Callable[..., dict[str, Tensor]], dict[str, Tensor], dict[str, dict[int, str]]]
Memory = tuple[Tensor, ...]  # what the decoder may attend to: each of shape (n, …)


class Decoder(nn.Module):
    """Generates tokens, each from those before it, from a first state and, with attention, from a memory.

    Several texts may be decoded of one item: the true ones with teacher forcing, hypotheses in a search. They share the
    item's memory, which is never copied for each.

    Args:
        attention: The score of a state and a key, see ``Attention``; ``none`` for no memory.
        cell: The recurrent cell.
        vocabulary: Number of tokens; 0 is padding.
        embedding_dim: Embedding dimension.
        hidden_size: Hidden units of a layer.
        num_layers: Number of layers.
        dropout: Dropout probability between layers.
    """

    def __init__(
        self,
        attention: Score,
        cell: Cell,
        vocabulary: int,
        embedding_dim: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding_dim, padding_idx=PAD_ID)
        self.net = Recurrent(cell, embedding_dim, hidden_size, num_layers, dropout)
        self.drop = nn.Dropout(dropout)
        self.attend = None if attention == "none" else Attention(attention, hidden_size)
        self.mix = nn.Linear(hidden_size * (1 if attention == "none" else 2), hidden_size)
        self.out = nn.Linear(hidden_size, vocabulary)

    def precompute_keys(self, states: Tensor, padding: Tensor) -> Memory:
        """Return the memory of what is attended to; nothing without attention.

        Args:
            states: Shape (n, positions, hidden_size).
            padding: Where there is nothing, shape (n, positions).
        """
        return () if self.attend is None else (self.attend.project_keys(states), states, padding)

    def forward(self, tokens: Tensor, memory: Memory, state: State) -> tuple[Tensor, Tensor | None, State]:
        """Predict what follows each of the tokens, those before it given.

        Args:
            tokens: Several texts an item, shape (n, num_beams, time).
            memory: What ``precompute_keys`` returned.
            state: Before the first token, shapes (n, num_beams or 1, num_layers, hidden_size).

        Returns:
            Logits of what follows each token, shape (n, num_beams, time, vocabulary); its attention weights, which add
            up to 1, shape (n, num_beams, time, positions), or None without attention; the state after the last token.
        """
        n, beams, time = tokens.shape
        start = tuple(part.expand(-1, beams, -1, -1).flatten(0, 1).transpose(0, 1).contiguous() for part in state)
        h, end = self.net(self.drop(self.embed(tokens.flatten(0, 1))), start)  # (n·beams, time, hidden_size)
        h, weights = h.reshape(n, beams * time, -1), None
        if self.attend is not None:
            context, weights = self.attend(h, *memory)
            h, weights = torch.cat([h, context], dim=2), weights.unflatten(1, (beams, time))
        logits = self.out(self.drop(self.mix(h).tanh())).unflatten(1, (beams, time))
        return logits, weights, tuple(part.transpose(0, 1).unflatten(0, (n, beams)) for part in end)

    def export_part(self, tokens: Tensor, memory: Memory, state: State) -> ExportPart:
        """Return the decoder as ``dlplug.model.Parts`` have it: tokens, memory and state to logits and the state after.

        Args:
            tokens: Shape (n, time).
            memory: What ``precompute_keys`` returned.
            state: Before the first token.
        """
        memories = dict(zip(("keys", "states", "padding"), memory, strict=False))
        names = [f"state_{place}" for place in range(len(state))]

        def decode(tokens: Tensor, *known: Tensor) -> dict[str, Tensor]:
            logits, _, after = self(tokens[:, None], known[: len(memory)], known[len(memory) :])
            return {"logits": logits[:, 0], **{f"next_{n}": part for n, part in zip(names, after, strict=True)}}

        inputs = {"tokens": tokens, **memories, **dict(zip(names, state, strict=True))}
        return decode, inputs, {"tokens": {1: "time"}, **{key: {1: "positions"} for key in memories}}

    def decode_step(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Take one step for all hypotheses, whose last tokens are ``tokens`` (n, num_beams); see ``search_texts``."""
        logits, _, state = self(tokens[:, :, None], memory, state)
        return logits[:, :, 0], state


def search_texts(
    decode_step: Callable[[Memory, State, Tensor], tuple[Tensor, State]],
    memory: Memory,
    state: State,
    num_beams: int = 1,
    length_penalty: float = 0.6,
    max_length: int = 100,
) -> BeamResult:
    """Decode the likeliest text of each item, between the begin and the end token.

    Args:
        decode_step: Given the memory, the state and the last tokens (n, num_beams), returns logits of the next token,
            shape (n, num_beams, vocabulary), and the state after it.
        memory: What is known of the items.
        state: The first state, each tensor of shape (n, 1, …).
        num_beams: Hypotheses kept; 1 is greedy.
        length_penalty: See ``beam_search``.
        max_length: Maximum number of tokens.
    """

    def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits, state = decode_step(memory, state, tokens)
        logits[..., PAD_ID] = logits[..., BOS_ID] = -torch.inf
        return logits.float().log_softmax(-1), state

    return beam_search(step, state, BOS_ID, EOS_ID, num_beams, max_length, length_penalty)
