"""Environments of gymnasium, side by side, in tensors."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from torch import Tensor

from dlplug.data import Info
from dlplug.errors import InputError

ENDLESS = 1000  # steps after which an episode is truncated where the environment sets no limit of its own
Act = Callable[[Tensor], Tensor]
UNSEEN = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}


@dataclass(frozen=True)
class EnvInfo(Info):
    """An environment: how to make it, what is seen in it and what can be done.

    Attributes:
        env: Its id.
        options: What it is made with.
        wrappers: Names of gymnasium's wrappers around it, innermost first, each with its options.
        package: Module that registers it, or a function of it that does, as ``module:function``; none if empty.
        max_steps: Steps after which an episode is truncated.
        threshold: The return at which it counts as solved; None where it names none.
        states: Number of states where observations are states that can be counted, or else 0.
        shape: Shape of an observation; () for states.
        actions: Number of actions, or 0 where they are continuous.
        action_shape: Shape of a continuous action.
    """

    env: str
    options: dict[str, Any]
    wrappers: dict[str, dict[str, Any]]
    package: str
    max_steps: int
    threshold: float | None
    states: int
    shape: tuple[int, ...]
    actions: int
    action_shape: tuple[int, ...]

    @classmethod
    def of(
        cls, env: str, options: Mapping[str, Any], wrappers: Mapping[str, dict[str, Any]], package: str, max_steps: int
    ) -> "EnvInfo":
        """Look at an environment.

        Raises:
            InputError: It cannot be made, or its spaces are none that a model could fit.
        """
        made = make(env, options, wrappers, package, max_steps)
        spec, seen, done = made.spec, made.observation_space, made.action_space
        made.close()
        if not isinstance(done, spaces.Discrete | spaces.Box):
            raise InputError(f"{env}: actions are {done}; there are models for Discrete and Box")
        return cls(
            env=env,
            options=dict(options),
            wrappers=dict(wrappers),
            package=package,
            max_steps=max_steps or (spec.max_episode_steps if spec else None) or ENDLESS,
            threshold=spec.reward_threshold if spec else None,
            states=int(seen.n) if isinstance(seen, spaces.Discrete) else 0,
            shape=tuple(seen.shape or ()),
            actions=int(done.n) if isinstance(done, spaces.Discrete) else 0,
            action_shape=() if isinstance(done, spaces.Discrete) else done.shape,
        )

    def __str__(self) -> str:
        seen = f"{self.states} states" if self.states else f"observations {'×'.join(map(str, self.shape)) or '1'}"
        done = f"{self.actions} actions" if self.actions else f"continuous actions {self.action_shape}"
        return f"{self.env}: {seen}, {done}"

    def make(self, **options: Any) -> "gymnasium.Env[Any, Any]":
        """Return such an environment, without gymnasium's checks of every step."""
        asked = {"disable_env_checker": True, **self.options, **options}
        return make(self.env, asked, self.wrappers, self.package, self.max_steps)


def make(
    env: str, options: Mapping[str, Any], wrappers: Mapping[str, dict[str, Any]], package: str, max_steps: int
) -> "gymnasium.Env[Any, Any]":
    """Make an environment whose observations are an array or the number of a state.

    Raises:
        InputError: There is no such environment, package or wrapper, or an option is wrong.
    """
    try:
        if package:
            module, _, register = package.partition(":")
            imported = import_module(module)
            if register and env not in gymnasium.registry:
                getattr(imported, register)()
        limit = max_steps or gymnasium.spec(env).max_episode_steps or ENDLESS
        with _unseen():  # some import pygame
            made = gymnasium.make(env, max_episode_steps=limit, **options)
        for name, arguments in wrappers.items():
            made = getattr(gymnasium.wrappers, name)(made, **arguments)
    except Exception as error:  # whatever an environment's own constructor raises
        raise InputError(f"cannot make {env}: {' '.join(str(error).split())}") from error
    return _plain(made)


@contextmanager
def _unseen() -> Iterator[None]:
    """Have SDL draw in memory and look for neither a display nor a loudspeaker, and pygame not greet."""
    own = {name: value for name, value in UNSEEN.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]


def _plain(env: "gymnasium.Env[Any, Any]") -> "gymnasium.Env[Any, Any]":
    """Count states from 0, several discrete values as one number, and make an array of anything else."""
    seen, done = env.observation_space, env.action_space
    sizes = _sizes(seen)
    if sizes is not None and not (isinstance(seen, spaces.Discrete) and seen.start == 0):
        starts = [int(part.start) for part in seen] if isinstance(seen, spaces.Tuple) else getattr(seen, "start", 0)

        def count(values: Any) -> np.int64:
            parts = np.atleast_1d(np.asarray(values, np.int64)) - starts
            return np.int64(np.ravel_multi_index(tuple(parts), sizes))

        env = gymnasium.wrappers.TransformObservation(env, count, spaces.Discrete(int(np.prod(sizes))))
    elif sizes is None and not isinstance(seen, spaces.Box):
        env = gymnasium.wrappers.FlattenObservation(env)
    if isinstance(done, spaces.Discrete) and done.start != 0:
        start = done.start
        env = gymnasium.wrappers.TransformAction(env, lambda action: action + start, spaces.Discrete(int(done.n)))
    return env


