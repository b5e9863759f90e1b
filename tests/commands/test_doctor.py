"""What the doctor says of a healthy environment and of sick ones."""

import shutil
import sys
from collections import namedtuple

from distributions import lay_out

from dlplug.commands import doctor
from dlplug.registry import Registry


def test_a_healthy_environment(command):
    result = command("doctor", WANDB_MODE="offline")
    assert (result.returncode, result.stderr) == (0, "")
    assert "BROKEN" not in result.stdout
    for word in (
        "torch ",
        "jsonargparse ",
        "cpu: ",
        "bf16-mixed",
        "GB free",
        "would be offline",
        "dlplug-vision",
        "[tensorboard]",
    ):
        assert word in result.stdout
    [line] = [line for line in result.stdout.splitlines() if line.startswith("for a bug report: ")]
    assert "dlplug-vision" in line
    assert sys.prefix not in line


def test_a_plugin_that_does_not_load(command, tmp_path, monkeypatch):
    (tmp_path / "sick.py").write_text("raise OSError('no good')\n")
    lay_out(tmp_path, "sick", "1", "sick = sick")
    monkeypatch.syspath_prepend(tmp_path)
    result = command("doctor", WANDB_MODE="offline")
    assert result.returncode == 1
    assert "BROKEN" in result.stdout
    assert "sick (sick 1) does not load: OSError: no good" in result.stdout
    assert "1 thing broken" in result.stdout


def test_what_else_counts_as_broken(monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(5e8))
    assert doctor._disk().problem
    monkeypatch.setattr(doctor, "_train_a_step", lambda device, precision: 1 / 0)
    assert doctor._device("cpu", "1 thread").problem
    monkeypatch.setattr(doctor, "distributions", dict)
    assert any(finding.problem for finding in doctor._versions())
    monkeypatch.setitem(sys.modules, "torch", None)
    assert doctor._devices() == [
        doctor.Finding("torch", doctor._devices()[0].text, problem=True),
    ]


def test_no_plugins(monkeypatch):
    monkeypatch.setattr(Registry, "discover", Registry)
    assert doctor._plugins() == [doctor.Finding("plugins", "none")]


def test_takes_no_arguments(refused):
    assert "unrecognized" in refused("doctor", "me")
