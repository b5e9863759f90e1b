"""The core, a plugin of ours and strangers' ones from built wheels, in an environment of its own, nothing editable."""

import json
import re
import shutil
from pathlib import Path

import pytest
from distributions import LECTURES, ROOT, Environment, build_wheels

# Its second version renames an argument; nothing of it is ours.
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "stranger-line"
version = "{version}"
dependencies = ["dlplug"]
[project.entry-points.dlplug]
line = "stranger_line.plugin"
"""
PLUGIN = """
from dlplug import ModelSpec, hookimpl
@hookimpl
def dlplug_specs():
    return [ModelSpec("line", "stranger_line.model:Line", "A line by a stranger.", recipe={"trainer.max_epochs": 1})]
"""
MODEL = '''
import torch
from dlplug.media import Text
from lightning.pytorch import LightningModule


class Line(LightningModule):
    """A line that brings its own data."""

    def __init__(self, width: int = 2):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, width)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).square().mean()
        self.log("train/loss" if self.trainer.training else "test/loss", loss)
        return loss

    test_step = training_step

    def generate(self):
        return Text(str(self.layer(torch.ones(2)).shape))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=4)

    test_dataloader = train_dataloader
'''


def write_stranger(folder: Path, version: str, model: str) -> Path:
    package = folder / "stranger_line"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(version=version))
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN)
    (package / "model.py").write_text(model)
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheels of the core, of dlplug-vision, and of two versions of a stranger's plugin."""
    folder = tmp_path_factory.mktemp("wheels")
    first = write_stranger(folder / "1", "1.0", MODEL)
    second = write_stranger(folder / "2", "2.0", MODEL.replace("width", "widths"))
    build_wheels(folder, ROOT, ROOT / "plugins" / "dlplug-vision", first)
    build_wheels(folder, second)
    return folder


@pytest.fixture(scope="module")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the core and dlplug-vision."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    environment.install(*wheels.glob("dlplug-*.whl"), *wheels.glob("dlplug_vision-*.whl"))
    return environment


def refusal(environment: Environment, *args: str | Path) -> str:
    result = environment.dlplug(*args)
    assert (result.returncode, result.stdout) == (2, ""), result
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


# Each imports torch before it refuses.
REFUSED = [("test", "RUN"), ("fit", "-c", "CONFIG")], [("fit", "RUN"), ("generate", "RUN")]


@pytest.mark.parametrize(
    ("upgraded_lines", "missing_lines"),
    [
        REFUSED,
        pytest.param(*REFUSED[::-1], marks=pytest.mark.slow("half a minute; by day the same with other commands")),
    ],
)
def test_life_of_a_strangers_plugin(
    environment: Environment,
    wheels: Path,
    upgraded_lines: list[tuple[str, ...]],
    missing_lines: list[tuple[str, ...]],
) -> None:
    """Install, list, fit, test, report, upgrade, uninstall: the run stays readable, and says what it lacks."""
    first, second = (next(wheels.glob(f"stranger_line-{version}-*.whl")) for version in ("1.0", "2.0"))
    environment.install(first)
    assert "A line by a stranger." in environment.dlplug("list").stdout
    plugins = environment.dlplug("plugins").stdout
    assert f"line  stranger-line 1.0\n    from   {first}\n    hooks  dlplug_specs\n    model  line\n" in plugins

    fitted = environment.dlplug("fit", "--model", "line", "--model.width=3", "--trainer.accelerator=cpu")
    assert fitted.returncode == 0, fitted.stderr
    run = max(environment.folder.glob("runs/line/*"))
    run = run.relative_to(environment.folder)
    measured = environment.dlplug("test", run)
    assert measured.returncode == 0, measured.stderr
    assert environment.dlplug("report", run).returncode == 0
    copied = shutil.copy(environment.folder / run / "config.yaml", environment.folder / "old.yaml")

    environment.install(second)
    upgraded = "made with stranger-line 1.0, but 2.0 is installed; it came from a local folder"
    names = {"RUN": run, "CONFIG": copied}
    for line in upgraded_lines:
        message = refusal(environment, *(names.get(word, word) for word in line))
        assert "model Line has no option 'width'; did you mean 'widths'? (" in message
        assert upgraded in message
    checkpoint = run / "checkpoints" / "last.ckpt"
    message = refusal(environment, "test", "--model=line", f"--ckpt_path={checkpoint}")
    assert f"{checkpoint} was {upgraded}" in message
    assert "Line has no option 'width' any more, did you mean 'widths'?" in message

    environment.pip("uninstall", "--quiet", "--yes", "stranger-line")
    (environment.folder / run / "report.html").unlink()
    assert environment.dlplug("report", run).returncode == 0
    page = (environment.folder / run / "report.html").read_text()
    assert "stranger-line 1.0" in page
    assert "loss (dlplug test)" in page
    missing = "was made with stranger-line 1.0, which is not installed; it came from a local folder\n"
    for line in missing_lines:
        message = refusal(environment, *(names.get(word, word) for word in line))
        assert message.startswith("dlplug: there is no model stranger_line.model.Line: ")
        assert message.endswith(missing)
    assert "there is no model 'line'" in refusal(environment, "fit", "--model=line")


@pytest.mark.slow("builds six wheels and imports torch; by day test_release.py compares the extra with the plugins")
def test_the_extra_lectures_brings_every_model(tmp_path: Path) -> None:
    build_wheels(tmp_path, ROOT, *(ROOT / "plugins" / name for name in LECTURES))
    environment = Environment(tmp_path)
    environment.pip("uninstall", "--quiet", "--yes", "setuptools")  # venv's own is older than torch asks for
    environment.pip("install", "--quiet", "--no-index", "--find-links", tmp_path, "dlplug[lectures]")
    listed = environment.dlplug("list", "--json").stdout
    assert {"cnn", "dqn", "gan", "multimodal-dbm", "transformer"} <= {spec["name"] for spec in json.loads(listed)}
    limits = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.accelerator=cpu")
    fitted = environment.dlplug("fit", "--model", "gan", *limits)
    assert fitted.returncode == 0, fitted.stderr
    assert len([*environment.folder.glob("runs/gan/*/report.html")]) == 1


@pytest.mark.slow("a minute each to install and train what `dlplug new` writes; by day its files are parsed")
@pytest.mark.parametrize("kind", ["model", "data", "command"])  # the claim's trains for longer: `make wheels`
def test_scaffold_works_at_once_and_passes_its_tests(environment: Environment, kind: str) -> None:
    name = f"sketch-{kind}"
    written = environment.dlplug("new", name, "--kind", kind)
    assert written.returncode == 0, written.stderr
    folder = environment.folder / f"dlplug-{name}"
    environment.install("--editable", folder)
    assert f"{folder} (editable)" in environment.dlplug("plugins").stdout
    if kind == "model":  # the data's own tests do as much
        result = environment.dlplug("fit", f"--model={name}")
        assert result.returncode == 0, result.stderr
    tests = environment.run("-m", "pytest", "-q", "-n0", "-rs", "-W", "error", folder)
    assert tests.returncode == 0, tests.stdout
    assert re.search(r"\d+ passed", tests.stdout)
    assert "dlplug new" in refusal(environment, "new", "another", folder)
    assert f"is offered by dlplug-{name} 0.1.0 already" in refusal(environment, "new", name, "elsewhere")
    assert not (environment.folder / "elsewhere").exists()
