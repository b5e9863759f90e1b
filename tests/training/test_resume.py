"""Runs with Lightning's callbacks and limits: the same again and after a kill, or refused with the reason."""

import shutil
import signal
import sys
from pathlib import Path

import lightning.pytorch.callbacks
import own
import pytest
import torch

from dlplug.errors import InputError
from dlplug.testing import run_command
from dlplug.trained import load_trained, read_weights

OWN = ("--model=own.OwnModel", "--data=own.OwnData", "--trainer.log_every_n_steps=3", "--trainer.accelerator=cpu")
OPTIONS = {
    "BackboneFinetuning": ["unfreeze_backbone_at_epoch=1"],
    "EarlyStopping": ["monitor=val/loss", "patience=1"],
    "GradientAccumulationScheduler": ["scheduling={0: 1, 2: 2}"],
    "ModelCheckpoint": ["monitor=val/loss", "save_top_k=2"],
    "ModelPruning": ["pruning_fn=l1_unstructured", "amount=0.3", "parameter_names=[weight]"],
    "OnExceptionCheckpoint": ["dirpath=kept"],
    "StochasticWeightAveraging": ["swa_lrs=0.05"],
    "ThroughputMonitor": ["batch_size_fn=builtins.len"],
    "Timer": ["duration=00:01:00:00"],
    "EMAWeightAveraging": ["decay=0.9"],
}
REFUSED = {
    "BackboneFinetuning": "no attribute 'backbone'",
    "BaseFinetuning": "cannot be used by itself",
    "BatchSizeFinder": "stands in no config",
    "DeviceStatsMonitor": "different every time",
    "LearningRateFinder": "stands in no config",
    "OnExceptionCheckpoint": "next new run",
    "SpikeDetection": "cannot load its state",
    "ThroughputMonitor": "different every time",
    "Timer": "the clock",
}


@pytest.fixture(scope="module")
def dlplug(tmp_path_factory):
    """Run ``dlplug`` in one folder, a fraction of a second each; returns the status, what was said, the new run."""
    folder = tmp_path_factory.mktemp("resume")
    shutil.copy(Path(own.__file__), folder)

    def dlplug(*args, **env):
        before = set(folder.glob("runs/*/*"))
        result = run_command(*args, folder=folder, **env)
        said = result.stdout + result.stderr
        return result.returncode, said, next(iter(set(folder.glob("runs/*/*")) - before), None)

    return dlplug


@pytest.fixture(scope="module")
def trained(dlplug):
    return ran(dlplug("fit", *OWN, "--trainer.max_epochs=1"))


def ran(result):
    status, said, run = result
    assert status == 0, said
    return run


def metrics(run):
    return (run / "metrics.csv").read_bytes()


# Each that is accepted is fitted six times. By day those that stop, keep, prune and average do all that the rest does.
BY_DAY = {"EarlyStopping", "ModelCheckpoint", "ModelPruning", "StochasticWeightAveraging", *REFUSED}
SLOW = pytest.mark.slow("a minute for all of Lightning's callbacks; by day those that do something of their own")


@pytest.mark.parametrize(
    "name", [n if n in BY_DAY else pytest.param(n, marks=SLOW) for n in lightning.pytorch.callbacks.__all__]
)
def test_run_with_a_callback_of_lightning_is_repeatable_and_resumes_or_is_refused(dlplug, name):
    own_options = [f"--trainer.callbacks.{option}" for option in OPTIONS.get(name, [])]
    options = (*OWN, "--trainer.max_epochs=4", f"--trainer.callbacks+=lightning.pytorch.callbacks.{name}", *own_options)
    status, said, run = dlplug("fit", *options)
    if name in REFUSED:
        assert (status, run) == (2, None), said
        assert REFUSED[name] in said
        return
    assert status == 0, said
    assert metrics(ran(dlplug("fit", "-c", run / "config.yaml"))) == metrics(run)
    for kill_at in ("1,1", "3,2"):
        status, said, killed = dlplug("fit", *options, KILL_AT=kill_at)
        if name == "EarlyStopping" and status == 0:  # it had stopped before
            assert kill_at == "3,2"
        else:
            assert status == -signal.SIGKILL, said
        status, said, _ = dlplug("fit", killed)
        if name == "ModelPruning":
            assert (status, "from which no run resumes exactly" in said) == (2, True)
        else:
            assert status == 0, said
            assert metrics(killed) == metrics(run)
    assert ran(dlplug("test", run)) is None
    assert [path.name for path in run.parent.parent.iterdir()] == ["ownmodel"]
    assert (run / "checkpoints" / "ModelCheckpoint").is_dir() == (name == "ModelCheckpoint")


def test_steps_that_end_within_an_epoch(dlplug):
    options = (*OWN, "--trainer.max_epochs=9", "--trainer.max_steps=14")
    run = ran(dlplug("fit", *options))
    _, _, killed = dlplug("fit", *options, KILL_AT="3,0")
    ran(dlplug("fit", killed))
    assert metrics(killed) == metrics(run)
    assert metrics(run).splitlines()[-1].startswith(b"3,13,")
    ran(dlplug("fit", run))
    status, said, _ = dlplug("fit", run, "--trainer.max_steps=20")
    assert (status, "batch 2 within epoch 4" in said) == (2, True)


