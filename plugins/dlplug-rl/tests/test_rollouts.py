import itertools

import pytest
import torch

from dlplug_rl.data.rollouts import Rollout, gae, n_step_returns
from dlplug_rl.models.policy_gradient import PolicyGradient


@pytest.mark.parametrize("steps", [1, 3])
def test_n_step_returns_end_with_the_episode(steps):
    generator = torch.Generator().manual_seed(0)
    rewards = torch.rand(20, 3, generator=generator)
    terminated = torch.rand(20, 3, generator=generator) < 0.15
    truncated = torch.rand(20, 3, generator=generator) < 0.15
    times = torch.arange(20)[:, None].expand(20, 3)
    happened = Rollout(times, times, rewards, terminated, truncated, next_observations=times)
    total, discount, last = n_step_returns(happened, steps, 0.9)
    for t, n in itertools.product(range(20), range(3)):
        expected, weight = 0.0, 1.0
        for k in range(t, min(t + steps, 20)):
            expected += weight * float(rewards[k, n])
            weight *= 0.9
            if terminated[k, n] or truncated[k, n]:
                break
        assert total[t, n] == pytest.approx(expected)
        assert last[t, n] == k
        assert discount[t, n] == pytest.approx(0 if terminated[k, n] else weight)


def rollout(rewards, terminated, truncated):
    empty = torch.zeros(len(rewards), 1)
    ends = [torch.tensor(part, dtype=torch.bool)[:, None] for part in (terminated, truncated)]
    return Rollout(empty, empty, torch.tensor(rewards)[:, None], *ends, empty)


def test_gae_bootstraps_where_truncated_and_not_where_terminated():
    happened = rollout([1.0, 1.0, 1.0, 1.0], [0, 1, 0, 0], [0, 0, 1, 0])
    values, next_values = torch.zeros(4, 1), torch.full((4, 1), 10.0)
    found = gae(happened, values, next_values, gamma=0.5, gae_lambda=1.0)[:, 0].tolist()
    assert found == [1 + 5 + 0.5 * 1, 1, 1 + 5, 1 + 5]


def test_returns_of_whole_episodes():
    model = PolicyGradient(hidden_sizes=(8,), gamma=0.5, baseline="none")
    playing = torch.tensor([1, 1, 1, 0], dtype=torch.bool)[:, None]
    happened = rollout([1.0, 2.0, 4.0, 8.0], [0, 0, 1, 0], [0, 0, 0, 1])
    assert model.returns_to_go(happened, playing)[:3, 0].tolist() == [1 + 1 + 1, 2 + 2, 4]
