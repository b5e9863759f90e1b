"""The training commands on a plain LightningModule and LightningDataModule of a user's own."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import own
import pytest
import torch
import yaml

from dlplug.loggers.csv import read_metrics
from dlplug.testing.commands import start_command

OWN = ("--model", "own.OwnModel", "--data", "own.OwnData", "--trainer.log_every_n_steps", "3")


@pytest.fixture(autouse=True)
def own_model(tmp_path):
    shutil.copy(Path(own.__file__), tmp_path)


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_run(run, other):
    assert (run / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    for name, tensor in weights(run).items():
        assert torch.equal(tensor, weights(other)[name]), name


def test_run_folder_is_all_that_test_validate_predict_and_fit_need(fit, command, tmp_path):
    run = fit(*OWN, "--trainer.max_epochs=2")
    assert run.parent == tmp_path / "runs" / "ownmodel"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"] == {"width": 3, "lr": 0.1, "steps": 0, "slow": 0.0}
    assert not {"ckpt_path", "config"} & config.keys()
    assert {row["epoch"] for row in read_metrics(run / "metrics.csv")} == {"0", "1"}
    logged = [row for row in read_metrics(run / "metrics.csv") if row["train/lr"]]
    vitals = [(float(row["train/grad_norm"]), float(row["train/lr"])) for row in logged]
    assert len(vitals) == 2
    assert all(norm > 0 and lr == pytest.approx(0.1) for norm, lr in vitals)
    assert [row["epoch"] for row in read_metrics(run / "timing.csv")] == ["0", "1"]
    before = (run / "config.yaml").read_bytes()

    for name in ("test", "validate", "predict"):
        result = command(name, run)
        assert result.returncode == 0, result.stderr
    assert float(read_metrics(run / "test.csv")[0]["test/loss"]) > 0
    assert float(read_metrics(run / "validate.csv")[0]["val/loss"])
    predictions = read_metrics(run / "predictions.csv")
    assert list(predictions[0]) == ["item", "y_0", "first"]
    assert len(predictions) == 32
    again = (run / "test.csv").read_bytes()
    assert command("test", run).returncode == 0
    assert (run / "test.csv").read_bytes() == again

    fit(run, "--trainer.max_epochs=4")
    assert {row["epoch"] for row in read_metrics(run / "metrics.csv")} == {"0", "1", "2", "3"}
    assert [row["epoch"] for row in read_metrics(run / "timing.csv")] == ["0", "1", "2", "3"]
    assert len(json.loads((run / "about.json").read_text())["commands"]) == 2
    assert (run / "config.yaml").read_bytes() == before
    assert_same_run(run, fit(*OWN, "--trainer.max_epochs=4"))


def test_config_runs_again_to_the_same_metrics(fit):
    run = fit(*OWN, "--trainer.max_epochs=2", "--model.width=5")
    assert_same_run(run, fit("-c", run / "config.yaml"))


@pytest.mark.parametrize("kill_at", ["0,1", "2,0", "2,3"])
def test_killed_and_resumed_is_the_run_that_never_stopped(fit, command, tmp_path, kill_at):
    options = (*OWN, "--trainer.max_epochs=4", "--model.steps=4")
    killed = command("fit", *options, KILL_AT=kill_at)
    assert killed.returncode == -signal.SIGKILL
    [run] = tmp_path.glob("runs/*/*")
    assert (run / "checkpoints").exists() == (kill_at[0] != "0")
    if kill_at[0] != "0":  # what the checkpoint vouches for was written before it
        measured = [row["epoch"] for row in read_metrics(run / "metrics.csv") if row["val/loss"]]
        assert measured[: int(kill_at[0])] == [str(epoch) for epoch in range(int(kill_at[0]))]
    fit(run)
    assert_same_run(run, fit(*options))


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_run_resumes(fit, tmp_path, stop, status):
    options = (*OWN, "--trainer.max_epochs=3")
    process = start_command("fit", *options, "--model.slow=0.3", folder=tmp_path)
    while not list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt")):
        assert process.is_alive()
        time.sleep(0.1)
    os.kill(process.pid, stop)
    process.join()
    said = tmp_path.with_name(f"{tmp_path.name}.err").read_text()
    assert process.exitcode == status, said
    [run] = tmp_path.glob("runs/*/*")
    assert f"stopped; resume with: dlplug fit {run.relative_to(tmp_path)}" in said
    assert "Traceback" not in said
    assert (run / "report.html").is_file()
    fit(run, "--model.slow=0")
    assert_same_run(run, fit(*options))


def test_option_of_the_optimiser_is_applied_on_resuming_or_refused(fit, refused):
    run = fit(*OWN, "--trainer.max_epochs=1")
    fit(run, "--trainer.max_epochs=2", "--model.lr=0.5")
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == 0.5
    scheduled = fit(*OWN, "--trainer.max_epochs=1", "--model.steps=4")
    message = refused("fit", scheduled, "--trainer.max_epochs=2", "--model.steps=9")
    assert "CosineAnnealingLR resumes with T_max 4: it cannot change to 9" in message
    assert "weights do not fit" in refused("fit", run, "--trainer.max_epochs=3", "--model.width=9")


def test_later_config_overrides_earlier_and_the_command_line_both(fit, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "model: {class_path: own.OwnModel, init_args: {width: 7, lr: 0.3}}\ndata: own.OwnData"
    )
    (tmp_path / "b.yaml").write_text("model: {init_args: {lr: 0.4}}\ntrainer: {max_epochs: 1}")
    run = fit("--data.size=16", "-c", "a.yaml", "-c", "b.yaml", "--model.slow", "0.01")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"] == {"width": 7, "lr": 0.4, "steps": 0, "slow": 0.01}
    assert config["data"]["init_args"] == {"size": 16}


def test_fast_dev_run_leaves_nothing(command, tmp_path):
    assert command("fit", *OWN, "--trainer.fast_dev_run=true").returncode == 0
    assert not (tmp_path / "runs").exists()


def test_damaged_runs_are_refused(fit, refused, tmp_path):
    run = fit(*OWN, "--trainer.max_epochs=1")
    metrics = (run / "metrics.csv").read_bytes()
    checkpoint = run / "checkpoints" / "last.ckpt"
    whole = checkpoint.read_bytes()
    (run / "checkpoints" / "best.ckpt").unlink()
    for content in (whole[: len(whole) // 2], b"", b"rubbish"):
        checkpoint.write_bytes(content)
        assert "last.ckpt is damaged or cannot be read" in refused("fit", run, "--trainer.max_epochs=2")
        assert "last.ckpt is damaged or cannot be read" in refused("test", run)
    torch.save({"state_dict": Path}, checkpoint)
    assert "last.ckpt holds code, which is never run" in refused("test", run)
    (run / "config.yaml").write_text("model: [")
    assert "config.yaml is not YAML" in refused("test", run)
    assert (run / "metrics.csv").read_bytes() == metrics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.max_epochs=x"], "--trainer.max_epochs: 'x' is not int or null"),
        (["--trainer.devices=0"], "devices='0'"),
        (["--trainer.accumulate_grad_batches=0"], "accumulate_grad_batches 0: 1 is the least"),
        (["--trainer.check_val_every_n_epoch=0"], "check_val_every_n_epoch 0: 1 is the least"),
        (["--model.width=-1"], "negative dimension -1"),
        (["--nothing=1"], "unrecognized arguments: --nothing=1"),
        (["--trainer.default_root_dir=own.py"], "cannot make a run folder in own.py/ownmodel"),
        (["--model=own.Missing"], "cannot import own.Missing"),
        (["--model=own.OwnData"], "own.OwnData is not a LightningModule"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(refused, tmp_path, options, message):
    assert message in refused("fit", *OWN, *options)
    assert not list(tmp_path.glob("runs/*"))
