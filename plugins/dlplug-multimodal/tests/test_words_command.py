"""Word vectors and the joint embedding through the real command, on little data."""

import csv

import PIL.Image
import pytest
import torch

from dlplug.testing import check_panels
from dlplug_multimodal.models.joint_embedding import JointEmbedding
from dlplug_multimodal.models.skip_gram import SkipGram

TEXT = "The cat ate a fish. A dog ate the bone! Two men saw six birds; six men saw two birds.\n" * 60
WORDS = ("--model", "skip-gram", "--data", "text-file", "--data.path", "text.txt", "--data.batch_size", "4")
IMAGES = ("--model", "joint-embedding", "--data.size=16", "--model.channels=[4,8]", "--model.hidden=16")
SHORT = ("--trainer.max_epochs=2", "--trainer.log_every_n_steps=2", "--trainer.check_val_every_n_epoch=1")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)


def test_word_vectors(fit, command, refused, tmp_path):
    run = fit(*WORDS, "--model.embedding_dim=8", "--model.lr=0.05", *SHORT)
    losses = [float(row["train/loss"]) for row in rows(run / "metrics.csv") if row["train/loss"]]
    assert losses[-1] < losses[0]
    assert command("test", run).returncode == 0
    assert "test/loss" in rows(run / "test.csv")[0]
    answer = command("generate", run, "--text", "Cat", "--analogy", "cat fish dog", "--export", "v.txt")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Cat: ")
    assert (tmp_path / "v.txt").read_text().startswith("12 8\n")
    assert "no vector was learned for sea" in refused("generate", run, "--text", "sea")
    model = SkipGram.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    assert model.generate(text="cat").text == model.generate(text="cat").text
    refused("fit", *WORDS, "--data.level=character", *SHORT)


def test_images_and_words(fit, command, tmp_path):
    run = fit(*IMAGES, *SHORT)
    check_panels(run)
    losses = [float(row["train/loss"]) for row in rows(run / "metrics.csv") if row["train/loss"]]
    assert losses[-1] < losses[0]
    assert command("test", run).returncode == 0
    assert float(rows(run / "test.csv")[0]["test/text_to_image@10"]) > 0
    PIL.Image.new("RGB", (20, 30), "red").save(tmp_path / "red.png")
    assert "," in command("generate", run, "--image", "red.png", "-n", "3").stdout
    for options in (("--text", "heart"), ("--image", "red.png", "--text", "blue heart")):
        made = command("generate", run, *options, "--out", "found.png")
        assert made.returncode == 0, made.stderr
        with PIL.Image.open(tmp_path / "found.png") as image:
            assert image.size[0] == image.size[1]  # 16 images, four a row
    model = JointEmbedding.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    assert model.gallery[0].dtype == torch.uint8
    assert len(model.gallery[0]) > 1000


def test_words_stay_where_a_file_puts_them(fit, command, tmp_path):
    listed = [*["red", "green", "blue", "heart", "face", "cat", "animal", "flag"]]
    lines = [f"{word} {' '.join(str(float(i == k)) for k in range(8))}" for i, word in enumerate(listed)]
    (tmp_path / "v.txt").write_text("\n".join(["8 8", *lines]) + "\n")
    run = fit(*IMAGES, "--model.loss=rank", "--model.word_vectors=v.txt", *SHORT)
    assert "has 8 of" in fit.said
    (tmp_path / "v.txt").unlink()  # what was trained needs it no more
    assert command("generate", run, "--text", "heart").returncode == 0


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
def test_two_processes_and_mixed_precision(fit_on_two):
    for model in (WORDS, IMAGES):
        run = fit_on_two(*model, "--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1")
        assert float(rows(run / "metrics.csv")[-1]["val/loss"]) > 0
