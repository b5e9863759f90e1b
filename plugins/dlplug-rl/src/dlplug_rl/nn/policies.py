"""Policies: probabilities of actions, and their gradients."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from dlplug import Panel
from dlplug_rl.data.environments import EnvInfo
from dlplug_rl.nn.networks import body

LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
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

    def forward(self, observations: Tensor) -> Tensor:
        """Return the log-probability of each action, shape (n, actions), or the means of continuous ones, (n, *shape).

        It is what the methods below call ``choices``: one evaluation of the network serves them all.
        """
        outputs: Tensor = self.actor(observations)
        return log_softmax(outputs, -1) if self.log_spread is None else outputs.view(-1, *self.shape)

    def draw(self, choices: Tensor) -> Tensor:
        """Return an action for each of n observations, as probable as the policy says."""
        if self.log_spread is None:
            # The largest of log-probabilities plus Gumbel noise is distributed as they say.
            return (choices - torch.empty_like(choices).exponential_().log()).argmax(-1)
        return choices + self.log_spread.exp() * torch.randn_like(choices)

    def log_prob(self, choices: Tensor, actions: Tensor) -> Tensor:
        """Return the log-probability, or its density, of each of n actions, shape (n,)."""
        if self.log_spread is None:
            return choices.gather(1, actions[:, None]).flatten()
        errors = (actions - choices) / self.log_spread.exp()
        return -(0.5 * errors**2 + self.log_spread + LOG_ROOT_2PI).flatten(1).sum(1)

    def entropy(self, choices: Tensor) -> Tensor:
        """Return the mean entropy in nats, a scalar."""
        if self.log_spread is None:
            return -(choices.exp() * choices).sum(-1).mean()
        return (0.5 + self.log_spread + LOG_ROOT_2PI).sum()

    def values(self, observations: Tensor) -> Tensor:
        """Return the value of each state, shape (n,)."""
        assert self.critic
        values: Tensor = self.critic(observations).flatten()
        return values


@torch.no_grad()
def choose(policy: Policy, observations: Tensor, greedy: bool) -> Tensor:
    """Return the most probable actions, or drawn ones."""
    choices: Tensor = policy(observations)
    if not greedy:
        return policy.draw(choices)
    return choices.argmax(-1) if policy.log_spread is None else choices


class Rollout(NamedTuple):
    """What was seen and done over time in a number of environments; shape (time, n, ...) each.

    Attributes:
        observations: What was seen.
        actions: What was done.
        rewards: What it brought.
        terminated: Where the environment ended.
        truncated: Where the episode was cut off.
        led_to: What was seen after it.
    """

    observations: Tensor
    actions: Tensor
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
