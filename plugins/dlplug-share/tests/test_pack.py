"""Trained weights as a package: what is in it, and that its name stands for a run."""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
from distributions import lay_out_project

import dlplug
from dlplug.__main__ import main
from dlplug_share import pack
from dlplug_share.facts import shareable

SHORT = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 2, "trainer.limit_val_batches": 1}
SHORT |= {"seed_everything": 3, "trainer.accelerator": "cpu", "model.channels": [8], "model.hidden": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that names a secret wherever a run can."""
    pytest.importorskip("safetensors", reason="what the distribution requires")
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("s3cret")
    patch.chdir(folder)
    patch.setenv("WANDB_ENTITY", "s3cret")
    torch.save({"net.scores.bias": torch.zeros(10)}, folder / "s3cret.pt")
    options = {"trainer.default_root_dir": str(folder / "runs"), "model.init_from": "s3cret.pt", "run": "s3cret-1"}
    trained = dlplug.fit("cnn", "digits", {**SHORT, **options})
    trained.test()
    about, config = trained.path / "about.json", trained.path / "config.yaml"
    about.write_text(json.dumps({**json.loads(about.read_text()), "note": "s3cret", "cwd": str(folder)}))
    logger = "{class_path: dlplug.loggers.WeightsAndBiases, init_args: {entity: s3cret}}"
    config.write_text(config.read_text().replace("logger: null", f"logger: {logger}"))
    yield trained
    patch.undo()


@pytest.fixture
def installed(run, tmp_path, monkeypatch):
    """The run as a package that stands on the path; the working directory is another."""
    monkeypatch.chdir(tmp_path)
    assert main(["pack", str(run.path)]) == 0
    out = tmp_path / "dlplug-cnn-digits"
    lay_out_project(out / "src", out)
    monkeypatch.syspath_prepend(out / "src")
    monkeypatch.setattr(sys, "argv", ["dlplug"])
    yield out
    for name in [name for name in sys.modules if name.startswith("dlplug_cnn_digits")]:
        del sys.modules[name]  # of this test's folder


def test_a_package_holds_named_fields_and_no_secret(run, installed):
    files = {str(path.relative_to(installed / "src")) for path in installed.rglob("src/**/*") if path.is_file()}
    inner = "dlplug_cnn_digits/cnn_digits/"
    names = ("README.md", "about.json", "checkpoints/best.safetensors", "config.yaml", "metrics.csv", "test.csv")
    assert {name for name in files if "info" not in name} == {
        "dlplug_cnn_digits/plugin.py",
        inner + "timing.csv",
        *(inner + name for name in names),
    }
    for path in installed.rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes(), path
    card = (installed / "README.md").read_text()
    assert re.search(r"kept in (half|single) precision, measured on the validation data: val/loss", card)
    assert "with seed 3" in card


def test_commands_take_its_name(run, installed, tmp_path, capsys):
    assert main(["list", "cnn-digits"]) == 0
    assert "weights  cnn-digits  cnn trained on digits." in capsys.readouterr().out
    packed = dlplug.load("cnn-digits")
    assert packed.path.parent == Path("runs/cnn")
    assert packed.test()["test/accuracy"] == pytest.approx(run.test()["test/accuracy"], abs=0.02)
    torch.testing.assert_close(packed.model.state_dict(), run.model.state_dict(), atol=1e-3, rtol=1e-3)
    assert main(["predict", "cnn-digits"]) == 0
    assert len((packed.path / "predictions.csv").read_text().splitlines()) == 177
    assert main(["card", "cnn-digits", "--out", "card"]) == 0
    assert "kept in" in packed.report().path.read_text()
    started = dlplug.fit("cnn", "digits", {**SHORT, "model.init_from": "cnn-digits"})
    assert "from cnn-digits: took" in capsys.readouterr().err
    assert started.path != packed.path
    assert main(["pack", "cnn-digits", "--name", "again"]) == 0
    assert (tmp_path / "dlplug-again" / "src" / "dlplug_again" / "again" / "test.csv").exists()


def test_weights_that_half_precision_hurts_stay_single(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pack, "HALF", 0.0)
    _, summary, card = pack.pack(run, "x", tmp_path / "x", [])
    assert "kept in single precision, measured on the validation data" in card
    assert summary == "cnn trained on digits."
    torch.testing.assert_close(dlplug.load("x").model.state_dict(), run.model.state_dict(), atol=0, rtol=0)


def test_bad_input_is_one_line_and_nothing_is_written(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own"
    shutil.copytree(run.path, own)
    (tmp_path / "taken").mkdir()
    refusals = [
        (("--name", "Not it"), "a name is like cnn-digits"),
        (("--out", "taken"), "taken exists"),
        ((own,), "several runs need one"),
        ((own, "--name", "zoo"), "two runs of one model and data: cnn-digits, cnn-digits"),
        (("--out", "own/config.yaml/x"), "cannot write"),
    ]
    for args, expected in refusals:
        assert main(["pack", str(run.path), *map(str, args)]) == 2
        [said] = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("relative paths")]
        assert expected in said
    assert {path.name for path in tmp_path.iterdir()} == {"own", "taken"}


class Thing:
    def __init__(
        self, kind: Literal["a", "b"] = "a", path: str = "", env: str = "CartPole-v1", sizes: Sequence[float] = ()
    ):
        pass


def test_words_of_classes_and_recipes_are_kept_and_all_others_left_out():
    given = {"kind": "b", "path": "/s3cret", "env": "FrozenLake-v1", "sizes": [1, 2.5], "other": 1}
    assert shareable(Thing(), given) == {"kind": "b", "env": "FrozenLake-v1", "sizes": [1, 2.5]}
    assert shareable(Thing(), {"env": "s3cret:Own-v0", "path": ""}) == {"path": ""}
    assert shareable(Thing(), {"env": "s3cret:Own-v0"}, ["env"]) == {"env": "s3cret:Own-v0"}
