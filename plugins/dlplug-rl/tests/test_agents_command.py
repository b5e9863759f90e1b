"""Agents through the real command, on the smallest environments."""

import csv
import filecmp

import pytest
import torch
from PIL import Image

import dlplug
from dlplug.testing import check_panels
from dlplug_rl.models.dqn import DQN
from dlplug_rl.models.q_learning import QLearning
from dlplug_rl.models.sac import SAC

FEW = ("--data.batches=4", "--data.episodes=3", "--data.test_episodes=6", "--trainer.log_every_n_steps=2")
DQN_SMALL = (
    "--model",
    "dqn",
    *FEW,
    "--model.hidden_sizes=[16]",
    "--model.n_steps=1",
    "--model.train_freq=16",
    "--model.gradient_steps=4",
)
DQN_TINY = (*DQN_SMALL, "--model.learning_starts=64", "--model.buffer_size=300", "--data.max_episode_steps=30")
SAC_TINY = ("--model", "sac", *FEW, "--model.hidden_sizes=[16]", "--model.learning_starts=16", "--model.batch_size=8")
PPO_TINY = ("--model", "ppo", *FEW, "--model.hidden_sizes=[16]", "--model.n_steps=16", "--model.n_epochs=2")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_q_learning_finds_the_way_and_draws_it(command, tmp_path):
    line = ("--model=q-learning", "--data.env=CliffWalking-v1", "--trainer.log_every_n_steps=5")
    result = command("fit", *line)
    assert result.returncode == 0, result.stderr
    assert "env_steps/s" in result.stderr
    [run] = tmp_path.glob("runs/q-learning/*")
    check_panels(run)
    assert command("test", run).returncode == 0
    assert float(rows(run / "test.csv")[0]["test/episode_return"]) == -13
    counted = [float(row["train/env_steps"]) for row in rows(run / "metrics.csv") if row["train/env_steps"]]
    assert counted == sorted(counted)
    assert counted[-1] == 2 * 10 * 250 * 4
    assert QLearning.load_from_checkpoint(run / "checkpoints" / "last.ckpt").table[36].argmax() == 0


def test_dqn_shows_tests_and_generates(command, tmp_path):
    result = command("fit", *DQN_TINY, "--model.priority_alpha=0.6", "--model.n_steps=3", "--trainer.max_epochs=2")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/dqn/*")
    check_panels(run)
    assert command("test", run).returncode == 0
    result = command("generate", run, "--episodes", "2", "--frames", "9")
    assert "returns: " in result.stderr
    with Image.open(tmp_path / result.stdout.strip()) as picture:
        assert picture.n_frames > 1
    model = DQN.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    assert model.env_steps == 2 * 4 * 16 * 4
    assert model(torch.zeros(3, 4)).shape == (3, 2)


def test_sac_shows_tests_and_generates(command, tmp_path):
    result = command("fit", *SAC_TINY, "--data.max_episode_steps=12", "--trainer.max_epochs=2")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/sac/*")
    check_panels(run)
    for line in (("test", run), ("generate", run, "--episodes", "1", "--frames", "9")):
        assert command(*line).returncode == 0
    assert SAC.load_from_checkpoint(run / "checkpoints" / "last.ckpt").num_updates == 0  # until training goes on
    assert float(rows(run / "metrics.csv")[-1]["train/env_steps"]) == 2 * 4 * 8


KILL = """
import os, signal
from lightning.pytorch import Callback
class Kill(Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.fit_loop.total_batch_idx == int(os.environ.get("KILL_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("options", [("dqn",), ("dqn", "--model.priority_alpha=0.6"), ("ppo",), ("sac",)])
def test_a_killed_run_that_resumes_is_the_run_that_never_stopped(command, tmp_path, options):
    (tmp_path / "killer.py").write_text(KILL)
    name, *more = options
    line = ("fit", *{"dqn": DQN_TINY, "ppo": PPO_TINY, "sac": SAC_TINY}[name], *more, "--trainer.max_epochs=3")
    line += ("--trainer.callbacks+=killer.Kill", "--trainer.default_root_dir")
    assert command(*line, "whole").returncode == 0
    assert command(*line, "killed", KILL_AT="9").returncode == -9
    [whole], [killed] = (list(tmp_path.glob(f"{folder}/{name}/*")) for folder in ("whole", "killed"))
    assert command("fit", killed).returncode == 0
    assert filecmp.cmp(whole / "metrics.csv", killed / "metrics.csv", shallow=False)
    states = [torch.load(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (whole, killed)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_checkpoints_may_leave_out_the_replay_buffer(command, tmp_path):
    assert command("fit", *DQN_TINY, "--model.save_replay_buffer=false", "--trainer.max_epochs=1").returncode == 0
    [run] = tmp_path.glob("runs/dqn/*")
    assert "replay" not in torch.load(run / "checkpoints" / "last.ckpt")["agent"]
    assert command("fit", run, "--trainer.max_epochs=2").returncode == 0


@pytest.mark.parametrize(
    "line",
    [
        ("ppo", "--data.env=Pendulum-v1", "--model.n_steps=16", "--model.n_epochs=2", "--data.max_episode_steps=20"),
        ("policy-gradient", "--model.baseline=value"),
        ("policy-gradient", "--data.env=Pendulum-v1", "--model.baseline=mean", "--data.max_episode_steps=20"),
    ],
)
def test_policies(command, tmp_path, line):
    result = command("fit", "--model", *line, *FEW, "--model.hidden_sizes=[16]", "--trainer.max_epochs=2")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/*/*")
    if "--model.baseline=mean" not in line:
        check_panels(run)
    assert command("test", run).returncode == 0
    assert float(rows(run / "metrics.csv")[-1]["train/entropy"]) > 0
    played = dlplug.load(run).model.demos()["Episode"]()
    assert set(played) == ({"episode"} if "--model.baseline=mean" in line else {"episode", "values"})


def test_misfits_are_refused_in_one_line(refused):
    assert "needs discrete states and actions" in refused("fit", "--model", "q-learning", "--data.env", "CartPole-v1")
    assert "cannot make Pong-v9" in refused("fit", "--model", "dqn", "--data.env", "Pong-v9")
    assert "compute in 32-true or bf16-mixed, not 16-true" in refused(
        "fit", "--model", "ppo", "--trainer.precision", "16-true"
    )
    assert "takes environment, but digits gives images" in refused("fit", "--model", "ppo", "--data", "digits")


def test_two_processes(fit_on_two):
    run = fit_on_two(*DQN_TINY, "--trainer.max_epochs=2")
    assert float(rows(run / "metrics.csv")[-1]["train/env_steps"]) == 2 * 4 * 16 * 4 * 2  # those of both
    assert len(torch.load(run / "checkpoints" / "last.ckpt")["agent"]["replay"]) == 2
