"""A stranger's plugin, kept as it was written against 0.2: model, data, claim, logger and command go on working."""

import ast
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from distributions import ROOT, lay_out_project


@pytest.fixture(autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install it."""
    site = tmp_path_factory.mktemp("stranger") / "site"
    shutil.copytree(ROOT / "tests" / "stranger", site)
    lay_out_project(site, site)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


def test_all_that_it_offers_works(command, fit, refused):
    run = fit("--model=plane", "--data.slope=steep", "--logger=tape", "--note=kept", "--trainer.log_every_n_steps=2")
    config = (run / "config.yaml").read_text()
    assert "note: kept" in config
    assert "lr: 0.2" in config
    tape = (run / "tape.txt").read_text()
    assert "train/epochs_done" in tape
    assert "weights is 00000008.png, a Image\n" in tape
    assert (run / "media" / "rows").is_dir()

    for line in (("test", run), ("predict", run), ("report", run), ("fit", run, "--trainer.max_epochs=30")):
        result = command(*line)
        assert result.returncode == 0, result.stderr
    assert "test/loss" in (run / "test.csv").read_text()
    assert len((run / "predictions.csv").read_text().splitlines()) == 17
    assert len(command("generate", run, "-n", "3").stdout.splitlines()) == 3
    told = command("slope", run, "--digits", "0")
    assert (told.returncode, told.stdout) == (0, "2 -2\n")
    again = command("fit", "--model=plane", "--model.weights", run, "--trainer.max_epochs=1")
    assert "took 0, 1" in again.stderr

    assert "--digits must be at least 0, not -1" in refused("slope", run, "--digits=-1")
    assert "hidden_size must be at least 1, not 0" in refused("fit", "--model=plane", "--model.hidden_size=0")
    assert "slope must be gentle or steep" in refused("fit", "--model=plane", "--data.slope=flat")


def test_its_claim_holds(command):
    result = command("verify", "it-falls")
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith("holds  2.1 it-falls: Training lowers the loss.")


def test_its_cards_and_warnings(command):
    """Whatever goes, warns for a minor version first: nothing that it uses does today."""
    said = command("plugins")
    assert "stranger  stranger 1.0\n" in said.stdout
    for kind, name in (("model", "plane"), ("data", "points"), ("logger", "tape"), ("claim", "it-falls")):
        card = command("info", name)
        assert f"  {kind} of stranger 1.0, " in card.stdout
        assert card.stderr == ""
    assert "  slope RUN " in command("--help").stdout


PAGE = (ROOT / "docs" / "public.md").read_text()
PUBLIC = {
    (module, name)
    for module, names in re.findall(r"^\| `(dlplug[\w.]*)` \| (.*) \|$", PAGE, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", names)
}


def test_what_the_page_lists_is_there():
    assert len({module for module, _ in PUBLIC}) == 29
    assert [(module, name) for module, name in PUBLIC if not hasattr(import_module(module), name)] == []


def test_plugins_import_nothing_else():
    """Ours, the examples, this one; the guide's and the scaffolds' too."""
    sources = [
        *ROOT.glob("plugins/*/src/**/*.py"),
        *ROOT.glob("examples/**/*.py"),
        *ROOT.glob("tests/stranger/**/*.py"),
    ]
    used = {
        (node.module, alias.name)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "dlplug"
        for alias in node.names
    }
    for path in [ROOT / "CONTRIBUTING.md", *ROOT.glob("src/dlplug/commands/template/**/*.j2")]:
        for module, names in re.findall(r"^from (dlplug[\w.]*) import (.*)$", path.read_text(), re.MULTILINE):
            used |= {(module, name) for name in names.split(", ")}
    assert len(used) > 40
    assert used - PUBLIC == set()
