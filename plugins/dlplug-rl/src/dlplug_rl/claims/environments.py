"""Small environments that the claims are made about; importing this module registers them."""

from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

CORRIDOR_LENGTH = 6
REVERSED_PLACE = 1  # where left and right change roles


class FromZero(gymnasium.Env[int, int]):
    """An environment whose state is a number, at first 0, and whose observation is at first 0 too."""

    state = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Start in state 0."""
        super().reset(seed=seed)
        self.state = 0
        return 0, {}


class Corridor(FromZero):
    """A corridor whose places all give the same observation; at one of them left and right change roles.

    Each step costs 1. After the corridor of Sutton and Barto (2018), example 13.1, made longer so that a fair coin is
    far from the best policy.
    """

    observation_space, action_space = spaces.Discrete(1), spaces.Discrete(2)  # type: ignore[assignment]

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Go left (0) or right (1)."""
        right = bool(action) != (self.state == REVERSED_PLACE)
        self.state = max(0, self.state + (1 if right else -1))
        return 0, -1.0, self.state == CORRIDOR_LENGTH, False, {}


class Chain(FromZero):
    """Two states: the first pays 1 and leads to the second with probability 0.5, which pays 2 and ends with 0.2."""

    observation_space, action_space = spaces.Discrete(2), spaces.Discrete(1)  # type: ignore[assignment]

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Move on or stay, whatever the action."""
        reward, moves = 1.0 + self.state, self.np_random.random() < (0.5, 0.2)[self.state]
        ended = self.state == 1 and moves
        self.state = 1 if moves else self.state
        return self.state, reward, bool(ended), False, {}


def inverted_cart_pole(**options: Any) -> "gymnasium.Env[Any, Any]":
    """Return CartPole where each step costs 1 instead of paying 1, so that falling quickly is best."""
    return gymnasium.wrappers.TransformReward(CartPoleEnv(**options), lambda reward: -float(reward))


gymnasium.register("dlplug/Falling-v0", f"{__name__}:inverted_cart_pole", max_episode_steps=500)
gymnasium.register("dlplug/Corridor-v0", f"{__name__}:Corridor", max_episode_steps=300)
gymnasium.register("dlplug/Chain-v0", f"{__name__}:Chain", max_episode_steps=300)
