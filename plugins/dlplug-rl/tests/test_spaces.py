"""What models are given in place of spaces of every kind, and which they are not given."""

import re
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple

from dlplug import InputError
from dlplug.media import Text as Words
from dlplug.media import Video
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.data.replay_buffer import ReplayBuffer
from dlplug_rl.data.spaces import fit_actions, fit_observations
from dlplug_rl.models.agent import plot_values
from dlplug_rl.models.dqn import DQN
from dlplug_rl.models.ppo import PPO


class Unknown(spaces.Space):
    """A kind that gymnasium does not know."""

    is_np_flattenable = False

    def __repr__(self):
        return "Unknown()"  # no address: each worker of pytest-xdist has to collect the same names


class AnyEnv(gymnasium.Env):
    """An environment of five steps with any spaces, which may be told what to show, to pay and to render."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, observations=None, actions=None, show=None, reward=1.0, frame=None, render_mode=None):
        self.observation_space = Box(-1, 1, (2,)) if observations is None else observations
        self.action_space = Discrete(2) if actions is None else actions
        self.show, self.reward, self.frame, self.render_mode = show, reward, frame, render_mode

    def _see(self):
        return self.show(self.steps) if self.show else self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self._see(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.steps += 1
        return self._see(), self.reward, self.steps == 5, False, {}

    def render(self):
        return self.frame(self.steps)


class Blind(AnyEnv):
    """Takes no render mode."""

    def __init__(self):
        super().__init__()

    render = gymnasium.Env.render


def leaves():
    sys.exit("no licence")


for name, entry_point in {"Any-v0": AnyEnv, "Blind-v0": Blind, "Leaves-v0": leaves}.items():
    gymnasium.register(name, entry_point)
go = torch.zeros(2, dtype=torch.long)


def envs(count=2, **options):
    return VectorEnv(EnvInfo.of("Any-v0", options, {}, "", 0), count)


@pytest.mark.parametrize(
    ("space", "states", "shape"),
    [
        (Discrete(7, start=-3), 7, ()),
        (Discrete(9, dtype=np.uint8), 9, ()),
        (MultiDiscrete([3, 4], start=[1, 1]), 12, ()),
        (MultiDiscrete([10] * 16), 0, (160,)),
        (MultiDiscrete([10] * 20, start=[3] * 20), 0, (200,)),
        (MultiDiscrete([[3, 4], [2, 5]]), 0, (14,)),
        (Tuple([Discrete(100, start=2)] * 9), 0, (900,)),
        (Tuple([Box(0, 1, (3,)), Discrete(2)]), 0, (5,)),
        (Dict(a=Dict(b=MultiBinary(2), c=Box(-1, 1, ())), d=Tuple([Discrete(3, start=5), Text(4)])), 0, (10,)),
        (MultiBinary((2, 3)), 0, (6,)),
        (Text(5), 0, (5,)),
        (OneOf([Discrete(3), Box(0, 1, (2,))]), 0, (4,)),
        (Box(-1, 1, ()), 0, (1,)),
        (Box(0, 9, (), np.int64), 0, (1,)),
        (Box(0, 65535, (4,), np.uint16), 0, (4,)),
        (Box(0, 2**32 - 1, (4,), np.uint32), 0, (4,)),
        (Box(-1, 1, (4,), np.float16), 0, (4,)),
        (Box(-1, 1, (4,), np.dtype(">f4")), 0, (4,)),
        (Box(0, 1, (2, 3, 4, 5), bool), 0, (2, 3, 4, 5)),
        (Box(0, 1, (10, 4, 6)), 0, (10, 4, 6)),
    ],
    ids=str,
)
def test_observations_become_states_or_arrays_that_a_network_takes(space, states, shape):
    vector = envs(observations=space)
    assert (vector.info.states, vector.info.observation_shape) == (states, shape)
    model = DQN(hidden_sizes=(4,))
    model.build(vector.info)
    seen = vector.reset([0, 1])
    assert seen.shape == (2, *shape)
    assert model(seen).shape == (2, 2)
    for _ in range(6):
        result = vector.step(go)
        assert result.next_observations.dtype == seen.dtype
        assert not states or result.next_observations.max() < states


def test_each_discrete_value_is_a_one_hot_of_its_own():
    env = fit_observations(AnyEnv(MultiDiscrete([3, 2] * 9, start=[1, 0] * 9), show=lambda _: np.array([3, 1] * 9)))
    assert env.reset()[0].tolist() == [0, 0, 1, 0, 1] * 9


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Sequence(Discrete(3)), r"Sequence\(Discrete\(3\)"),
        (Dict(a=Discrete(2), b=Sequence(Box(0, 1, (2,)))), r"Dict\('a': Discrete\(2\), 'b': Sequence"),
        (Graph(Box(0, 1, (2,)), Discrete(3)), "Graph"),
        (Unknown((3,), np.float32), "Unknown"),
        (Box(-1, 1, (3, 0)), r"Box\(\[\], \[\], \(3, 0\).*models for 1 to 4,194,304 values"),
        (Discrete(2**40), r"Discrete\(1099511627776\); there are models for 1 to"),
        (Dict(a=Discrete(2**40)), "there are models for 1 to"),
        (MultiDiscrete([2**40, 2]), "there are models for 1 to"),
    ],
    ids=str,
)
def test_observations_that_no_model_takes_are_refused_by_name(space, message):
    with pytest.raises(InputError, match=f"^cannot make Any-v0: .*{message}") as error:
        envs(observations=space)
    assert "\n" not in str(error.value)


def test_networks_refuse_more_states_than_a_one_hot_may_have():
    info = EnvInfo.of("Any-v0", {"observations": Discrete(10**6)}, {}, "", 0)
    with pytest.raises(ValueError, match="Any-v0 has 1,000,000 states, and a network takes 65,536 at most"):
        PPO().build(info)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        *(((9, 8, count), count) for count in (1, 2, 3, 4, 6)),
        *(((count, 9, 8), count) for count in (1, 2, 3, 4, 6)),
        ((10, 4, 6), 6),  # the smaller of the first and the last, whatever the middle one is
        ((6, 4, 10), 6),
        ((40, 3, 40), 40),
        ((1, 1, 1), 1),
        ((1, 50, 2), 1),
        ((84, 36, 4), 4),
    ],
)
def test_channels_of_an_image_are_the_smaller_of_its_first_and_last_axis(shape, channels):
    info = EnvInfo("x", {}, {}, "", 9, None, states=0, observation_shape=shape, actions=3, action_shape=())
    model = DQN(hidden_sizes=(4,))
    model.build(info)
    assert model.q_network[0][1].in_channels == channels
    assert model(torch.rand(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (Box(-1, 1, ()), (1,)),
        (Box(0, 9, (), np.uint8), (1,)),
        (Box(-3, 3, (2, 2), np.int32), (2, 2)),
        (Box(0, 1, (3,), bool), (3,)),
        (Box(-1, 1, (2,), np.float16), (2,)),
        (Box(-1, 1, (2,), np.float64), (2,)),
        (Discrete(4, start=-7), ()),
    ],
    ids=str,
)
def test_actions_of_a_policy_become_the_environments_own(space, shape):
    vector = envs(actions=space)
    assert vector.info.action_shape == shape
    model = PPO(hidden_sizes=(4,))
    model.build(vector.info)
    seen = vector.reset([0, 1])
    params = model.policy(seen)
    actions = model.policy.sample(params).detach()
    assert model.policy.log_prob(params, actions).shape == (2,)
    vector.step(actions)  # which asserts that they are in the space


def test_whole_numbers_are_rounded_to():
    done = []
    env = AnyEnv(actions=Box(-3, 3, (2,), np.int32))
    env.step = lambda action: done.append(action)
    fit_actions(env).step(np.array([1.6, -0.4], np.float32))
    assert done[0].tolist() == [2, 0]
    assert done[0].dtype == np.int32


@pytest.mark.parametrize(
    "space",
    [MultiDiscrete([2, 3]), Dict(a=Discrete(2)), Tuple([Discrete(2)]), Text(3), Discrete(2**40), Box(0, 1, (0,))],
    ids=str,
)
def test_actions_that_no_model_takes_are_refused_by_name(space):
    with pytest.raises(InputError, match="Any-v0: actions are .*; there are models for Discrete and Box") as error:
        envs(actions=space)
    assert "\n" not in str(error.value)
    assert type(space).__name__ in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"show": lambda step: np.array([0, np.nan if step == 3 else 0])}, r"at step 3 .* observation\[1\] is nan"),
        ({"show": lambda step: np.full(2, np.nan)}, r"at step 0 of an episode observation\[0\] is nan"),
        ({"show": lambda step: np.full(2, np.inf if step == 5 else 0)}, r"at step 5 .* observation\[0\] is inf"),
        ({"observations": Box(-1, 1, (2,), np.float64), "show": lambda step: np.full(2, 1e300)}, "is inf"),
        ({"reward": float("nan")}, "at step 1 of an episode reward is nan"),
        ({"reward": None}, "reward is nan"),
        ({"reward": "high"}, "raised ValueError"),
        ({"observations": Discrete(3), "show": lambda step: step}, "at step 3 .* is 3, not one of 3 states"),
        ({"observations": Discrete(3), "show": lambda step: -step}, "at step 1 .* is -1, not one of 3 states"),
        ({"observations": MultiDiscrete([3, 3]), "show": lambda step: (step, 0)}, "raised ValueError"),
        ({"show": lambda step: np.zeros(2 + step)}, "raised ValueError"),
        ({"show": lambda step: np.zeros(2) if step < 5 else np.float32(0)}, "raised ValueError"),
        ({"show": lambda step: ["a", "b"]}, "raised TypeError"),
        ({"show": lambda step: sys.exit(3) if step else np.zeros(2)}, "raised SystemExit: 3"),
    ],
)
def test_what_is_not_a_number_or_not_in_the_space_stops_the_run_with_the_step(options, message):
    vector = envs(**options)
    with pytest.raises(InputError, match=f"^Any-v0:? .*{message}") as error:
        vector.reset([0, 1])
        for _ in range(5):
            vector.step(go)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (lambda step: None, "renders no picture, but NoneType"),
        (lambda step: "a board", "renders no picture, but str"),
        (lambda step: np.zeros((9, 8, 2)), r"renders no picture, but ndarray \(9, 8, 2\)"),
        (lambda step: np.zeros((0, 0, 3)), "renders no picture"),
        (lambda step: [[1, 2], [3]], "raised ValueError"),
        (lambda step: 1 / 0, "raised ZeroDivisionError"),
        (lambda step: np.full((20, 30), 100, np.uint8), (3, 160, 240)),
        (lambda step: np.full((20, 30), True), (3, 160, 240)),
        (lambda step: np.full((20, 30, 1), 100), (3, 160, 240)),
        (lambda step: np.full((20, 30, 4), 100.0), (3, 160, 240)),
        (lambda step: np.zeros((20 + step, 30 - step, 3), np.uint8), (3, 160, 240)),
        (lambda step: np.zeros((20, 30, 3), np.uint8) if step % 2 else None, (3, 160, 240)),
        (lambda step: np.zeros((1, 5000, 3), np.uint8), (3, 1, 240)),
        (lambda step: np.zeros((5000, 1, 3), np.uint8), (3, 960, 1)),
    ],
)
def test_whatever_is_rendered_the_returns_are_printed(frame, shown, capsys):
    model = PPO(hidden_sizes=(4,))
    model.info = EnvInfo.of("Any-v0", {"frame": frame}, {}, "", 0)
    model.build(model.info)
    made = model.generate(episodes=2)
    assert capsys.readouterr().err == "returns: 5, 5 (mean 5)\n"
    assert model.showcase(torch.tensor([1])).keys() == {"episode"}
    if isinstance(shown, str):
        assert isinstance(made, Words)
        assert made.text.startswith("no frames: Any-v0 ")
        assert re.search(shown, made.text)
    else:
        assert isinstance(made, Video)
        assert made.frames[0].shape == shown
        assert made.encode()


@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_an_environment_without_a_render_mode_is_played_all_the_same(capsys):
    model = PPO(hidden_sizes=(4,))
    model.info = EnvInfo.of("Blind-v0", {}, {}, "", 0)
    model.build(model.info)
    assert model.generate(episodes=1).text.startswith("no frames: Blind-v0 raised NotImplementedError")
    assert capsys.readouterr().err == "returns: 5 (mean 5)\n"


def test_a_module_may_stand_before_the_id(tmp_path, monkeypatch):
    (tmp_path / "brings_envs.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "for name in ('Brought-v0', 'space/Brought-v0'):\n"
        "    gymnasium.register(name, CartPoleEnv, max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for env in ("brings_envs:Brought-v0", "brings_envs:space/Brought-v0"):
        assert EnvInfo.of(env, {}, {}, "", 0).max_episode_steps == 7
        assert VectorEnv(EnvInfo.of(env, {}, {}, "", 3), 2).reset([0, 1]).shape == (2, 4)
    with pytest.raises(InputError, match="cannot make no_such_module:X-v0: No module named 'no_such_module'"):
        EnvInfo.of("no_such_module:X-v0", {}, {}, "", 0)


def test_an_environment_that_exits_is_refused():
    with pytest.raises(InputError, match="^cannot make Leaves-v0: no licence$"):
        EnvInfo.of("Leaves-v0", {}, {}, "", 0)


def test_a_replay_buffer_larger_than_memory_is_refused():
    with pytest.raises(InputError, match="buffer_size: no memory for 1,000,000,000,000,000 such transitions"):
        ReplayBuffer(10**15, 0.0, torch.device("cpu")).add({"observations": torch.zeros(1, 1000)})


def test_legend_of_many_actions_leaves_room():
    drawing = plot_values(torch.zeros(2, 1000), 0.0)
    assert len(drawing.axes[0].get_legend().get_texts()) == 18
