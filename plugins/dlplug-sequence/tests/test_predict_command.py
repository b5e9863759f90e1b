"""`dlplug predict RUN --input` of texts: lines, tables, folders and standard input, from what the run keeps alone."""

import csv
import os
import re

import pytest

from dlplug_sequence.data.parallel_text import ParallelText
from dlplug_sequence.data.text_table import TextTable

EPOCH = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2")
WORDS = ("fine", "bad", "day", "night", "film", "good")


def texts(count):
    return [
        f"a {WORDS[i % 6]} {WORDS[i // 6 % 6]} no{chr(97 + i % 26)}{chr(97 + i // 26)} number {i}" for i in range(count)
    ]


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def same(found, expected, columns):
    """Check that the rows say the same, in numbers up to what another padding changes."""
    assert len(found) == len(expected) > 3
    for new, old in zip(found, expected, strict=True):
        for column in columns:
            try:
                assert float(new[column]) == pytest.approx(float(old[column]), abs=1e-5)
            except ValueError:
                assert new[column] == old[column]


@pytest.mark.parametrize("model", ["bag-of-words", "rnn-classifier"])
def test_classifiers(model, fit, command, refused, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("label,review\n" + "".join(f'{"yn"[i % 2]},"{text}"\n' for i, text in enumerate(texts(60))))
    run = fit("--model", model, "--data=text-table", f"--data.path={table}", "--data.text=review", *EPOCH)
    assert "unknown to the vocabulary" in fit.said
    [shown] = run.glob("media/mistakes/*.csv")  # the true text, not what the model knows of it
    assert {row["text"] for row in rows(shown)} <= {*texts(60)}
    assert command("predict", run).returncode == 0
    expected = rows(run / "predictions.csv")
    test = [text for text, _ in TextTable(str(table), text="review").texts()["test"]]
    table.rename(tmp_path / "new.csv")  # the training file is gone
    (tmp_path / "lines.txt").write_text("\n".join(test))
    assert command("predict", run, "--input=lines.txt", "--output=o/lines.csv").returncode == 0
    found = rows(tmp_path / "o" / "lines.csv")
    assert [row["item"] for row in found] == [str(i + 1) for i in range(len(test))]
    same(found, expected, ("class", "confidence"))
    (tmp_path / "folder").mkdir()
    for i, text in enumerate(test):
        (tmp_path / "folder" / f"{i}.txt").write_text(text.replace(" a ", "\na "))
    assert command("predict", run, "--input=folder", "--top=2").returncode == 0
    found = rows(run / "predictions.csv")
    same(found, expected, ("class", "confidence"))
    assert {found[0]["class"], found[0]["class_2"]} == {"y", "n"}
    assert found[1]["item"] == "1.txt"
    assert command("predict", run, "--input=new.csv").returncode == 0
    assert len(rows(run / "predictions.csv")) == 60
    assert "has no column 'review'; it has " in refused(
        "predict", run, "--input", os.path.relpath(run, tmp_path) + "/metrics.csv"
    )
    (tmp_path / "none").mkdir()
    assert "none holds no file whose name ends in .txt" in refused("predict", run, "--input=none")
    # Bad lines are rows that say why; what is no text at all is refused.
    (tmp_path / "bad.txt").write_bytes(b"a fine day\n\n\xff\xfe\n")
    result = command("predict", run, "--input=bad.txt", "--output=-")
    assert [line.rpartition(",")[2] for line in result.stdout.splitlines()] == [
        "error",
        "",
        "the text is empty",
        "not UTF-8 (byte 0xff)",
    ]
    said = refused("predict", run, "--input=-", input=bytes(99))
    assert said == "dlplug: --input: standard input is not UTF-8 text: it holds bytes that are 0\n"


@pytest.mark.parametrize("model", ["seq2seq", "transformer"])
def test_translators(model, fit, command, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{text}\t{text.upper()}\n" for text in texts(60)))
    run = fit("--model", model, "--data=parallel-text", f"--data.path={path}", *EPOCH)
    assert command("predict", run).returncode == 0
    expected = rows(run / "predictions.csv")
    pairs = ParallelText(str(path)).pairs()
    path.unlink()
    (tmp_path / "new.txt").write_text("".join(f"{text}\n" for text, _ in pairs["test"]))
    (tmp_path / "new.tsv").write_text("".join("\t".join(pair) + "\n" for pair in pairs["test"]))
    for name in ("new.txt", "new.tsv"):
        assert command("predict", run, "--input", name).returncode == 0
        same(rows(run / "predictions.csv"), expected, ("translation", "score"))
    # The tables show the true text, which holds words that the model does not know.
    [shown] = run.glob("media/translations/*.csv")
    assert [row["text"] for row in rows(shown)] == [text for text, _ in pairs["val"]]


@pytest.mark.parametrize("model", ["rnn-lm", "transformer-lm", "markov"])
def test_language_models(model, fit, command, refused, tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(texts(300)))
    options = ("--data=text-file", "--data.batch_size=2", "--data.seq_len=16", "--trainer.max_epochs=1")
    run = fit("--model", model, *options)
    assert "a text has no items to predict: give some, a line each, as --input FILE" in refused("predict", run)
    (tmp_path / "text.txt").unlink()
    (tmp_path / "lines.txt").write_text("a fine day number 7\nxqzw zzqxv\na fine day number 7, and another day\n")
    result = command("predict", run, "--input=lines.txt", "--output=-")
    found = list(csv.DictReader(result.stdout.splitlines()))
    assert float(found[0]["perplexity"]) < float(found[1]["perplexity"])
    # A line's figures do not depend on those beside it.
    (tmp_path / "one.txt").write_text("a fine day number 7\n")
    [alone] = csv.DictReader(command("predict", run, "--input=one.txt", "--output=-").stdout.splitlines())
    assert float(alone["perplexity"]) == pytest.approx(float(found[0]["perplexity"]), rel=1e-4)
    assert float(alone["bits_per_char"]) > 0


def test_models_of_no_new_files_are_refused(fit, refused):
    run = fit("--model=rnn-regressor", "--data.sequences=64", "--data.seq_len=4", *EPOCH)
    said = refused("predict", run, "--input=.")
    assert re.search("rnn-regressor is no model of new files; these are: .*bag-of-words, .*transformer-lm", said)
    assert "skip-gram" not in said
