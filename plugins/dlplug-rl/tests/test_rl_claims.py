import pytest
import torch

from dlplug_rl.claims.environments import CORRIDOR_LENGTH
from dlplug_rl.claims.policies import _corridor_return
from dlplug_rl.claims.tables import _reachable
from dlplug_rl.data.environments import EnvInfo, VectorEnv


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
