"""The GAN through the real command, on the smallest data."""

import signal

import numpy as np
import torch
import yaml
from PIL import Image

from dlplug.testing import check_panels
from dlplug_generative.gan import GAN

WATCH = """
import torch
from lightning.pytorch import Callback
class Watch(Callback):
    seen = []
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen += [image.numpy().tobytes() for image in batch[0]]
    def on_train_end(self, trainer, pl_module):
        torch.save((self.seen, pl_module.state_dict()), f"rank{trainer.global_rank}.pt")
"""

KILL = """
import os, signal
from lightning.pytorch import Callback
class Kill(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 20) and "KILLED" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
"""

SHORT = ("--model", "gan", "--data", "digits", "--model.width", "4", "--trainer.max_epochs", "1")


def test_fit_test_predict_and_load(command, tmp_path):
    result = command("fit", *SHORT)
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/gan/*")
    check_panels(run)
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


def test_killed_and_resumed_is_the_run_that_never_stopped(command, tmp_path):
    (tmp_path / "kill.py").write_text(KILL)
    options = (*SHORT, "--trainer.max_epochs=3")
    assert command("fit", *options, "--trainer.callbacks+=kill.Kill").returncode == -signal.SIGKILL
    [run] = tmp_path.glob("runs/gan/*")
    assert command("fit", run, KILLED="1").returncode == 0
    assert command("fit", *options).returncode == 0
    [other] = set(tmp_path.glob("runs/gan/*")) - {run}
    assert (run / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    weights, others = (torch.load(path / "checkpoints" / "last.ckpt")["state_dict"] for path in (run, other))
    assert all(torch.equal(weight, others[name]) for name, weight in weights.items())


def test_model_from_yaml_brings_its_recipe(command, tmp_path):
    (tmp_path / "gan.yaml").write_text("model: gan\ndata: digits\ntrainer: {max_steps: 4}\nseed_everything: 3")
    result = command("fit", "-c", "gan.yaml", "--model.objective", "minimax")
    assert result.returncode == 0, result.stderr
    [config] = tmp_path.glob("runs/gan/*/config.yaml")
    config = yaml.safe_load(config.read_text())
    assert config["model"]["init_args"]["objective"] == "minimax"
    assert config["trainer"]["max_epochs"] > 1
    assert config["seed_everything"] == 3


def test_two_processes_and_mixed_precision(fit_on_two, tmp_path):
    """Each rank its own share, equal weights, one folder, one set of metrics, with clipping by hand."""
    (tmp_path / "watch.py").write_text(WATCH)
    run = fit_on_two(*SHORT, "--trainer.gradient_clip_val=0.5", "--trainer.callbacks+=watch.Watch")
    assert fit_on_two.said.count("2 processes make batches 2 times as large") == 1
    metrics = (run / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in metrics[1:]] == ["21"]  # 1,445 images on 2 ranks in batches of 32: 22 each
    (seen, weights), (other_seen, other_weights) = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert len({*seen, *other_seen}) == len(seen) + len(other_seen) == 2 * 22 * 32
    for name, weight in weights.items():
        assert torch.equal(weight, other_weights[name]), name


def test_bad_input_in_one_line(refused):
    assert "must be at least 1, not 0, 4 and 2" in refused("fit", *SHORT, "--model.latent_dim=0")
    assert "'foo' is not 'non-saturating', 'minimax' or 'wasserstein'" in refused(
        "fit", *SHORT, "--model.objective=foo"
    )
    assert "has no option 'latnt_dim'; did you mean 'latent_dim'?" in refused("fit", *SHORT, "--model.latnt_dim=3")
