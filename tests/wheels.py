"""Every distribution of this repository from its wheel, in a fresh environment: `make wheels`.

Each model that trains on its own is trained for two batches, measured and reported on; then each plugin is uninstalled,
and its runs must stay readable and say what they lack. Not a test file: it takes minutes.
"""

import json
import sys
import tempfile
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from distributions import ROOT, Environment, build_wheels

SHORT = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1")
SHORT += ("--trainer.accelerator=cpu", "--trainer.limit_test_batches=1")
MODELS = """
import json
from dlplug.registry.job import option
from dlplug.registry import Registry
for plugin in Registry.discover().plugins:
    for spec in plugin.specs:
        if spec.kind == "model" and "trains" not in spec.skip_checks:
            trial = [option(k, v) for k, v in spec.check_options.items() if not k.startswith("generate.")]
            print(json.dumps([spec.name, trial]))
"""


def main() -> int:
    """Install, use, uninstall; the status is 1 if something does not hold."""
    projects = [ROOT, *sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))]
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        wheels.mkdir()
        build_wheels(wheels, *projects)
        environment = Environment(Path(folder))
        environment.install(*wheels.glob("*.whl"))
        problems = [*scaffold(environment), *use(environment), *remove(environment, projects)]
    print(*problems or [f"{len(projects)} wheels work, and are gone without harm"], sep="\n")
    return int(bool(problems))


def scaffold(environment: Environment) -> list[str]:
    """Run the tests that `dlplug new` writes for a claim; those of a model and of data are in test_installation.py."""
    environment.dlplug("new", "sketch", "--kind", "claim")
    folder = environment.folder / "dlplug-sketch"
    environment.install("--editable", folder)
    tests = environment.run("-m", "pytest", "-q", "-n0", "-W", "error", folder)
    environment.pip("uninstall", "--quiet", "--yes", "dlplug-sketch")
    return [tests.stdout] if tests.returncode else []


def use(environment: Environment) -> list[str]:
    """Fit, test and report each model of each plugin."""
    problems = []
    plugins = environment.dlplug("plugins")
    if plugins.returncode or "editable" in plugins.stdout:
        problems.append(f"plugins: {plugins.stdout}{plugins.stderr}")
    for line in environment.run("-c", MODELS).stdout.splitlines():
        model, check_options = json.loads(line)
        print(model, flush=True)
        before = set(environment.folder.glob("runs/*/*"))
        commands = [("fit", f"--model={model}", *SHORT, *check_options), ("test",), ("report",)]
        for command, *options in commands:
            new = set(environment.folder.glob("runs/*/*")) - before
            result = environment.dlplug(command, *new, *options)
            if result.returncode:
                problems.append(f"{command} {model}: {result.stderr}")
                break
    return problems


def remove(environment: Environment, projects: list[Path]) -> list[str]:
    """Uninstall all but the core, and look at each run again."""
    names = [tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] for project in projects]
    environment.pip("uninstall", "--quiet", "--yes", *(name for name in names if name != "dlplug"))
    problems = []
    for run in sorted(environment.folder.glob("runs/*/*")):
        report, test = environment.dlplug("report", run), environment.dlplug("test", run)
        if report.returncode or test.returncode != 2 or "which is not installed: pip install" not in test.stderr:
            problems.append(f"{run.parent.name} without its plugin: {report.stderr}{test.stderr}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
