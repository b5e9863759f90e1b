"""Environments whose states are places on a map, and whose transition function is known."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor


def transitions(env: Any) -> tuple[Tensor, Tensor]:
    """Return the transition function of an environment that has it in ``P``, as gymnasium's toy environments do.

    Args:
        env: The environment itself, without wrappers.

    Returns:
        The probability of each next state, shape (states, actions, states), 0 where the episode ends; and the expected
        reward, shape (states, actions). Both in float64.
    """
    states, actions = len(env.P), len(env.P[0])
    probabilities, rewards = torch.zeros(states, actions, states).double(), torch.zeros(states, actions).double()
    for state, by_action in env.P.items():
        for action, outcomes in by_action.items():
            for probability, next_state, reward, terminated in outcomes:
                rewards[state, action] += float(probability) * float(reward)
                if not terminated:
                    probabilities[state, action, int(next_state)] += float(probability)
    return probabilities, rewards


def optimal_values(env: Any, gamma: float) -> Tensor:
    """Return Q*, shape (states, actions), of an environment itself, without wrappers, at a discount of a step."""
    return value_iteration(*transitions(env), gamma)


def value_iteration(probabilities: Tensor, rewards: Tensor, gamma: float) -> Tensor:
    """Return Q*, shape (states, actions), iterated until nothing changes by more than 1e-12.

    Args:
        probabilities: Of each next state, shape (states, actions, states), 0 where the episode ends.
        rewards: Expected ones, shape (states, actions).
        gamma: Discount of a step.
    """
    q = torch.zeros_like(rewards)
    for _ in range(100_000):
        before, q = q, rewards + gamma * probabilities @ q.amax(1)
        if (q - before).abs().max() < 1e-12:
            break
    return q


def policy_value(env: Any, actions: Tensor, steps: int) -> float:
    """Return the exact expected return of a policy over an episode.

    Args:
        env: The environment itself, without wrappers.
        actions: What it does in each state, shape (states,).
        steps: After which an episode is truncated.
    """
    probabilities, rewards = transitions(env)
    states = torch.arange(len(actions))
    values = torch.zeros(len(actions)).double()
    for _ in range(steps):
        values = rewards[states, actions] + probabilities[states, actions] @ values
    return float(torch.from_numpy(np.asarray(env.initial_state_distrib)).double() @ values)


def map_shape(env: Any, states: int) -> tuple[int, int] | None:
    """Return rows and columns of an environment's map, or None where its states are not places."""
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
    values, best = (part.cpu() for part in q.max(1))
    learned = (q.amax(1) != q.amin(1)).cpu().view(shape)  # not at ends, nor in places never visited
    drawing = Drawing(figsize=(1 + 0.8 * shape[1], 1 + 0.8 * shape[0]), layout="constrained")
    axes = drawing.add_subplot(xticks=[], yticks=[], title="best value and action")
    image = axes.imshow(values.view(shape).where(learned, torch.nan).numpy(), cmap="viridis")
    axes.set_facecolor("lightgrey")
    drawing.colorbar(image, shrink=0.8)
    rows, columns = np.nonzero(learned.numpy())
    dy, dx = _directions(env, shape, actions)[best.view(shape).numpy()[rows, columns]].T
    options: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1.6, "pivot": "middle", "color": "white"}
    axes.quiver(columns, rows, dx, dy, **options)
    for (row, column), mark in np.ndenumerate(getattr(env, "desc", np.empty((0, 0)))):
        if mark in (b"S", b"G", b"H"):
            axes.text(column - 0.45, row - 0.45, mark.decode(), ha="left", va="top", color="red")
    return drawing


def _directions(env: Any, shape: tuple[int, int], actions: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the direction that each action moves in, (rows, columns) on average over all places, of length 1."""
    directions = np.zeros((actions, 2))
    for state, by_action in env.P.items():
        here = np.array(np.unravel_index(state, shape))
        for action, outcomes in by_action.items():
            for probability, next_state, _, _ in outcomes:
                # A jump across the map, as back to the start, is not a direction that an action moves in.
                move = np.array(np.unravel_index(int(next_state), shape)) - here
                directions[action] += probability * move * (np.abs(move).sum() <= 1)
    # Walls and holes bend the average a little: a direction that is almost straight is straight.
    directions[np.abs(directions) < 0.5 * np.abs(directions).max(1, keepdims=True)] = 0
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return directions / np.where(lengths > 0, lengths, 1)
