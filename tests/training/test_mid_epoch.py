"""Checkpoints within an epoch: a run that resumes there is the one that never stopped."""

import shutil
from pathlib import Path

import own
import pytest
import torch
import trouble

DATA = """
import torch
from dlplug.data import TensorData, VectorInfo


class Points(TensorData):
    def __init__(self, workers: int = 0, batch_size: int = 8):
        super().__init__(batch_size)
        self.num_workers = workers

    def load(self):
        points = torch.randn(84, 4, generator=torch.Generator().manual_seed(0))
        return VectorInfo(4), {"train": (points,), "val": (points[:8],)}
"""
OWN = ("--model=own.OwnModel", "--trainer.log_every_n_steps=3", "--trainer.accelerator=cpu", "--trainer.max_epochs=3")


@pytest.fixture
def folder(tmp_path):
    shutil.copy(Path(own.__file__), tmp_path)
    (tmp_path / "points.py").write_text(DATA)
    return tmp_path


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("options", "due", "step"),
    [
        (["--data.workers=0"], "--every_n_train_steps=3", 15),  # where a validation ends
        (["--data.workers=2"], "--every_n_train_steps=7", 14),
        (["--data.workers=0", "--trainer.accumulate_grad_batches=2"], "--train_time_interval=0:00:00.000001", 7),
        pytest.param(
            ["--data.workers=2", "--data.batch_size=4", "--trainer.devices=2", "--trainer.strategy=ddp"],
            "--every_n_train_steps=3",
            15,
            marks=pytest.mark.slow("three starts of two processes with two workers each; by day one process has them"),
        ),
    ],
)
def test_killed_within_an_epoch(folder, command, options, due, step):
    line = ("fit", *OWN, "--data=points.Points", "--trainer.val_check_interval=5", *options)
    assert command(*line, "--run=whole").returncode == 0
    command(*line, "--run=cut", due, KILL_AT="1,5")
    whole, cut = (folder / "runs" / "ownmodel" / name for name in ("whole", "cut"))
    assert weights(cut)["global_step"] == step
    assert weights(cut)["within_epoch"]["batches"] == 10
    resumed = command("fit", cut)
    assert resumed.returncode == 0, resumed.stderr
    assert (cut / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert all(map(torch.equal, weights(cut)["state_dict"].values(), weights(whole)["state_dict"].values()))


def test_what_changes_the_batches_is_refused_within_an_epoch(folder, command, refused):
    command("fit", *OWN, "--data=points.Points", "--run=cut", "--every_n_train_steps=4", KILL_AT="0,5")
    said = refused("fit", folder / "runs" / "ownmodel" / "cut", "--data.batch_size=6")
    assert "an epoch of 10 batches, which cannot become 14 in its middle" in said


def test_batches_that_cannot_be_resumed_are_named(folder, command):
    shutil.copy(Path(trouble.__file__), folder)
    line = ("fit", *OWN, "--data=own.OwnData", "--trainer.callbacks+=trouble.Trouble", "--run=plain")
    stopped = command(*line, "--every_n_train_steps=2", TROUBLE="SIGTERM 0 6")
    assert "no checkpoints within an epoch: the training batches of OwnData have no state_dict" in stopped.stderr
    assert "this epoch starts anew when the run is resumed: the training batches of OwnData" in stopped.stderr
    assert stopped.returncode == 143
    assert weights(folder / "runs" / "ownmodel" / "plain")["global_step"] == 4
