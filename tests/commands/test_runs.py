"""``dlplug runs``, and a run named by less than its path."""

import csv
import json
import os
import sys
import time
from pathlib import Path

import pytest

from dlplug import InputError
from dlplug.__main__ import main
from dlplug.commands import run as run_command
from dlplug.runs import Run, run_folders
from dlplug.runs_index import INDEX, read_entries

CONFIG = "seed_everything: {seed}\ntrainer:\n  max_epochs: {epochs}\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(name, model="cnn", loss=0.5, seed=0, options="", epochs=2, accuracy=None, **about):
    typed = f"dlplug fit --model {model} --data digits --seed_everything {seed} {options}".strip()
    kinds = {"model": {"name": model}, "data": {"name": "digits"}}
    text = CONFIG.format(seed=seed, epochs=2)
    run = Run.create(
        Path("runs") / model, text, {"commands": [typed], "monitor": ["val/loss", "min"], **kinds, **about}, name
    )
    rows = [f"{epoch},{epoch * 10 + 9},{loss + epochs - 1 - epoch},nan" for epoch in range(epochs)]
    (run.path / "metrics.csv").write_text("\n".join(["epoch,step,val/loss,train/loss", *rows, ""]))
    timing = [f"{epoch},{epoch * 10 + 9},30.5,9" for epoch in range(epochs)]
    (run.path / "timing.csv").write_text("\n".join(["epoch,step,seconds,batches_per_second", *timing, ""]))
    if accuracy is not None:
        (run.path / "test.csv").write_text(f"epoch,step,test/loss,test/accuracy\n2,19,{loss},{accuracy}\n")
    return run


def shown(capsys, *args):
    assert main(["runs", *args]) == 0
    return capsys.readouterr().out


def test_a_studys_best(here, capsys):
    for number, loss in enumerate((0.5, 0.2, 0.3)):
        make(f"trial{number}", loss=loss, study="st")
    make("apart", loss=0.1)
    out = shown(capsys, "--by", "study")
    assert [line.split()[0] for line in out.splitlines()] == ["name", "trial1"]
    assert out.splitlines()[1].split()[-2:] == ["st", "3"]
    assert shown(capsys, "st", "--columns", "name").split() == ["name", "trial2", "trial1", "trial0"]


def test_a_line_a_run_with_what_differs_from_the_recipe(here, capsys):
    make("one", accuracy=0.9, options="--model.lr 0.1 --trainer.max_epochs=2")
    make("two", model="vae", epochs=1)
    out = shown(capsys)
    head, *lines = out.splitlines()
    assert head.split()[:5] == ["name", "model", "data", "state", "epochs"]
    assert lines[0].split() == ["two", "vae", "digits", "stopped", "1/2", "0:30", "val/loss", "0.5"]
    assert "test/accuracy 0.9  model.lr=0.1 trainer.max_epochs=2" in lines[1]
    assert " done " in lines[1]
    assert shown(capsys, "vae").count("\n") == 2
    assert shown(capsys, "lr=0.1", "digits").splitlines()[1].startswith("one")
    assert main(["runs", "nothing"]) == 0
    assert "mentions 'nothing'" in capsys.readouterr().err


def test_sorting_best_columns_and_formats(here, capsys):
    for name, loss in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
        make(name, loss=loss)
    make("d", model="vae")
    assert [line.split()[0] for line in shown(capsys, "cnn", "--sort", "val/loss").splitlines()[1:]] == ["b", "c", "a"]
    assert [line.split()[0] for line in shown(capsys, "--best").splitlines()[1:]] == ["d", "b"]
    assert shown(capsys, "--columns", "name,val/loss", "--sort", "val/loss").splitlines()[1].split() == ["b", "0.1"]
    rows = json.loads(shown(capsys, "--json"))
    assert {row["name"]: row["val/loss"] for row in rows}["c"] == pytest.approx(0.2)
    assert rows[0]["train/loss"] is None  # JSON has no NaN
    assert [row["name"] for row in csv.DictReader(shown(capsys, "--csv").splitlines())] == ["d", "c", "b", "a"]
    with pytest.raises(InputError, match="did you mean 'val/loss'"):
        run_command(["runs", "--sort", "val/los"])


def test_a_narrow_terminal_shows_what_was_measured(here, capsys, monkeypatch):
    make("2026-01-01_10-00-00", model="multimodal-dbm", loss=0.1234, accuracy=0.9)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    head, line = shown(capsys).splitlines()
    assert head.split() == ["name", "model", "state", "monitored", "test"]
    assert "val/loss 0.1234  test/accuracy 0.9" in line
    assert len(line) <= 80


def test_numbers_are_sorted_as_numbers_and_those_that_are_none_come_last(here, capsys):
    for name, loss, epochs in (("a", "nan", 9), ("b", 0.5, 10), ("c", 0.4, 2)):
        rows = "".join(f"{epoch},{epoch},{loss}\n" for epoch in range(epochs))
        path = make(name).path
        (path / "metrics.csv").write_text(f"epoch,step,val/loss\n{rows}")
        (path / "timing.csv").write_text("epoch,seconds\n" + "0,30\n" * epochs)
    for column, order in (("epochs", "cab"), ("time", "cab"), ("monitored", "cba"), ("val/loss", "cba")):
        lines = shown(capsys, "--columns", "name", "--sort", column).splitlines()[1:]
        assert "".join(lines) == order, column
    with open(path / "metrics.csv", "a") as file:
        file.write("2,2,nan\n")
    assert {entry.name: entry.best for entry in read_entries(here / "runs")} == {"a": None, "b": 0.5, "c": 0.4}


