"""Models on one ruler: rows over seeds, judges that apply, what is left out by name."""

import json
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import dlplug
from dlplug.__main__ import main
from dlplug.registry import Registry
from dlplug.runs import Run
from dlplug_share import compare
from dlplug_share.facts import interval

SHORT = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 2, "trainer.limit_val_batches": 1}
SHORT |= {"trainer.accelerator": "cpu", "data.batch_size": 32}
CNN = {**SHORT, "model.channels": [8], "model.hidden": 0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("runs"))
    for seed in (0, 1):
        dlplug.fit("cnn", "digits", {**CNN, "seed_everything": seed, "run": f"seed-{seed}"})
    dlplug.fit("cnn", "digits", {**CNN, "seed_everything": 0, "model.channels": [4], "run": "narrow"})
    dlplug.fit("gan", "digits", {**SHORT, "seed_everything": 0, "run": "gan"})
    yield {name: Run.open(name) for name in ("seed-0", "seed-1", "narrow", "gan")}
    patch.undo()


@pytest.fixture
def judged(monkeypatch):
    """Judges of the digits' that cost nothing: two of the core's, and one of a stranger's."""
    registry = Registry.discover()
    targets = ("dlplug.judges:classification", f"{__name__}:stranger", f"{__name__}:broken")
    spec = replace(registry.find("data", "digits"), judges=targets)
    find = Registry.find
    monkeypatch.setattr(Registry, "find", lambda *args: spec if args[1] == "data" else find(*args))
    monkeypatch.setattr(compare, "resolve_name", lambda target: JUDGES.get(target) or resolve(target))
    return spec


def stranger(run):
    """Count what `generate` draws."""
    return {"drawn": float(len(run.generate(n=3).pixels))}


def broken(run):
    raise KeyError("what")


resolve = compare.resolve_name
JUDGES = {f"{__name__}:{judge.__name__}": judge for judge in (stranger, broken)}


def test_runs_that_differ_by_seed_are_a_row_and_judges_apply_or_are_left_out_by_name(runs, judged, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in runs["seed-0"].path.rglob("*")}
    out = ("--json", tmp_path / "digits.json", "--out", tmp_path / "page.html")
    assert main(["compare", *runs, *map(str, out)]) == 0
    said = capsys.readouterr()
    found = json.loads((tmp_path / "digits.json").read_text())
    wide, narrow, gan = found["rows"]
    assert [row["label"] for row in found["rows"]] == ["cnn channels=[8]", "cnn channels=[4]", "gan"]
    assert [row["seeds"] for row in found["rows"]] == [[0, 1], [0], [0]]
    assert {path: path.stat().st_mtime_ns for path in runs["seed-0"].path.rglob("*")} == before
    accuracies = [dlplug.load(runs[name].path).test()["test/accuracy"] for name in ("seed-0", "seed-1")]
    assert wide["figures"]["classification"]["accuracy"]["values"] == accuracies
    assert wide["figures"]["classification"]["accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2)
    assert narrow["figures"]["cost"]["weights"]["mean"] < wide["figures"]["cost"]["weights"]["mean"]
    assert gan["figures"]["stranger"] == {"drawn": {"mean": 3.0, "interval": None, "values": [3.0]}}
    assert "stranger" not in wide["figures"]
    assert gan["left_out"]["classification"].startswith("its test measures no accuracy or ")
    assert "gan: broken left out: KeyError: 'what'" in said.err
    assert [line.split("|")[1] for line in said.out.splitlines() if line.startswith("| gan")] == [" gan "] * 2
    page = (tmp_path / "page.html").read_text()
    assert page.count('<img src="data:image/png') == 1
    assert "cnn channels=[8]" in page


def test_other_items_and_other_kinds_are_left_out(runs, judged, tmp_path):
    registry = Registry.discover()
    other = dlplug.fit("cnn", "digits", {**CNN, "data.fold": 1, "run": "fold"})
    rows = [
        compare.measure(each, judged, registry, tmp_path / str(n))
        for n, each in enumerate([runs["seed-0"], Run(other.path)])
    ]
    compare.refuse_other_items(rows)
    assert "accuracy" in rows[0]["figures"]["classification"]
    assert rows[1]["figures"] == {}
    assert "its test items are others" in rows[1]["left_out"]["all"]
    texts = replace(judged, gives="texts", name="letters")
    assert compare.measure(runs["gan"], texts, registry, tmp_path / "kind")["left_out"] == {
        "all": "it takes images, and letters gives texts"
    }


def test_bad_input_is_one_line(runs, tmp_path, capsys, monkeypatch):
    for args, expected in (
        (("--all", "--data", "bible"), "there are no trained runs on bible"),
        (("seed-0", "--data", "adding-problem"), "the data adding-problem names no judges"),
        (("nothing",), "nothing is not a run folder"),
    ):
        assert main(["compare", *args]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert expected in line


def test_intervals_are_students():
    assert interval([2.0]) == (2.0, None)
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(2.484, abs=1e-3)


def test_the_readmes_tables_are_those_of_the_numbers():
    root = Path(__file__).parents[3]
    spec = spec_from_file_location("tables", root / ".ci" / "tables.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    pages = [page.read_text() for page in root.glob("plugins/*/README.md")]
    assert sum(bool(module.PLACE.search(page)) for page in pages) == 1
    assert [module.filled(page) for page in pages] == pages
