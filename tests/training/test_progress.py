import os
import re
import shutil
from pathlib import Path

import own
import pytest
import torch

from dlplug import Panel
from dlplug.training.progress import key_metrics


class Fake:
    callback_metrics = {"train/a": torch.tensor(1.0), "train/b": torch.tensor(2.0), "val/a": torch.tensor(3.0)}
    monitor = ("val/a", "min")
    panels = (Panel("S", "T", "N.", curves=("b", "a")), Panel("S", "U", "N.", curves=("c",)))


def test_monitored_metric_comes_first_then_the_first_panels():
    assert key_metrics(Fake, Fake, most=2) == "val/a 3  b 2"
    assert key_metrics(Fake, Fake, most=9) == "val/a 3  b 2  a 1"


def test_without_panels_any_metric_is_shown():
    assert key_metrics(Fake, object(), most=1) == "a 1"


@pytest.mark.skipif(os.name != "posix", reason="there is no pty")
def test_terminal_keeps_a_line_an_epoch_above_the_bar(tmp_path):
    from terminal import run_on_terminal

    shutil.copy(Path(own.__file__), tmp_path)
    line = ["--model", "own.OwnModel", "--data", "own.OwnData", "--trainer.max_epochs", "2"]
    status, shown = run_on_terminal("fit", *line, folder=tmp_path, streams=["err"])
    assert status == 0, shown
    lines = re.split(r"[\r\n]+", shown)
    stays = [line for line in lines if re.match(r"epoch [12]/2\s+val/loss .*batches/s\)", line)]
    assert len(stays) == 2
    assert not [line for line in lines if line.startswith("epoch") and len(line) > 80]
    assert any(line.startswith("best: val/loss") for line in lines)
    assert any("4/4" in line for line in lines)  # the bar, to its end