def test_means_over_seeds(here, capsys):
    for seed, loss in enumerate((0.1, 0.2, 0.3)):
        make(f"s{seed}", loss=loss, seed=seed, accuracy=1 - loss)
    make("other", options="--model.lr 1", seed=1)
    out = shown(capsys, "--by", "config")
    assert "val/loss 0.2 ± 0.1" in out
    assert "test/accuracy 0.8 ± 0.1" in out
    assert len(out.splitlines()) == 3


def test_the_index_holds_while_the_files_do(here):
    run = make("one")
    assert read_entries(here / "runs")[0].best == 0.5
    index = here / "runs" / INDEX
    before = index.stat().st_mtime_ns
    read_entries(here / "runs")
    assert index.stat().st_mtime_ns == before
    with open(run.path / "metrics.csv", "a") as file:
        file.write("2,29,0.25,1\n")
    assert read_entries(here / "runs")[0].best == 0.25
    for content in ("{", "[]", '{"version": 1, "entries": {"cnn/one": 3}}'):
        index.write_text(content)
        assert read_entries(here / "runs")[0].best == 0.25


def test_damaged_runs_and_links_are_no_end(here):
    run = make("one")
    (run.path / "about.json").write_text('{"monitor": 3, "model": {"name": 7}, "commands": ["dlplug \'"]}')
    (run.path / "metrics.csv").write_bytes(b"\0\xff,\n3")
    (here / "runs" / "loop").symlink_to(here / "runs")
    Run.create(here / "runs" / "verify" / "claim" / "cnn", "", {}, "of-a-claim")
    assert [*run_folders(here / "gone")] == []
    [entry] = read_entries(here / "runs")
    assert entry.model == "7"
    assert entry.best is None


def test_how_a_run_ended(here):
    assert read_entries(make("one", state="failed").path.parent)[0].state == "failed"
    run = make("two", epochs=1)
    with run.lock():
        assert {entry.name: entry.state for entry in read_entries(here / "runs")}["two"] == "running"
    assert {entry.name: entry.state for entry in read_entries(here / "runs")}["two"] == "stopped"


def test_notes(here, capsys):
    run = make("one")
    assert main(["runs", "note", "one", "the", "best"]) == 0
    assert run.about["note"] == "the best"
    (run.path / "about.json").write_text('{"panels": {"of": "a later version"}}')
    assert main(["runs", "note", "one", "the", "best"]) == 0
    assert json.loads((run.path / "about.json").read_text())["panels"] == {"of": "a later version"}
    run.say_of_itself(commands=["dlplug fit"])
    assert run.about["commands"]
    assert "one" in shown(capsys, "best")


def test_removing_asks_and_follows_no_link(here, capsys, monkeypatch):
    one, two = make("one"), make("two")
    for line, message in (
        (["runs", "rm", "on"], "name the run in full, runs/cnn/one"),
        (["runs", "rm", "one"], "say --yes"),
        (["runs", "rm"], "needs a run"),
    ):
        assert main(line) == 2
        assert message in capsys.readouterr().err
    (here / "runs" / "cnn" / "link").symlink_to(two.path.absolute())
    assert main(["runs", "rm", "runs/cnn/link", "--yes"]) == 2
    assert "is a link" in capsys.readouterr().err
    with two.lock():
        assert main(["runs", "rm", "one", "two", "--yes"]) == 2  # all or none
    assert one.path.exists()
    assert main(["runs", "rm", "one", "runs/cnn/one", "--yes"]) == 0
    assert not one.path.exists()
    assert two.path.exists()


def test_a_run_is_a_path_a_name_a_beginning_or_the_last(here):
    one, two = make("2026-01-01"), make("2026-01-02", model="vae")
    os.utime(one.config, ns=(time.time_ns(), time.time_ns()))
    for name, run in (
        ("runs/cnn/2026-01-01", one),
        ("2026-01-02", two),
        ("2026-01-01", one),
        ("last", one),
    ):
        assert Run.open(name).path.resolve() == run.path.resolve()
    with pytest.raises(InputError, match="2026 may be 2 runs: runs/cnn/2026-01-01, runs/vae/2026-01-02"):
        Run.open("2026")
    with pytest.raises(InputError, match="there is no such folder"):
        Run.open("2027")


def test_a_page_of_runs_and_a_report_of_a_folder(here, capsys):
    make("one", options="--model.note '<b>'")
    make("two")
    (here / "runs" / "cnn" / "one" / "report.html").write_text("")
    page = shown(capsys, "--html", "all.html").strip()
    html = (here / page).read_text()
    assert 'href="runs/cnn/one/report.html"' in html
    assert "model.note=&lt;b&gt;" in html
    make("three", model="vae", loss=0.1)
    html = (
        here / shown(capsys, "--html", "all.html", "--sort", "val/loss", "--columns", "seed,val/loss").strip()
    ).read_text()
    assert html.index(">three<") < html.index(">one<")
    assert "<td>0.1</td>" in html
    assert "<button>model" not in html
    html = (here / shown(capsys, "--html", "all.html", "--by", "config").strip()).read_text()
    assert html.count('<th scope="row">') == 3
    assert main(["runs", "--html", "runs"]) == 2
    assert "cannot write runs: Is a directory" in capsys.readouterr().err
    with pytest.raises(InputError, match="not allowed with"):
        run_command(["runs", "--json", "--csv"])
    assert main(["report", "runs/cnn", "--out", "both.html"]) == 0
    assert (here / "both.html").read_text().count("runs/cnn/") >= 2
