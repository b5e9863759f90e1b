"""The variational autoencoder through the real command, on the smallest data."""

import csv

import pytest
import torch

from dlplug.testing import check_panels
from dlplug_generative.vae import VAE

SHORT = ("--model", "vae", "--data", "digits", "--model.hidden=[32]", "--trainer.check_val_every_n_epoch", "1")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_fit_test_generate_and_load(command, tmp_path):
    result = command("fit", *SHORT, "--trainer.max_epochs", "4", "--trainer.log_every_n_steps", "10")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/vae/*")
    check_panels(run)
    losses = [float(row["train/loss"]) for row in rows(run / "metrics.csv") if row["train/loss"]]
    assert losses[-1] < 0.8 * losses[0]
    for line in (("test", run), ("predict", run), ("generate", run, "-n", "4", "--traverse")):
        assert command(*line).returncode == 0
    measured = {name: float(value) for name, value in rows(run / "test.csv")[0].items()}
    assert measured["test/nll"] < measured["test/loss"]
    vae = VAE.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    assert vae(torch.randn(2, 24)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("options", [("--model.likelihood=gaussian",), ("--model.num_samples=3",)])
def test_other_objectives_learn(command, tmp_path, options):
    assert command("fit", *SHORT, *options, "--trainer.max_epochs=4", "--trainer.log_every_n_steps=10").returncode == 0
    [run] = tmp_path.glob("runs/vae/*")
    losses = [float(row["train/loss"]) for row in rows(run / "metrics.csv") if row["train/loss"]]
    assert losses[-1] < losses[0]


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
def test_two_processes_and_mixed_precision(fit_on_two):
    run = fit_on_two(*SHORT, "--trainer.max_epochs=1")
    assert 0 < float(rows(run / "metrics.csv")[-1]["val/nll"]) < 64
