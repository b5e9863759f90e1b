"""Policies: probabilities of actions, and their gradients."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal

from dlplug import Panel
from dlplug_rl.envs import EnvInfo
from dlplug_rl.networks import body

ENTROPY = Panel(
    "Policy",
    "Entropy",
    "Nats of surprise in the policy's choices. Healthy: falls slowly as it makes up its mind. Broken: falls to 0 "
    "early, after which nothing new is tried.",
    curves=("entropy",),
)


class Policy(nn.Module):
    """π(a|s) and, where asked for, a value of each state, by networks of their own.

    Countable actions have a probability each; continuous ones are normal, with a spread that does not depend on the
    state. Weights start orthogonal, those of the policy's last layer small, so that at first any action is as good.

    Args:
        info: What is observed and done.
        hidden: Units of the hidden layers of each network.
        value: Whether states have a value.
    """

    def __init__(self, info: EnvInfo, hidden: Sequence[int], value: bool) -> None:
        super().__init__()
        layers, width = body(info, hidden, nn.Tanh)
        self.actions, self.shape = info.actions, info.action_shape
        self.actor = nn.Sequential(layers, nn.Linear(width, info.actions or math.prod(info.action_shape)))
        self.log_spread = None if info.actions else nn.Parameter(torch.zeros(info.action_shape))
        self.critic = nn.Sequential(body(info, hidden, nn.Tanh)[0], nn.Linear(width, 1)) if value else None
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.orthogonal_(module.weight, 2**0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.orthogonal_(self.actor[-1].weight, 0.01)  # type: ignore[arg-type]
        if self.critic:
            nn.init.orthogonal_(self.critic[-1].weight, 1.0)  # type: ignore[arg-type]

    def forward(self, observations: Tensor) -> Distribution:
        """Return the distribution over actions of each of observations (n, *shape)."""
        outputs = self.actor(observations)
        if self.log_spread is None:
            return Categorical(logits=outputs, validate_args=False)
        means = outputs.view(-1, *self.shape)
        normal = Normal(means, self.log_spread.exp().expand_as(means), validate_args=False)
        return Independent(normal, len(self.shape), validate_args=False)

    def values(self, observations: Tensor) -> Tensor:
        """Return the value of each state, shape (n,)."""
        assert self.critic
        values: Tensor = self.critic(observations)[:, 0]
        return values


@torch.no_grad()
def choose(policy: Policy, observations: Tensor, greedy: bool) -> Tensor:
    """Return the most probable actions, or drawn ones."""
    distribution = policy(observations)
    if not greedy:
        drawn: Tensor = distribution.sample()
        return drawn
    best: Tensor = distribution.probs.argmax(-1) if isinstance(distribution, Categorical) else distribution.mean
    return best


class Rollout(NamedTuple):
    """What was seen and done over time in a number of environments; shape (time, n, ...) each.

    Attributes:
        observations: What was seen.
        actions: What was done.
        log_probs: The logarithm of how probable that was.
        rewards: What it brought.
        terminated: Where the environment ended.
        truncated: Where the episode was cut off.
        led_to: What was seen after it.
    """

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    led_to: Tensor


def advantages(rollout: Rollout, values: Tensor, following: Tensor, gamma: float, trace: float) -> Tensor:
    """Return by how much actions were better than expected (GAE: Schulman et al., 2016), shape (time, n).

    Args:
        rollout: What happened.
        values: The value of each state, shape (time, n).
        following: The value of the state that followed.
        gamma: Discount of a step.
        trace: Discount besides that of errors further on (λ).
    """
    errors = rollout.rewards + gamma * following * ~rollout.terminated - values
    goes_on = gamma * trace * ~(rollout.terminated | rollout.truncated)
    found, later = torch.empty_like(errors), torch.zeros_like(errors[0])
    for step in range(len(errors) - 1, -1, -1):
        later = found[step] = errors[step] + goes_on[step] * later
    return found