def test_averaged_weights_are_what_is_measured(dlplug):
    swa = (
        "--trainer.callbacks+=lightning.pytorch.callbacks.StochasticWeightAveraging",
        "--trainer.callbacks.swa_lrs=0.05",
    )
    options = ("--model=cnn", "--data=digits", "--model.channels=[4]", "--model.hidden=8", "--trainer.accelerator=cpu")
    options = (
        *options,
        "--trainer.limit_train_batches=4",
        "--trainer.max_epochs=4",
        *swa,
        "--trainer.callbacks.swa_epoch_start=2",
    )
    run = ran(dlplug("fit", *options))
    assert "Unable to serialize" not in (run / "config.yaml").read_text()
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    [state] = [state for name, state in best["callbacks"].items() if "Averaging" in name]
    assert state["n_averaged"] == 3
    average = state["average_model_state"]
    weights = [name for name in average if name.endswith("weight")]
    assert weights
    assert all(torch.equal(best["state_dict"][name], average[name]) for name in weights)
    assert ran(dlplug("test", run)) is None
    status, said, _ = dlplug("fit", run, "--trainer.max_epochs=8")
    assert (status, "cannot become 8" in said) == (2, True)


def test_loss_that_is_not_a_number_fails_the_run(dlplug):
    status, said, run = dlplug("fit", *OWN, "--trainer.max_epochs=2", "--model.lr=1e30")
    assert status == 1, said
    assert "epoch 1: train/loss is not a number" in said
    assert "--trainer.detect_anomaly true" in said.splitlines()[-1]
    assert "are not finite" in (run / "report.html").read_text()
    assert dlplug("fit", run)[0] == 1


def test_an_interval_that_the_data_are_too_few_for_is_refused_in_a_line(dlplug):
    status, said, run = dlplug("fit", *OWN, "--trainer.max_epochs=1", "--trainer.val_check_interval=999")
    assert (status, run, said.count("Traceback")) == (2, None, 0)
    assert "(999) must be less than or equal to the number of the training batches" in said.splitlines()[-1]


def changed(run, path, **changes):
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["hyper_parameters"] |= changes
    torch.save(checkpoint, path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("optimizer_states", [], "has the state of 0 optimizers, the model has 1"), ("epoch", -2, "of a negative epoch")],
)
def test_what_cannot_be_resumed_exactly_is_refused(dlplug, trained, tmp_path, key, value, message):
    mine = tmp_path / "run"
    shutil.copytree(trained, mine)
    last = mine / "checkpoints" / "last.ckpt"
    torch.save(torch.load(last, weights_only=True) | {key: value}, last)
    status, said, _ = dlplug("fit", mine, "--trainer.max_epochs=2")
    assert (status, said.count("Traceback")) == (2, 0), said
    assert message in said
    assert metrics(mine) == metrics(trained)


@pytest.mark.parametrize("command", ["fit", "test", "generate"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_instantiator": "os.system"}, "asks to call os.system, which is never done"),
        ({"_class_path": "antigravity.Model"}, "is of the class antigravity.Model, not own.OwnModel"),
    ],
)
def test_checkpoint_names_no_code_to_call(dlplug, trained, tmp_path, command, changes, message):
    run = trained
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    for name in ("last", "best"):
        changed(run, mine / "checkpoints" / f"{name}.ckpt", **changes)
    if command == "generate":
        sys.path.append(str(run.parents[2]))
        with pytest.raises(InputError, match=message):
            load_trained(mine)
        return
    status, said, _ = dlplug(command, mine, "--trainer.max_epochs=2")
    assert status == 2, said
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


def test_weights_of_a_checkpoint_that_names_code_are_not_taken(tmp_path):
    torch.save({"state_dict": {"a": torch.ones(1)}, "hparams": {"_instantiator": "os.system"}}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="asks to call os.system"):
        read_weights(str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("asked", ["best", "last", "hpc", "registry", "", "weights.ckpt", "keys.ckpt"])
def test_ckpt_path_is_a_file_of_lightning_or_refused(dlplug, trained, tmp_path, asked):
    run = trained
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, tmp_path / "weights.ckpt")
    torch.save({key: content[key] for key in ("state_dict", "pytorch-lightning_version")}, tmp_path / "keys.ckpt")
    named = str(tmp_path / asked) if asked.endswith(".ckpt") else asked
    for command, known in (("test", asked in ("best", "last", "keys.ckpt")), ("fit", asked in ("best", "last"))):
        status, said, _ = dlplug(command, run, f"--ckpt_path={named}", "--trainer.max_epochs=1")
        assert status == (0 if known else 2), said
        assert "Traceback" not in said
    status, said, new = dlplug("fit", *OWN, "--trainer.max_epochs=1", f"--ckpt_path={named}")
    assert (status, new) == (2, None), said
