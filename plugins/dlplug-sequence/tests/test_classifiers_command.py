"""Classifiers of texts through the real command, on a small table."""

import csv

import pytest

from dlplug.testing import check_panels


@pytest.fixture
def table(tmp_path):
    """Write texts whose class is told by the order of two words alone, each pair with the same bag."""
    path = tmp_path / "moods.csv"
    words = [f"{a}{b}" for a in "bdfgklmn" for b in ("ig", "ot", "un", "ex")]
    lines = [f"{i},so {w} {pair},{pair.split()[0]}" for i, w in enumerate(words) for pair in ("up down", "down up")]
    path.write_text("\n".join(["id,text,label", *lines * 2]) + "\n")
    return path


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def short(model, table):
    return ("--model", model, "--data", "text-table", f"--data.path={table}", "--data.min_count=1")


def test_fit_test_predict_and_classify(command, table, tmp_path):
    line = (*short("rnn-classifier", table), "--data.batch_size=8", "--model.word_dropout=0", "--model.lr=0.01")
    result = command("fit", *line, "--trainer.max_epochs=12", "--trainer.log_every_n_steps=3")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/rnn-classifier/*")
    check_panels(run)
    assert float(rows(run / "metrics.csv")[-1]["val/accuracy"]) == 1
    (tmp_path / "lines.txt").write_text("so big up down\nso fun down up\n")
    answer = command("generate", run, "--file", tmp_path / "lines.txt")
    assert [text.split("\t")[0] for text in answer.stdout.splitlines()[:2]] == ["up", "down"]
    for args in (("test", run), ("predict", run)):
        assert command(*args).returncode == 0
    assert 0.9 < float(rows(run / "test.csv")[0]["test/macro_recall"]) <= 1
    assert len(predicted := rows(run / "predictions.csv")) == 6
    assert {row["class"] for row in predicted} == {"up", "down"}


def test_a_bag_of_words_is_at_chance_where_order_decides(command, table, tmp_path):
    result = command("fit", *short("bag-of-words", table), "--trainer.max_epochs=3", "--trainer.log_every_n_steps=1")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/bag-of-words/*")
    check_panels(run)
    assert float(rows(run / "metrics.csv")[-1]["val/accuracy"]) < 0.9


def test_numbers_and_labels(fit, command, tmp_path):
    names = ("red", "round", "big")
    having = [[name for k, name in enumerate(names) if i >> k & 1] for i in range(64)]
    lines = [f"{' '.join(has)} thing {i},{len(has)}.5,{';'.join(has)}" for i, has in enumerate(having)]
    (tmp_path / "things.csv").write_text("\n".join(["text,size,tags", *lines]) + "\n")
    line = (*short("bag-of-words", tmp_path / "things.csv"), "--data.batch_size=8", "--trainer.max_epochs=20")
    run = fit(*line, "--data.label=size")
    check_panels(run)
    assert float(rows(run / "metrics.csv")[-1]["val/mae"]) < 0.5
    said = command("generate", run, "--text", "red round big thing").stdout
    assert float(said.split("\t")[0]) > 2.5
    run = fit(*line, "--data.label=tags", "--data.target=labels", "--model.class_weights=balanced")
    check_panels(run)
    assert float(rows(run / "metrics.csv")[-1]["val/map"]) > 0.9
    assert command("predict", run).returncode == 0
    assert {"item", "labels", *names} == set(rows(run / "predictions.csv")[0])
    assert command("generate", run, "--text", "big red").stdout.split("\t")[0] == "big; red"


def test_a_table_without_the_column_is_refused(refused, table):
    assert "no column 'mood'" in refused("fit", *short("bag-of-words", table), "--data.label=mood")


@pytest.mark.slow("half a minute for all models; by day cnn, gan and dqn train on two processes")
@pytest.mark.parametrize("model", ["bag-of-words", "rnn-classifier"])
def test_two_processes_and_mixed_precision(fit_on_two, table, model):
    run = fit_on_two(*short(model, table), "--trainer.max_epochs=1", "--data.batch_size=8")
    assert 0 < float(rows(run / "metrics.csv")[-1]["val/loss"]) < 2
