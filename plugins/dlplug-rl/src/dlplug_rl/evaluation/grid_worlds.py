"""Environments whose states are places on a map, and whose rules are known."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor


def transitions(env: Any) -> tuple[Tensor, Tensor]:
    """Return the rules of an environment that tells them, as gymnasium's toy environments do in ``P``.

    Args:
        env: The environment itself, without wrappers.

    Returns:
        The probability of each next state, shape (states, actions, states), 0 where the episode ends; and the expected
        reward, shape (states, actions). Both in float64.
    """
    states, actions = len(env.P), len(env.P[0])
    follows, rewards = torch.zeros(states, actions, states).double(), torch.zeros(states, actions).double()
    for state, choices in env.P.items():
        for action, outcomes in choices.items():
            for probability, following, reward, ended in outcomes:
                rewards[state, action] += float(probability) * float(reward)
                if not ended:
                    follows[state, action, int(following)] += float(probability)
    return follows, rewards


def optimal_values(env: Any, gamma: float) -> Tensor:
    """Return Q*, shape (states, actions), by value iteration until nothing moves by more than 1e-12."""
    follows, rewards = transitions(env)
    q = torch.zeros_like(rewards)
    for _ in range(100_000):
        before, q = q, rewards + gamma * follows @ q.amax(1)
        if (q - before).abs().max() < 1e-12:
            break
    return q


def map_shape(env: Any, states: int) -> tuple[int, int] | None:
    """Return rows and columns of an environment's map, or None where its states are no places."""
    shape: tuple[int, ...] = getattr(getattr(env, "desc", None), "shape", None) or getattr(env, "shape", None) or (0,)
    return (int(shape[0]), int(shape[1])) if len(shape) == 2 and shape[0] * shape[1] == states else None


def plot_policy(env: Any, q: Tensor) -> Drawing | None:
    """Draw the best value of each place and where the best action moves to on average; None without a map.

    Args:
        env: The environment itself, without wrappers.
        q: Values, shape (states, actions).
    """
    states, actions = q.shape
    shape = map_shape(env, states)
    if shape is None or not hasattr(env, "P"):
        return None
    ways = _ways(env, shape, actions)
    values, best = (part.cpu() for part in q.max(1))
    known = (q.amax(1) != q.amin(1)).cpu().view(shape)  # elsewhere nothing was learned: ends, and places never seen
    drawing = Drawing(figsize=(1 + 0.8 * shape[1], 1 + 0.8 * shape[0]), layout="constrained")
    axes = drawing.add_subplot(xticks=[], yticks=[], title="best value and action")
    picture = axes.imshow(values.view(shape).where(known, torch.nan).numpy(), cmap="viridis")
    axes.set_facecolor("lightgrey")
    drawing.colorbar(picture, shrink=0.8)
    rows, columns = np.nonzero(known.numpy())
    dy, dx = ways[best.view(shape).numpy()[rows, columns]].T
    options: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1.6, "pivot": "middle", "color": "white"}
    axes.quiver(columns, rows, dx, dy, **options)
    marks = getattr(env, "desc", None)
    for row, column in np.ndindex(shape):
        mark = marks[row, column].decode() if marks is not None else ""
        if mark in "SGH":
            axes.text(column - 0.45, row - 0.45, mark, ha="left", va="top", color="red")
    return drawing


def _ways(env: Any, shape: tuple[int, int], actions: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the way that each action moves, (rows, columns) on average over all places, of length 1."""
    ways = np.zeros((actions, 2))
    for state, choices in env.P.items():
        here = np.array(np.unravel_index(state, shape))
        for action, outcomes in choices.items():
            for probability, following, _, _ in outcomes:
                # A jump across the map, as back to the start, is no way that an action moves.
                move = np.array(np.unravel_index(int(following), shape)) - here
                ways[action] += probability * move * (np.abs(move).sum() <= 1)
    # Walls and holes bend the average a little: a way that is almost straight is straight.
    ways[np.abs(ways) < 0.5 * np.abs(ways).max(1, keepdims=True)] = 0
    lengths = np.linalg.norm(ways, axis=1, keepdims=True)
    return ways / np.where(lengths > 0, lengths, 1)
