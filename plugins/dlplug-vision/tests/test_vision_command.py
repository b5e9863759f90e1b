"""The classifiers through the real command, on the smallest data."""

import csv
import signal

import pytest
import torch
from PIL import Image

from dlplug.loggers.csv import read_metrics
from dlplug.testing import check_panels
from dlplug_vision.data.digits import Digits
from dlplug_vision.models.cnn import CNN

WATCH = """
import os, signal, torch
from lightning.pytorch import Callback
class Watch(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if f"{trainer.current_epoch},{batch_idx}" == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
    def on_train_end(self, trainer, pl_module):
        torch.save((pl_module.state_dict(), dict(trainer.callback_metrics)), f"rank{trainer.global_rank}.pt")
"""

UNLABELLED = """
import torch
from dlplug.data import ImageInfo, TensorData
class Unlabelled(TensorData):
    def load(self):
        return ImageInfo(1, 8, 8), {"train": (torch.rand(64, 1, 8, 8),)}
"""

SHORT = ("--model", "cnn", "--data", "digits", "--model.channels=[4,8]", "--model.hidden=16", "--trainer.max_epochs=2")


def test_fit_test_predict_and_load(fit, command):
    run = fit(*SHORT)
    check_panels(run)
    metrics = read_metrics(run / "metrics.csv")[-1]
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/f1", "val/ece"} <= metrics.keys()
    assert float(metrics["val/accuracy"]) > 0.5
    shown = {path.parent.name for path in run.glob("media/*/00000044.png")}
    assert shown == {"confusion", "mistakes", "filters", "saliency"}
    worst = Image.open(run / "media" / "mistakes" / "00000044.png").text["Description"]
    assert worst.startswith("row by row, worst first: ")
    for name in ("test", "predict"):
        assert command(name, run).returncode == 0
    # What the command says of the test images is what the loaded model and the labels say.
    model = CNN.load_from_checkpoint(run / "checkpoints" / "best.ckpt").eval()
    data = Digits()
    data.setup()
    images, labels = data.prepare_batch(data.splits["test"])
    confidence, guess = model(images).softmax(1).max(1)
    predictions = read_metrics(run / "predictions.csv")
    assert [int(row["class"]) for row in predictions] == guess.tolist()
    assert torch.allclose(torch.tensor([float(row["confidence"]) for row in predictions]), confidence, atol=1e-5)
    [test] = read_metrics(run / "test.csv")
    assert float(test["test/accuracy"]) == pytest.approx((guess == labels).float().mean().item())


def test_numbers_and_labels_of_a_table(fit, command, tmp_path):
    """Fit, resume, test, predict, generate and panels of a regression; the same table with labels."""
    command("sample", "image-folder", "pictures")
    data = ("--data=image-folder", "--data.root=pictures", "--data.size=8", "--data.channels=1", "--data.batch_size=8")
    short = ("--model=cnn", "--model.channels=[4,8]", "--model.hidden=16", "--trainer.max_epochs=1")
    run = fit(*short, *data, "--data.labels=pictures/ink.csv")
    assert "each item has numbers (ink): --data.target number" in fit.said
    fit(run, "--trainer.max_epochs=8")
    check_panels(run)
    assert command("test", run).returncode == 0
    [measured] = read_metrics(run / "test.csv")
    assert set(measured) >= {"test/loss", "test/mae", "test/rmse", "test/r2"}
    assert command("predict", run).returncode == 0
    predictions = {row["item"]: float(row["ink"]) for row in read_metrics(run / "predictions.csv")}
    with open(tmp_path / "pictures" / "ink.csv", newline="") as file:
        true = {row["file"]: float(row["ink"]) for row in csv.DictReader(file)}
    errors = [abs(predictions[name] - true[name]) for name in predictions]
    assert float(measured["test/mae"]) == pytest.approx(sum(errors) / len(errors), rel=1e-4)
    name, number = next(iter(predictions.items()))
    said = command("generate", run, "--image", f"pictures/{name}").stdout
    assert said.startswith("ink ")
    assert float(said.split()[1]) == pytest.approx(number, rel=1e-4)
    assert "numbers are predicted, not ranked" in command("predict", run, "--top=2").stderr
    assert (
        "class_weights weighs classes"
        in command("fit", *short, *data, "--data.labels=pictures/ink.csv", "--model.class_weights=balanced").stderr
    )
    rows = [f"{file},{int(ink > 0.1)},{int('one' in file)}" for file, ink in true.items()]
    (tmp_path / "labels.csv").write_text("\n".join(["file,dark,one", *rows]))
    run = fit(*short, *data, "--data.labels=labels.csv", "--model.class_weights=balanced")
    check_panels(run)
    assert command("predict", run, "--input", "pictures/one").returncode == 0
    for row in read_metrics(run / "predictions.csv"):
        given = "; ".join(label for label in ("dark", "one") if float(row[label]) > 0.5)
        assert row["labels"] == given


