"""What the documents tell a person to type."""

import csv
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from distributions import lay_out

from dlplug.commands import COMMANDS as TABLE
from dlplug.commands import OWN_PARSER
from dlplug.registry import Registry
from dlplug.registry.job import expand

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {str(page.relative_to(ROOT)): re.findall(r"^dlplug (.*)$", page.read_text(), re.MULTILINE) for page in PAGES}
PLUGINS = "".join(path.read_text() for path in ROOT.glob("plugins/*/src/*/plugin.py"))
OFFERED = re.findall(r'CommandSpec\(\s*"([a-z-]+)"', PLUGINS)
SHORT = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1")


@pytest.mark.parametrize("page", [page for page, commands in COMMANDS.items() if commands])
def test_commands_of_the_pages(page, command, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    assert len(COMMANDS["README.md"]) >= 11
    if page == "README.md":  # which says `photos`, and means the reader's
        assert command("sample", "image-folder", "photos").returncode == 0
        shutil.copytree(tmp_path / "photos", tmp_path / "new-photos")
    # What the README says too is run for it, but for a fit that what follows needs.
    lines = [
        line for line in COMMANDS[page] if page == "README.md" or "fit" in line or line not in COMMANDS["README.md"]
    ]
    for line in lines:
        args = line.split()
        # One serves until it is stopped, the other takes gigabytes: tests of their plugins do both.
        if args[0] == "play" or "configs/gpt-124m.yaml" in args:
            continue
        if "RUN" in args:
            args[args.index("RUN")] = str(max(tmp_path.glob("runs/*/*/config.yaml"), key=os.path.getmtime).parent)
            args = [arg for arg in args if arg != "60"]
            args = [f"{arg}=2" if arg == "--trainer.max_epochs" else arg for arg in args]
        elif args == ["verify", "3.1"]:
            args = ["verify", "layer-sizes", "output-size"]  # those of its claims that train nothing
        elif args[0] == "fit" and "--help" not in args:
            args += SHORT
        elif args[0] == "tune":
            args += [*SHORT, "--trials=1"]
        result = command(*args)
        assert result.returncode == 0, (line, result.stderr)


def test_python_of_the_pages(tmp_path, monkeypatch):
    blocks = [
        re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
        for page in ("docs/python.md", "README.md")
    ]
    assert set(blocks[1][0].splitlines()) <= set(blocks[0][0].splitlines())
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    module = ModuleType("pages")  # where what the page defines is found again
    monkeypatch.setitem(sys.modules, "pages", module)
    for block in blocks[0]:
        exec(block, module.__dict__)
    assert list(module.run.predict(module.x[:3])["prediction_0"]) == pytest.approx(
        module.run.model.layer(module.x[:3]).flatten().tolist(), abs=1e-6
    )


def test_the_learning_rate_finder_of_the_page(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "own-data.md").read_text()
    [block] = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "find_lr" in code]
    monkeypatch.chdir(tmp_path)
    exec(block.replace('data="digits"', 'data="digits", num_training=20'), {})
    assert 1e-8 <= float(capsys.readouterr().out.splitlines()[-1]) <= 1
    assert not list(tmp_path.iterdir())


