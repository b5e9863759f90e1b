"""The first plugin through the real command, on the smallest data."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dlplug_generative.gan import GAN

pytestmark = pytest.mark.slow

SHORT = ("--model", "gan", "--data", "digits", "--model.width", "4", "--trainer.max_epochs", "1")


def test_fit_test_predict_and_load(command, tmp_path):
    result = command("fit", *SHORT)
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/gan/*")
    [picture] = run.glob("media/samples/*.png")
    assert f"picture: {picture.relative_to(tmp_path)}" in result.stderr
    assert np.asarray(Image.open(picture)).std() > 5
    for name in ("test", "predict"):
        assert command(name, run).returncode == 0
    lines = (run / "predictions.csv").read_text().splitlines()
    assert lines[0] == "item,prediction"
    assert len(lines) == 177
    gan = GAN.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    assert gan(torch.randn(2, gan.latent_dim)).shape == (2, 1, 8, 8)
    assert command("fit", run, "--trainer.max_epochs=2").returncode == 0
    assert len(list(run.glob("media/samples/*.png"))) == 2


def test_model_from_yaml_brings_its_recipe(command, tmp_path):
    (tmp_path / "gan.yaml").write_text("model: gan\ndata: digits\ntrainer: {max_steps: 4}\nseed_everything: 3")
    result = command("fit", "-c", "gan.yaml", "--model.objective", "minimax")
    assert result.returncode == 0, result.stderr
    [config] = tmp_path.glob("runs/gan/*/config.yaml")
    config = yaml.safe_load(config.read_text())
    assert config["model"]["init_args"]["objective"] == "minimax"
    assert config["trainer"]["max_epochs"] > 1
    assert config["seed_everything"] == 3


def test_two_processes_and_mixed_precision(tmp_path):
    """Each rank its own share, one folder, one set of metrics; clipping is honoured in manual optimisation."""
    line = [sys.executable, "-m", "dlplug", "fit", *SHORT, "--trainer.devices=2", "--trainer.accelerator=cpu"]
    line += ["--trainer.strategy=ddp", "--trainer.precision=bf16-mixed", "--trainer.gradient_clip_val=0.5"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("strategy ddp becomes ddp_find_unused_parameters_true") == 1
    [run] = tmp_path.glob("runs/gan/*")
    metrics = (run / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in metrics[1:]] == ["21"]  # 1,445 images on 2 ranks in batches of 32: 22 each


def test_bad_input_in_one_line(refused):
    assert "latent_dim must be at least 1" in refused("fit", *SHORT, "--model.latent_dim=0")
    assert "'foo' is not 'non-saturating' or 'minimax'" in refused("fit", *SHORT, "--model.objective=foo")
    assert "has no option 'latnt_dim'; did you mean 'latent_dim'?" in refused("fit", *SHORT, "--model.latnt_dim=3")
