"""Beam search, a batch at a time, for whatever model writes a token after the other."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

State = tuple[Tensor, ...]  # each of shape (n, width, …): one entry a hypothesis
Step = Callable[[Tensor, State], tuple[Tensor, State]]


@dataclass(frozen=True)
class Found:
    """The best hypothesis of each item.

    Attributes:
        tokens: Shape (n, time), without the begin token; after the end token, end tokens.
        scores: Log-probabilities divided by the length penalty, shape (n,).
    """

    tokens: Tensor
    scores: Tensor

    def rows(self, end: int) -> list[list[int]]:
        """Return each item's tokens before the end token."""
        rows: list[list[int]] = self.tokens.tolist()
        return [row[: row.index(end)] if end in row else row for row in rows]


@torch.no_grad()
def beam_search(
    step: Step, state: State, begin: int, end: int, width: int = 1, longest: int = 100, length_penalty: float = 0.6
) -> Found:
    """Look for the likeliest texts, keeping the best few beginnings of each item at a time; one, and it is greedy.

    All hypotheses of all items take a step at once; what a model knows of an item itself (an encoder's states) is not
    copied for each, since hypotheses are a dimension of their own. It stops once no hypothesis can still win.

    Args:
        step: Given the last tokens (n, width) and the state, returns log-probabilities of what follows, shape
            (n, width, vocabulary), and the new state.
        state: The first state, each tensor of shape (n, 1, …).
        begin: The token before the first.
        end: The token after the last.
        width: Hypotheses of an item.
        longest: Most tokens, the end token included.
        length_penalty: Scores are divided by ((5 + length) / 6) to this power (Wu et al., 2016): 0 favours short texts.

    Raises:
        ValueError: An option is out of range.
    """
    if width < 1 or longest < 1 or length_penalty < 0:
        raise ValueError(
            f"the beam and the longest text must be at least 1 and the length penalty at least 0, not {width}, "
            f"{longest} and {length_penalty}"
        )
    n, device = len(state[0]), state[0].device
    state = tuple(part.expand(n, width, *part.shape[2:]) for part in state)
    last = torch.full((n, width), begin, device=device)
    tokens = last[:, :, None][:, :, :0]  # (n, width, 0)
    totals = torch.full((n, width), -torch.inf, device=device)
    totals[:, 0] = 0  # the first step starts from one hypothesis, or all would be the same
    ended = torch.zeros(n, width, dtype=torch.bool, device=device)
    lengths = torch.zeros(n, width, device=device)
    for length in range(1, longest + 1):
        nats, state = step(last, state)
        nats = nats.float()
        nats[ended] = -torch.inf  # a text that has ended goes on with end tokens, at no cost
        nats[..., end] = nats[..., end].masked_fill(ended, 0)
        spans = torch.where(ended, lengths, length)
        found = (totals[..., None] + nats) / penalty(spans, length_penalty)[..., None]  # (n, width, vocabulary)
        scores, places = found.flatten(1).topk(width)  # (n, width)
        parents, last = places // nats.shape[2], places % nats.shape[2]
        lengths, ended = spans.gather(1, parents), ended.gather(1, parents) | (last == end)
        totals = scores * penalty(lengths, length_penalty)
        tokens = torch.cat([pick(tokens, parents), last[..., None]], dim=2)
        # A living hypothesis cannot become better than if the rest were certain.
        reach = (totals / penalty(torch.full_like(lengths, longest), length_penalty)).masked_fill(ended, -torch.inf)
        best = scores.masked_fill(~ended, -torch.inf).amax(1)
        if bool((best >= reach.amax(1)).all()):
            break
        state = tuple(pick(part, parents) for part in state)
    best, place = scores.masked_fill(~ended & ended.any(1, keepdim=True), -torch.inf).max(1)
    return Found(tokens[torch.arange(n, device=device), place], best)


def penalty(lengths: Tensor, power: float) -> Tensor:
    """Return what the log-probabilities of texts of such lengths are divided by."""
    return ((5 + lengths) / 6) ** power


def pick(part: Tensor, parents: Tensor) -> Tensor:
    """Return, for each item of (n, width, …), the entries of the hypotheses that ``parents`` (n, width) names."""
    if part.shape[1] == 1:
        return part
    return part[torch.arange(len(part), device=part.device)[:, None], parents]
