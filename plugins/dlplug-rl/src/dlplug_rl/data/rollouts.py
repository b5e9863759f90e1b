"""Rollouts: what an agent observed and did over time, and the returns computed from that."""

from typing import NamedTuple

import torch
from torch import Tensor

from dlplug_rl.data.environments import Act, VectorEnv


class Rollout(NamedTuple):
    """What happened over time in n environments; shape (time, n, ...) each.

    Attributes:
        observations: What was observed.
        actions: What was done.
        rewards: What it brought.
        terminated: Where the environment ended.
        truncated: Where the episode was cut off.
        next_observations: What the action led to.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    next_observations: Tensor


@torch.no_grad()
def collect_rollout(envs: VectorEnv, act: Act, n_steps: int) -> Rollout:
    """Act for a number of steps in each environment.

    Args:
        envs: The environments.
        act: What the agent does.
        n_steps: How many steps.
    """
    steps = []
    for _ in range(n_steps):
        observations = envs.observations
        actions = act(observations)
        steps.append((observations, actions, *envs.step(actions)))
    return Rollout(*map(torch.stack, zip(*steps, strict=True)))


def gae(rollout: Rollout, values: Tensor, next_values: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """Return by how much actions were better than expected, shape (time, n).

    Source: Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016).

    Args:
        rollout: What happened.
        values: The value of each state, shape (time, n).
        next_values: The value of the state that followed.
        gamma: Discount of a step.
        gae_lambda: Discount of later errors besides.
    """
    td_errors = rollout.rewards + gamma * next_values * ~rollout.terminated - values
    decay = gamma * gae_lambda * ~(rollout.terminated | rollout.truncated)
    advantages, later = torch.empty_like(td_errors), torch.zeros_like(td_errors[0])
    for step in range(len(td_errors) - 1, -1, -1):
        later = advantages[step] = td_errors[step] + decay[step] * later
    return advantages


def n_step_returns(rollout: Rollout, n_steps: int, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the discounted sums of the next rewards, up to the end of an episode or of the rollout.

    Args:
        rollout: What happened.
        n_steps: How many rewards are summed at most.
        gamma: Discount of a step.

    Returns:
        The sums; the discount of the value of what follows, 0 where the environment ended; and the observation that
        follows the last reward that was summed. Shape (time, n, ...) each.
    """
    rewards, done = rollout.rewards, rollout.terminated | rollout.truncated
    times = torch.arange(len(rewards), device=rewards.device)[:, None].expand_as(rewards)
    returns, last, discounts = rewards.clone(), times.clone(), torch.full_like(rewards, gamma)
    continues = ~done
    for step in range(1, n_steps):
        continues = continues & (times + step < len(rewards))
        later = (times + step).clamp_max(len(rewards) - 1)
        returns += torch.where(continues, gamma**step * rewards.gather(0, later), 0)
        last = torch.where(continues, later, last)
        discounts = torch.where(continues, discounts * gamma, discounts)
        continues &= ~done.gather(0, later)
    next_observations = rollout.next_observations[last, torch.arange(rewards.shape[1], device=rewards.device)]
    return returns, discounts * ~rollout.terminated.gather(0, last), next_observations