def _sizes(space: "spaces.Space[Any]") -> tuple[int, ...] | None:
    """Return how many values each part of a space has, or None where it has parts that cannot be counted."""
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return tuple(int(n) for n in space.nvec)
    if isinstance(space, spaces.Tuple) and all(isinstance(part, spaces.Discrete) for part in space):
        return tuple(int(part.n) for part in space)
    return None


class Step(NamedTuple):
    """What became of one action in each environment.

    Attributes:
        rewards: Shape (n,).
        terminated: Whether the environment has ended: there is no future to expect. Shape (n,).
        truncated: Whether the episode was cut off: there would be one. Shape (n,).
        observations: What the action led to, (n, *shape); where an episode ended, its last observation and not the
            first of the next one.
    """

    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    observations: Tensor


class Envs:
    """A number of environments side by side; one that ends starts again by itself.

    Attributes:
        info: What they are.
        observations: What is seen now, shape (n, *shape), or (n,) for states.
        finished: Return and length of each episode that ended since this was last emptied.

    Args:
        info: What they are.
        count: How many.
        parallel: Whether each runs in a process of its own.
        render: Whether they can draw themselves.

    Raises:
        InputError: They cannot be made.
    """

    def __init__(self, info: EnvInfo, count: int, parallel: bool = False, render: bool = False) -> None:
        self.info, self.count = info, count
        self.device = torch.device("cpu")
        self.finished: list[tuple[float, int]] = []
        options = {"render_mode": "rgb_array"} if render else {}

        def make_one() -> "gymnasium.Env[Any, Any]":
            return info.make(**options)

        kind = AsyncVectorEnv if parallel else SyncVectorEnv
        # An environment that ended starts again within the same step, so that no step is without an action.
        self._envs: Any = kind([make_one] * count, autoreset_mode=AutoresetMode.SAME_STEP)
        done: Any = self._envs.single_action_space
        self._bounds = None if info.actions else (done.low, done.high)

    def reset(self, seeds: Sequence[int]) -> Tensor:
        """Start a new episode in each and return what is seen.

        Args:
            seeds: One for each environment.
        """
        observations, _ = self._call(self._envs.reset, seed=[int(seed) for seed in seeds])
        self.observations = self._tensor(observations)
        self._returns, self._lengths = np.zeros(self.count), np.zeros(self.count, np.int64)
        return self.observations

    def step(self, actions: Tensor) -> Step:
        """Act in each.

        Args:
            actions: Shape (n,), or (n, *action_shape) where they are continuous.

        Raises:
            InputError: An environment raised.
        """
        chosen = actions.cpu().numpy()
        if self._bounds:
            chosen = chosen.clip(*self._bounds)
        observations, rewards, terminated, truncated, infos = self._call(self._envs.step, chosen)
        self.observations = led_to = self._tensor(observations)
        self._returns += rewards
        self._lengths += 1
        over = terminated | truncated
        if over.any():
            last = np.stack([infos["final_obs"][i] for i in np.flatnonzero(over)])
            led_to = led_to.clone()
            led_to[torch.from_numpy(over).to(self.device)] = self._tensor(last)
            self.finished += zip(self._returns[over].tolist(), self._lengths[over].tolist(), strict=True)
            self._returns[over], self._lengths[over] = 0, 0
        return Step(
            torch.from_numpy(rewards).to(self.device, torch.float32),
            torch.from_numpy(terminated).to(self.device),
            torch.from_numpy(truncated).to(self.device),
            led_to,
        )

    def draw(self) -> Tensor:
        """Return a picture of the first environment, shape (3, height, width), from 0 to 255."""
        with _unseen():
            frame = torch.from_numpy(self._call(self._envs.envs[0].render).copy())
        # MinAtar's colours are from 0 to 1, against gymnasium's rule.
        return (frame * 255 if frame.is_floating_point() else frame).permute(2, 0, 1)

    def play(self, act: Act, seeds: Sequence[int], watch: Callable[[Tensor], None] | None = None) -> tuple[Tensor, ...]:
        """Play an episode in each.

        Args:
            act: Actions (n, ...) for observations (n, *shape).
            seeds: One for each environment.
            watch: Called before each step with the observations.

        Returns:
            Their returns and lengths, shape (n,) each.
        """
        self.reset(seeds)
        returns, lengths = torch.zeros(self.count), torch.zeros(self.count)
        playing = torch.ones(self.count, dtype=torch.bool)
        while playing.any():
            if watch:
                watch(self.observations)
            step = self.step(act(self.observations))
            returns += step.rewards.cpu() * playing
            lengths += playing
            playing &= ~(step.terminated | step.truncated).cpu()
        self.finished.clear()
        return returns, lengths

    def close(self) -> None:
        """End their processes and windows."""
        self._envs.close()

    def _tensor(self, observations: Any) -> Tensor:
        tensor = torch.from_numpy(np.asarray(observations))
        return tensor.to(self.device, torch.float32 if tensor.is_floating_point() else tensor.dtype)

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # whatever is wrong with an environment, it is not dlplug's
            raise InputError(
                f"{self.info.env} raised {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
