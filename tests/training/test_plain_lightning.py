"""A LightningModule and a LightningDataModule that know nothing of dlplug."""

import csv
import shutil
from pathlib import Path

from dlplug.report.views import View
from dlplug.runs import Run

HELPERS = Path(__file__).parents[1] / "helpers"


def test_plain_module_is_monitored_drawn_and_asked(fit, command, tmp_path):
    shutil.copy(HELPERS / "plain.py", tmp_path)
    run = fit(
        "--model", "plain.Net", "--data", "plain.Points", "--trainer.max_epochs", "3", "--trainer.accelerator=cpu"
    )
    assert (run / "checkpoints" / "best.ckpt").exists()
    assert "best: val_loss" in fit.said
    assert fit.said.count("val_loss") == 4  # in each epoch's line too
    with open(run / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows if row["train_loss"]] == ["0", "1", "2"]  # less than an interval each
    view = View.of(Run(run), "")
    assert view.best is not None
    assert view.best[0] == "val_loss"
    assert {("train", "loss"), ("val", "loss"), ("train", "acc"), ("val", "acc")} <= {
        (curve.stage, curve.name) for curve in view.curves
    }
    made = command("generate", run)
    assert made.returncode == 0, made.stderr
    assert "hello" in made.stdout
    assert sorted(path.name for path in (run / "generated").iterdir()) == [
        "0001-image.png",
        "0001-numbers.csv",
        "0001-words.txt",
    ]
    assert command("test", run).returncode == 0


def test_loss_that_is_not_logged_is_looked_at_too(command, tmp_path):
    shutil.copy(HELPERS / "plain.py", tmp_path)
    text = "import plain, torch\nclass Silent(plain.Net):\n    def training_step(self, batch, batch_idx):\n"
    text += "        return self.net(batch[0]).sum() * float('nan')\n"
    (tmp_path / "silent.py").write_text(text)
    ended = command("fit", "--model", "silent.Silent", "--data", "plain.Points", "--trainer.max_epochs", "1")
    assert ended.returncode == 1, ended
    assert "epoch 1: train/loss is not a number" in ended.stderr
