"""Language models through the real command, on a little text."""

import csv
import math
import random
import shutil
import string
from pathlib import Path

import pytest
import torch
import trouble

from dlplug.testing import check_panels
from dlplug_sequence.models.rnn_lm import RNNLM
from dlplug_sequence.models.rnn_regressor import RNNRegressor

CHINESE = "太初,神創造天地。地是空虛混沌,淵面黑暗;神的靈運行在水面上。\n神說:「要有光」,就有了光。\n" * 100
TINY = ("--data", "text-file", "--data.path", "text.txt", "--data.batch_size", "4", "--data.seq_len", "16")
RNN = ("--model", "rnn-lm", *TINY, "--model.hidden_size", "24", "--model.embedding_dim", "12")


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def text(tmp_path):
    (tmp_path / "text.txt").write_text(CHINESE)


def test_rnn_lm_learns_chinese_generates_and_loads_without_its_data(command, tmp_path):
    result = command("fit", *RNN, "--trainer.max_epochs", "4", "--trainer.log_every_n_steps", "5")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/rnn-lm/*")
    check_panels(run)
    bits = [float(row["val/bits_per_char"]) for row in rows(run / "metrics.csv") if row["val/bits_per_char"]]
    assert bits[-1] < 0.7 * bits[0]
    assert command("test", run).returncode == 0
    assert float(rows(run / "test.csv")[0]["test/perplexity"]) < 10
    (tmp_path / "text.txt").unlink()
    line = ("generate", run, "--prompt", "太初", "--length", "20", "--temperature", "0.5", "--top_k", "5")
    generated = command(*line)
    assert generated.returncode == 0, generated.stderr
    assert generated.stdout.startswith("太初")
    assert len(generated.stdout.strip()) >= 20
    assert command(*line).stdout == generated.stdout
    assert isinstance(RNNLM.load_from_checkpoint(run / "checkpoints" / "last.ckpt"), RNNLM)


def test_a_run_s_config_gives_the_same_run(command, tmp_path):
    assert command("fit", *RNN, "--trainer.max_epochs=2").returncode == 0
    [whole] = tmp_path.glob("runs/rnn-lm/*")
    again = ("fit", "-c", whole / "config.yaml", "--trainer.default_root_dir=again")
    assert command(*again).returncode == 0
    [same] = tmp_path.glob("again/rnn-lm/*")
    weights = [torch.load(r / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for r in (whole, same)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (whole / "metrics.csv").read_text() == (same / "metrics.csv").read_text()


def test_state_is_carried_over_a_preemption_within_an_epoch(command, tmp_path):
    shutil.copy(trouble.__file__, tmp_path)
    line = ("fit", *RNN, "--model.stateful=true", "--trainer.limit_train_batches=9", "--trainer.max_epochs=2")
    line = (*line, "--trainer.callbacks+=trouble.Trouble", "--trainer.log_every_n_steps=3", "--trainer.accelerator=cpu")
    assert command(*line, "--run=whole").returncode == 0
    assert command(*line, "--run=cut", TROUBLE="SIGTERM 0 14").returncode == 143
    whole, cut = (tmp_path / "runs" / "rnn-lm" / name for name in ("whole", "cut"))
    assert torch.load(cut / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 14
    assert command("fit", cut).returncode == 0
    assert (whole / "metrics.csv").read_text() == (cut / "metrics.csv").read_text()


GPT = Path(__file__).parents[3] / "configs" / "gpt-124m.yaml"
STEP = ("--data.path=text", "--data.batch_size=1", "--trainer.max_steps=1", "--trainer.accumulate_grad_batches=1")
STEP = (*STEP, "--trainer.limit_val_batches=0", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu")
NARROW = ("--model.num_layers=2", "--model.d_model=48", "--data.vocabulary_size=300", "--compile=aot_eager")
WHOLE = ("--compile=null", "--trainer.enable_checkpointing=false")
SLOW = pytest.mark.slow("a step of 124 million weights takes 3 GB; by day the same config is narrow")


@pytest.mark.parametrize("options", [NARROW, pytest.param(WHOLE, marks=SLOW)], ids=["narrow", "whole"])
def test_gpt_takes_a_step_on_a_folder_of_texts(command, tmp_path, options):
    (tmp_path / "text").mkdir()
    words = ["".join(random.Random(n).choices(string.ascii_lowercase, k=7)) for n in range(40_000)]  # many tokens
    (tmp_path / "text" / "1.txt").write_text(" ".join(3 * words) if options == WHOLE else CHINESE * 30)
    result = command("fit", "-c", GPT, *STEP, *options)
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/transformer-lm/*")
    [row] = [row for row in rows(run / "metrics.csv") if row["train/loss"]]
    vocabulary = 50257 if options == WHOLE else 300
    assert float(row["train/loss"]) == pytest.approx(math.log(vocabulary), rel=0.1)  # no token is likelier yet
    assert float(row["train/grad_norm"]) > 0


@pytest.mark.parametrize(
    "options",
    [
        ("--model", "transformer-lm", *TINY, "--model.d_model=16", "--model.num_layers=1", "--model.context_length=16"),
        (*RNN, "--model.cell=gru", "--model.tie_embeddings=true", "--data.level=bpe", "--data.vocabulary_size=300"),
        (*RNN, "--model.cell=irnn", "--data.level=word"),
    ],
)
def test_other_networks_and_levels_learn(command, tmp_path, options):
    result = command("fit", *options, "--trainer.max_epochs=3", "--trainer.log_every_n_steps=5")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/*/*")
    check_panels(run)
    bits = [float(row["val/bits_per_char"]) for row in rows(run / "metrics.csv") if row["val/bits_per_char"]]
    assert bits[-1] < bits[0]


def test_markov_counts_in_one_pass(command, tmp_path):
    line = ("fit", "--model", "markov", *TINY, "--model.order=4")
    result = command(*line)
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/markov/*")
    assert command("test", run).returncode == 0
    assert float(rows(run / "test.csv")[0]["test/bits_per_char"]) < 1
    generated = command("generate", run, "--prompt=神說", "--length=9")
    assert generated.returncode == 0, generated.stderr
    assert generated.stderr.count("\n") == 1


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
def test_two_processes_and_mixed_precision(fit_on_two):
    run = fit_on_two(*RNN, "--trainer.max_epochs=1")
    assert 0 < float(rows(run / "metrics.csv")[-1]["val/bits_per_char"]) < 7


def test_the_adding_problem_is_solved_where_it_is_short(command, tmp_path):
    line = (
        "--model=rnn-regressor",
        "--model.cell=irnn",
        "--model.lr=3e-3",
        "--data.seq_len=6",
        "--data.sequences=6400",
    )
    result = command("fit", *line, "--trainer.max_epochs=4", "--trainer.log_every_n_steps=20")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/rnn-regressor/*")
    check_panels(run)
    assert float(rows(run / "metrics.csv")[-1]["val/loss"]) < 0.03
    model = RNNRegressor.load_from_checkpoint(run / "checkpoints" / "last.ckpt", map_location="cpu").eval()
    told = model.demos()["Predict"]("0.3 1\n0.9 0\n0.5 0\n0.1 0\n0.4 1\n0.2 0").text
    assert abs(float(told) - 0.7) < 0.5
    for text in ("0.3 x", "1 2\n3", "1"):
        with pytest.raises(ValueError, match="numbers"):
            model.predict_sequence(text)
