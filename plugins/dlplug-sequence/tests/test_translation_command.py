"""Translation through the real command, on few phrases."""

import csv

import pytest

from dlplug.testing import check_panels

PHRASES = ("--data", "phrases", "--data.size=400", "--data.kinds+=relative", "--data.kinds+=time", "--data.most=1")
SMALL = {
    "seq2seq": ("--model.hidden_size=64", "--model.embedding_dim=32", "--model.lr=1e-2"),
    "transformer": ("--model.d_model=32", "--model.num_heads=2", "--model.lr=5e-3"),
}


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", SMALL)
def test_fit_test_predict_and_translate(command, tmp_path, model):
    line = ("fit", "--model", model, *PHRASES, *SMALL[model], "--data.batch_size=16")
    short = ("--trainer.max_epochs=6", "--trainer.check_val_every_n_epoch=6", "--trainer.log_every_n_steps=5")
    few = tuple(f"--trainer.limit_{part}_batches=2" for part in ("val", "test", "predict"))
    result = command(*line, *short, *few)
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob(f"runs/{model}/*")
    if model == "transformer":
        check_panels(run)
    else:
        assert (run / "media" / "alignment 1").is_dir()
    losses = [float(row["train/loss"]) for row in rows(run / "metrics.csv") if row["train/loss"]]
    assert losses[-1] < 0.5 * losses[0]
    (tmp_path / "lines.txt").write_text("in 3 hours\n4:05 PM\n")
    answers = [command("generate", run, "--file", tmp_path / "lines.txt", "--num_beams", beams) for beams in ("1", "4")]
    assert all(answer.returncode == 0 and len(answer.stdout.splitlines()) == 2 for answer in answers)
    for args in (("test", run), ("predict", run)):
        assert command(*args).returncode == 0
    predicted = rows(run / "predictions.csv")
    assert {row["exact"] for row in predicted} <= {"0", "1"}
    assert any(row["translation"] for row in predicted)
    measured = {name: float(value) for name, value in rows(run / "test.csv")[0].items()}
    assert 5 < measured["test/chrf"] <= 100
    assert "num_beams" in command("generate", run, "--text", "a", "--num_beams", "0").stderr


def test_your_own_parallel_text(command, refused, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"one {word}\t一个{word}\n" for word in map(str, range(40))))
    line = ("--model", "seq2seq", "--data", "parallel-text", f"--data.path={path}", "--data.level=character")
    result = command("fit", *line, "--trainer.max_epochs=1", "--model.attention=none", "--model.hidden_size=16")
    assert result.returncode == 0, result.stderr
    path.write_text("one\tune\ntwo\n")
    assert "line 2" in refused("fit", *line)


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
@pytest.mark.parametrize("model", SMALL)
def test_two_processes_and_mixed_precision(fit_on_two, model):
    run = fit_on_two("--model", model, *PHRASES, *SMALL[model], "--trainer.max_epochs=1")
    assert 0 < float(rows(run / "metrics.csv")[-1]["val/loss"]) < 8
