"""The report as HTML; what it does in a browser is in test_report_browser.py."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import own
import pytest
from reports import CARD, PANELS, Page, losses, make_run, picture, write_csv

from dlplug import InputError
from dlplug.commands import run as dlplug
from dlplug.panels import COMMON
from dlplug.report import curves, frames
from dlplug.report.page import write, write_report
from dlplug.runs import Run

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def report(tmp_path):
    """Write the report of run folders and read it."""

    def report(*folders):
        return Page(write([Run(folder) for folder in folders], tmp_path / "page.html"))

    return report


def test_panels_in_their_sections_then_what_no_panel_names(report, tmp_path):
    run = make_run(tmp_path / "run", losses())
    picture(run / "media" / "samples" / "00000040.png", caption="four nets")
    picture(run / "media" / "attention" / "00000040.png")
    page = report(run)
    sections = page.texts("h2")[:4]
    assert sections == ["Losses", "Pictures", "Other metrics", "Other media"]
    titles = page.texts("h3")
    assert titles[:4] == ["The loss", "Samples", "lr", "attention"]
    assert "Absent" not in titles
    notes = page.texts("p", class_="note")
    assert notes[:2] == ["Healthy: it falls.", "Healthy: sharp."]
    assert "“lr”" in notes[2]
    assert page.texts("figcaption") == ["four nets"]


def test_metrics_of_a_model_without_panels_come_first(report, tmp_path):
    common = [{**panel.to_dict(), "note": "of another version"} for panel in COMMON]
    page = report(make_run(tmp_path / "run", losses(), common))
    assert page.texts("h2")[:2] == ["Metrics", "Training"]
    assert page.texts("h3")[:2] == ["loss", "Learning rate"]


def test_train_val_and_test_share_a_plot(report, tmp_path):
    run = make_run(tmp_path / "run", losses())
    write_csv(run / "test.csv", [{"epoch": 0, "step": 0, "test/loss": 2.5}])
    loss = report(run).charts[0]
    assert [trace["name"] for trace in loss] == ["train", "val", "test"]
    train, val, test = loss
    assert train["x"] == list(range(1, 41))
    assert train["y"][:2] == [100, 50]
    assert val["x"] == [10, 20, 30, 40]
    assert (test["x"], test["y"]) == ([0, 40], [2.5, 2.5])


def test_curves_over_the_models_own_axis(report, tmp_path):
    rows = losses(epochs=2)
    for row in rows[::5]:  # not every row counts
        row["train/env_steps"] = 8 * (row["step"] + 1)
    run = make_run(tmp_path / "run", rows, axis="train/env_steps")
    page = report(run)
    train, val = page.charts[0]
    assert train["x"] == [8] * 5 + [48] * 5 + [88] * 5 + [128] * 5
    assert val["x"] == [48, 128]
    assert page.all("html", data_axis="env_steps")
    assert "env_steps" not in page.texts("h3")  # a curve over itself
    without = make_run(tmp_path / "other" / "run", rows)
    assert report(run, without).all("html", data_axis="env_steps or step")


def test_head_says_how_far_it_came_and_the_best(report, tmp_path):
    rows = losses(3)
    rows[15]["val/loss"] = 0.5
    page = report(make_run(tmp_path / "run", rows, monitor=["val/loss", "min"]))
    tiles = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert tiles["epoch"] == "3 of 4"
    assert tiles["steps"] == "30"
    assert tiles["val/loss"] == "4 best 0.5 at step 16"
    assert page.texts("h1") == ["net on points"]
    assert page.texts("td", class_="n best") == ["0.5"]


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({"env": "CartPole-v1"}, "CartPole-v1"),
        ({"root": "my/pictures"}, "points pictures"),
        ({"path": "a.tsv"}, "points a.tsv"),
        ({"root": "data", "download": False}, "points"),  # what is downloaded is the same everywhere
    ],
)
def test_head_and_title_name_the_data(report, tmp_path, options, data):
    page = report(make_run(tmp_path / "run", losses(), config={"data": {"init_args": options}}))
    assert page.texts("h1") == [f"net on {data}"]
    assert page.texts("title") == [f"net on {data} · run"]


def test_panels_say_whether_they_find_what_they_expect(report, tmp_path):
    panel = {"section": "s", "note": "n", "curves": ["loss"]}
    panels = [{**panel, "title": "A", "expect": ["loss falls"]}, {**panel, "title": "B", "expect": ["loss < 2.6"]}]
    page = report(make_run(tmp_path / "run", losses(), panels))
    assert page.texts("h3")[:2] == ["A as expected", "B"]
    assert page.texts("p", class_="problem") == ["val/loss ends at 3, not below 2.6."]
    assert page.texts("li") == ["B: val/loss ends at 3, not below 2.6."]
    [link] = [a["href"] for _, a, text in page.all("a") if text == "B"]
    assert page.texts("article", id=link[1:])[0].startswith("B n val/loss ends")


def test_time_is_that_of_timing_csv(report, tmp_path):
    run = make_run(tmp_path / "run", losses())
    write_csv(
        run / "timing.csv", [{"epoch": e, "step": e * 10, "seconds": 50, "batches_per_second": 7} for e in range(4)]
    )
    page = report(run)
    assert dict(zip(page.texts("dt"), page.texts("dd"), strict=True))["time"] == "3 min 20 s"
    assert "Speed" in page.texts("h2")


def test_run_that_was_killed_before_it_logged(report, tmp_path):
    run = make_run(tmp_path / "run")
    page = report(run)
    assert page.texts("h1") == ["A run"]
    assert "logged nothing yet" in page.texts("p", class_="notice")[0]
    assert page.texts("code")[-1] == f"dlplug fit -c {run}/config.yaml"
    assert "max_epochs: 4" in page.texts("details")[0]
    assert page.charts == []


def test_unreadable_files_cost_themselves_alone(report, tmp_path):
    run = make_run(tmp_path / "run", losses())
    (run / "about.json").write_text("{")
    (run / "config.yaml").write_text("a: [")
    picture(run / "media" / "samples" / "00000001.png")
    whole = (run / "media" / "samples" / "00000001.png").read_bytes()
    (run / "media" / "samples" / "00000002.png").write_bytes(whole[:-20])
    (run / "media" / "samples" / "00000003.png").write_bytes(b"")
    (run / "media" / "samples" / "notes.txt").write_text("no step")
    (run / "media" / "figure").mkdir()
    (run / "media" / "figure" / "00000001.json").write_text("[1]")
    page = report(run)
    problems = page.texts("p", class_="problem")
    assert len(problems) == 3
    assert all("cannot be read" in problem for problem in problems)
    assert len(page.all("img")) == 1
    assert len(page.charts) == 2


def test_torn_last_line_is_left_out_and_lost_values_are_counted(report, tmp_path):
    rows = losses()
    for step in (20, 21):
        rows[step]["train/loss"] = "nan"
    rows[22]["train/loss"] = "-inf"
    run = make_run(tmp_path / "run", rows)
    with open(run / "metrics.csv", "a") as file:
        file.write("4,40,3.1")
    page = report(run)
    assert page.charts[0][0]["x"] == [*range(1, 21), *range(24, 41)]
    [problem] = page.texts("p", class_="problem")
    assert problem == "3 of 40 values of train/loss are not finite, the first at step 21."


def test_fast_and_careful_parsing_agree(tmp_path):
    run = make_run(tmp_path / "run", losses())
    path = run / "metrics.csv"
    fast, starts = curves.read(path)
    path.write_text(path.read_text() + "5,50,what,,\n6,60\n7,70,1,2,3\n")
    careful, _ = curves.read(path)
    assert starts.tolist() == [1, 11, 21, 31]
    for a, b in zip(fast, careful, strict=True):
        assert (a.column, b.lost) == (b.column, 0)
        assert np.array_equal(a.values, b.values[:-1])
        assert b.steps[-1] == 71


@pytest.mark.parametrize("size", [1500, 300])
def test_large_file_is_read_in_parts(tmp_path, monkeypatch, size):
    run = make_run(tmp_path / "run", losses(10))
    whole, starts = curves.read(run / "metrics.csv")
    monkeypatch.setattr(curves, "CHUNK", size)
    parts, starts_of_parts = curves.read(run / "metrics.csv")
    assert np.array_equal(starts, starts_of_parts)
    for a, b in zip(whole, parts, strict=True):
        assert a.column == b.column
        assert np.array_equal(a.steps, b.steps)
        assert np.array_equal(a.values, b.values)


def test_thin_keeps_extremes_and_ends():
    values = np.random.default_rng(0).normal(size=100_003)
    values[[17, 50_000]] = -100, 100
    chosen = curves.thin(values, 1000)
    assert len(chosen) <= 1002
    assert {0, 17, 50_000, 100_002} <= set(chosen)
    assert (np.diff(chosen) > 0).all()
    assert curves.thin(values[:1000], 1000).tolist() == list(range(1000))


def test_media_are_thinned_to_a_budget(report, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", losses())
    for step in range(100):
        picture(run / "media" / "samples" / f"{step:08d}.png")
    (run / "media" / "words").mkdir()
    (run / "media" / "words" / "00000000.txt").write_text("hello")
    monkeypatch.setattr(frames, "BYTES", 10 * (run / "media" / "samples" / "00000000.png").stat().st_size)
    page = report(run)
    steps = [attributes["data-step"] for _, attributes, _ in page.all("figure")]
    assert steps == ["0", "12", "25", "37", "50", "62", "74", "87", "99", "0"]
    [hint] = [hint for hint in page.texts("p", class_="hint") if "steps" in hint]
    assert hint == f"9 of 100 steps are on this page; all of them are in {run}/media/samples."
    [slider] = page.all("input", type_="range")
    assert (slider[1]["max"], slider[1]["value"], slider[1]["aria-valuetext"]) == ("8", "8", "step 99")
    assert page.texts("output") == ["step 99"]


def test_every_kind_of_medium(report, tmp_path):
    run = make_run(tmp_path / "run", losses())
    media = run / "media"
    for key in ("film", "tone", "words", "table", "figure"):
        (media / key).mkdir(parents=True)
    import torch
    from PIL import Image

    from dlplug.media import Audio

    reds = [Image.new("RGB", (4, 4), (n, 0, 0)) for n in (0, 255)]
    reds[0].save(media / "film" / "00000001.gif", save_all=True, append_images=reds[1:])
    (media / "tone" / "00000001.wav").write_bytes(Audio(torch.zeros(8), 8000).encode())
    (media / "words" / "00000001.txt").write_text("to be\nor not")
    (media / "table" / "00000001.csv").write_text("a,b\n" + "1,x\n" * 300)
    figure = {"data": [{"type": "bar", "y": [1, float("nan")]}], "layout": {"title": {"text": "bars"}}}
    (media / "figure" / "00000001.json").write_text(json.dumps(figure))
    page = report(run)
    [film] = page.all("img")
    assert film[1]["src"].startswith("data:image/gif;base64,")
    [tone] = page.all("audio")
    assert tone[1]["src"].startswith("data:audio/wav;base64,")
    assert "to be or not" in page.texts("pre")
    assert len([cell for cell in page.texts("td") if cell == "x"]) == 200
    assert page.texts("figcaption") == [f"The first 200 of 300 rows of {media}/table/00000001.csv."]
    assert {"data": [{"type": "bar", "y": [1, None]}], "layout": figure["layout"]} in page.data


def test_several_runs_side_by_side(report, tmp_path):
    one = make_run(tmp_path / "one", losses(), monitor=["val/loss", "min"])
    rows = [{**row, "val/loss": row["val/loss"] and row["val/loss"] / 2} for row in losses()]
    config = {"trainer": {"max_epochs": 4}, "model": {"init_args": {"lr": 0.2}}}
    two = make_run(tmp_path / "two", rows, config=config, monitor=["val/loss", "min"])
    for run in (one, two):
        for step in (1, 2):
            picture(run / "media" / "samples" / f"{step:08d}.png")
    page = report(one, two, one)
    assert page.texts("h1") == ["net on points, 2 runs"]
    loss = page.charts[0]
    assert [(t["run"], t["name"], t["colour"]) for t in loss] == [
        ("one", "train", 0), ("one", "val", 0), ("two", "train", 1), ("two", "val", 1)
    ]  # fmt: skip
    assert page.texts("h4", class_="run") == ["one", "two"]
    assert len(page.all("input", type_="range")) == 2
    assert page.texts("table", id="options")[0].endswith("model.lr0.10.2")
    assert "max_epochs" not in page.texts("table", id="options")[0]
    assert page.texts("td", class_="n best") == ["1.5 best 1.5"]


def test_comparison_begins_with_differences_and_tests(report, tmp_path):
    runs = [make_run(tmp_path / name, losses()) for name in "ab"]
    for run, loss in zip(runs, (3, 2), strict=True):
        write_csv(run / "test.csv", [{"epoch": 0, "step": 0, "test/loss": loss}])
    page = report(*runs)
    assert page.texts("h2")[:3] == ["Differences", "Test", "Losses"]
    assert page.texts("section", id="tests")[0].endswith("test/loss (dlplug test) 3 2")
    assert page.texts("td", class_="n best") == ["2"]
    assert "dlplug test" not in page.texts("section", id="numbers")[0]


def test_runs_that_nobody_named_are_called_by_what_differs(report, tmp_path):
    def runs(*configs):
        names = [f"2026-01-01_00-00-0{n}" for n in range(len(configs))]
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        return [
            make_run(tmp_path / "runs" / name, losses(), config=config, model={"name": config.pop("name", "net")})
            for name, config in zip(names, configs, strict=True)
        ]

    def labels(*configs):
        return [trace["run"] for trace in report(*runs(*configs)).charts[0][::2]]

    lr = [{"model": {"init_args": {"lr": lr, "width": 8}}} for lr in (0.1, 0.2)]
    assert labels(*lr) == ["lr 0.1", "lr 0.2"]
    assert labels({"name": "a", **lr[0]}, {"name": "b", **lr[1]}) == ["a", "b"]
    assert labels(*lr, {**lr[1], "seed_everything": 1}) == ["lr 0.1", "lr 0.2", "lr 0.2 seed_everything 1"]
    assert labels(lr[0], lr[0]) == ["2026-01-01_00-00-00", "2026-01-01_00-00-01"]


def test_runs_of_one_name_are_called_by_their_paths(report, tmp_path):
    runs = [make_run(tmp_path / model / "run", losses()) for model in ("a", "b")]
    assert {trace["run"] for trace in report(*runs).charts[0]} == {str(run) for run in runs}


def evil_run(folder):
    """A run that says ``EVIL`` wherever a run can say something."""
    card = dict.fromkeys(CARD, EVIL)
    panels = [
        {"section": EVIL, "title": EVIL, "note": EVIL, "curves": [EVIL, "b"], "media": ""},
        {"section": EVIL, "title": EVIL, "note": EVIL, "curves": [], "media": EVIL},
    ]
    rows = [{"epoch": 0, "step": n, f"train/{EVIL}": n, "val/b": n, f"val/{EVIL}x": n} for n in range(3)]
    rows += [{"epoch": 0, "step": 3, f"train/{EVIL}": "nan"}]
    config = {"trainer": {EVIL: EVIL, "max_epochs": EVIL}, "here": str(folder)}
    run = make_run(folder, rows, panels, config, card, data=card, commands=[EVIL], versions={EVIL: EVIL})
    write_csv(run / "test.csv", [{"epoch": 0, "step": 0, f"test/{EVIL}": 1}])
    key = EVIL.replace("/", "%2F")
    picture(run / "media" / key / "00000001.png", caption=EVIL)
    (run / "media" / key / "00000002.txt").write_text(EVIL)
    (run / "media" / key / "00000003.csv").write_text(f"{EVIL},b\n{EVIL},{EVIL}\n")
    figure = {"data": [{"type": "bar", "y": [1], "name": EVIL}], "layout": {"title": {"text": EVIL}}}
    (run / "media" / key / "00000004.json").write_text(json.dumps(figure))
    (run / "media" / key / "00000005.png").write_bytes(b"")
    return run


def test_everything_from_a_run_is_escaped(report, tmp_path):
    name = "<script>alert(1)<!--<img src=x onerror=alert(1)>"
    runs = [evil_run(tmp_path / name), evil_run(tmp_path / f"{name}2")]
    for page in (report(runs[0]), report(*runs)):
        assert "alert(1)" in page.html
        assert len([script for script in page.all("script") if "type" not in script[1]]) == 2
        assert all(attributes.get("src", "data:").startswith("data:") for _, attributes, _ in page.elements)
        assert not [name for _, attributes, _ in page.elements for name in attributes if name.startswith("on")]
        assert any(EVIL in json.dumps(data) for data in page.data)
        assert EVIL in page.texts("pre")
        assert EVIL in page.texts("td")
        assert EVIL in page.texts("h3")


def test_nothing_is_loaded_and_only_our_scripts_run(report, tmp_path):
    page = report(make_run(tmp_path / "run", losses()))
    links = {attributes.get(name) for _, attributes, _ in page.elements for name in ("src", "href", "action", "srcset")}
    assert all(link is None or link.startswith(("#", "data:")) for link in links)
    assert not page.all("link")
    assert not re.search(r"@import|url\(", page.all("style")[0][2])
    [policy] = [a["content"] for _, a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    scripts = [text for _, attributes, text in page.all("script") if "type" not in attributes]
    assert len(scripts) == 2
    for script in scripts:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        make_run(tmp_path / name, losses())
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert (
        dlplug(["report", "a"])
        == dlplug(["report", "a", "b", "--open"])
        == dlplug(["report", "b", "--out", "folder/b.html"])
        == 0
    )
    assert capsys.readouterr().out.split() == ["a/report.html", "report.html", "folder/b.html"]
    before = (tmp_path / "report.html").read_bytes()
    assert dlplug(["report", "b", "a"]) == dlplug(["report", "b", "a"]) == dlplug(["report", "a"]) == 0
    assert capsys.readouterr().out.split() == ["report-2.html", "report-3.html", "a/report.html"]
    assert (tmp_path / "report.html").read_bytes() == before
    assert all((tmp_path / path).is_file() for path in ("a/report.html", "report.html", "folder/b.html"))
    assert opened == [(tmp_path / "report.html").as_uri()]


def test_refusals(tmp_path):
    run = str(make_run(tmp_path / "run", losses()))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="nowhere is not a run folder"):
        dlplug(["report", run, "nowhere"])
    with pytest.raises(InputError, match="cannot write .*/file/page.html: "):
        dlplug(["report", run, "--out", str(tmp_path / "file" / "page.html")])
    with pytest.raises(InputError, match="--opne"):
        dlplug(["report", run, "--opne"])


def test_panels_of_another_version_are_left_out(report, tmp_path):
    panels = [{**PANELS[0], "colour": "red"}, "words", PANELS[0]]
    assert report(make_run(tmp_path / "run", losses(), panels)).texts("h3")[0] == "The loss"


def test_writing_again_replaces_the_page(tmp_path):
    run = Run(make_run(tmp_path / "run", losses(2)))
    assert "2 of 4" in write_report(run).read_text()
    write_csv(run.path / "metrics.csv", losses(3))
    assert "3 of 4" in write_report(run).read_text()


def test_fit_and_test_write_it_and_one_that_fails_costs_a_line(command, patched_command, tmp_path, monkeypatch):
    shutil.copy(Path(own.__file__), tmp_path)
    model = ("--model", "own.OwnModel", "--data", "own.OwnData", "--trainer.max_epochs", "1")
    fitted = command("fit", *model)
    [run] = tmp_path.glob("runs/*/*")
    assert f"report: {run.relative_to(tmp_path)}/report.html" in fitted.stderr
    assert ["train", "val"] in [[trace["name"] for trace in chart] for chart in Page(run / "report.html").charts]
    assert command("test", run).returncode == 0
    assert ["train", "val", "test"] in [
        [trace["name"] for trace in chart] for chart in Page(run / "report.html").charts
    ]

    def full(run):
        raise OSError("the disk is full")

    monkeypatch.setattr("dlplug.training.cli.write_report", full)
    fitted = patched_command("fit", *model)
    assert fitted.returncode == 0
    assert "warning: there is no report: OSError: the disk is full\n" in fitted.stderr
    assert "Traceback" not in fitted.stderr
    assert "report: runs" not in fitted.stderr
