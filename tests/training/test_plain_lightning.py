"""A LightningModule and a LightningDataModule that know nothing of dlplug."""

import csv
import shutil
from pathlib import Path

import pytest
import yaml

from dlplug.report.views import View
from dlplug.runs import Run

HELPERS = Path(__file__).parents[1] / "helpers"
OPEN = """
import lightning as L
import torch
from plain import Net
class Open(L.LightningModule):
    _loss, training_step, validation_step = Net._loss, Net.training_step, Net.validation_step
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(4, 2)
"""
LATE = """
import plain
from dlplug.data import ImageInfo, from_tensors
from dlplug.model import Model
class Late(Model):
    _loss, training_step, validation_step = plain.Net._loss, plain.Net.training_step, plain.Net.validation_step
    def build(self, info: ImageInfo):
        self.net = plain.torch.nn.Sequential(plain.torch.nn.Flatten(), plain.torch.nn.Linear(info.width, info.classes))
class Told(plain.Points):
    info = ImageInfo(1, 1, 4, 2)
class Reads(plain.Net):
    def __init__(self):
        super().__init__()
        self.net = plain.torch.nn.Linear(self.info.width, 2)
def points(n: int = 8):
    return from_tensors((plain.torch.rand(n, 1, 1, 4), plain.torch.arange(n) % 2), batch_size=4)
def nothing():
    return 3
"""
ADAM = """
optimizer: {class_path: Adam, init_args: {lr: 0.03}}
lr_scheduler: {class_path: ReduceLROnPlateau, init_args: {monitor: val_loss}}
"""
FIT = ("--model", "open.Open", "--data", "plain.Points", "--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1")
SGD = ("--optimizer", "SGD", "--optimizer.lr", "0.1", "--optimizer.momentum=0.9")
COSINE = ("--lr_scheduler=CosineAnnealingLR", "--lr_scheduler.T_max", "4")


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
    view = View.of(Run(run))
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


@pytest.fixture
def open_model(tmp_path):
    """A model that leaves its optimizer open."""
    shutil.copy(HELPERS / "plain.py", tmp_path)
    (tmp_path / "open.py").write_text(OPEN)


def test_optimizer_and_schedule_of_the_command_line_are_kept_and_resumed(fit, open_model):
    run = fit(*FIT, *SGD, *COSINE, "--trainer.max_epochs", "2")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["optimizer"]["init_args"]["momentum"] == 0.9
    again = fit("-c", run / "config.yaml")
    assert (again / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    fit(run, "--trainer.max_epochs", "4")
    unbroken = fit(*FIT, *SGD, *COSINE, "--trainer.max_epochs", "4")
    assert (unbroken / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    with open(run / "metrics.csv") as file:
        assert float([*csv.DictReader(file)][-1]["train/lr"]) < 0.02


def test_optimizer_of_a_config_reaches_a_model_built_to_its_data(fit, open_model, tmp_path):
    (tmp_path / "late.py").write_text(LATE)
    (tmp_path / "adam.yaml").write_text(ADAM)
    line = ("--model", "late.Late", "--data", "late.Told", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1")
    with open(fit(*line, "-c", "adam.yaml") / "metrics.csv") as file:
        rates = [float(row["train/lr"]) for row in csv.DictReader(file) if row["train/lr"]]
    assert rates == [pytest.approx(0.03)] * 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Open has no optimizer: --optimizer Adam --optimizer.lr 0.001 gives it one"),
        (("--optimizer", "Adem"), "--optimizer: 'Adem' is not Optimizer"),
        (("--optimizer", "Adam", "--optimizer.lr", "fast"), "--optimizer.lr: 'fast' is not float"),
        (("--optimizer", "Adam", "--optimizer.rate", "1"), "--optimizer: Option 'rate' is not accepted"),
        (("--lr_scheduler", "StepLR", "--lr_scheduler.step_size", "1"), "Open has no optimizer"),
        (
            ("--optimizer", "Adam", "--optimizer.lr=-1", "--trainer.max_epochs=1"),
            "optimizer or lr_scheduler: Invalid learning rate: -1",
        ),
        (("--model", "plain.Net", "--optimizer", "Adam"), "Net makes its optimizers itself"),
    ],
)
def test_optimizer_that_cannot_be_is_one_line(refused, open_model, options, said):
    assert said in refused("fit", *FIT, *options)


def test_resumed_run_keeps_its_optimizer(fit, command, open_model):
    run = fit(*FIT, *SGD, "--trainer.max_epochs=1")
    ended = command("fit", run, "--trainer.max_epochs=2", "--optimizer", "Adam")
    assert ended.returncode == 2
    assert "optimizer torch.optim.SGD cannot become torch.optim.Adam in a resumed run" in ended.stderr
    fit(run, "--trainer.max_epochs=2", "--optimizer.lr", "0.02")
    with open(run / "metrics.csv") as file:
        assert [float(row["train/lr"]) for row in csv.DictReader(file)][-1] == pytest.approx(0.02)


def test_data_of_a_function_are_kept_in_the_config(fit, tmp_path):
    shutil.copy(HELPERS / "plain.py", tmp_path)
    (tmp_path / "late.py").write_text(LATE)
    short = ("--trainer.max_epochs=1", "--trainer.log_every_n_steps=1")
    run = fit("--model=late.Late", "--data=late.points", "--data.n=12", "--optimizer=SGD", *short)
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"] == {"n": 12}
    again = fit("-c", run / "config.yaml")
    assert (again / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (
            "plain.Net",
            "",
            "Net has no data of its own: --data NAME; it does not say what it takes; there are: plain.Poi",
        ),
        ("late.Late", "", "; data that fit: cifar10, digits, "),
        (
            "late.Late",
            "plain.Points",
            "`from dlplug.data import ImageInfo` and, in __init__ of Points, `self.info = Im",
        ),
        ("late.Late", "late.nothing", "late.nothing returns a int, not a LightningDataModule"),
        ("late.Late", "late.missing", "cannot import late.missing"),
        ("late.Reads", "late.Told", "set it: `def configure_model(self):` `self.info = self.trainer.datamodule.info`"),
        ("cnn", "adding-problem", "cnn takes images, but adding-problem gives"),
    ],
)
def test_data_that_are_missing_or_say_nothing_are_one_line(refused, tmp_path, model, data, said):
    shutil.copy(HELPERS / "plain.py", tmp_path)
    (tmp_path / "late.py").write_text(LATE)
    optimizer = ("--optimizer", "SGD") if model == "late.Late" else ()
    assert said in refused(
        "fit", "--model", model, "--trainer.max_epochs=1", *(("--data", data) if data else ()), *optimizer
    )
