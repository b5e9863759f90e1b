"""The autoencoder through the real command, on the smallest data."""

import csv

import pytest

from dlplug.testing import check_panels
from dlplug_generative.autoencoder import Autoencoder

SHORT = ("--model", "autoencoder", "--data", "digits", "--model.hidden_size=32", "--trainer.check_val_every_n_epoch=1")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "options", [[], ["--model.network=conv", "--model.hidden_size=128", "--model.noise=0.3", "--model.sparsity=1e-4"]]
)
def test_fit_test_generate_and_load(command, tmp_path, options):
    result = command("fit", *SHORT, *options, "--trainer.max_epochs=6", "--trainer.log_every_n_steps=10")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/autoencoder/*")
    check_panels(run)
    losses = [float(row["val/loss"]) for row in rows(run / "metrics.csv") if row["val/loss"]]
    assert losses[-1] < losses[0]
    for line in (("test", run), ("predict", run), ("generate", run, "-n", "3"), ("generate", run, "--interpolate")):
        assert command(*line).returncode == 0
    loaded = Autoencoder.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    assert loaded.generate(1).pixels.std() > 0.05


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
def test_two_processes_and_mixed_precision(fit_on_two):
    run = fit_on_two(*SHORT, "--trainer.max_epochs=1")
    assert 0 < float(rows(run / "metrics.csv")[-1]["val/loss"]) < 0.3
