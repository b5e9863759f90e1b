import math
from unittest.mock import MagicMock

import pytest
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer

from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.evaluation.grid_worlds import optimal_values, plot_policy
from dlplug_rl.models.dqn import DQN
from dlplug_rl.models.policy_gradient import PolicyGradient
from dlplug_rl.models.ppo import PPO
from dlplug_rl.models.q_learning import QLearning


def info(env="CartPole-v1", **options):
    return EnvInfo.of(env, options, {}, "", 0)


def built(model, about):
    model.build(about)
    model.info = about
    return model


IMAGES = [
    EnvInfo("x", {}, {}, "", 9, None, states=0, observation_shape=shape, actions=3, action_shape=())
    for shape in ((4, 84, 84), (84, 96, 3), (10, 10, 4))
]


@pytest.mark.parametrize("about", [info(), info("FrozenLake-v1"), info("Pendulum-v1"), *IMAGES])
def test_networks_fit_observation_and_action_spaces(about):
    dtype = torch.long if about.states else torch.float32
    seen = torch.zeros(5, *about.observation_shape, dtype=dtype)
    for model in (
        DQN(hidden_sizes=(8,)),
        DQN(hidden_sizes=(8,), dueling=True),
        PPO(hidden_sizes=(8,)),
        PolicyGradient(hidden_sizes=(8,)),
    ):
        if isinstance(model, DQN) and not about.actions:
            with pytest.raises(ValueError, match="discrete actions, which Pendulum-v1 does not have"):
                model.build(about)
            continue
        built(model, about)
        assert model.act(seen).shape == (5, *about.action_shape)
    with pytest.raises(ValueError, match="discrete states and actions"):
        QLearning().build(info())


def test_pair_visited_many_times_at_once_moves_as_if_one_by_one():
    at_once, one_by_one = (built(QLearning(lr=0.5, lr_decay=0.0), info("FrozenLake-v1")) for _ in range(2))
    state, action = torch.tensor([3, 3, 3, 5]), torch.tensor([1, 1, 1, 0])
    at_once.learn(state, action, torch.tensor([1.0, 1.0, 1.0, 4.0]))
    for _ in range(3):
        one_by_one.learn(state[:1], action[:1], torch.ones(1))
    assert at_once.table[3, 1] == one_by_one.table[3, 1] == 1 - 0.5**3
    assert at_once.table[5, 0] == 2
    assert at_once.visits.sum() == 4


def test_value_iteration_solves_the_cliff():
    cliff = info("CliffWalking-v1").make().unwrapped
    q = optimal_values(cliff, 1.0)
    assert q[36].max() == -13
    model = built(QLearning(), info("CliffWalking-v1"))
    model.table.copy_(q)
    returns, lengths = VectorEnv(model.info, 1).evaluate(model.act, [0])
    assert (returns.item(), lengths.item()) == (-13, 13)
    assert plot_policy(cliff, model.table)
    assert plot_policy(info("Taxi-v4").make().unwrapped, torch.zeros(500, 6)) is None


@pytest.mark.parametrize(("limit", "length"), [(0.5, 0.5), (100.0, 5.0)])
def test_minimise_clips_the_gradient_norm(limit, length):
    model = built(PPO(hidden_sizes=(8,)), info())
    model.trainer, model.gradient_clip = MagicMock(world_size=1), (limit, "norm")
    weights = [
        torch.nn.Parameter(torch.zeros(1)),
        torch.nn.Parameter(torch.zeros(2)),
        torch.nn.Parameter(torch.ones(1)),
    ]
    optimizer = LightningOptimizer(torch.optim.SGD(weights, lr=1.0))
    loss = 3 * weights[0].sum() - 4 * weights[1][0]  # the third has no part in it
    assert model.minimise(loss, optimizer) == 5
    assert torch.cat([weights[0], weights[1]]).norm().item() == pytest.approx(length)
    assert weights[2] == 1


def test_policy_starts_uniform_and_agrees_with_torch_distributions():
    policy = built(PPO(hidden_sizes=(8,)), info()).policy
    seen = torch.randn(6, 4)
    params = policy(seen)
    assert policy.entropy(params).item() == pytest.approx(math.log(2), abs=1e-2)
    actions = torch.tensor([0, 1, 0, 1, 0, 1])
    known = torch.distributions.Categorical(logits=policy.actor(seen))
    assert torch.allclose(policy.log_prob(params, actions), known.log_prob(actions))
    assert torch.allclose(policy.entropy(params), known.entropy().mean())
    policy = built(PPO(hidden_sizes=(8,)), info("Pendulum-v1")).policy
    policy.log_std.data.fill_(0.4)
    means = policy(torch.randn(6, 3))
    actions = torch.full((6, 1), 0.3)
    known = torch.distributions.Normal(means, math.exp(0.4))
    assert torch.allclose(policy.log_prob(means, actions), known.log_prob(actions)[:, 0])
    assert policy.entropy(means).item() == pytest.approx(known.entropy().mean().item())


def test_actions_are_sampled_by_their_probabilities():
    torch.manual_seed(0)
    policy = built(PPO(hidden_sizes=(8,)), info("Acrobot-v1")).policy
    shares = torch.tensor([0.1, 0.2, 0.7])
    drawn = policy.sample(shares.log().expand(20_000, 3)).bincount(minlength=3) / 20_000
    assert torch.allclose(drawn, shares, atol=0.01)
    policy = built(PPO(hidden_sizes=(8,)), info("Pendulum-v1")).policy
    policy.log_std.data.fill_(0.4)
    drawn = policy.sample(torch.full((20_000, 1), 2.0))
    assert drawn.mean().item() == pytest.approx(2, abs=0.05)
    assert drawn.std().item() == pytest.approx(math.exp(0.4), rel=0.02)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (DQN, {"n_steps": 65}),
        (DQN, {"lr": 0.0}),
        (DQN, {"buffer_size": 0}),
        (QLearning, {"gamma": 2.0}),
        (QLearning, {"steps_per_batch": 0}),
        (PPO, {"clip_range": 0.0}),
        (PPO, {"gae_lambda": 1.5}),
        (PolicyGradient, {"n_critic_updates": 0}),
    ],
)
def test_options_out_of_range_are_refused(model, options):
    with pytest.raises(ValueError, match="must|above"):
        model(**options)
