"""Launchers: torchrun, srun (faked by its variables and an scontrol that notes what it is asked) and Lightning's."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import launched
import pytest
import torch
import trouble
from jsonargparse import Namespace
from lightning.pytorch.utilities.exceptions import SIGTERMException

from dlplug.errors import InputError
from dlplug.runs import Run
from dlplug.training.launch import Preemption, devices, launch_key, restarted_run

TWO = ["--model", "cnn", "--data", "digits", "--model.channels", "[8,8]", "--model.hidden", "16"]
TWO += ["--trainer.limit_train_batches", "8", "--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "3"]
TWO += ["--trainer.limit_val_batches", "2", "--trainer.accelerator", "cpu", "--trainer.callbacks+=trouble.Trouble"]


@pytest.fixture(autouse=True)
def no_launcher():
    """Leave the environment as it was: `devices` itself sets a variable, which later tests' jobs would inherit."""
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith(launched.LAUNCHERS)]:
            del os.environ[name]
        yield


def srun(folders: list[Path], *args: str, **more: str) -> list[tuple[int, str]]:
    """Start a process in each folder, each a node of one job, and wait for them: status and what each said."""
    binaries = folders[0] / "bin"
    binaries.mkdir(exist_ok=True)
    scontrol = binaries / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {folders[0]}/scontrol.txt\n')
    scontrol.chmod(0o755)
    job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_LOCALID": "0", "SLURM_JOB_NAME": "x"}
    job |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": launched.free_port(),
        "PATH": f"{binaries}:{os.environ['PATH']}",
        **more,
    }
    started = []
    for rank, folder in enumerate(folders):
        shutil.copy(Path(trouble.__file__), folder)
        env = {**job, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)}
        started.append(launched.start("fit", *TWO, *args, folder=folder, **env))
    for process in started:
        process.join(timeout=300)
        assert process.exitcode is not None
    return [(p.exitcode, f.with_name(f"{f.name}.err").read_text()) for p, f in zip(started, folders, strict=True)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run on two nodes that share no file system."""
    nodes = [tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")]
    ended = srun(nodes)
    assert [status for status, _ in ended] == [0, 0], ended
    [run] = nodes[0].glob("runs/cnn/*")
    assert not (nodes[1] / "runs").exists()
    return run


def test_preempted_and_requeued_job_ends_as_one_never_stopped(unbroken, tmp_path):
    nodes = [tmp_path / "first", tmp_path / "second"]  # which share what is beside them
    for folder in (*nodes, tmp_path / "runs"):
        folder.mkdir()
    planted = (unbroken / "checkpoints" / "last.ckpt").read_bytes()
    (tmp_path / "runs" / "hpc_ckpt_1.ckpt").write_bytes(planted)  # of another job, where Lightning would look for it
    # After the first epoch, in the middle of the second, by a signal to one of the two processes; then before the end.
    for restart, moment in enumerate(("SIGUSR1 1 12", "SIGUSR1 0 17", "")):
        more = {"SLURM_RESTART_COUNT": str(restart), **({"TROUBLE": moment} if moment else {})}
        ended = srun(nodes, f"--trainer.default_root_dir={tmp_path}/runs", **more)
        assert [status for status, _ in ended] == ([138, 0] if moment else [0, 0]), ended
        [last] = tmp_path.glob("runs/cnn/*/checkpoints/last.ckpt")
        assert torch.load(last, weights_only=True)["global_step"] == (12, 17, 24)[restart]  # within an epoch of 8
    [run] = tmp_path.glob("runs/cnn/*")
    assert (run / "metrics.csv").read_bytes() == (unbroken / "metrics.csv").read_bytes()
    assert set((nodes[0] / "scontrol.txt").read_text().splitlines()) == {"requeue 77"}


@pytest.mark.slow("twenty starts of two processes; by day two signals stop a job")
def test_twenty_signals_at_random_batches_change_nothing(unbroken, tmp_path):
    nodes = [tmp_path / "first", tmp_path / "second"]
    for folder in nodes:
        folder.mkdir()
    draw = random.Random(0)
    moments = sorted(draw.sample(range(1, 25), 20))
    for restart, moment in enumerate([*moments, 0]):
        name, rank = draw.choice(["SIGUSR1", "SIGTERM"]), draw.randrange(2)
        more = {"SLURM_RESTART_COUNT": str(restart), **({"TROUBLE": f"{name} {rank} {moment}"} if moment else {})}
        ended = srun(nodes, f"--trainer.default_root_dir={tmp_path}/runs", **more)
        expected = 128 + getattr(signal, name) if moment else 0
        assert [status for status, _ in ended] == [expected, 0], (moment, ended)
    [run] = tmp_path.glob("runs/cnn/*")
    assert (run / "metrics.csv").read_bytes() == (unbroken / "metrics.csv").read_bytes()


def test_signal_that_comes_while_processes_agree_is_kept(monkeypatch):
    preemption = Preemption()
    came = iter([signal.SIGUSR1])
    reduce = lambda *_: [preemption._note(number, None) for number in came]  # noqa: E731
    monkeypatch.setattr(torch.distributed, "all_reduce", reduce)
    trainer = SimpleNamespace(world_size=2, strategy=SimpleNamespace(root_device="cpu"), checkpoint_callbacks=[])
    preemption.on_train_batch_end(trainer)
    with pytest.raises(SIGTERMException):
        preemption.on_train_batch_end(trainer)
    assert preemption.signal == signal.SIGUSR1


def test_run_is_resumed_only_where_every_node_has_it(unbroken, tmp_path):
    nodes = [unbroken.parents[2], tmp_path]
    ended = srun(nodes, "--run", unbroken.name, "--resume", "auto")
    assert [status for status, _ in ended] == [2, 2]
    assert all(said.count("\n") == 1 and "is not on every node" in said for _, said in ended)


@pytest.mark.slow(
    "half a minute: torchrun imports torch five times; by day two signals stop a job, and restarts take runs"
)
def test_worker_that_was_killed_goes_on_in_its_own_run(unbroken, tmp_path):
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    line += ["--max_restarts", "1", "-m", "dlplug", "fit", *TWO]
    env = {**os.environ, "PYTHONPATH": str(Path(trouble.__file__).parent), "TROUBLE": "SIGKILL 1 12"}
    subprocess.run(line, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=300)
    [run] = tmp_path.glob("runs/cnn/*")
    assert (run / "metrics.csv").read_bytes() == (unbroken / "metrics.csv").read_bytes()


ASKED = Namespace(devices="auto", num_nodes=1)
ELASTIC = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}
SLURM = {"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "x"}


@pytest.mark.parametrize(
    ("env", "typed", "found"),
    [
        ({}, {}, {}),
        (ELASTIC, {}, {"devices": 2, "num_nodes": 2}),
        (ELASTIC, {"devices": "2", "num_nodes": 2}, {"devices": 2, "num_nodes": 2}),
        (ELASTIC, {"devices": [0, 1]}, {"devices": 2, "num_nodes": 2}),
        (ELASTIC, {"devices": "0,1"}, {"devices": 2, "num_nodes": 2}),
        (ELASTIC | {"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}, {}, {}),
        (SLURM, {}, {"devices": 2, "num_nodes": 2}),
        (SLURM | {"SLURM_JOB_NAME": "bash"}, {}, {}),  # an interactive shell of an allocation
        ({"NODE_RANK": "1"}, {"num_nodes": 2}, {}),
    ],
)
def test_devices_come_from_the_launcher(env, typed, found, monkeypatch):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    assert devices(Namespace(**{**vars(ASKED), **typed})) == found


@pytest.mark.parametrize(
    ("env", "typed", "said"),
    [
        (ELASTIC, {"devices": 3}, "--trainer.devices is 3, but torchrun starts 2 on 2"),
        (ELASTIC, {"num_nodes": 3}, "--trainer.num_nodes is 3, but torchrun starts 2 on 2"),
        (SLURM, {"devices": [0]}, r"--trainer.devices is \[0\], but srun starts 2 on 2"),
        (SLURM | {"SLURM_NTASKS": "3"}, {}, "srun starts 3 processes on 2 nodes"),
        ({"NODE_RANK": "1"}, {}, "NODE_RANK is 1, but --trainer.num_nodes is 1"),
    ],
)
def test_options_that_contradict_the_launcher_are_refused(env, typed, said, monkeypatch):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said):
        devices(Namespace(**{**vars(ASKED), **typed}))


def test_launch_has_a_key_of_its_own(monkeypatch):
    keys = [launch_key("config")]
    for name, value in {
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "1",
        "TORCHELASTIC_RUN_ID": "none",  # torchrun's word for every launch without a name
    }.items():
        monkeypatch.setenv(name, value)
        keys.append(launch_key("config"))
    keys.append(launch_key("another"))
    assert keys[0] == ""
    assert len(set(keys)) == 5
    assert launch_key("another") == keys[-1]


def test_restarts_take_each_run_once(tmp_path, monkeypatch):
    for name in ("2026-01-01", "2026-01-02"):
        Run.create(tmp_path, "", {"launch": "mine"}, name)
    Run.create(tmp_path, "", {"launch": "another"}, "2026-01-03")
    assert restarted_run(tmp_path, "mine") is None  # a first start
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    found = [restarted_run(tmp_path, "mine") for _ in range(3)]
    assert [run and run.path.name for run in found] == ["2026-01-02", "2026-01-01", None]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert restarted_run(tmp_path, "mine") == found[0]
    assert restarted_run(tmp_path, "") is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(2**22 + 1))  # no process has that number
    taken = restarted_run(tmp_path, "mine")
    with taken.lock():  # which sweeps what dead processes left
        pass
    assert restarted_run(tmp_path, "mine") != taken


SHARDED = '{"class_path": "lightning.pytorch.strategies.ModelParallelStrategy"}'


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_notebook", SHARDED])
def test_strategies_that_train_apart_or_cannot_start_are_refused(strategy, refused):
    found = refused("fit", "--model", "cnn", "--data", "digits", "--trainer.strategy", strategy, "--trainer.devices=2")
    assert "take ddp" in found


def test_sharding_that_a_kill_leaves_damaged_is_refused(refused):
    found = refused("fit", "--model=transformer-lm", "--trainer.strategy", SHARDED, "--trainer.devices=2")
    assert "take fsdp2" in found


def test_named_run(tmp_path, command, refused, monkeypatch):
    small = [word for word in TWO if not word.startswith("--trainer.callbacks")]
    monkeypatch.setenv("DLPLUG_RUN", "by-variable")
    command("fit", *small)
    assert (tmp_path / "runs/cnn/by-variable/checkpoints/last.ckpt").exists()
    command("fit", *small, "--run", "mine")
    metrics = (tmp_path / "runs/cnn/mine/metrics.csv").read_bytes()
    assert "runs/cnn/mine exists: --resume auto resumes it" in refused("fit", *small, "--run", "mine")
    command("fit", *small, "--run", "mine", "--resume", "auto", "--trainer.max_epochs", "4")
    assert (tmp_path / "runs/cnn/mine/metrics.csv").read_bytes().startswith(metrics)
    assert "\nrun:" not in (tmp_path / "runs/cnn/mine/config.yaml").read_text()
    assert "is not a name" in refused("fit", *small, "--run", "../up")
    monkeypatch.delenv("DLPLUG_RUN")
    assert "needs the run's name" in refused("fit", *small, "--resume", "auto")