def test_plugin_of_the_contributing_guide(command, tmp_path, monkeypatch):
    blocks = re.findall(r"```(?:toml|python)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    project, plugin, model, checks = blocks
    name, target = tomllib.loads(project)["project"]["entry-points"]["dlplug"].popitem()
    package = tmp_path / target.partition(".")[0]
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(plugin)
    (package / "line.py").write_text(model)
    lay_out(tmp_path, "dlplug-sketch", "0.1.0", f"{name} = {target}")
    monkeypatch.syspath_prepend(tmp_path)
    result = command("fit", "--model", "line", "--trainer.max_epochs", "3")
    assert result.returncode == 0, result.stderr
    [run] = tmp_path.glob("runs/line/*")
    assert (run / "checkpoints" / "best.ckpt").exists()
    losses = re.findall(r"val/loss ([\d.]+)", result.stderr)
    assert float(losses[-1]) < float(losses[0])
    assert command("test", run).returncode == 0
    # What its test file calls; two processes find it by the variable.
    assert 'checks_of("line")' in checks
    result = command("check", "line", PYTHONPATH=str(tmp_path))
    assert result.returncode == 0, result.stdout


def test_tensors_of_the_page_train_a_cnn(fit, tmp_path):
    text = (ROOT / "docs" / "own-data.md").read_text()
    (tmp_path / "my_file.py").write_text(re.search(r"```python\n(import torch\n.*?)```", text, re.DOTALL)[1])
    [line] = re.findall(r"`dlplug (fit .*my_data.*?)`", text)
    run = fit(*line.split()[1:], *SHORT)
    assert "n: 1000" in (run / "config.yaml").read_text()


@pytest.mark.parametrize("readme", sorted(ROOT.glob("plugins/*/README.md")), ids=lambda path: path.parent.name)
def test_commands_of_the_plugins_readmes_name_what_there_is(readme):
    registry = Registry.discover()
    for line in re.findall(r"^dlplug (.*)$", readme.read_text(), re.MULTILINE):
        args = line.partition("#")[0].split()
        if args[0] == "fit" and "--model" in args:
            expand(args[0], args[1:], registry)  # refuses what there is not
        assert args[0] in {*TABLE, *OFFERED}


def test_what_the_sites_pages_take_from_elsewhere_is_there():
    fill = runpy.run_path(str(ROOT / "docs" / "pages.py"))["filled"]
    pages = {page.relative_to(ROOT / "docs"): page.read_text() for page in PAGES[1:]}
    filled = {page: fill(text) for page, text in pages.items()}
    assert not [page for page, text in filled.items() if "{{" in text]
    rows = re.findall(r"^\| \d.*?\|.*?\|", filled[Path("claims.md")], re.MULTILINE)
    shown = "\n".join(text for page, text in filled.items() if page.parent.name == "lectures")
    assert len(rows) > 50
    assert not [row for row in rows if row not in shown]
    usage = filled[Path("commands.md")]
    assert "--model.latent_dim" in usage
    assert all(f"\n## {command.name}\n" in usage for command in TABLE.values() if command.target not in OWN_PARSER)
    assert "class Line(Model)" in filled[Path("plugin.md")]


def test_figures_of_the_ladders_are_in_the_readmes():
    said = "".join(readme.read_text() for readme in ROOT.glob("plugins/*/README.md"))
    with open(ROOT / "docs" / "ladders.csv", newline="") as lines:
        rows = [*csv.DictReader(lines)]
    assert {row["lecture"] for row in rows} == {*"23456"}
    numbers = [(row, number) for row in rows for number in re.findall(r"[\d.,]+", f"{row['figure']} {row['time']}")]
    assert not [(row["model"], number) for row, number in numbers if number not in said]


def test_a_picture_that_is_missing_ends_the_site(tmp_path, monkeypatch, capsys):
    write = runpy.run_path(str(ROOT / "docs" / "pages.py"))["main"]
    assert write(tmp_path / "site") == 0
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("![gone](gone.png)")
    monkeypatch.setitem(write.__globals__, "ROOT", tmp_path)
    assert write(tmp_path / "site") == 1
    assert "index.md: no picture gone.png" in capsys.readouterr().out


def test_oldest_dependencies_are_the_lower_bounds():
    printed = subprocess.run([sys.executable, ROOT / ".ci" / "oldest.py"], capture_output=True, text=True, check=True)
    oldest = dict(line.split("==") for line in printed.stdout.splitlines())
    assert oldest["pluggy"] == "1.5"
    assert oldest["gymnasium"] == "1.3"  # a plugin's
    assert {"lightning", "torch", "jsonargparse", "pluggy", "wandb"} <= set(oldest)


def test_targets_of_the_makefile_that_the_readme_names():
    names = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert names == ["gan", "test"]
    made = subprocess.run(["make", "-n", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "dlplug fit --model gan" in made.stdout
    assert "-m pytest" in made.stdout


def test_torch_free_modules_import_no_torch():
    modules = ["specs", "hookspecs", "panels", "runs", "registry", "registry.source", "registry.job"]
    modules += ["registry.provenance", "report.page", "testing.check_command", "__main__"]
    modules += sorted({command.target.partition(":")[0].removeprefix("dlplug.") for command in TABLE.values()})
    code = "import sys\n" + "".join(f"import dlplug.{m}\n" for m in modules) + "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_drawn_tree_is_what_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    drawing = text.partition("## The tree")[2].partition("```text\n")[2].partition("```")[0]
    drawn: dict[str, set[str]] = {}
    for line in drawing.splitlines():
        name = line.split()[0].rstrip("/")
        if line[0] != " ":
            folder = name
            drawn[folder] = set()
        else:
            drawn[folder].add(name)

    def rooms(folder):
        found = {path.name for path in folder.iterdir() if not path.name.startswith("__") and path.suffix != ".typed"}
        return found

    core = rooms(ROOT / "src" / "dlplug") | {"__main__.py"}
    assert drawn["src/dlplug"] == core
    packages = {path.parent for path in ROOT.glob("plugins/*/src/*/models")}
    assert len(packages) == 4
    for package in packages:
        assert {"plugin.py", "claims", "models", "data"} <= rooms(package) <= drawn["plugins/dlplug-*"], package
    top = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."} - {
        "build",
        "runs",
        "__pycache__",
    }
    assert {name.partition("/")[0] for name in drawn} == top


def test_what_runs_at_night_says_why():
    files = [*(ROOT / "tests").rglob("test_*.py"), *ROOT.glob("plugins/*/tests/test_*.py")]
    assert len([path for path in files if 'mark.slow("' in path.read_text()]) > 9
    assert not [path for path in files if re.search(r'pytest\.mark\.slow\b(?!\(\s*"\w)', path.read_text())]
