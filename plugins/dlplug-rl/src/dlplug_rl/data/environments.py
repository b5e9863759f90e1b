"""Gymnasium's environments, vectorised, in tensors."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from torch import Tensor

from dlplug.console import plain
from dlplug.data import Info
from dlplug.errors import InputError
from dlplug_rl.data.spaces import fit_actions, fit_observations

DEFAULT_MAX_STEPS = 1000  # where an environment sets no limit of its own: an endless episode would hang validation
Act = Callable[[Tensor], Tensor]  # actions (n, ...) for observations (n, *shape)
EXACT_DTYPES = {np.dtype(kind) for kind in (np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64)}
HEADLESS = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}


@dataclass(frozen=True)
class EnvInfo(Info):
    """An environment: how to make it, and its observation and action spaces.

    Attributes:
        env: Its id, after the module that registers it and a colon where need be.
        options: Keyword arguments that it is made with.
        wrappers: Names of gymnasium's wrappers around it, innermost first, each with its options.
        package: Module that registers it, or a function of it that does, as ``module:function``; none if empty.
        max_episode_steps: Steps after which an episode is truncated.
        reward_threshold: The return at which it counts as solved; None where it names none.
        states: Number of states where observations are discrete, or else 0.
        observation_shape: Shape of an observation; () for discrete ones.
        actions: Number of actions, or 0 where they are continuous.
        action_shape: Shape of a continuous action.
        action_low: Lower bounds of its numbers, in their order.
        action_high: Upper bounds.
    """

    env: str
    options: dict[str, Any]
    wrappers: dict[str, dict[str, Any]]
    package: str
    max_episode_steps: int
    reward_threshold: float | None
    states: int
    observation_shape: tuple[int, ...]
    actions: int
    action_shape: tuple[int, ...]
    action_low: tuple[float, ...] = ()
    action_high: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, env: str, options: Mapping[str, Any], wrappers: Mapping[str, dict[str, Any]], package: str, limit: int
    ) -> "EnvInfo":
        """Make an environment, read its spaces and close it.

        Raises:
            InputError: It cannot be made, or there is no model for its spaces.
        """
        info = cls(env, dict(options), dict(wrappers), package, limit, None, 0, (), 0, ())
        made = info.make(disable_env_checker=None)  # gymnasium's default: once it may check
        spec, observation, action = made.spec, made.observation_space, made.action_space
        made.close()
        return replace(
            info,
            max_episode_steps=limit or (spec.max_episode_steps if spec else None) or DEFAULT_MAX_STEPS,
            reward_threshold=spec.reward_threshold if spec else None,
            states=int(observation.n) if isinstance(observation, spaces.Discrete) else 0,
            observation_shape=tuple(observation.shape or ()),
            actions=int(action.n) if isinstance(action, spaces.Discrete) else 0,
            action_shape=tuple(action.shape or ()),
            action_low=tuple(action.low.flatten().tolist()) if isinstance(action, spaces.Box) else (),
            action_high=tuple(action.high.flatten().tolist()) if isinstance(action, spaces.Box) else (),
        )

    def __str__(self) -> str:
        shape = "×".join(map(str, self.observation_shape)) or "1"
        observations = f"{self.states} states" if self.states else f"observations {shape}"
        actions = f"{self.actions} actions" if self.actions else f"continuous actions {self.action_shape}"
        return f"{self.env}: {observations}, {actions}"

    def make(self, **options: Any) -> "gymnasium.Env[Any, Any]":
        """Return such an environment, whose observations are an array or the index of a state.

        Args:
            options: Further keyword arguments that it is made with.

        Raises:
            InputError: There is no such environment, package or wrapper, an option is wrong, or no model takes its
                spaces.
        """
        options = {"disable_env_checker": True, **self.options, **options}  # checking every step takes time
        try:
            if self.package:
                module, _, register = self.package.partition(":")
                imported = import_module(module)
                if register and self.env not in gymnasium.registry:
                    getattr(imported, register)()
            with _headless():  # some import pygame
                made = gymnasium.make(self.env, max_episode_steps=self.max_episode_steps or None, **options)
            if not (made.spec and made.spec.max_episode_steps):
                made = gymnasium.wrappers.TimeLimit(made, DEFAULT_MAX_STEPS)
            for name, arguments in self.wrappers.items():
                made = getattr(gymnasium.wrappers, name)(made, **arguments)
            return fit_actions(fit_observations(made))
        except (Exception, SystemExit) as error:  # whatever an environment's own constructor raises
            raise InputError(f"cannot make {self.env}: {plain(error) or type(error).__name__}") from error


@contextmanager
def _headless() -> Iterator[None]:
    """Have SDL draw in memory and look for neither a display nor a loudspeaker, and pygame print no greeting."""
    added = {name: value for name, value in HEADLESS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


class StepResult(NamedTuple):
    """What became of one action in each of n environments.

    Attributes:
        rewards: Shape (n,).
        terminated: Whether the environment has ended: there is no future to expect. Shape (n,).
        truncated: Whether the episode was cut off: there would be one. Shape (n,).
        next_observations: What the action led to, (n, *shape); where an episode ended, its last observation and not
            the first of the next one.
    """

    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    next_observations: Tensor


class VectorEnv:
    """Gymnasium's vector environment in tensors: n environments at once; one that ends is reset by itself.

    Attributes:
        info: What they are.
        observations: The current ones, shape (n, *shape), or (n,) for states.
        finished_episodes: Return and length of each episode that ended since this was last emptied.

    Args:
        info: What they are.
        num_envs: How many.
        parallel: Whether each runs in a process of its own.
        render: Whether they can be rendered.

    Raises:
        InputError: They cannot be made.
    """

    def __init__(self, info: EnvInfo, num_envs: int, parallel: bool = False, render: bool = False) -> None:
        self.info, self.num_envs = info, num_envs
        self.device, self.observations = torch.device("cpu"), torch.empty(0)
        self.finished_episodes: list[tuple[float, int]] = []
        makers = [lambda: info.make(**({"render_mode": "rgb_array"} if render else {}))] * num_envs
        # An environment that ended is reset within the same step, so that no step is without an action.
        vector_class = AsyncVectorEnv if parallel else SyncVectorEnv
        self._envs: Any = self._call(vector_class, makers, autoreset_mode=AutoresetMode.SAME_STEP)
        space: Any = self._envs.single_action_space
        self._bounds = None if info.actions else (space.low, space.high)

    def reset(self, seeds: Sequence[int]) -> Tensor:
        """Start a new episode in each and return the first observations.

        Args:
            seeds: One for each environment.
        """
        observations, _ = self._call(self._envs.reset, seed=[int(seed) for seed in seeds])
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)
        self.observations = self._to_tensor(observations, self._lengths)
        return self.observations

    def step(self, actions: Tensor) -> StepResult:
        """Act in each.

        Args:
            actions: Shape (n,), or (n, *action_shape) where they are continuous; these are clipped to their bounds.

        Raises:
            InputError: An environment raised, or gave an observation or a reward that is not a number.
        """
        chosen = actions.cpu().numpy()
        if self._bounds:
            chosen = chosen.clip(*self._bounds)
        observations, rewards, terminated, truncated, infos = self._call(self._envs.step, chosen)
        self._returns += rewards
        self._lengths += 1
        done = terminated | truncated
        self.observations = next_observations = self._to_tensor(observations, self._lengths * ~done)
        columns = [self._to_tensor(values, self._lengths, "reward") for values in (rewards, terminated, truncated)]
        if done.any():
            final: Any = [infos["final_obs"][i] for i in np.flatnonzero(done)]
            final = self._call(np.stack, final, out=np.empty_like(observations[done]))
            next_observations = next_observations.clone()
            next_observations[torch.from_numpy(done).to(self.device)] = self._to_tensor(final, self._lengths[done])
            self.finished_episodes += zip(self._returns[done].tolist(), self._lengths[done].tolist(), strict=True)
            self._returns[done], self._lengths[done] = 0, 0
        return StepResult._make([*columns, next_observations])

    def render(self) -> Tensor:
        """Return an image of the first environment, shape (3, height, width), from 0 to 255.

        Raises:
            InputError: It renders nothing, or nothing that is a picture.
        """
        with _headless():
            rendered = self._call(self._envs.envs[0].render)
        frame = self._call(np.atleast_3d, rendered)
        if frame.ndim != 3 or frame.shape[2] not in (1, 3, 4) or frame.dtype.kind not in "biuf" or not frame.size:
            raise InputError(f"{self.info.env} renders no picture, but {type(rendered).__name__} {np.shape(rendered)}")
        # MinAtar's colours are from 0 to 1, against gymnasium's rule.
        frame = frame * (255.0 if frame.dtype.kind != "u" and frame.max() <= 1 else 1.0)
        return torch.from_numpy(np.float32(frame)).permute(2, 0, 1)[:3].expand(3, -1, -1)  # RGB of RGBA

    def play(self, act: Act, seeds: Sequence[int]) -> Iterator[tuple[Tensor, ...]]:
        """Play an episode in each; one that is done waits for the others.

        Args:
            act: What the agent does.
            seeds: One for each environment.

        Yields:
            Of each step the observations, the actions, the four fields of ``StepResult``, and which environments were
            still playing, shape (n,).
        """
        self.reset(seeds)
        playing = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        while playing.any():
            observations = self.observations
            actions = act(observations)
            result = self.step(actions)
            yield observations, actions, *result, playing
            playing = playing & ~(result.terminated | result.truncated)
        self.finished_episodes.clear()

    def evaluate(self, act: Act, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Play an episode in each and return their returns and lengths, shape (n,) each.

        Args:
            act: What the agent does.
            seeds: One for each environment.
        """
        returns, lengths = torch.zeros(self.num_envs), torch.zeros(self.num_envs)
        for _, _, rewards, *_, playing in self.play(act, seeds):
            returns += (rewards * playing).cpu()
            lengths += playing.cpu()
        return returns, lengths

    def to(self, device: torch.device) -> "VectorEnv":
        """Give tensors on that device from now on; Lightning calls this on each batch."""
        self.device, self.observations = device, self.observations.to(device)
        return self

    def close(self) -> None:
        """End their processes and windows."""
        self._envs.close()

    def _to_tensor(self, values: Any, steps: Any, what: str = "observation") -> Tensor:
        """Return values (n, ...), each of a step (n,) of its episode; refuse what is not finite, or not a state."""
        array, states = np.asarray(values), self.info.states if what == "observation" else 0
        with np.errstate(over="ignore"):
            array = array if array.dtype in EXACT_DTYPES else array.astype(np.float32, copy=False)
        valid = (array >= 0) & (array < states) if states else np.isfinite(array)
        if not valid.all():
            env, *place = np.argwhere(~valid)[0].tolist()
            value = f"{array[env, *place]}{f', not one of {states} states' if states else ''}"
            raise InputError(f"{self.info.env}: at step {steps[env]} of an episode {what}{place or ''} is {value}")
        return torch.from_numpy(array).to(self.device)

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except InputError:
            raise
        except (Exception, SystemExit) as error:  # anything: environments are other people's code
            raise InputError(f"{self.info.env} raised {type(error).__name__}: {plain(error)}") from error