def test_killed_and_resumed_is_the_run_that_never_stopped(fit, command, tmp_path):
    (tmp_path / "watch.py").write_text(WATCH)
    options = (*SHORT, "--trainer.max_epochs=3", "--data.fold=1")
    killed = command("fit", *options, "--trainer.callbacks+=watch.Watch", KILL_AT="1,9")
    assert killed.returncode == -signal.SIGKILL
    [run] = tmp_path.glob("runs/cnn/*")
    fit(run)
    other = fit(*options)
    assert (run / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    weights, others = (torch.load(path / "checkpoints" / "last.ckpt")["state_dict"] for path in (run, other))
    assert all(torch.equal(weight, others[name]) for name, weight in weights.items())
    fit(run, "--trainer.max_epochs=4")
    assert read_metrics(run / "metrics.csv")[-1]["epoch"] == "3"


def test_two_processes_and_mixed_precision(fit_on_two, tmp_path):
    """Equal weights and equal metrics over all images on both ranks, one folder."""
    (tmp_path / "watch.py").write_text(WATCH)
    run = fit_on_two(*SHORT, "--trainer.callbacks+=watch.Watch")
    (weights, metrics), (other_weights, other_metrics) = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    for name, weight in weights.items():
        assert torch.equal(weight, other_weights[name]), name
    for name in ("val/accuracy", "val/f1", "val/ece"):
        assert torch.equal(metrics[name], other_metrics[name]), name
    # Of 176 images: a share of 88 would not be a multiple of their inverse.
    assert float(metrics["val/accuracy"]) * 176 == pytest.approx(round(float(metrics["val/accuracy"]) * 176), abs=1e-3)
    confusion = run / "media" / "confusion" / "00000022.png"
    assert confusion.is_file()


def test_weights_of_another_run(fit, refused, command):
    source = fit(*SHORT)
    run = fit(*SHORT, "--model.init_from", source, "--model.hidden=32", "--trainer.max_epochs=1")
    said = fit.said
    assert "took conv1, norm1, conv2, norm2" in said
    assert "left as initialised: hidden (16×" in said
    source.rename(source.with_name("gone"))  # a run must not need it any more
    assert command("test", run).returncode == 0
    fit(run, "--trainer.max_epochs=2")
    assert "took" not in fit.said
    assert "nor a file nosuch to take weights from" in refused("fit", *SHORT, "--model.init_from=nosuch")


def test_frozen_resnet(fit):
    """Only the last layer moves, and the frozen normalisation keeps its statistics."""
    options = ("--model", "resnet", "--data", "digits", "--data.batch_size=256", "--model.freeze=backbone")
    run = fit(*options, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2")
    first = torch.load(run / "checkpoints" / "last.ckpt")["state_dict"]
    fit(run, "--trainer.max_epochs=2")
    second = torch.load(run / "checkpoints" / "last.ckpt")["state_dict"]
    assert {name for name in first if not first[name].equal(second[name])} == {"net.fc.weight", "net.fc.bias"}


def test_own_images(fit, command, tmp_path):
    for level, name in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (20, 20), (200 * level + i, 90, 0)).save(tmp_path / "pictures" / name / f"{i:02}.png")
    (tmp_path / "pictures" / "cat" / "torn.png").write_bytes(b"not an image")
    data = ("--data", "image-folder", "--data.size=16", "--data.batch_size=8")
    run = fit("--model", "cnn", *data, "--model.channels=[4]", "--trainer.max_epochs=4")
    said = fit.said
    assert "they cannot be read, 1 of 41 images in pictures: cat/torn.png" in said
    assert command("predict", run).returncode == 0
    predictions = read_metrics(run / "predictions.csv")
    assert len(predictions) == 4
    assert all((tmp_path / "pictures" / row["item"]).is_file() for row in predictions)
    assert [row["class"] for row in predictions] == [row["item"].partition("/")[0] for row in predictions]


def test_batches_of_one_image_are_one_line(command):
    result = command("fit", *SHORT, "--data.batch_size=1")
    assert (result.returncode, "dlplug: batch normalisation needs two items a batch" in result.stderr) == (2, True)


def test_bad_input_in_one_line(refused, tmp_path):
    (tmp_path / "unlabelled.py").write_text(UNLABELLED)
    no_labels = ("--model=cnn", "--data=unlabelled.Unlabelled", "--trainer.max_epochs=1")
    assert "these images have no class labels" in refused("fit", *no_labels)
    assert "leave nothing of 1×8×8 images" in refused("fit", *SHORT, "--model.kernel=9")
    assert "fold must be from 0 to 4" in refused("fit", *SHORT, "--data.fold=5")
    assert "'foo' is not" in refused("fit", "--model", "resnet", "--model.freeze=foo")
    assert "freeze must be none, backbone or a number" in refused("fit", "--model", "resnet", "--model.freeze=9")
    assert "put the four IDX files there" in refused("fit", "--model", "cnn", "--data", "fashion-mnist")
    assert "pictures is not a folder" in refused("fit", "--model", "cnn", "--data", "image-folder")
    assert not list(tmp_path.glob("runs/*/*"))
