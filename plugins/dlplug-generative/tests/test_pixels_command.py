"""The autoregressive models through the real command, on the smallest data."""

import csv

import pytest
import torch

from dlplug.testing import check_panels
from dlplug_generative.pixel_cnn import PixelCNN
from dlplug_generative.pixel_rnn import PixelRNN

SHORT = (
    "--data",
    "digits",
    "--model.hidden_channels=8",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.log_every_n_steps=10",
)
FEW = ("--data.batch_size=64", "--trainer.limit_train_batches=15", "--trainer.max_epochs=2")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "model", "options"),
    [
        ("pixel-cnn", PixelCNN, ["--model.num_layers=1", "--model.conditional=true"]),
        ("pixel-rnn", PixelRNN, ["--model.num_layers=1"]),
        ("pixel-rnn", PixelRNN, ["--model.num_layers=1", "--model.cell=diagonal", "--model.output=gaussian"]),
    ],
)
def test_fit_test_generate_and_load(command, tmp_path, name, model, options):
    result = command("fit", "--model", name, *SHORT, *FEW, *options)
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob(f"runs/{name}/*")
    check_panels(run)
    losses = [float(row["train/nll"]) for row in rows(run / "metrics.csv") if row["train/nll"]]
    assert losses[-1] < losses[0]
    sample = next(run.glob("media/samples/*.png"))
    for line in (
        ("test", run),
        ("predict", run),
        ("generate", run, "-n", "4"),
        ("generate", run, "--complete", sample),
    ):
        result = command(*line)
        assert result.returncode == 0, result.stderr
    [measured] = rows(run / "test.csv")
    assert float(measured["test/nll"]) == pytest.approx(float(measured["test/bits_per_dim"]) * 64 * 0.693147, rel=1e-4)
    loaded = model.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    labels = torch.tensor([3, 4]) if "--model.conditional=true" in options else None
    assert loaded.sample(2, labels).shape == (2, 1, 8, 8)


def test_not_an_image_in_one_line(command, refused, tmp_path):
    command("fit", "--model", "pixel-cnn", *SHORT, *FEW, "--model.num_layers=0", "--trainer.max_epochs=1")
    [run] = tmp_path.glob("runs/pixel-cnn/*")
    assert "cannot read the image none.png: No such file" in refused("generate", run, "--complete", "none.png")
    assert "this model is not conditional" in refused("generate", run, "--label", "3")


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
@pytest.mark.parametrize("name", ["pixel-cnn", "pixel-rnn"])
def test_two_processes_and_mixed_precision(fit_on_two, name):
    short = ("--model.num_layers=1", "--trainer.max_epochs=1", "--trainer.limit_train_batches=10")
    run = fit_on_two("--model", name, *SHORT, *short)
    assert 0 < float(rows(run / "metrics.csv")[-1]["val/nll"]) < 64
