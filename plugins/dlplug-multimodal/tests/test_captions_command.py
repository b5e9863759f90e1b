"""Captions through the real command, on few scenes and on your own images."""

import csv

import PIL.Image
import pytest

from dlplug.testing import check_panels

SMALL = ("--model=captioner", "--model.channels=[8,16]", "--model.hidden_size=32", "--model.embedding_dim=16")
SCENES = ("--data=emoji-scenes", "--data.kinds=5", "--data.size=16", "--data.scenes_per_epoch=320")
FEW = tuple(f"--trainer.limit_{part}_batches=1" for part in ("val", "test", "predict"))


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def draw(path):
    PIL.Image.new("RGB", (40, 30), "red").save(path)


def test_fit_test_predict_and_caption(command, tmp_path):
    short = ("--trainer.max_epochs=4", "--trainer.check_val_every_n_epoch=2", "--trainer.log_every_n_steps=5", *FEW)
    result = command("fit", *SMALL, *SCENES, *short)
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/captioner/*")
    check_panels(run)
    losses = [float(row["train/loss"]) for row in rows(run / "metrics.csv") if row["train/loss"]]
    assert losses[-1] < 0.7 * losses[0]
    for args in (("test", run), ("predict", run)):
        assert command(*args).returncode == 0
    measured = {name: float(value) for name, value in rows(run / "test.csv")[0].items()}
    assert 0 <= measured["test/exact_match"] <= 1
    draw(tmp_path / "red.png")
    for num_beams in ("1", "4"):
        answer = command("generate", run, "--image", tmp_path / "red.png", "--num_beams", num_beams)
        assert answer.returncode == 0
        assert len(answer.stdout.splitlines()) == 1
    assert "cannot read the image" in command("generate", run, "--image", tmp_path / "none.png").stderr


def test_a_resumed_run_has_the_scenes_of_the_unbroken_run(command, tmp_path):
    line = ("fit", *SMALL, *SCENES, *FEW, "--trainer.check_val_every_n_epoch=1", "--trainer.log_every_n_steps=1")
    assert command(*line, "--trainer.max_epochs=2").returncode == 0
    [whole] = tmp_path.glob("runs/captioner/*")
    stopped = command(*line, "--trainer.max_epochs=1")
    assert stopped.returncode == 0
    [broken] = set(tmp_path.glob("runs/captioner/*")) - {whole}
    assert command("fit", broken, "--trainer.max_epochs=2").returncode == 0
    firsts = [[row["train/loss"] for row in rows(run / "metrics.csv") if row["train/loss"]] for run in (whole, broken)]
    assert len(firsts[0]) == len(firsts[1]) == 40
    assert float(firsts[0][0]) == float(firsts[1][0])  # later the schedules differ: one was planned for half as long


def test_own_captions(command, refused, tmp_path):
    for number in range(20):
        draw(tmp_path / f"{number}.png")
    (tmp_path / "captions.txt").write_text("".join(f"{n}.png#0\ta red picture\n" for n in range(20)))
    line = (*SMALL, "--data=captions", f"--data.root={tmp_path}", "--data.size=16")
    result = command("fit", *line, "--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1")
    assert result.returncode == 0, result.stderr
    (tmp_path / "captions.txt").write_text("0.png#0\ta red picture\n1.png\n")
    assert "line 2" in refused("fit", *line)


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
def test_two_processes_and_mixed_precision(fit_on_two):
    run = fit_on_two(*SMALL, *SCENES, "--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1")
    assert 0 < float(rows(run / "metrics.csv")[-1]["val/loss"]) < 8
