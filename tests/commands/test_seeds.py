"""``dlplug fit … --seeds``: a run a seed, of which only those that are missing are made again."""

import os
import re
import shutil
import signal
import statistics
from time import sleep

import pytest

from dlplug.__main__ import main
from dlplug.loggers.csv import read_metrics
from dlplug.runs import Run
from dlplug.runs_index import read_entries
from dlplug.testing.commands import start_command

LINE = ["fit", "--model=cnn", "--data=digits", "--model.channels=[8,8]", "--model.hidden=16", "--trainer.max_epochs=1"]
LINE += ["--trainer.limit_train_batches=4", "--trainer.limit_val_batches=1", "--run=st"]


def test_a_run_a_seed_and_what_is_missing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main([*LINE, "--seeds", "0,3-4", "--jobs", "2"]) == 0
    out, said = capfd.readouterr()
    folder = tmp_path / "runs" / "cnn"
    losses = [float(read_metrics(folder / f"st-seed{seed}" / "metrics.csv")[-1]["val/loss"]) for seed in (0, 3, 4)]
    assert len(set(losses)) == 3
    assert f"3 seeds: val/loss {statistics.fmean(losses):.4g} ± {statistics.stdev(losses):.2g}" in out
    assert (folder / "st.html").is_file()
    assert "seed_everything: 3\n" in (folder / "st-seed3" / "config.yaml").read_text()
    before = (folder / "st-seed0" / "metrics.csv").stat().st_mtime_ns
    shutil.rmtree(folder / "st-seed3")
    assert main([*LINE, "--seeds=0,3"]) == 0
    out, said = capfd.readouterr()
    assert re.findall(r"^seed (\d+): done", said, re.MULTILINE) == ["3"]
    assert (folder / "st-seed0" / "metrics.csv").stat().st_mtime_ns == before
    for other in ("--model.lr=1", "--data=mnist5k"):  # would be reported as though it had been asked for
        assert main([*LINE, "--seeds=0", other]) == 2
        assert "st-seed0 is of digits" in capfd.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_what_stops_the_command_stops_its_runs(number, status, tmp_path):
    line = [arg for arg in LINE if "max_epochs" not in arg]
    process = start_command(*line, "--trainer.max_epochs=9999", "--seeds=0-2", "--jobs=2", folder=tmp_path)
    while len([*tmp_path.glob("runs/cnn/st-seed*/metrics.csv")]) < 2:
        process.join(0.1)
        assert process.is_alive()
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == status
    while any(Run(path.parent).is_trained() for path in tmp_path.glob("runs/cnn/st-seed*/config.yaml")):
        sleep(0.1)  # they end by themselves where they outlive it
    assert {entry.name: entry.state for entry in read_entries(tmp_path / "runs")} == {
        "st-seed0": "stopped",
        "st-seed1": "stopped",
    }


def test_a_seed_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "cnn" / "st-seed1").mkdir(parents=True)  # where a run cannot be made
    assert main([*LINE, "--seeds=0-1"]) == 1
    out, said = capfd.readouterr()
    assert "seed 1: failed (0 s); see runs/cnn/st-seed1.log" in said
    assert "is not a run folder" in (tmp_path / "runs" / "cnn" / "st-seed1.log").read_text()
    assert "1 seeds: val/loss" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seeds=x"], "--seeds: takes numbers and ranges, such as 0-4 or 1,2,7; not 'x'"),
        (["--seeds=4-2"], "takes numbers and ranges"),
        (["--seeds=0-1", "--jobs=0"], "--jobs must be at least 1"),
        (["--seeds=0-1", "--seed_everything=3"], "either --seeds or --seed_everything"),
        (["--jobs=2"], "--jobs is how many of --seeds"),
        (["--seeds=0-1", "--model.lrr=3"], "has no option 'lrr'"),
    ],
)
def test_bad_input(more, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*LINE, *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
