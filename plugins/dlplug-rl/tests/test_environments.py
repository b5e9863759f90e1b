"""What the environments give, on one that is made for it: it counts its own steps."""

import os

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from dlplug import InputError
from dlplug.data import Info
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.data.gym import Gym


class Count(gymnasium.Env):
    """Shows (seed, steps); terminates after ``ends`` steps, if any; the reward is the step's number."""

    def __init__(self, ends=0, crash=0):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,))
        self.action_space = spaces.Discrete(2)
        self.ends, self.crash, self.seed, self.steps = ends, crash, 0, 0

    def _see(self):
        return np.array([self.seed, self.steps], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.steps = self.seed if seed is None else seed, 0
        return self._see(), {}

    def step(self, action):
        self.steps += 1
        if self.steps == self.crash:
            raise RuntimeError("the pole\nbroke")
        return self._see(), float(self.steps), self.steps == self.ends, False, {}


class MultiBinaryActions(Count):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.MultiBinary(2)


class Cards(Count):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Tuple([spaces.Discrete(4, start=2), spaces.Discrete(3)])

    def _see(self):
        return (2 + self.steps % 4, self.steps % 3)


class Rendered(Count):
    """Colours as MinAtar gives them."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        return np.full((4, 6, 3), 0.5)


def register():
    gymnasium.register("Late-v0", Rendered, max_episode_steps=5)


for name, env in {"Count-v0": Count, "Odd-v0": MultiBinaryActions, "Cards-v0": Cards}.items():
    gymnasium.register(name, env, max_episode_steps=5)
go = torch.zeros(2, dtype=torch.long)


def envs(count=2, **options):
    return VectorEnv(EnvInfo.of("Count-v0", options, {}, "", 0), count)


def test_truncation_is_not_termination_and_gives_the_last_observation():
    for options, ended in (({"ends": 3}, True), ({}, False)):
        vector = envs(**options)
        vector.reset([7, 8])
        length = 3 if ended else 5
        for step in range(1, length):
            result = vector.step(go)
            assert not (result.terminated | result.truncated).any()
            assert torch.equal(result.next_observations, vector.observations)
            assert result.next_observations.tolist() == [[7, step], [8, step]]
        result = vector.step(go)
        assert result.terminated.tolist() == [ended] * 2
        assert result.truncated.tolist() == [not ended] * 2
        assert result.next_observations.tolist() == [[7, length], [8, length]]  # what was led to
        assert vector.observations.tolist() == [[7, 0], [8, 0]]  # the next episode, in the same step
        assert vector.finished_episodes == [(length * (length + 1) / 2, length)] * 2
        after = vector.step(go)  # the first step of the next episode: none was lost to starting again
        assert after.rewards.tolist() == [1, 1]
        assert after.next_observations[:, 1].tolist() == [1, 1]


def test_evaluate_plays_one_episode_in_each_environment():
    seen = []
    returns, lengths = envs(ends=4).evaluate(lambda x: seen.append(x[:, 1].tolist()) or go, [1, 2])
    assert returns.tolist() == [10, 10]
    assert lengths.tolist() == [4, 4]
    assert seen == [[step, step] for step in range(4)]


def test_an_environment_that_crashes_says_so_in_one_line():
    vector = envs(crash=2)
    vector.reset([0, 1])
    vector.step(go)
    with pytest.raises(InputError, match=r"^Count-v0 raised RuntimeError: the pole broke$"):
        vector.step(go)


def test_parallel_environments_are_the_same():
    results = []
    for parallel in (False, True):
        vector = VectorEnv(EnvInfo.of("CartPole-v1", {}, {}, "", 0), 2, parallel=parallel)
        vector.reset([3, 4])
        steps = [vector.step(torch.tensor([1, i % 2])) for i in range(12)]  # pushed to one vector, the first falls
        results.append(torch.cat([step.next_observations for step in steps]))
        assert any(step.terminated[0] for step in steps)
        vector.close()
    assert torch.equal(*results)


def test_several_discrete_values_become_one_state():
    info = EnvInfo.of("Cards-v0", {}, {}, "", 0)
    assert (info.states, info.observation_shape) == (12, ())
    vector = VectorEnv(info, 1)
    vector.reset([0])
    states = [int(vector.step(go[:1]).next_observations) for _ in range(4)]
    assert states == [1 * 3 + 1, 2 * 3 + 2, 3 * 3 + 0, 0 * 3 + 1]


@pytest.mark.parametrize("env", ["CartPole-v1", "FrozenLake-v1", "Pendulum-v1", "Blackjack-v1", "CliffWalking-v1"])
def test_info_is_plain_data_with_limit_and_reward_threshold(env):
    info = EnvInfo.of(env, {}, {}, "", 0)
    assert Info.from_dict(info.to_dict()) == info
    spec = gymnasium.spec(env)
    assert info.reward_threshold == spec.reward_threshold
    assert info.max_episode_steps == (spec.max_episode_steps or 1000)


def test_a_function_of_a_module_registers_environments_and_rendering_leaves_variables_alone():
    variables = dict(os.environ)
    for _ in range(2):
        info = EnvInfo.of("Late-v0", {}, {}, f"{__name__}:register", 0)
    vector = VectorEnv(info, 1, render=True)
    vector.reset([0])
    frame = vector.render()
    assert frame.shape == (3, 4, 6)
    assert frame.unique().tolist() == [127.5]
    assert dict(os.environ) == variables


def test_wrappers_and_limits():
    info = EnvInfo.of("CartPole-v1", {}, {"FrameStackObservation": {"stack_size": 3}}, "", 7)
    assert info.observation_shape == (3, 4)
    vector = VectorEnv(info, 1)
    assert vector.evaluate(lambda x: go[:1], [0])[1].item() <= 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env": "Cartpole-v9"}, "cannot make Cartpole-v9"),
        ({"package": "no_such_package"}, "cannot make CartPole-v1: No module named 'no_such_package'"),
        ({"wrappers": {"NoWrapper": {}}}, "no attribute 'NoWrapper'"),
        ({"options": {"gravity": 1}}, "gravity"),
        ({"env": "Odd-v0"}, r"Odd-v0: actions are MultiBinary\(2\); there are models for Discrete and Box"),
        ({"num_envs": 0}, "must be at least 1"),
    ],
)
def test_environments_that_cannot_be_made_are_refused(options, message):
    with pytest.raises(InputError, match=message) as error:
        Gym(**options)
    assert "\n" not in str(error.value)


def test_each_epoch_and_process_resets_with_seeds_of_its_own():
    class Trainer:
        global_rank, world_size, current_epoch = 0, 1, 0

    starts = []
    for epoch, rank in ((0, 0), (1, 0), (0, 1), (1, 0)):
        data = Gym("Count-v0", num_envs=2, batches=3)
        data.trainer = Trainer()
        data.trainer.current_epoch, data.trainer.global_rank = epoch, rank
        batches = list(data.train_dataloader())
        assert len(batches) == 3
        starts.append(batches[0].observations[:, 0].tolist())
    assert len(np.unique(starts)) == 6
    assert starts[1] == starts[3]


def test_each_process_evaluates_its_share_of_the_same_episodes(monkeypatch):
    shares = []
    for rank in (0, 1):
        with monkeypatch.context() as patch:
            patch.setattr(torch.distributed, "is_initialized", lambda: True)
            patch.setattr(torch.distributed, "get_world_size", lambda: 2)
            patch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
            loader = Gym(episodes=7).val_dataloader()
        shares += torch.cat(list(loader)).tolist()
    assert sorted(shares) == torch.cat(list(Gym(episodes=7).val_dataloader())).tolist()
    assert not set(shares) & set(torch.cat(list(Gym().test_dataloader())).tolist())
