"""`dlplug predict RUN --input`: new images, from what the run keeps alone."""

import csv
import json
import os

import pytest
from PIL import Image

from dlplug_vision.data.digits import Digits

SHORT = ("--model", "cnn", "--model.channels=[4,8]", "--model.hidden=16", "--trainer.max_epochs=1")


def write_digits(folder, classes=("cat", "dog"), count=12):
    images, labels = Digits().read()
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(images[labels == label][:count, 0]):
            Image.fromarray((image * 255).byte().numpy()).save(folder / name / f"{i}.png")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(fit, tmp_path):
    write_digits(tmp_path / "pictures")
    return fit(*SHORT, "--data=image-folder", "--data.size=8", "--data.batch_size=5")


def test_new_files_are_predicted_as_the_test_data_are(run, command, tmp_path):
    assert command("predict", run).returncode == 0
    expected = rows(run / "predictions.csv")
    assert {row["item"].partition("/")[0] for row in expected} == {"cat", "dog"}
    (tmp_path / "pictures").rename(tmp_path / "new")  # the training files are gone
    (tmp_path / "new" / "a,b\n.png").write_bytes(b"no image")
    os.mkfifo(tmp_path / "new" / "pipe")
    Image.new("L", (8, 8)).save(os.fsencode(tmp_path) + b"/new/\xff.png")
    result = command("predict", run, "--input", "new", "--top=2")
    assert result.returncode == 0, result.stderr
    assert "26 rows, 1 of them bad" in result.stderr
    found = {row["item"]: row for row in rows(run / "predictions.csv")}
    assert len(found) == 26
    for row in expected:
        new = found[row["item"]]
        assert new["class"] == row["class"]
        assert float(new["confidence"]) == pytest.approx(float(row["confidence"]), abs=1e-6)
        assert {new["class"], new["class_2"]} == {"cat", "dog"}
        assert new["error"] == ""
    assert "not an image" in found["a,b\n.png"]["error"]
    assert found["\\udcff.png"]["class"]
    # Standard input names files, and standard output is JSON lines alone.
    named = f"new/{expected[0]['item']}\nnowhere.png\n".encode()
    fed = command("predict", run, "--input=-", "--output=-", "--format=jsonl", input=named)
    first, second = map(json.loads, fed.stdout.splitlines())
    assert first["class"] == expected[0]["class"]
    assert set(first) == {"item", "class", "confidence"}
    assert second == {"item": "nowhere.png", "error": "cannot read the image nowhere.png: No such file or directory"}
    said = command("generate", run, "--image", f"new/{expected[0]['item']}").stdout
    assert said.startswith(f"{expected[0]['class']} {float(expected[0]['confidence']):.1%}, ")


def test_what_cannot_be_predicted_is_said(run, command, refused, tmp_path):
    kept = command("predict", run).returncode, (run / "predictions.csv").read_bytes()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert "empty holds no file whose name ends in .jpg" in refused("predict", run, "--input=empty")
    assert "nowhere: there is no such file" in refused("predict", run, "--input", "nowhere")
    assert "--input : there is no such file" in refused("predict", run, "--input=")
    assert "--output empty is a folder" in refused("predict", run, "--input=broken.png", "--output=empty")
    assert "would replace what is to be" in refused("predict", run, "--input=broken.png", "--output=./broken.png")
    assert "cannot write broken.png/x.csv" in refused("predict", run, "--input=pictures", "--output=broken.png/x.csv")
    assert "--top 0: 1 is the least" in refused("predict", run, "--top=0")
    assert "are for a run folder" in refused("predict", "--model=cnn", "--input=empty")
    assert (kept[0], (run / "predictions.csv").read_bytes()) == (0, kept[1])
    result = command("predict", run, "--input=broken.png")
    assert (result.returncode, "1 rows, 1 of them bad" in result.stderr) == (1, True)


def test_what_differs_between_two_descriptions_is_named(run, refused, tmp_path):
    write_digits(tmp_path / "other", ("bird", "cat"))
    said = refused("test", run, "--data.root=other")
    assert said.endswith("trained on other data: labels: cat, dog there; bird, cat here\n")
