"""The W&B logger through the real command: what wandb wrote is read back with wandb's own reader.

The online path meets a protocol stub on the loopback (wandb_stub.py), never W&B itself.
"""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from terminal import run_on_terminal

from dlplug.processes import PRELOAD
from dlplug.testing import check_panels

PRELOAD.append("wandb.sdk.launch")  # all that wandb.init imports, pandas too: two seconds for each run
ROOT = Path(__file__).parents[2]
WandbStub = runpy.run_path(str(Path(__file__).with_name("wandb_stub.py")))["WandbStub"]
GAN = ("--model", "gan", "--data", "digits", "--model.width", "4")
SHORT = (*GAN, "--trainer.max_epochs=1", "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=1")
WANDB = ("--logger", "wandb")
NOWHERE = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}

BREAK = """
import os, signal, subprocess
from lightning.pytorch import Callback
class Raise(Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == int(os.environ["RAISE_AT"]):
            raise RuntimeError("no luck")
class Die(Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == 1 and "SURVIVE" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
class KillWandb(Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == 1:
            children = subprocess.run(["pgrep", "-P", str(os.getpid()), "wandb"], capture_output=True).stdout
            [os.kill(int(child), signal.SIGKILL) for child in children.split()]
"""


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """Nobody is logged in, whatever the machine's owner is."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path.with_name(f"{tmp_path.name}.home")
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("NETRC", raising=False)


@pytest.fixture
def fit(command, patched_command, tmp_path):
    """Fit with W&B, check that it worked, and return the run folder and what was said."""

    def fit(*args, patched=False, **env):
        result = (patched_command if patched else command)("fit", *args, **env)
        assert result.returncode == 0, result.stderr
        assert not (tmp_path / "wandb").exists()
        return max(tmp_path.glob("runs/gan/*")), result.stderr

    return fit


class Log:
    """One of wandb's own logs in a run folder, read back."""

    def __init__(self, folder):
        self.folder = folder
        line = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
        said = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
        records = [json.loads(record) for record in said.splitlines()]
        self.run = next((record["run"] for record in records if record["type"] == "run"), None)
        self.history = [record["history"]["item"] for record in records if record["type"] == "history"]
        self.config = {}
        for record in records:
            self.config.update(record.get("config", {}).get("update", {}))
        self.exit = next((record["exit"].get("exit_code", 0) for record in records if record["type"] == "exit"), None)
        self.artifacts = [record["artifact"] for record in records if record["type"] == "artifact"]
        self.metrics = [record["metric"] for record in records if record["type"] == "metric"]

    def curve(self, name):
        return [(row["step"], row[name]) for row in self.history if name in row]


def logs(run):
    return [Log(folder) for folder in sorted(run.glob("wandb/offline-run-*"))]


def assert_pictured(data):
    pixels = np.asarray(Image.open(data))
    assert pixels.mean() > 20
    assert pixels.std() > 5


def test_offline_run_holds_all_and_goes_on(fit, command):
    run, said = fit(*GAN, "--trainer.max_epochs=2", *WANDB, "--logger.tags", "[a, b]")
    [line] = [line for line in said.splitlines() if "W&B" in line]
    assert "offline (not logged in: `wandb login`)" in line
    assert "look: wandb leet runs/gan/" in line
    assert "send later: wandb sync runs/gan/" in line
    check_panels(run)
    [log] = logs(run)
    assert log.run["display_name"] == f"gan/digits/{run.name}"
    assert (log.run["project"], log.run["tags"], log.exit) == ("dlplug", ["a", "b"], 0)

    # 45 batches an epoch: two optimisers take 180 steps in two epochs.
    assert [step for step, _ in log.curve("val/d_real")] == [44, 89]
    assert [step for step, _ in log.curve("train/g_loss")] == [44, 49, 89]
    assert [step for step, _ in log.curve("samples.path")] == [45, 90]
    assert {"glob_name": "*", "step_metric": "step", "options": {"defined": True}} in log.metrics
    for _, path in log.curve("samples.path"):
        assert_pictured(log.folder / "files" / path)

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert log.config["commands"][0].startswith("dlplug fit --model gan --data digits --model.width 4")
    assert {name: log.config[name] for name in config} == config

    run, _ = fit(run, "--trainer.max_epochs=3", *WANDB, "--logger.mode=offline")
    _, second = logs(run)
    assert second.run["run_id"] == log.run["run_id"]
    assert [step for step, _ in second.curve("val/d_real")] == [134]
    assert len(second.config["commands"]) == 2
    assert command("test", run).returncode == 0
    *_, third = logs(run)
    assert third.run["run_id"] == log.run["run_id"]
    [row] = third.history
    assert row["test/d_real"]
    assert "step" not in row

    with WandbStub() as server:
        line = [sys.executable, "-m", "wandb", "sync", *(str(log.folder) for log in logs(run))]
        subprocess.run(line, env={**os.environ, **server.env}, cwd=run, check=True, capture_output=True, timeout=100)
    assert list(server.runs) == [log.run["run_id"]]
    assert rows(server, "val/d_real") == [44, 89, 134]
    assert len(rows(server, "test/d_real")) == 1
    assert len([path for path in server.files if path.endswith(".png")]) >= 3


