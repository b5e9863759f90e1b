"""Boltzmann machines through the real command, on the smallest data."""

import csv

import PIL.Image

from dlplug.testing import check_panels
from dlplug_multimodal.models.gaussian_rbm import GaussianRBM
from dlplug_multimodal.models.multimodal_dbm import MultimodalDBM


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_gaussian_rbm_fits_tests_and_generates(command, tmp_path):
    line = ("--model", "gaussian-rbm", "--data", "digits", "--model.hidden=32", "--trainer.max_epochs=6")
    result = command("fit", *line, "--trainer.check_val_every_n_epoch=3", "--trainer.log_every_n_steps=10")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/gaussian-rbm/*")
    for line in (("test", run), ("predict", run), ("generate", run, "-n", "4", "--steps", "20")):
        assert command(*line).returncode == 0
    check_panels(run)
    measured = [float(row["val/reconstruction"]) for row in rows(run / "metrics.csv") if row["val/reconstruction"]]
    assert measured[-1] < 0.95 * measured[0]
    assert GaussianRBM.load_from_checkpoint(run / "checkpoints" / "last.ckpt").standardizer.mean.max() > 0.3


def test_replicated_softmax_beats_the_words_frequencies(command, tmp_path):
    line = ("--model", "replicated-softmax", "--data.size=8", "--trainer.max_epochs=20")
    result = command("fit", *line, "--trainer.check_val_every_n_epoch=10", "--trainer.log_every_n_steps=10")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/replicated-softmax/*")
    assert command("test", run).returncode == 0
    check_panels(run)
    said = command("generate", run, "--text", "animals", "-n", "3")
    assert len(said.stdout.strip().splitlines()) == 3
    assert 1 < float(rows(run / "test.csv")[0]["test/perplexity"]) < 25


def test_dbm_answers_images_words_and_both(command, tmp_path):
    line = ("--model", "multimodal-dbm", "--data.size=8", "--model.hidden=32", "--model.joint_hidden=32")
    line += (
        "--model.pretrain_epochs=1",
        "--model.joint_layer_epochs=1",
        "--trainer.max_epochs=4",
        "--trainer.check_val_every_n_epoch=2",
    )
    result = command("fit", *line, "--trainer.log_every_n_steps=10")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/multimodal-dbm/*")
    assert command("test", run).returncode == 0
    check_panels(run)
    PIL.Image.new("RGB", (30, 20), "green").save(tmp_path / "green.png")
    told = command("generate", run, "--image", tmp_path / "green.png", "-n", "3")
    assert len(told.stdout.strip().splitlines()) == 3
    for asked in (("--text", "animals"), ("--text", "food drink", "--image", tmp_path / "green.png")):
        assert command("generate", run, *asked, "-n", "4").returncode == 0
    assert command("generate", run, "--text", "plant", "--sample", "--gibbs_steps", "5").returncode == 0
    wrong = command("generate", run, "--text", "anmals")
    assert wrong.returncode == 2
    assert "did you mean 'animals'" in wrong.stderr
    nothing = command("generate", run, "--image", tmp_path / "none.png")
    assert nothing.returncode == 2
    assert "cannot read" in nothing.stderr
    assert MultimodalDBM.load_from_checkpoint(run / "checkpoints" / "last.ckpt").words[0] == "activities"


def test_dbm_encodes_by_a_cnn_and_takes_its_weights_from_another_run(command, tmp_path):
    line = ("--model", "multimodal-dbm", "--data.size=8", "--model.image_encoder=cnn", "--model.pretrain_epochs=0")
    line += ("--model.joint_layer_epochs=0",)
    line += ("--trainer.check_val_every_n_epoch=1", "--trainer.limit_train_batches=3")
    assert command("fit", *line, "--model.cnn_epochs=1", "--trainer.max_epochs=2").returncode == 0
    [run] = tmp_path.glob("runs/multimodal-dbm/*")
    result = command("fit", *line, f"--model.init_from={run}", "--trainer.max_epochs=1")
    assert result.returncode == 0, result.stderr
    assert "took conv1" in result.stdout + result.stderr


def test_own_images_with_tags(command, tmp_path):
    names = [f"{i}.png" for i in range(20)]
    for i, name in enumerate(names):
        PIL.Image.new("RGB", (12, 12), ("red", "blue")[i % 2]).save(tmp_path / name)
    table = "".join(f"{name},{('fire hot', 'sea cold')[i % 2]}\n" for i, name in enumerate(names))
    (tmp_path / "tags.csv").write_text("file,tags\n" + table)
    line = ("--model", "multimodal-dbm", "--data", "tags", "--data.root", tmp_path, "--data.size=4")
    line += ("--data.batch_size=4", "--model.pretrain_epochs=2", "--model.joint_layer_epochs=2")
    line += ("--trainer.max_epochs=30",)
    result = command("fit", *line, "--model.hidden=8", "--trainer.check_val_every_n_epoch=30", "--data.augment=0")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/multimodal-dbm/*")
    told = command("generate", run, "--image", tmp_path / "0.png", "-n", "2").stdout
    assert {row.split()[0] for row in told.strip().splitlines()} == {"fire", "hot"}
