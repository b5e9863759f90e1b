"""Diffusion through the real command, on the smallest data."""

import csv

import torch

from dlplug.testing import check_panels
from dlplug_generative.diffusion import Diffusion

SMALL = ("--model.width=8", "--model.num_blocks=1", "--trainer.check_val_every_n_epoch=1")
SHORT = ("--model=diffusion", "--data=digits", *SMALL, "--trainer.max_epochs=2", "--trainer.log_every_n_steps=10")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_fit_test_generate_and_load(command, tmp_path):
    result = command("fit", *SHORT, "--model.conditional=true")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/diffusion/*")
    check_panels(run)
    losses = [float(row["train/loss"]) for row in rows(run / "metrics.csv") if row["train/loss"]]
    assert losses[-1] < 0.8 * losses[0]
    for line in (("test", run), ("predict", run), ("generate", run, "-n", "4", "--label=2", "--guidance=2", "--paths")):
        result = command(*line)
        assert result.returncode == 0, result.stderr
    [measured] = rows(run / "test.csv")
    assert 0 < float(measured["test/nll"]) < 64 * 8 * 0.7  # below a uniform density's 8 bits a pixel
    model = Diffusion.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    assert model.sample(torch.randn(2, 1, 8, 8), 2, torch.tensor([0, 1])).shape == (3, 2, 1, 8, 8)