def test_options_of_wandbs_own_and_checkpoints_as_artifacts(fit):
    own = ("--logger.notes=why", "--logger.group=folds", "--logger.job_type=train", "--logger.save_code=true")
    run, said = fit(*SHORT, "--trainer.max_epochs=2", *WANDB, "--logger.log_model=true", *own)
    assert "warning" not in said
    [log] = logs(run)
    assert [log.run[key] for key in ("notes", "run_group", "job_type")] == ["why", "folds", "train"]
    name = log.run["run_id"]
    sent = {(a["type"], a["name"]): {e["path"] for e in a["manifest"]["contents"]} for a in log.artifacts}
    code = {"dlplug_generative/gan.py", "dlplug_vision/data/digits.py"}
    assert sent == {("code", f"source-{name}"): code, ("model", f"model-{name}"): {"model.ckpt"}}
    assert [a["aliases"] for a in log.artifacts] == [["latest"], ["latest"]]  # a GAN has no best
    run, _ = fit(run, "--trainer.max_epochs=4", *WANDB, "--logger.log_model=all")
    assert [a["name"] for a in logs(run)[-1].artifacts] == [f"model-{name}"] * 2


def rows(server, name):
    """Return the steps of the rows that the server got, in its order, of its only run."""
    [history] = server.history.values()
    return [history[line].get("step") for line in sorted(history) if name in history[line]]


def test_online_run_goes_on_as_the_same(fit, monkeypatch):
    with WandbStub() as server:
        run, said = fit(*GAN, "--trainer.max_epochs=1", *WANDB, "--logger.mode=online", **server.env)
        run, _ = fit(run, "--trainer.max_epochs=2", **server.env)
    [(name, sent)] = server.runs.items()
    assert f"W&B: {server.url}/me/dlplug/runs/{name}" in said
    assert (run / "wandb" / "run-id.txt").read_text() == name
    assert rows(server, "val/d_real") == [44, 89]
    assert rows(server, "samples") == [45, 90]
    assert sent["exitcode"] == 0
    config = json.loads(sent["config"])
    assert len(config["commands"]["value"]) == 2
    assert config["model"]["value"]["init_args"]["width"] == 4
    picture = next(content for path, content in server.files.items() if "/media/images/samples" in path)
    (run / "sent.png").write_bytes(picture)
    assert_pictured(run / "sent.png")


def test_unreachable_server(fit, refused, patched_command, tmp_path, monkeypatch):
    monkeypatch.setattr("dlplug.loggers.wandb.INIT_SECONDS", 1)
    assert "W&B cannot be online: not logged in" in refused("fit", *SHORT, *WANDB, "--logger.mode=online")
    online = patched_command("fit", *SHORT, *WANDB, "--logger.mode=online", **NOWHERE)
    assert (online.returncode, online.stdout, online.stderr.count("\n")) == (2, "", 1)
    assert online.stderr.startswith("dlplug: W&B cannot be online: ")
    assert "connection refused" in online.stderr
    assert not list(tmp_path.glob("runs/*"))
    run, said = fit(*SHORT, *WANDB, patched=True, **NOWHERE)
    assert "W&B: offline (" in said
    assert "connection refused" in said
    assert not list(run.glob("wandb/run-*-*"))
    [log] = logs(run)
    assert len(log.curve("samples.path")) == 1


def test_server_that_breaks_halfway_keeps_nobody_waiting(fit, monkeypatch):
    monkeypatch.setattr("dlplug.loggers.wandb.FINISH_SECONDS", 2)
    with WandbStub() as server:
        server.broken = True
        run, _ = fit(*SHORT, *WANDB, patched=True, **server.env)
        assert not server.history
        server.broken = False
        [folder] = run.glob("wandb/run-*-*")
        line = [sys.executable, "-m", "wandb", "sync", "--include-online", str(folder)]
        subprocess.run(line, env={**os.environ, **server.env}, cwd=run, check=True, capture_output=True, timeout=100)
    assert rows(server, "val/d_real") == [2]


def test_nothing_is_asked_on_a_terminal(tmp_path):
    status, shown = run_on_terminal("fit", *SHORT, *WANDB, folder=tmp_path, streams=["in", "out", "err"])
    assert status == 0, shown
    assert "W&B: offline (not logged in: `wandb login`)" in shown
    assert "Enter your choice" not in shown


