import os
import re
import shutil
from pathlib import Path

import own
import pytest
import torch

from dlplug import Panel
from dlplug.training import callbacks
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


def test_the_page_is_there_while_it_trains_and_says_how_long_it_will_take(patched_command, tmp_path, monkeypatch):
    shown, written = tmp_path / "shown", tmp_path / "written"
    write = callbacks.write_report

    def noted(run, live=""):
        page = write(run, live)
        with open(written, "a") as file:
            file.write(live + "\n")
        assert f">{live}</p>" in page.read_text()
        return page

    monkeypatch.setattr(callbacks, "FIRST_PAGE", 0.0)
    monkeypatch.setattr(callbacks, "LIVE_SECONDS", 0.0)
    monkeypatch.setattr(callbacks, "write_report", noted)
    monkeypatch.setattr(callbacks.webbrowser, "open", lambda page: shown.write_text(page))
    data = ["--data", "digits", "--trainer.max_epochs", "3", "--trainer.limit_val_batches", "1"]
    result = patched_command("fit", "--model", "cnn", *data, "--model.channels=[8,8]", "--open")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/cnn/*")
    assert re.match(r"Training, epoch 1 of 3, about \d+ s left$", written.read_text())
    assert shown.read_text() == (run / "report.html").resolve().as_uri()
    assert 'id="live"' not in (run / "report.html").read_text()  # it has ended
    assert "\nopen:" not in (run / "config.yaml").read_text()
