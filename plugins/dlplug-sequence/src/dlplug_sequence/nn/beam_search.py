"""Beam search, a batch at a time, for any model that generates token by token."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

State = tuple[Tensor, ...]  # each of shape (n, num_beams, …): one entry a hypothesis
Step = Callable[[Tensor, State], tuple[Tensor, State]]


@dataclass(frozen=True)
class BeamResult:
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
    step: Step,
    state: State,
    begin: int,
    end: int,
    num_beams: int = 1,
    max_length: int = 100,
    length_penalty: float = 0.6,
) -> BeamResult:
    """Search for the likeliest texts, keeping the best few hypotheses of each item; with one it is greedy search.

    All hypotheses of all items take a step at once; what a model knows of an item itself (an encoder's states) is not
    copied for each, since hypotheses are a dimension of their own. It stops once no hypothesis can still win.

    Args:
        step: Given the last tokens (n, num_beams) and the state, returns log-probabilities of the next token, shape
            (n, num_beams, vocabulary), and the new state.
        state: The first state, each tensor of shape (n, 1, …).
        begin: The token before the first.
        end: The token after the last.
        num_beams: Hypotheses of an item.
        max_length: Maximum number of tokens, the end token included.
        length_penalty: Scores are divided by ((5 + length) / 6) to this power (Wu et al., 2016): 0 favours short texts.

    Raises:
        ValueError: An option is out of range.
    """
    if num_beams < 1 or max_length < 1 or length_penalty < 0:
        raise ValueError(
            "num_beams and the maximum length must be at least 1 and length_penalty at least 0, not "
            f"{num_beams}, {max_length} and {length_penalty}"
        )
    n, device = len(state[0]), state[0].device
    state = tuple(part.expand(n, num_beams, *part.shape[2:]) for part in state)
    last = torch.full((n, num_beams), begin, device=device)
    tokens = last[:, :, None][:, :, :0]  # (n, num_beams, 0)
    totals = torch.full((n, num_beams), -torch.inf, device=device)
    totals[:, 0] = 0  # the first step starts from one hypothesis; otherwise all would be the same
    ended = torch.zeros(n, num_beams, dtype=torch.bool, device=device)
    lengths = torch.zeros(n, num_beams, device=device)
    for length in range(1, max_length + 1):
        logs, state = step(last, state)
        logs = logs.float()
        logs[ended] = -torch.inf  # a text that has ended continues with end tokens, at no cost
        logs[..., end] = logs[..., end].masked_fill(ended, 0)
        spans = torch.where(ended, lengths, length)
        candidates = (totals[..., None] + logs) / penalty(spans, length_penalty)[..., None]  # (n, num_beams, vocab.)
        scores, indices = candidates.flatten(1).topk(num_beams)  # (n, num_beams)
        parents, last = indices // logs.shape[2], indices % logs.shape[2]
        lengths, ended = spans.gather(1, parents), ended.gather(1, parents) | (last == end)
        totals = scores * penalty(lengths, length_penalty)
        tokens = torch.cat([reorder(tokens, parents), last[..., None]], dim=2)
        # The best that a living hypothesis can still reach: all further tokens certain, at the maximum length.
        reach = (totals / penalty(torch.full_like(lengths, max_length), length_penalty)).masked_fill(ended, -torch.inf)
        best = scores.masked_fill(~ended, -torch.inf).amax(1)
        if bool((best >= reach.amax(1)).all()):
            break
        state = tuple(reorder(part, parents) for part in state)
    best, index = scores.masked_fill(~ended & ended.any(1, keepdim=True), -torch.inf).max(1)
    return BeamResult(tokens[torch.arange(n, device=device), index], best)


def penalty(lengths: Tensor, power: float) -> Tensor:
    """Return what the log-probabilities of texts of such lengths are divided by."""
    return ((5 + lengths) / 6) ** power


def reorder(part: Tensor, parents: Tensor) -> Tensor:
    """Return, for each item of (n, num_beams, …), the entries of the hypotheses at ``parents`` (n, num_beams)."""
    if part.shape[1] == 1:
        return part
    return part[torch.arange(len(part), device=part.device)[:, None], parents]
