import itertools
import math
from unittest.mock import MagicMock

import pytest
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer

from dlplug_rl.data.environments import EnvInfo, Envs
from dlplug_rl.data.replay_buffer import Replay, SumTree
from dlplug_rl.evaluation.grid_worlds import optimal_values, plot_policy
from dlplug_rl.models.dqn import DQN, sum_rewards
from dlplug_rl.models.policy_gradient import PolicyGradient
from dlplug_rl.models.ppo import PPO
from dlplug_rl.models.q_learning import QLearning
from dlplug_rl.nn.policies import Rollout, advantages

CPU = torch.device("cpu")


def info(env="CartPole-v1", **options):
    return EnvInfo.of(env, options, {}, "", 0)


def built(model, about):
    model.build(about)
    model.info = about
    return model


PICTURES = [
    EnvInfo("x", {}, {}, "", 9, None, states=0, shape=shape, actions=3, action_shape=())
    for shape in ((4, 84, 84), (84, 96, 3), (10, 10, 4))
]


@pytest.mark.parametrize("about", [info(), info("FrozenLake-v1"), info("Pendulum-v1"), *PICTURES])
def test_networks_fit_what_is_seen_and_done(about):
    dtype = torch.long if about.states else torch.float32
    seen = torch.zeros(5, *about.shape, dtype=dtype)
    for model in (DQN(hidden=(8,)), DQN(hidden=(8,), dueling=True), PPO(hidden=(8,)), PolicyGradient(hidden=(8,))):
        if isinstance(model, DQN) and not about.actions:
            with pytest.raises(ValueError, match="actions that can be counted, which Pendulum-v1 does not have"):
                model.build(about)
            continue
        built(model, about)
        assert model.act(seen).shape == (5, *about.action_shape)
    with pytest.raises(ValueError, match="states and actions that can be counted"):
        QLearning().build(info())


@pytest.mark.parametrize("steps", [1, 3])
def test_rewards_are_summed_to_the_end_of_an_episode(steps):
    generator = torch.Generator().manual_seed(0)
    rewards = torch.rand(20, 3, generator=generator)
    terminated = torch.rand(20, 3, generator=generator) < 0.15
    truncated = torch.rand(20, 3, generator=generator) < 0.15
    total, discount, last = sum_rewards(rewards, terminated, truncated, steps, 0.9)
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


def test_advantages_look_past_a_cut_and_not_past_an_end():
    happened = rollout([1.0, 1.0, 1.0, 1.0], [0, 1, 0, 0], [0, 0, 1, 0])
    values, following = torch.zeros(4, 1), torch.full((4, 1), 10.0)
    found = advantages(happened, values, following, gamma=0.5, trace=1.0)[:, 0].tolist()
    assert found == [1 + 5 + 0.5 * 1, 1, 1 + 5, 1 + 5]


def test_returns_of_whole_episodes():
    model = built(PolicyGradient(hidden=(8,), gamma=0.5, baseline="none"), info())
    playing = torch.tensor([1, 1, 1, 0], dtype=torch.bool)[:, None]
    happened = rollout([1.0, 2.0, 4.0, 8.0], [0, 0, 1, 0], [0, 0, 0, 1])
    assert model.returns(happened, playing)[:3, 0].tolist() == [1 + 1 + 1, 2 + 2, 4]


def test_sum_tree_draws_in_proportion():
    torch.manual_seed(0)
    tree = SumTree(5, CPU)
    priorities = torch.tensor([1.0, 0.0, 3.0, 5.0, 1.0]).double()
    tree.update(torch.tensor([0, 1, 2, 3, 4, 4]), torch.cat([priorities[:4], torch.tensor([1.0, 1.0]).double()]))
    assert tree.tree[1] == 10
    drawn = tree.sample(10_000).bincount(minlength=5) / 10_000
    assert torch.allclose(drawn, priorities.float() / 10, atol=1e-3)
    assert torch.equal(tree.probabilities(torch.tensor([3])), torch.tensor([0.5]).double())


