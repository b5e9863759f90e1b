"""What the documents tell a person to type."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = re.findall(r"^dlplug (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
SHORT = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1")


@pytest.mark.slow
def test_commands_of_the_readme(command, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    assert len(COMMANDS) >= 11
    for line in COMMANDS:
        args = line.split()
        if "RUN" in args:
            args[args.index("RUN")] = str(max(tmp_path.glob("runs/gan/*")))
            args = [arg for arg in args if arg != "60"]
            args = [f"{arg}=2" if arg == "--trainer.max_epochs" else arg for arg in args]
        elif args == ["verify", "3.1"]:
            args = ["verify", "layer-sizes", "output-size", "--seeds=1"]  # those of its claims that train nothing
        elif args[0] == "fit" and "--help" not in args:
            args += SHORT
        result = command(*args)
        assert result.returncode == 0, (line, result.stderr)


@pytest.mark.slow
def test_plugin_of_the_contributing_guide(command, tmp_path, monkeypatch):
    blocks = re.findall(r"```(?:toml|python)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    project, plugin, model, checks = blocks
    name, target = tomllib.loads(project)["project"]["entry-points"]["dlplug"].popitem()
    package = tmp_path / target.partition(".")[0]
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(plugin)
    (package / "line.py").write_text(model)
    info = tmp_path / "dlplug_sketch-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dlplug-sketch\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[dlplug]\n{name} = {target}\n")
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


def test_targets_of_the_makefile_that_the_readme_names():
    names = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert names == ["gan", "test"]
    made = subprocess.run(["make", "-n", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "dlplug fit --model gan" in made.stdout
    assert "-m pytest" in made.stdout


def test_torch_free_modules_import_no_torch():
    modules = ["specs", "hookspecs", "panels", "registry", "source", "names", "runs", "cards", "usage", "report"]
    modules += ["verify", "dashboard", "check", "testing", "completion", "doctor", "__main__"]
    code = "import sys\n" + "".join(f"import dlplug.{m}\n" for m in modules) + "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
