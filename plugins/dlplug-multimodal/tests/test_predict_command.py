"""`dlplug predict RUN --input` of images and sounds, on what `dlplug sample` writes, its training files gone."""

import csv
import importlib.util
import shutil

import numpy as np
import PIL.Image
import pytest
from scipy.io import wavfile

EPOCH = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.check_val_every_n_epoch=1")
CAPTIONS = ("--model=captioner", "--data=captions", "--model.channels=[4,8]", "--model.hidden_size=8")
DBM = ("--model=multimodal-dbm", "--data=tags", "--model.pretrain_epochs=0", "--model.joint_layer_epochs=0")
JOINT = ("--model=joint-embedding", "--data=tags", "--model.channels=[4,8]", "--model.hidden=8")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("line", [CAPTIONS, DBM, JOINT], ids=lambda line: line[0].partition("=")[2])
def test_new_images_are_described_as_test_images_are(line, fit, command, refused, tmp_path):
    kind = line[1].partition("=")[2]
    assert command("sample", kind, "pictures").returncode == 0
    run = fit(*line, "--data.root=pictures", "--data.size=16", *EPOCH)
    assert command("predict", run).returncode == 0
    expected = {row.pop("item"): row for row in rows(run / "predictions.csv")}
    shutil.move(tmp_path / "pictures", tmp_path / "new")
    (tmp_path / "new" / "bad.png").write_text("no image")
    assert command("predict", run, "--input=new").returncode == 0
    found = {row.pop("item"): row for row in rows(run / "predictions.csv")}
    assert len(found) == 61
    assert "not an image" in found["bad.png"]["error"]
    assert len(expected) == 6
    for name, row in expected.items():
        same = row.keys() & found[name].keys() - {"score"}
        assert {column: found[name][column] for column in same} == {column: row[column] for column in same}
        assert float(found[name].get("score", 0)) == pytest.approx(float(row.get("score", 0)), abs=1e-4)
    if kind == "tags":
        result = command("predict", run, "--input=new/1.png", "--top=2", "--output=-")
        assert len(result.stdout.splitlines()[1].split(",")[1].split()) == 2
    else:
        assert "captioner ranks nothing" in refused("predict", run, "--top=2")


def test_sounds(fit, command, refused, tmp_path):
    for kind in ("clips", "image-folder"):
        assert command("sample", kind, kind).returncode == 0
    grey = ("--data.size=28", "--data.channels=1")
    teacher = fit("--model=cnn", "--data.root=image-folder", "--data=image-folder", *grey, *EPOCH)
    small = ("--model=soundnet", "--model.channels=[2,2,2,2]", f"--model.init_from={teacher}", *EPOCH)
    run = fit(*small, "--data=clips", "--data.root=clips", "--data.batch_size=4", *grey)
    assert command("predict", run).returncode == 0
    expected = rows(run / "predictions.csv")
    [clip] = {row["item"] for row in expected}
    shutil.move(tmp_path / "clips" / clip / "sound.wav", tmp_path / "new.wav")
    shutil.rmtree(tmp_path / "clips")
    assert command("predict", run, "--input=new.wav", "--top=2").returncode == 0
    found = rows(run / "predictions.csv")
    assert [row["item"] for row in found] == ["new.wav 0 s", "new.wav 1 s"]
    for new, old in zip(found, expected, strict=True):
        assert new["class"] == old["class"]
        assert float(new["confidence"]) == pytest.approx(float(old["confidence"]), abs=1e-3)
    assert "soundnet hears: give WAV files" in refused("predict", run, "--input=image-folder")


@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the extra `speech`")
def test_images_sounds_and_both(fit, command, tmp_path):
    run = fit("--model=fusion", "--data.pairs=64", "--model.channels=[2,2,2,2]", "--model.pretrain_epochs=0", *EPOCH)
    (tmp_path / "new").mkdir()
    for name in ("both", "seen"):
        PIL.Image.new("L", (28, 28), 99).save(tmp_path / "new" / f"{name}.png")
    for name in ("both", "heard"):
        wavfile.write(tmp_path / "new" / f"{name}.wav", 8000, (9000 * np.sin(np.arange(8000))).astype(np.int16))
    (tmp_path / "new" / "broken.wav").write_text("no sound")
    assert command("predict", run, "--input=new").returncode == 0
    found = {row["item"]: row for row in rows(run / "predictions.csv")}
    assert list(found) == ["both", "broken.wav", "heard.wav", "seen.png"]
    assert "not a WAV file" in found["broken.wav"]["error"]
    said = {
        "both": command("generate", run, "--image=new/both.png", "--sound=new/both.wav").stdout,
        "heard.wav": command("generate", run, "--sound=new/heard.wav").stdout,
        "seen.png": command("generate", run, "--image=new/seen.png").stdout,
    }
    for name, answer in said.items():
        assert answer.startswith(f"{found[name]['class']} {float(found[name]['confidence']):.1%}, ")


def test_a_model_of_words_alone_refuses_images(fit, refused, tmp_path):
    run = fit("--model=replicated-softmax", "--data.size=8", *EPOCH)
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "new.png")
    assert "replicated-softmax reads words, not images" in refused("predict", run, "--input=new.png")
