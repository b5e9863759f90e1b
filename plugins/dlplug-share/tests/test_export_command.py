"""A run's network in files that need no dlplug."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import dlplug
from dlplug.__main__ import main

SHORT = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 2, "trainer.limit_val_batches": 1}
SHORT |= {"seed_everything": 0, "trainer.accelerator": "cpu"}
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that names a secret wherever a run can."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("s3cret")
    patch.chdir(folder)
    patch.setenv("WANDB_ENTITY", "s3cret")
    (folder / "weights").mkdir()
    torch.save({"net.scores.bias": torch.zeros(10)}, folder / "weights" / "s3cret.pt")
    options = {"trainer.default_root_dir": str(folder / "runs"), "model.init_from": str(folder / "weights/s3cret.pt")}
    trained = dlplug.fit("cnn", "digits", {**SHORT, **options, "run": "s3cret-1"})
    about = trained.path / "about.json"
    about.write_text(about.read_text().replace("dlplug fit", "dlplug fit --logger.entity s3cret", 1))
    yield trained
    patch.undo()


@pytest.fixture
def onnx():
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra onnx")
    return pytest.importorskip("onnx")


def said(capsys, *args):
    status = main([*map(str, args)])
    return status, capsys.readouterr().err


def test_the_readmes_script_classifies_a_picture_from_the_onnx_file_alone(run, onnx, tmp_path, capsys):
    pytest.importorskip("safetensors", reason="what the distribution requires")
    out = tmp_path / "cnn.onnx"
    assert said(capsys, "export", run.path, "--out", out)[0] == 0
    picture = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(picture)
    [script] = re.findall(r"```python\n(import.*?)```", README.read_text(), re.DOTALL)
    assert len(script.split("\n\n")[1].splitlines()) <= 10
    line = [sys.executable, "-c", f"import sys; sys.modules['dlplug'] = sys.modules['torch'] = None\n{script}", picture]
    name, share = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    table = run.predict([str(picture)])
    assert (name, float(share)) == (str(table["class"][0]), pytest.approx(table["confidence"][0], abs=1e-4))


@pytest.mark.parametrize("kind", ["onnx", "pt2", "safetensors"])
def test_files_say_what_is_needed_and_hold_no_secret(run, kind, request, tmp_path, capsys):
    pytest.importorskip("safetensors", reason="what the distribution requires")
    if kind == "onnx":
        request.getfixturevalue("onnx")
    out = tmp_path / f"network.{kind}"
    status, text = said(capsys, "export", run.path, "--out", out)
    assert (status, len(text.splitlines())) == (0, 1), text
    facts = json.loads((tmp_path / f"network.{kind}.json").read_text())
    assert facts["labels"] == list("0123456789")
    assert facts["preprocessing"]["images"]["size"] == [8, 8]
    assert facts["model"]["name"] == "cnn"
    assert [part["file"] for part in facts["parts"].values()] == [out.name]
    if kind == "pt2":
        files = {"dlplug.json": ""}
        network = torch.export.load(out, extra_files=files).module()
        assert json.loads(files["dlplug.json"]) == facts
        images = torch.rand(3, 1, 8, 8)
        torch.testing.assert_close(network(images)["logits"], run.model(images))
    for path in tmp_path.iterdir():
        assert b"s3cret" not in path.read_bytes(), path


def test_the_card_has_what_is_known_and_no_secret(run, tmp_path, capsys):
    pytest.importorskip("safetensors", reason="what the distribution requires")
    accuracy = run.test()["test/accuracy"]
    assert said(capsys, "card", run.path, "--out", tmp_path / "card")[0] == 0
    text = (tmp_path / "card" / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["pipeline_tag"] == "image-classification"
    [result] = head["model-index"][0]["results"]
    assert result["dataset"]["name"] == "digits"
    assert {each["name"]: each["value"] for each in result["metrics"]}["accuracy"] == accuracy
    assert "BSD-3" in text
    assert "1,445 train, 176 val, 176 test" in text
    assert "the most frequent class of the training data has an accuracy of 0.1" in text
    assert "`conv-is-local`" in text
    assert re.findall("^dlplug fit .*$", text, re.MULTILINE) == [
        "dlplug fit --model cnn --data digits --trainer.max_epochs 1 --trainer.limit_train_batches 2"
    ]
    assert sorted(path.name for path in (tmp_path / "card").iterdir()) == [
        "README.md",
        "model.safetensors",
        "model.safetensors.json",
    ]
    for path in (tmp_path / "card").iterdir():
        assert b"s3cret" not in path.read_bytes(), path
    assert said(capsys, "card", run.path)[0] == 0
    assert "<summary>Model card</summary>" in (run.path / "report.html").read_text()


def test_a_file_that_fails_the_check_is_not_written(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dlplug_share.formats.TOLERANCE", -1.0)
    status, text = said(capsys, "export", run.path, "--to", "pt2", "--out", tmp_path / "new" / "cnn.pt2")
    assert status == 2
    assert "the part network as pt2 differs by" in text
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_one_line(run, tmp_path, capsys, monkeypatch):
    refusals = [(("--out", "network.txt"), "name a format"), (("--out", tmp_path, "--to", "pt2"), "is a folder")]
    (tmp_path / "file").touch()
    refusals += [(("--out", tmp_path / "file" / "a.pt2"), "cannot write")]
    for args, expected in refusals:
        status, text = said(capsys, "export", run.path, *args)
        assert (status, len(text.splitlines())) == (2, 1), text
        assert expected in text
    monkeypatch.setattr("dlplug_share.export.find_spec", lambda name: None)
    assert "pip install 'dlplug-share[onnx]'" in said(capsys, "export", run.path)[1]
