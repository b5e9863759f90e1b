import pytest
import torch

from dlplug_rl.claims.environments import CORRIDOR_LENGTH
from dlplug_rl.claims.planning import estimate
from dlplug_rl.claims.policies import _corridor_return
from dlplug_rl.claims.tables import _reachable
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.evaluation.grid_worlds import policy_value, transitions, value_iteration


def test_exact_return_of_the_corridor_is_what_playing_gives():
    torch.manual_seed(0)
    envs = VectorEnv(EnvInfo.of("dlplug/Corridor-v0", {}, {}, "", 0), 400)
    for right in (0.5, 0.8):
        returns, _ = envs.evaluate(lambda seen, right=right: (torch.rand(len(seen)) < right).long(), range(400))
        assert returns.mean() == pytest.approx(_corridor_return(right), rel=0.1)


def test_always_right_or_always_left_never_arrives():
    for action in (0, 1):
        envs = VectorEnv(EnvInfo.of("dlplug/Corridor-v0", {}, {}, "", 30), 1)
        assert envs.evaluate(lambda seen, action=action: torch.tensor([action]), [0])[0] == -30
    assert _corridor_return(0.999) < 10 * _corridor_return(0.7)
    assert CORRIDOR_LENGTH > 1


def test_states_that_can_be_reached_on_the_cliff():
    cliff = EnvInfo.of("CliffWalking-v1", {}, {}, "", 0).make().unwrapped
    reached = _reachable(cliff)
    assert reached.nonzero().flatten().tolist() == list(range(37))  # neither the cliff itself nor the goal


def test_a_model_counted_from_every_transition_is_the_true_one_and_plans_the_best_policy():
    about = EnvInfo.of("FrozenLake-v1", {}, {}, "", 100)
    ice = about.make().unwrapped
    seen = [(state, action, reward, ended, after) for state, by_action in ice.P.items()
            for action, outcomes in by_action.items() for _, after, reward, ended in outcomes]  # fmt: skip
    states, actions, rewards, ended, following = (torch.tensor(column) for column in zip(*seen, strict=True))
    p, r = estimate(about, states, actions, rewards.double(), ended, following)
    for found, true in zip((p, r), transitions(ice), strict=True):
        assert torch.allclose(found, true)
    assert policy_value(ice, value_iteration(p, r, 0.99).argmax(1), 100) == pytest.approx(0.7402, abs=1e-4)
