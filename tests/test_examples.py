"""Each of the plugins in examples/, through the real command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from distributions import ROOT, lay_out_project
from PIL import Image

from dlplug import load
from dlplug.testing import run_command
from dlplug_play.demos import ask

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
CNN = ("--model=cnn", "--data=digits", "--trainer.max_epochs=1", "--trainer.limit_val_batches=1")
SHORT = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=1")

Fit = Callable[..., Path]


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Fit]:
    """Install an example, and return what fits with it and returns the run folder and what was said."""

    def use(name: str) -> Callable[..., tuple[Path, str]]:
        site, work = tmp_path / "site", tmp_path / "work"
        shutil.copytree(ROOT / "examples" / name, site)
        lay_out_project(site, site)
        monkeypatch.syspath_prepend(site)
        work.mkdir()

        def fit(*args: str, status: int = 0) -> tuple[Path, str]:
            result = run_command("fit", *args, folder=work)
            assert result.returncode == status, result.stderr
            [run] = work.glob("runs/*/*")
            return run, result.stderr

        return fit

    return use


def test_all_are_here() -> None:
    names = ["arguments", "callback", "command", "demo", "logger", "own-data", "plain", "torchvision"]
    assert [e.name for e in EXAMPLES] == names


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_forty_lines_at_most(example: Path) -> None:
    assert sum(len(path.read_text().splitlines()) for path in example.glob("*/*.py")) <= 40


def test_plain(use: Callable[[str], Fit]) -> None:
    run, said = use("plain")("--model=plain", "--trainer.max_epochs=2")
    assert "plain: 650 weights, Digits" in said
    assert run_command("test", run, folder=run).returncode == 0
    assert "test/loss" in (run / "test.csv").read_text()


def test_torchvision(use: Callable[[str], Fit]) -> None:
    run, said = use("torchvision")("--model=shufflenet", "--data=digits", *SHORT)
    assert "352,042 weights" in said
    assert (run / "checkpoints" / "last.ckpt").exists()


def test_demo(use: Callable[[str], Fit]) -> None:
    run, _ = use("demo")("--model=looker", *SHORT)
    [(title, demo)] = load(run).model.demos().items()
    shown = ask(demo, 0, {"image": str(ROOT / "docs" / "gan-samples.png")})
    assert title == "What counts"
    assert {name: image.pixels.shape for name, image in shown.items()} == {"seen": (1, 8, 8), "counts": (1, 8, 8)}
    assert shown["counts"].pixels.sum() > 0


def test_own_data(use: Callable[[str], Fit], tmp_path: Path) -> None:
    fit = use("own-data")
    images = np.random.default_rng(0).random((50, 9, 7))
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(50) % 3)
    line = ("--model=cnn", "--data=npz-images", *SHORT)
    run, _ = fit(*line, f"--data.file={tmp_path / 'mine.npz'}")
    assert (run / "report.html").exists()
    refused = run_command("fit", *line, "--data.file=nowhere.npz", folder=run)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "NPZImages: [Errno 2] No such file or directory: 'nowhere.npz'" in refused.stderr


def test_logger(use: Callable[[str], Fit]) -> None:
    run, _ = use("logger")(*CNN, "--logger=lines", "--trainer.limit_train_batches=3", "--trainer.log_every_n_steps=1")
    lines = [json.loads(line) for line in (run / "lines.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/grad_norm" in line] == [0, 1, 2]


def test_callback(use: Callable[[str], Fit]) -> None:
    _, said = use("callback")(*CNN, "--trainer.max_epochs=50", "--model.lr=1e30", status=1)
    assert "the loss is nan" in said
    assert "epoch 3/50" not in said


def test_command(use: Callable[[str], Fit]) -> None:
    run, _ = use("command")(*CNN, "--trainer.limit_train_batches=3")
    result = run_command("nearest", run, folder=run)
    assert (result.returncode, result.stderr) == (0, "")
    with Image.open(run / "nearest.png") as picture:
        assert picture.height > picture.width  # many mistakes, of six images each
    refused = run_command("nearest", "nowhere", folder=run)
    assert refused.returncode == 2
    assert refused.stderr == "dlplug: nowhere is not a run folder: there is no such folder\n"


def test_arguments(use: Callable[[str], Fit]) -> None:
    options = ("--early_stopping.patience=2", "--early_stopping.min_delta=1000")
    run, said = use("arguments")(*CNN, "--trainer.max_epochs=9", "--trainer.limit_train_batches=3", *options)
    assert "epoch 3/9" in said
    assert "epoch 4/9" not in said
    assert "min_delta: 1000" in (run / "config.yaml").read_text()


def test_run_says_whose_arguments_it_lacks(use: Callable[[str], Fit], monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = use("arguments")(*CNN, "--trainer.limit_train_batches=1")
    monkeypatch.undo()  # it is gone
    result = run_command("test", run, folder=run)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "early_stopping" in result.stderr
    assert (
        "example-arguments 0.1.0, which is not installed; back with: pip install example-arguments==0.1.0"
        in result.stderr
    )
