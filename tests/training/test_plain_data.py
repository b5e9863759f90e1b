from collections import OrderedDict
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch

from dlplug.trained import read_checkpoint
from dlplug.training.checkpoints import AtomicCheckpointIO
from dlplug.training.plain_data import plain_data


class Colour(Enum):
    RED = 1


def test_plain_content_is_returned_itself():
    content = {"state_dict": OrderedDict(a=torch.ones(1)), "x": [1, (2.0, None)], "y": {1, 2}, "size": torch.Size([1])}
    assert plain_data(content) is content


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Path("a/b"), "a/b"),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.datetime64("2020-01-02"), "2020-01-02"),
        (datetime(2020, 1, 2), "2020-01-02T00:00:00"),
        (timedelta(seconds=3), 3.0),
        (Colour.RED, 1),
    ],
)
def test_what_could_not_be_read_back_is_converted(tmp_path, value, kept):
    checkpoint = {"state_dict": {}, "pytorch-lightning_version": "2.6.6", "callbacks": {"Mine": {"where": value}}}
    with pytest.warns(UserWarning, match="callbacks Mine where is kept as"):
        AtomicCheckpointIO(object).save_checkpoint(checkpoint, tmp_path / "x.ckpt")
    found = read_checkpoint(tmp_path / "x.ckpt")["callbacks"]["Mine"]["where"]
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.filterwarnings("ignore:.*(kept|left out)")
def test_arrays_become_tensors_and_the_unknown_is_left_out(tmp_path):
    itself: dict[str, object] = {}
    itself["me"] = itself
    state = {"a": np.arange(3), "b": [object(), 1], "c": object(), Path("d"): np.array([object()]), "loop": itself}
    torch.save(plain_data(state), tmp_path / "x.ckpt")
    found = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert found["a"].tolist() == [0, 1, 2]
    assert found["b"] == [None, 1]
    assert "c" not in found


class Rude(dict):
    def items(self):
        raise RuntimeError("no")


def test_each_callback_is_named_in_one_warning_and_what_is_shared_is_read_once():
    loop, shared = {"here": Path("a"), "rude": Rude()}, [1]
    loop |= {str(place): [loop] for place in range(50)}
    for _ in range(40):  # 2 ** 40 paths lead to the innermost
        shared = [shared, shared]
    with pytest.warns(UserWarning, match="plain data and tensors") as warned:
        found = plain_data({"callbacks": {"Mine": loop, "Other": {"all": shared, "path": Path("b")}}})["callbacks"]
    first, second = (str(each.message) for each in warned)
    assert first.startswith("callbacks Mine here is kept as str, not as PosixPath; callbacks Mine rude is left out (Ru")
    assert "callbacks Mine 0 0 is left out (it refers to itself" in first
    assert "and 42 more" in first
    assert second.startswith("callbacks Other path is kept as str")
    assert (found["Other"]["all"], found["Mine"]["7"]) == (shared, [None])
