"""Which epoch is the best, what a checkpoint remembers of it, and that files are plain data."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from own import OwnModel

from dlplug.errors import InputError
from dlplug.runs import Run
from dlplug.trained import read_checkpoint
from dlplug.training.checkpoints import AtomicCheckpointIO, Checkpoints
from dlplug.training.launch import Preemption

NAN = float("nan")


def epochs_that_improve(monitor, values):
    checkpoints = Checkpoints(Run(Path("run")), SimpleNamespace(monitor=monitor), Preemption())
    return [
        i for i, value in enumerate(values) if checkpoints._improves({"val/loss": torch.tensor(value)})
    ], checkpoints


@pytest.mark.parametrize(
    ("mode", "values", "better", "best"),
    [
        ("min", [3.0, 2.0, 2.0, 2.5, 1.0], [0, 1, 4], 1.0),  # as good is not better
        ("max", [3.0, 2.0, 3.0, 4.0, 1.0], [0, 3], 4.0),
        ("min", [NAN, 2.0, NAN, 1.0], [1, 3], 1.0),
        ("max", [float("-inf"), NAN, 0.0], [0, 2], 0.0),
    ],
)
def test_the_best_epoch_is_where_the_monitor_improves(mode, values, better, best):
    found, checkpoints = epochs_that_improve(("val/loss", mode), values)
    assert (found, checkpoints.best) == (better, best)


def test_nothing_improves_without_a_monitor_or_its_metric():
    assert epochs_that_improve(None, [1.0])[0] == []
    found, checkpoints = epochs_that_improve(("val/accuracy", "max"), [1.0])
    assert (found, checkpoints.best) == ([], None)


def test_the_best_so_far_is_remembered():
    _, checkpoints = epochs_that_improve(("val/loss", "min"), [2.0])
    checkpoints.best_epoch = 7
    other = Checkpoints(Run(Path("run")), SimpleNamespace(monitor=("val/loss", "min")), Preemption())
    assert other.state_dict() == {"best": None, "best_epoch": -1}
    other.load_state_dict(checkpoints.state_dict())
    assert (other.best, other.best_epoch) == (2.0, 7)
    assert not other._improves({"val/loss": torch.tensor(3.0)})


def test_files_are_plain_data_of_the_model(tmp_path):
    path = tmp_path / "last.ckpt"
    io = AtomicCheckpointIO(OwnModel)
    content = {"state_dict": {"a": torch.ones(2)}, "pytorch-lightning_version": "2.6.6"}
    with pytest.warns(UserWarning, match="hyper_parameters path is kept as str"):
        io.save_checkpoint({**content, "hyper_parameters": {"path": Path("x")}}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True)["state_dict"]["a"].tolist() == [1, 1]
    assert io.load_checkpoint(path)["state_dict"]["a"].tolist() == [1, 1]
    io.save_checkpoint({**content, "hyper_parameters": {"_class_path": "antigravity.Model"}}, path)
    with pytest.raises(InputError, match=r"of the class antigravity.Model, not own.OwnModel"):
        io.load_checkpoint(path)


def test_a_byte_that_changed_on_the_disk_is_noticed(tmp_path):
    """Torch reads it as another weight."""
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"weight": torch.zeros(10_000)}}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"last\.ckpt is damaged or cannot be read"):
        read_checkpoint(path)