@pytest.mark.parametrize("off", [{"args": ["--logger.mode=disabled"]}, {"env": {"WANDB_MODE": "disabled"}}])
def test_disabled(fit, off):
    run, said = fit(*SHORT, *WANDB, *off.get("args", []), **off.get("env", {}))
    assert "W&B" not in said
    assert not (run / "wandb").exists()


def test_offline_as_wandb_is_told(fit):
    _, said = fit(*SHORT, *WANDB, **NOWHERE, WANDB_MODE="offline")
    assert "W&B: offline (asked for by $WANDB_MODE" in said


def test_training_that_fails_ends_its_run(command, tmp_path):
    (tmp_path / "broken.py").write_text(BREAK)
    line = ("fit", *SHORT, "--trainer.max_epochs=2", "--trainer.callbacks+=broken.Raise", *WANDB)
    assert "RuntimeError: no luck" in command(*line, RAISE_AT="0").stderr
    assert not list(tmp_path.glob("runs/gan/*"))  # nothing was trained
    assert "RuntimeError: no luck" in command(*line, RAISE_AT="1").stderr
    [run] = tmp_path.glob("runs/gan/*")
    [log] = logs(run)
    assert log.exit == 1
    assert len(log.curve("val/d_real")) == 1


def test_training_outlives_wandb(fit, tmp_path):
    (tmp_path / "broken.py").write_text(BREAK)
    run, said = fit(*SHORT, "--trainer.max_epochs=3", "--trainer.callbacks+=broken.KillWandb", *WANDB)
    assert "Traceback" not in said
    assert (run / "checkpoints" / "last.ckpt").exists()
    assert len((run / "metrics.csv").read_text().splitlines()) == 4


def test_killed_and_resumed_is_one_run(command, fit, tmp_path):
    (tmp_path / "broken.py").write_text(BREAK)
    killed = command("fit", *SHORT, "--trainer.max_epochs=2", "--trainer.callbacks+=broken.Die", *WANDB)
    assert killed.returncode == -signal.SIGKILL
    [run] = tmp_path.glob("runs/gan/*")
    name = (run / "wandb" / "run-id.txt").read_text()
    fit(run, SURVIVE="1")
    *_, log = logs(run)
    assert log.run["run_id"] == name
    # wandb writes in blocks: what the first process logged is not in its log, and was sent again.
    assert [step for step, _ in log.curve("val/d_real")] == [2, 5]
    assert [step for step, _ in log.curve("samples.path")] == [3, 6]
    assert not (run / "wandb" / "unfinished.txt").exists()