@pytest.mark.parametrize("priority", [0.0, 1.0])
def test_replay_forgets_the_oldest_and_survives_a_checkpoint(priority):
    memory = Replay(5, priority, CPU)
    for first in (0, 3, 6):
        memory.add({"x": torch.arange(first, first + 3)})
    if priority:
        memory.prioritise(torch.tensor([0, 1]), torch.tensor([50.0, 0.0]))
    other, draws = Replay(5, priority, CPU), []
    other.load_state_dict(memory.state_dict())
    for replay in (memory, other):
        replay.add({"x": torch.tensor([9])})
    for replay in (memory, other):
        torch.manual_seed(0)
        drawn = replay.sample(2000)[1]["x"]
        assert set(drawn.tolist()) <= {5, 6, 7, 8, 9}
        draws.append(drawn)
        if priority:
            assert (drawn == 5).float().mean() > 0.4
            assert memory.weights(torch.arange(5), 1.0).max() == 1
    assert torch.equal(*draws)
    assert memory.size == 5


def test_pair_visited_many_times_at_once_moves_as_if_one_by_one():
    at_once, one_by_one = (built(QLearning(lr=0.5, lr_decay=0.0), info("FrozenLake-v1")) for _ in range(2))
    state, action = torch.tensor([3, 3, 3, 5]), torch.tensor([1, 1, 1, 0])
    at_once.learn(state, action, torch.tensor([1.0, 1.0, 1.0, 4.0]))
    for _ in range(3):
        one_by_one.learn(state[:1], action[:1], torch.ones(1))
    assert at_once.table[3, 1] == one_by_one.table[3, 1] == 1 - 0.5**3
    assert at_once.table[5, 0] == 2
    assert at_once.visits.sum() == 4


def test_best_values_are_a_fixed_point_and_solve_the_cliff():
    cliff = info("CliffWalking-v1").make().unwrapped
    q = optimal_values(cliff, 1.0)
    assert q[36].max() == -13
    model = built(QLearning(), info("CliffWalking-v1"))
    model.table.copy_(q)
    returns, lengths = Envs(model.info, 1).play(model.act, [0])
    assert (returns.item(), lengths.item()) == (-13, 13)
    assert plot_policy(cliff, model.table)
    assert plot_policy(info("Taxi-v4").make().unwrapped, torch.zeros(500, 6)) is None


@pytest.mark.parametrize(("limit", "length"), [(0.5, 0.5), (100.0, 5.0)])
def test_a_step_is_as_long_as_the_gradient_at_most_as_long_as_asked(limit, length):
    model = built(PPO(hidden=(8,)), info())
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


def test_policy_starts_undecided_and_knows_its_probabilities():
    policy = built(PPO(hidden=(8,)), info()).policy
    seen = torch.randn(6, 4)
    choices = policy(seen)
    assert policy.entropy(choices).item() == pytest.approx(math.log(2), abs=1e-2)
    actions = torch.tensor([0, 1, 0, 1, 0, 1])
    known = torch.distributions.Categorical(logits=policy.actor(seen))
    assert torch.allclose(policy.log_prob(choices, actions), known.log_prob(actions))
    assert torch.allclose(policy.entropy(choices), known.entropy().mean())
    policy = built(PPO(hidden=(8,)), info("Pendulum-v1")).policy
    policy.log_spread.data.fill_(0.4)
    means = policy(torch.randn(6, 3))
    actions = torch.full((6, 1), 0.3)
    known = torch.distributions.Normal(means, math.exp(0.4))
    assert torch.allclose(policy.log_prob(means, actions), known.log_prob(actions)[:, 0])
    assert policy.entropy(means).item() == pytest.approx(known.entropy().mean().item())


def test_actions_are_drawn_as_often_as_they_are_probable():
    torch.manual_seed(0)
    policy = built(PPO(hidden=(8,)), info("Acrobot-v1")).policy
    shares = torch.tensor([0.1, 0.2, 0.7])
    drawn = policy.draw(shares.log().expand(20_000, 3)).bincount(minlength=3) / 20_000
    assert torch.allclose(drawn, shares, atol=0.01)
    policy = built(PPO(hidden=(8,)), info("Pendulum-v1")).policy
    policy.log_spread.data.fill_(0.4)
    drawn = policy.draw(torch.full((20_000, 1), 2.0))
    assert drawn.mean().item() == pytest.approx(2, abs=0.05)
    assert drawn.std().item() == pytest.approx(math.exp(0.4), rel=0.02)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (DQN, {"n_step": 65}),
        (DQN, {"lr": 0.0}),
        (DQN, {"replay": 0}),
        (QLearning, {"gamma": 2.0}),
        (QLearning, {"steps": 0}),
        (PPO, {"clip": 0.0}),
        (PPO, {"trace": 1.5}),
        (PolicyGradient, {"fits": 0}),
    ],
)
def test_options_out_of_range_are_refused(model, options):
    with pytest.raises(ValueError, match="must|above"):
        model(**options)
