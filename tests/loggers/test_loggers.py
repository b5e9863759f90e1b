"""Loggers by name: TensorBoard's, the one that is always on, and a stranger's."""

import csv
import importlib.util
import shutil
from pathlib import Path

import own
import pytest
from distributions import lay_out
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

HPARAMS = ("_hparams_/experiment", "_hparams_/session_start_info")
OWN = ("--model", "shown.Shown", "--data", "own.OwnData", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=2")

MODEL = """
import torch
from dlplug.media import Audio, Image, Table, Text, Video
from own import OwnModel
class Shown(OwnModel):
    def showcase(self, batch):
        picture = torch.arange(16.0).view(1, 4, 4) / 15
        media = {"picture": Image(picture), "words": Text("two\\nlines <b>")}
        media |= {"tone": Audio(torch.linspace(-1, 1, 800), 8000)}
        return {**media, "rows": Table(["a"], [[1]]), "film": Video(torch.stack([picture, 1 - picture]))}
"""

# What a stranger's plugin is: a spec, and a logger that knows nothing of ours.
PLUGIN = """
from dlplug import LoggerSpec, hookimpl
@hookimpl
def dlplug_specs():
    return [LoggerSpec("diary", "diary:Diary", "Writes down what it is told.")]
"""
LOGGER = """
from lightning.pytorch.loggers import Logger
class Diary(Logger):
    def __init__(self, title: str = "none"):
        super().__init__()
        self.title = title
    name = version = "diary"
    def attach(self, run):
        self.file = run.path / "diary.txt"
        self.write("attached", self.title)
    def write(self, *words):
        with open(self.file, "a") as file:
            print(*words, file=file)
    def log_hyperparams(self, params):
        pass
    def log_metrics(self, metrics, step):
        self.write("metrics", step, *sorted(metrics))
    def log_media(self, key, medium, path, step):
        self.write("media", key, type(medium).__name__, path.name, step)
"""


@pytest.fixture(autouse=True)
def shown(tmp_path):
    shutil.copy(Path(own.__file__), tmp_path)
    (tmp_path / "shown.py").write_text(MODEL)


def test_tensorboard_shows_curves_over_batches_pictures_and_words(fit, command):
    run = fit(*OWN, "--logger", "tensorboard")
    fit(run, "--trainer.max_epochs=3", "--logger", "tensorboard")
    assert command("test", run).returncode == 0
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    with open(run / "metrics.csv") as file:
        rows = [(int(row["step"]), float(row["val/loss"])) for row in csv.DictReader(file) if row["val/loss"]]
    drawn = [(event.step, event.value) for event in events.Scalars("val/loss")]
    assert drawn == [(step, pytest.approx(value)) for step, value in rows]
    assert [step for step, _ in drawn] == [3, 7, 11]
    assert len(events.Scalars("test/loss")) == 1
    assert [(image.step, image.width) for image in events.Images("picture")] == [(4, 480), (8, 480), (12, 480)]
    assert [image.width for image in events.Images("film")] == [480] * 3
    assert [(sound.step, sound.sample_rate) for sound in events.Audio("tone")] == [(4, 8000), (8, 8000), (12, 8000)]
    [words, *_] = events.Tensors("words/text_summary")
    assert words.tensor_proto.string_val == [b"    two\n    lines <b>\n"]
    declared = {tag: HParamsPluginData.FromString(events.SummaryMetadata(tag).plugin_data.content) for tag in HPARAMS}
    experiment, started = (declared[tag] for tag in HPARAMS)
    assert [info.name.tag for info in experiment.experiment.metric_infos] == ["val/loss", "test/loss"]
    assert started.session_start_info.hparams["model.width"].number_value == 3
    assert started.session_start_info.hparams["data"].string_value == "OwnData"


def test_tensorboard_that_is_not_installed_is_one_line(patched_command, monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "dlplug.loggers.tensorboard.find_spec", lambda name: None if name == "tensorboard" else found(name)
    )
    result = patched_command("fit", *OWN, "--logger", "tensorboard")
    assert (result.returncode, result.stdout) == (2, "")
    [message] = [line for line in result.stderr.splitlines() if " imports own." not in line]
    assert message.startswith("dlplug: --logger tensorboard needs TensorBoard: pip install tensorboard")
    assert not list(tmp_path.glob("runs/*"))


def test_csv_is_accepted_and_changes_nothing(fit):
    run, other = fit(*OWN, "--logger", "csv"), fit(*OWN)
    assert {path.name for path in run.iterdir()} == {path.name for path in other.iterdir()}
    for name in ("metrics.csv", "config.yaml"):
        assert (run / name).read_bytes() == (other / name).read_bytes()


def test_loggers_are_left_out_where_nothing_is_logged(command, fit, tmp_path):
    assert command("fit", *OWN, "--logger", "tensorboard", "--trainer.fast_dev_run=true").returncode == 0
    assert not (tmp_path / "runs").exists()
    run = fit(*OWN, "--logger", "tensorboard")
    before = set(run.glob("tensorboard/*"))
    assert command("predict", run).returncode == 0
    assert set(run.glob("tensorboard/*")) == before


def test_strangers_logger_is_attached_and_told_all(fit, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(PLUGIN)
    (tmp_path / "diary.py").write_text(LOGGER)
    lay_out(tmp_path, "stranger", "1", "stranger = stranger")
    monkeypatch.syspath_prepend(tmp_path)
    lines = (fit(*OWN, "--logger", "diary", "--logger.title", "mine") / "diary.txt").read_text().splitlines()
    assert lines[0] == "attached mine"
    assert "media picture Image 00000004.png 4" in lines
    assert "media film Video 00000008.gif 8" in lines
    assert "metrics 3 epoch val/loss" in lines
