import math
from unittest.mock import MagicMock

import pytest
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer

from dlplug_rl.data.environments import EnvInfo
from dlplug_rl.data.replay_buffer import ReplayBuffer
from dlplug_rl.models.off_policy_agent import COLUMNS
from dlplug_rl.models.sac import SAC


def info(low=(-2.0,), high=(4.0,), observation_shape=(3,), actions=0):
    return EnvInfo("x", {}, {}, "", 9, None, 0, observation_shape, actions, (len(low),), low, high)


def built(about=None, **options):
    torch.manual_seed(0)
    model = SAC(hidden_sizes=(32,), **options)
    model.build(about or info())
    model.trainer = MagicMock(world_size=1)
    model.optimizers = lambda: [LightningOptimizer(optimizer) for optimizer in model.made]
    model.made = model.configure_optimizers()
    return model


def test_spaces_are_read_of_the_environment():
    pendulum = EnvInfo.of("Pendulum-v1", {}, {}, "", 0)
    assert (pendulum.action_low, pendulum.action_high) == ((-2.0,), (2.0,))
    assert EnvInfo.of("CartPole-v1", {}, {}, "", 0).action_low == ()


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (info(actions=2), "continuous actions within bounds"),
        (info(high=(math.inf,)), "continuous actions within bounds"),
        (info(observation_shape=(84, 84, 3)), "not images"),
    ],
)
def test_what_it_cannot_fit_is_refused(about, says):
    with pytest.raises(ValueError, match=says):
        SAC().build(about)


def test_actions_are_within_their_bounds_and_reach_them():
    model = built(info((-2.0, 0.0), (4.0, 1.0)))
    actions = model.explore(torch.randn(5000, 3) * 100)
    low, high = torch.tensor([-2.0, 0.0]), torch.tensor([4.0, 1.0])
    assert ((actions >= low - 1e-5) & (actions <= high + 1e-5)).all()
    assert torch.allclose(actions.amin(0), low, atol=0.1)
    assert torch.allclose(actions.amax(0), high, atol=0.1)
    assert model.act(torch.randn(2, 3)).shape == (2, 2)


def test_log_density_of_drawn_actions_is_that_of_the_squashed_normal():
    model = built(info((-2.0, 0.0), (4.0, 1.0)))
    seen = torch.randn(64, 3)
    actions, log_prob = model.sample(seen)
    mean, log_std = model.policy(seen)
    normal = torch.distributions.Normal(mean, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(normal, [torch.distributions.TanhTransform()])
    assert torch.allclose(log_prob, squashed.log_prob(actions).sum(1), atol=1e-3)


def test_both_values_are_of_networks_of_their_own():
    critic = built().critic
    seen, actions = torch.randn(6, 3), torch.randn(6, 1)
    together = critic(seen, actions)
    for which in range(2):
        x = torch.cat([seen, actions], 1)
        for index, (weight, bias) in enumerate(zip(critic.weights, critic.biases, strict=True)):
            x = (x.relu() if index else x) @ weight[which] + bias[which]
        assert torch.allclose(together[which], x[:, 0], atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_it_learns_the_best_action_and_the_entropy_that_it_is_to_keep():
    """One step with a reward of -(a - 1)²: the best action is 1, and the entropy goes to minus one nat."""
    model = built(lr=3e-3, tau=0.05, batch_size=64)
    model.replay_buffer = ReplayBuffer(4000, 0.0, torch.device("cpu"))
    actions = torch.rand(4000, 1) * 6 - 2
    seen = torch.randn(4000, 3)
    columns = (seen, actions, -((actions[:, 0] - 1) ** 2), torch.zeros(4000), seen)
    model.replay_buffer.add(dict(zip(COLUMNS, columns, strict=True)))
    measured = model.update(600)
    last = model.update(20)
    assert model.act(torch.randn(50, 3)).mean() == pytest.approx(1, abs=0.25)
    assert last["entropy"] == pytest.approx(-1, abs=0.5)
    assert last["critic_loss"] < measured["critic_loss"]
    assert model.num_updates == 620


def test_target_networks_follow_slowly():
    model = built(tau=0.25, batch_size=4)
    before = [weight.clone() for weight in model.critic_target.parameters()]
    model.replay_buffer = ReplayBuffer(8, 0.0, torch.device("cpu"))
    rows = (torch.randn(8, 3), torch.rand(8, 1), torch.randn(8), torch.full((8,), 0.9), torch.randn(8, 3))
    model.replay_buffer.add(dict(zip(COLUMNS, rows, strict=True)))
    model.update(1)
    for old, new, online in zip(before, model.critic_target.parameters(), model.critic.parameters(), strict=True):
        assert torch.allclose(new, torch.lerp(old, online, 0.25), atol=1e-6)
