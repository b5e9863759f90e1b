"""The models of sounds through the real command, on few pairs."""

import csv
import importlib.util
import wave

import pytest
import torch
from torchvision.utils import save_image

from dlplug.testing import check_panels
from dlplug_multimodal.models.fusion import Fusion
from dlplug_multimodal.models.soundnet import SoundNet

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the extra `speech`"),
]

SMALL = ("--data.pairs=320", "--data.batch_size=32", "--model.channels=[8,8,8,16]", "--trainer.log_every_n_steps=5")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def losses(run, name):
    return [float(row[name]) for row in rows(run / "metrics.csv") if row.get(name)]


@pytest.fixture
def tone(tmp_path):
    """Write a second and a half of a tone."""
    samples = (8000 * torch.sin(torch.arange(12000) / 3)).short()
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.numpy().tobytes())
    return tmp_path / "tone.wav"


def test_soundnet_fits_tests_and_generates(command, fit, refused, tone):
    run = fit("--model", "soundnet", *SMALL, "--model.teacher_epochs=3", "--trainer.max_epochs=7")
    teacher, student = losses(run, "train/teacher_loss"), losses(run, "train/loss")
    assert teacher[-1] < 0.7 * teacher[0]
    assert student[-1] < student[0]
    assert len(losses(run, "val/loss")) == 4  # none while the teacher learns
    assert command("test", run).returncode == 0
    check_panels(run)
    measured = {name: float(value) for name, value in rows(run / "test.csv")[0].items()}
    assert {f"test/{kind}{way}" for kind in ("digits", "words") for way in ("", "_untrained", "_spectrogram")} <= set(
        measured
    )
    answer = command("generate", run, "--sound", tone)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("0 s: ")
    assert "WAV file" in refused("generate", run)
    assert command("predict", run).returncode == 0
    model = SoundNet.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    assert model(torch.randn(2, 8000)).shape == (2, 10)


def test_soundnet_takes_a_trained_teacher(fit, refused):
    short = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=5")
    teacher = fit("--model", "cnn", "--model.channels=[4,8]", *short)
    run = fit("--model", "soundnet", *SMALL, f"--model.init_from={teacher}", "--trainer.max_epochs=1")
    assert not losses(run, "train/teacher_loss")
    kept, given = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for folder in (run, teacher)
    )
    for name, value in given.items():
        assert kept[name.replace("net.", "teacher.")].equal(value), name
    teacher.rename(teacher.with_name("gone"))
    model = SoundNet.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    assert model.teacher.conv1.out_channels == 4
    assert "holds no cnn" in refused("fit", "--model", "soundnet", *SMALL, f"--model.init_from={run}")


def test_fusion_fits_tests_and_works_with_one_input(command, fit, refused, tone, tmp_path):
    run = fit("--model", "fusion", *SMALL, "--model.pretrain_epochs=2", "--trainer.max_epochs=6")
    for name in ("train/image_loss", "train/loss"):
        found = losses(run, name)
        assert found[-1] < found[0]
    assert command("test", run).returncode == 0
    check_panels(run)
    measured = {name: float(value) for name, value in rows(run / "test.csv")[0].items()}
    assert measured["test/image_accuracy"] > 0.3  # 0.1 is chance
    save_image(torch.rand(1, 28, 28), tmp_path / "noise.png")
    image, sound = ("--image", tmp_path / "noise.png"), ("--sound", tone)
    for given in (image, sound, (*image, *sound)):
        answer = command("generate", run, *given)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("%") == 3
    assert "--image" in refused("generate", run)
    assert command("predict", run).returncode == 0
    assert isinstance(Fusion.load_from_checkpoint(run / "checkpoints" / "last.ckpt"), Fusion)
    again = fit("--model", "fusion", *SMALL, f"--model.init_from=[{run}]", "--trainer.max_epochs=1")
    assert "took" in fit.said
    assert again.exists()
