"""The recurrent network that writes: of a text that was read (section 2.4), or of a picture that was seen (5.6)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dlplug_sequence.data.padded import BEGIN_CODE, END_CODE, PAD_CODE
from dlplug_sequence.nn.attention import Attention, Score
from dlplug_sequence.nn.beam_search import Found, State, beam_search
from dlplug_sequence.nn.recurrent import Cell, Recurrent

Memory = tuple[Tensor, ...]  # what is known of what is written of: each of shape (n, …)


class Decoder(nn.Module):
    """Writes tokens, each from those before it, from a first state and, with attention, from a memory.

    Several texts may be written of one item: the true ones while it is taught, hypotheses while it writes. They share
    the item's memory, which is never copied for each.

    Args:
        attention: How a state and the memory fit, see ``Attention``; ``none`` for no memory.
        cell: The recurrent cell.
        vocabulary: Number of tokens; 0 pads.
        embedding: Numbers that stand for a token.
        hidden: Units of a layer.
        layers: Number of layers.
        dropout: Probability that a number between layers is dropped while training.
    """

    def __init__(
        self,
        attention: Score,
        cell: Cell,
        vocabulary: int,
        embedding: int,
        hidden: int,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding, padding_idx=PAD_CODE)
        self.net = Recurrent(cell, embedding, hidden, layers, dropout)
        self.drop = nn.Dropout(dropout)
        self.attend = None if attention == "none" else Attention(attention, hidden)
        self.mix = nn.Linear(hidden * (1 if attention == "none" else 2), hidden)
        self.out = nn.Linear(hidden, vocabulary)

    def remember(self, states: Tensor, padding: Tensor) -> Memory:
        """Return the memory of what may be looked at; nothing without attention.

        Args:
            states: Shape (n, places, hidden).
            padding: Where there is nothing, shape (n, places).
        """
        return () if self.attend is None else (self.attend.prepare(states), states, padding)

    def forward(self, tokens: Tensor, memory: Memory, state: State) -> tuple[Tensor, Tensor | None, State]:
        """Write on after each of the tokens, those before it given.

        Args:
            tokens: Several texts an item, shape (n, width, time).
            memory: What ``remember`` returned.
            state: Before the first token, shapes (n, width or 1, layers, hidden).

        Returns:
            Scores of what follows each token, shape (n, width, time, vocabulary); where it looked when it wrote that,
            adding up to 1, shape (n, width, time, places), or None without attention; the state after the last token.
        """
        n, width, time = tokens.shape
        start = tuple(part.expand(-1, width, -1, -1).flatten(0, 1).transpose(0, 1).contiguous() for part in state)
        h, end = self.net(self.drop(self.embed(tokens.flatten(0, 1))), start)  # (n·width, time, hidden)
        h, weights = h.reshape(n, width * time, -1), None
        if self.attend is not None:
            found, weights = self.attend(h, *memory)
            h, weights = torch.cat([h, found], dim=2), weights.unflatten(1, (width, time))
        scores = self.out(self.drop(self.mix(h).tanh())).unflatten(1, (width, time))
        return scores, weights, tuple(part.transpose(0, 1).unflatten(0, (n, width)) for part in end)

    def write(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Take one step for all hypotheses, whose last tokens are ``tokens`` (n, width); see ``search_texts``."""
        scores, _, state = self(tokens[:, :, None], memory, state)
        return scores[:, :, 0], state


def search_texts(
    write: Callable[[Memory, State, Tensor], tuple[Tensor, State]],
    memory: Memory,
    state: State,
    beam: int = 1,
    length_penalty: float = 0.6,
    longest: int = 100,
) -> Found:
    """Write the likeliest text of each item, between the begin and the end token.

    Args:
        write: Given the memory, the state and the last tokens (n, width), returns scores of what follows, shape
            (n, width, vocabulary), and the state after it.
        memory: What is known of the items.
        state: The first state, each tensor of shape (n, 1, …).
        beam: Hypotheses kept; 1 is greedy.
        length_penalty: See ``beam_search``.
        longest: Most tokens.
    """

    def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        scores, state = write(memory, state, tokens)
        scores[..., PAD_CODE] = scores[..., BEGIN_CODE] = -torch.inf
        return scores.float().log_softmax(-1), state

    return beam_search(step, state, BEGIN_CODE, END_CODE, beam, longest, length_penalty)