@pytest.mark.slow("two imports of torch; by day models train on two processes without W&B")
def test_two_processes_make_one_run(tmp_path):
    line = [sys.executable, "-m", "dlplug", "fit", *SHORT, *WANDB]
    line += ["--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp"]
    result = subprocess.run(line, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("W&B: offline") == 1
    [run] = tmp_path.glob("runs/gan/*")
    [log] = logs(run)
    assert [step for step, _ in log.curve("val/d_real")] == [2]
    assert not (tmp_path / "wandb").exists()


def test_config_and_option_are_one_logger(fit):
    run, _ = fit("-c", ROOT / "configs" / "wandb.yaml", *SHORT, *WANDB, "--logger.project=mine")
    [log] = logs(run)
    assert log.run["project"] == "mine"
    assert len(log.curve("val/d_real")) == 1


SHOWN = """
import torch
import plotly.graph_objects as go
from dlplug.media import Audio, Figure, Image, Table, Text, Video
from own import OwnModel
class Shown(OwnModel):
    def showcase(self, batch):
        picture = torch.arange(16.0).view(1, 4, 4) / 15
        media = {"picture": Image(picture, caption="Grey."), "words": Text("a <b>"), "rows": Table(["x"], [[1]])}
        media |= {"tone": Audio(torch.linspace(-1, 1, 800), 8000)}
        return {**media, "film": Video(torch.stack([picture, 1 - picture])), "plot": Figure(go.Figure())}
"""


def test_every_medium_is_sent(command, tmp_path):
    shutil.copy(ROOT / "tests" / "helpers" / "own.py", tmp_path)
    (tmp_path / "shown.py").write_text(SHOWN)
    line = ("--model", "shown.Shown", "--data", "own.OwnData", "--trainer.max_epochs=1")
    assert command("fit", *line, *WANDB).returncode == 0
    [run] = tmp_path.glob("runs/shown/*")
    [log] = logs(run)
    sent = {name: row for row in log.history for name in row if name.endswith("._type")}
    assert {name: row[name] for name, row in sent.items()} == {
        "picture._type": "image-file",
        "film._type": "video-file",
        "tone._type": "audio-file",
        "plot._type": "plotly-file",
        "words._type": "html-file",
        "rows._type": "html-file",
    }
    paths = {name: log.folder / "files" / row[name.replace("_type", "path")] for name, row in sent.items()}
    assert all(path.stat().st_size for path in paths.values())
    assert sent["picture._type"]["picture.caption"] == "Grey."
    assert_pictured(paths["picture._type"])
    assert "a &lt;b&gt;" in paths["words._type"].read_text()


COUNTING = """
from own import OwnModel
class Counting(OwnModel):
    axis = "train/env_steps"
    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.log("train/env_steps", 16.0 * (self.global_step + self.global_step % 2), reduce_fx="max")
"""


def test_curves_over_the_models_own_axis(command, tmp_path):
    shutil.copy(ROOT / "tests" / "helpers" / "own.py", tmp_path)
    (tmp_path / "counting.py").write_text(COUNTING)
    line = ("--model", "counting.Counting", "--data", "own.OwnData", "--trainer.max_epochs=2")
    assert command("fit", *line, *WANDB, "--trainer.log_every_n_steps=2").returncode == 0
    [run] = tmp_path.glob("runs/counting/*")
    [log] = logs(run)
    assert {"glob_name": "*", "step_metric": "train/env_steps", "options": {"defined": True}} in log.metrics
    over = [row["train/env_steps"] for row in log.history if "val/loss" in row]
    assert over == [64, 128]
    result = command("dashboard", "counting.Counting", "--entity", "me", "--dry-run")
    bank = json.loads(result.stdout)["section"]["panelBankConfig"]
    assert {panel["config"].get("xAxis") for panel in bank["sections"][0]["panels"][:-1]} == {"train/env_steps"}


MODEL = """
from dlplug import Panel
from own import OwnModel
class Panelled(OwnModel):
    panels = (
        Panel("Fit", "Loss", "How far off. Healthy: falls.", curves=("loss",)),
        Panel("Pictures", "Samples", "What it draws.", media="samples"),
        Panel("Fit", "Two", "Together.", curves=("a", "b")),
    )
"""


@pytest.fixture
def panelled(tmp_path):
    shutil.copy(ROOT / "tests" / "helpers" / "own.py", tmp_path)
    (tmp_path / "panelled.py").write_text(MODEL)
    return "panelled.Panelled", "--entity", "me"


def check_workspace(spec):
    bank = spec["section"]["panelBankConfig"]
    assert [section["name"] for section in bank["sections"]] == ["Fit", "Pictures", "Training"]
    loss, two, notes = bank["sections"][0]["panels"]
    assert loss["config"]["metrics"] == ["train/loss", "val/loss", "test/loss"]
    assert {loss["config"]["xAxis"], two["config"]["xAxis"]} == {"step"}
    assert "**Loss** How far off. Healthy: falls." in notes["config"]["value"]
    assert bank["sections"][1]["panels"][0]["config"]["mediaKeys"] == ["samples"]


def test_dashboard_without_network_or_login(command, refused, panelled):
    result = command("dashboard", *panelled, "--dry-run")
    assert (result.returncode, result.stderr) == (0, "")
    check_workspace(json.loads(result.stdout))
    message = refused("dashboard", *panelled)
    assert message == "dlplug: W&B cannot be online: not logged in: `wandb login`; --dry-run needs no W&B\n"
    assert "did you mean 'gan'" in refused("dashboard", "gna", "--entity", "me")


def test_dashboard_is_saved(command, panelled):
    with WandbStub() as server:
        result = command("dashboard", *panelled, "--project", "p", **server.env)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{server.url}/me/p?nw=")
    [view] = server.views
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("me", "p", "dlplug panelled.Panelled")
    check_workspace(json.loads(view["spec"]))


@pytest.mark.slow("W&B's own sweep and agent, which start an interpreter each; nothing else of ours is in it")
def test_sweep_is_accepted_and_its_agent_trains(tmp_path):
    """With `wandb sweep` and `wandb agent` themselves; the file's command gets a step limit."""
    text = (ROOT / "configs" / "sweep.yaml").read_text()
    (tmp_path / "sweep.yaml").write_text(text.replace('"${args}"', '"${args}", --trainer.max_steps=4'))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with WandbStub() as server:
        env = {**os.environ, **server.env, "PATH": path}
        for line in ("wandb sweep sweep.yaml", "wandb agent me/project/S"):
            result = subprocess.run(line.split(), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100)
            assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/gan/*")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["model"]["init_args"]["lr"], config["model"]["init_args"]["latent_dim"]) == (0.0003, 16)
    [(name, sent)] = server.runs.items()
    assert (name, sent["sweep"], sent["exitcode"]) == ("swept", "S", 0)
    assert json.loads(sent["config"])["model.lr"] == {"value": 0.0003}
    assert json.loads(sent["config"])["model"]["value"]["init_args"]["lr"] == 0.0003
