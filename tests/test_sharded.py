"""Checkpoints that several processes wrote, a shard each."""

import pickle

import pytest
import torch
from torch.distributed import checkpoint as dcp

from dlplug.errors import InputError
from dlplug.trained import read_checkpoint, refuse_code_in

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is")  # one process writes here

STATE = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}
OPTIMIZER = {
    "state": {"weight": {"step": torch.tensor(3.0)}, "bias": {"step": torch.tensor(4.0)}},
    "param_groups": [{"lr": 0.1, "params": ["bias"]}, {"lr": 0.2, "params": ["weight"]}],
}


class Code:
    def __reduce__(self):
        return print, ("it ran",)


def written(folder, more=None):
    optimizer = {**OPTIMIZER, "more": {"more": more}}
    dcp.save({"state_dict": STATE, "optimizer_0": optimizer}, checkpoint_id=folder)
    torch.save({"pytorch-lightning_version": "2.6.6", "epoch": 1}, folder / "meta.pt")
    return folder


def test_shards_are_read_as_if_one_process_had_written_them(tmp_path):
    found = read_checkpoint(written(tmp_path / "last.ckpt"))
    assert found["epoch"] == 1
    assert all(found["state_dict"][name].equal(value) for name, value in STATE.items())
    [optimizer] = found["optimizer_states"]
    assert [(group["lr"], group["params"]) for group in optimizer["param_groups"]] == [(0.1, [0]), (0.2, [1])]
    assert {number: float(state["step"]) for number, state in optimizer["state"].items()} == {0: 4.0, 1: 3.0}


@pytest.mark.parametrize("place", [".metadata", "meta.pt", "a shard"])
@pytest.mark.parametrize("read", [read_checkpoint, refuse_code_in])
def test_code_in_shards_is_never_run(tmp_path, capsys, place, read):
    folder = written(tmp_path / "last.ckpt", Code() if place == "a shard" else None)
    if place == ".metadata":
        (folder / place).write_bytes(pickle.dumps(Code()))
    elif place == "meta.pt":
        torch.save(Code(), folder / place)
    with pytest.raises(InputError, match="last.ckpt holds code, which is never run"):
        read(folder)
    assert capsys.readouterr().out == ""


def test_damaged_shards_are_refused(tmp_path):
    folder = written(tmp_path / "last.ckpt")
    [shard] = folder.glob("*.distcp")
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(InputError, match="last.ckpt is damaged or cannot be read"):
        read_checkpoint(folder)
