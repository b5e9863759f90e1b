"""Gymnasium's spaces, and what models take in their place."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces, wrappers

MAX_ONE_HOT = 2**16  # values in a one-hot or in a network's output: thousands of such rows are held at once
MAX_VALUES = 2**22  # values in an observation: hundreds of them are held at once


def fit_observations(env: "gymnasium.Env[Any, Any]") -> "gymnasium.Env[Any, Any]":
    """Return an environment whose observations are states or arrays, whatever its own are.

    ``Discrete`` becomes the number of a state, from 0, and so do ``MultiDiscrete`` and a ``Tuple`` of ``Discrete`` if
    they have at most 65,536 combinations. ``Box`` stays an array, of shape (1,) at least. All else is flattened by
    gymnasium: each discrete value becomes a one-hot of its own.

    Args:
        env: The environment.

    Raises:
        ValueError: No model takes observations of this space.
    """
    space: Any = env.observation_space
    if not 0 < spaces.flatdim(space) <= MAX_VALUES:  # which raises where the number of values varies
        raise ValueError(f"observations are {space!s:.100}; there are models for 1 to {MAX_VALUES:,} values")
    several = isinstance(space, spaces.Tuple) or (isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1)
    parts = [space[i] for i in range(len(space))] if several else [space]
    sizes = [int(part.n) for part in parts if isinstance(part, spaces.Discrete)]
    if len(sizes) < len(parts) or (several and math.prod(sizes) > MAX_ONE_HOT):
        return env if isinstance(space, spaces.Box) and space.shape else wrappers.FlattenObservation(env)
    starts = [int(part.start) for part in parts]
    if starts == [0] and space.dtype == np.int64 and not several:
        return env

    def to_index(values: Any) -> np.int64:
        indices = np.atleast_1d(np.asarray(values, np.int64)) - starts
        return np.int64(np.ravel_multi_index(tuple(indices), sizes))

    return wrappers.TransformObservation(env, to_index, spaces.Discrete(math.prod(sizes)))


def fit_actions(env: "gymnasium.Env[Any, Any]") -> "gymnasium.Env[Any, Any]":
    """Return an environment whose actions count from 0 or are an array of shape (1,) at least.

    Where its own are of another type than the policy's, as whole numbers are, the policy's are rounded to that.

    Args:
        env: The environment.

    Raises:
        ValueError: No model takes actions of this space.
    """
    space: Any = env.action_space
    if not isinstance(space, spaces.Discrete | spaces.Box) or not 0 < spaces.flatdim(space) <= MAX_ONE_HOT:
        raise ValueError(f"actions are {space!s:.100}; there are models for Discrete and Box of 1 to {MAX_ONE_HOT:,}")
    if isinstance(space, spaces.Discrete) and space.start:
        return wrappers.TransformAction(env, lambda index: index + space.start, spaces.Discrete(int(space.n)))
    if isinstance(space, spaces.Discrete) or (space.shape and space.dtype in (np.float32, np.float64)):
        return env

    def to_own(values: Any) -> Any:
        return (values if space.dtype.kind == "f" else np.rint(values)).astype(space.dtype).reshape(space.shape)

    return wrappers.TransformAction(env, to_own, space if space.shape else spaces.flatten_space(space))
