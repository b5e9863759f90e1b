"""`dlplug check` on plugins that are wrong in one way each, and on one that is right."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest

import pytest
from distributions import lay_out

from dlplug import InputError
from dlplug.testing import Check, checks_of
from dlplug.testing.commands import run_apart

PLUGIN = """
from dlplug import ClaimSpec, CommandSpec, DataSpec, ModelSpec, hookimpl
@hookimpl
def dlplug_specs():
    return [
        ModelSpec("line", "PACKAGE.line:Line", "A line.", takes="points", data="points",
                  check_options={"model.width": 5}, space={"model.width": "int:1:4"}),
        DataSpec("points", "PACKAGE.points:Points", "Points.", gives="points"),
        DataSpec("more", "PACKAGE.points:More", "Wider points.", gives="points",
                 skip_checks={"pickles": "for the test"}),
        ClaimSpec("falls", "PACKAGE.claim:falls", "The loss falls.", models=("line",)),
        CommandSpec("count", "PACKAGE.count:configure", "Counts.", takes="run"),
    ]
"""

LINE = '''
import os
import torch
from dlplug import Panel
from dlplug.media import Image
from dlplug.model import Model


class Line(Model):
    """A line.

    Args:
        width: Units.
    """

    panels = (Panel("Fit", "Loss", "Healthy: falls.", curves=("loss",)), Panel("Fit", "All", "Points.", media="all"))

    def __init__(self, width: int = 3):
        super().__init__()
        self.save_hyperparameters()
        self.width = width
        self.drawn = 0

    def build(self, info):
        self.layer = torch.nn.Sequential(torch.nn.Linear(info.width, self.width), torch.nn.Linear(self.width, 1))

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).square().mean()
        self.record(loss=loss)
        return loss

    validation_step = training_step

    def test_step(self, batch, batch_idx):
        self.training_step(batch, batch_idx)

    def showcase(self, batch):
        return {"all": Image(batch[0][:, :1, None, None].expand(-1, 1, 4, 4), low=-3, high=3)}

    def generate(self, n: int = 2):
        """Draw."""
        return Image(torch.rand(n, 1, 4, 4))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
'''

POINTS = '''
import torch
from dlplug.data import ImageInfo, TensorData


class Points(TensorData):
    """Points.

    Args:
        batch_size: Points a batch.
    """

    columns = 4

    def __init__(self, batch_size: int = 8):
        super().__init__(batch_size)

    def load(self):
        points = torch.randn(32, self.columns, generator=torch.Generator().manual_seed(0))
        return ImageInfo(1, 1, self.columns), {"train": (points,), "val": (points[:8],), "test": (points[8:],)}


class More(Points):
    """Wider points."""

    columns = 6
'''

CLAIM = '''
from dlplug.claims import Evidence, Measure


def falls(lab):
    """Measure nothing."""
    return Evidence([Measure("fall", [1.0], ">=", 0.5)], [Measure("untrained", [0.0], ">=", 0.5)])
'''

COUNT = """
import os
from dlplug.runs import Run


def configure(parser):
    parser.add_argument("folder", help="a run folder")
    parser.set_defaults(run=run)


def run(options):
    print(len(list(Run.open(options.folder).path.iterdir())))
"""

LOSS = "loss = self.layer(batch[0]).square().mean()"
WRONG = [  # check, file, what is replaced, by what, what is said of it
    ("model-line-light", "plugin", "\nfrom dlplug", "\nimport torch\nfrom dlplug", "imports torch, on every command"),
    ("model-line-target", "plugin", "line:Line", "line:Image", "line:Image is not a lightning.pytorch.LightningModule"),
    ("model-line-target", "plugin", "line:Line", "line:Lime", "line:Lime cannot be imported"),
    ("model-line-arguments", "line", "width: int", "width", "arguments without a type: width"),
    ("model-line-arguments", "line", "width: Units", "Units", "does not explain: width"),
    (
        "model-line-fitting",
        "plugin",
        'takes="points"',
        'takes="images"',
        "takes 'images', but its own data gives 'points'",
    ),
    (
        "model-line-trains",
        "line",
        LOSS,
        f"{LOSS} / 0",
        "not finite after two steps: train/grad_norm, train/loss, val/loss",
    ),
    ("model-line-space", "plugin", '"model.width": "int', '"model.widht": "int', "did you mean 'width'"),
    ("model-line-space", "plugin", '"int:1:4"', '"float:1:4.5"', "its space cannot be searched: "),
    ("model-line-space", "line", "self.drawn = 0", "self.drawn = 1 // (4 - width)", "cannot be searched: "),
    ("model-line-trains", "line", "self.record(loss=loss)", "pass", "it logs nothing: self.record(loss=loss)"),
    ("model-line-trains", "line", LOSS, "1 / 0", "dlplug fit fails: ZeroDivisionError: division by zero"),
    ("model-line-sizes", "line", "info.width", "4", "mat1 and mat2 shapes cannot be multiplied"),
    (
        "model-line-tests",
        "line",
        "self.training_step(batch, batch_idx)\n\n    def sh",
        "pass\n\n    def sh",
        "test_step logs nothing",
    ),
    ("model-line-reloads", "line", "self.save_hyperparameters()", "pass", "call save_hyperparameters() in __init__"),
    (
        "model-line-reloads",
        "line",
        LOSS,
        f"{LOSS} + int.from_bytes(os.urandom(4))",
        "two validations of one checkpoint differ",
    ),
    (
        "model-line-updates",
        "line",
        "self.layer(batch[0])",
        "self.layer[1](self.layer[0](batch[0]).detach())",
        "a batch more leaves these weights as they are: layer.0.weight, layer.0.bias",
    ),
    ("model-line-repeats", "line", LOSS, f"{LOSS} + int.from_bytes(os.urandom(4))", "drawn from no seeded source"),
    ("model-line-pickles", "line", "self.drawn = 0", "self.drawn = lambda: 0", "it does not pickle"),
    (
        "model-line-traces",
        "line",
        "import os\n",
        "import os\nos.environ['LINE'] = '1'\n",
        "importing it changes the environment",
    ),
    ("model-line-traces", "line", "self.drawn = 0", "torch.manual_seed(0)", "making one changes torch's random state"),
    (
        "model-line-traces",
        "line",
        "self.drawn = 0",
        "torch.set_default_dtype(torch.half)",
        "changes torch's default type",
    ),
    ("model-line-traces", "line", "self.drawn = 0", "os.chdir('/')", "changes the working directory"),
    ("model-line-bf16", "line", LOSS, f"{LOSS}; self.layer(batch[0]).detach().numpy()", "BFloat16"),
    (
        "model-line-processes",
        "line",
        "self.width, 1))",
        "self.width, 1)); self.idle = torch.nn.Linear(1, 1)",
        "dlplug fit fails: ",
    ),
    (
        "model-line-shows",
        "line",
        'return {"all"',
        "1 / 0\n        return {'all'",
        "ZeroDivisionError",
    ),
    (
        "model-line-generates",
        "line",
        "return Image(torch.rand(n, 1, 4, 4))",
        "1 / 0",
        "dlplug generate fails: ZeroDivisionError",
    ),
    ("model-line-panels", "line", 'curves=("loss",)', 'curves=("lost",)', "'Loss' lacks lost"),
    ("data-points-loads", "points", "generator=torch.Generator().manual_seed(0)", "", "is another one each time"),
    (
        "data-points-loads",
        "points",
        "return Image",
        "points /= 0\n        return Image",
        "a batch holds NaN or infinity",
    ),
    (
        "data-points-traces",
        "points",
        "return Image",
        "torch.rand(1)\n        return Image",
        "making one changes torch's random state",
    ),
    ("data-points-fitting", "plugin", '"Points.", gives="points"', '"Points."', "its DataSpec says no gives"),
    ("claim-falls-said", "claim", '"""Measure nothing."""', "", "no docstring to say how it measures"),
    ("claim-falls-said", "plugin", 'models=("line",)', 'models=("lime",)', "models that no plugin offers: lime"),
    ("claim-falls-control", "claim", '[Measure("untrained", [0.0], ">=", 0.5)]', "[]", "needs a measure and a control"),
    (
        "claim-falls-control",
        "claim",
        "[0.0]",
        "[0.7]",
        "controls that pass, so the claim could not have failed: untrained",
    ),
    ("command-count-target", "count", "import os", "raise SystemExit('bye')", "cannot be imported: bye"),
    ("command-count-arguments", "count", ', help="a run folder"', "", "arguments without help: folder"),
    ("command-count-arguments", "count", "parser.set_defaults(run=run)", "pass", "sets no default `run` of its parser"),
    ("command-count-help", "count", "import os\n", "import torch\n", "--help imports torch: import it in `run`"),
    ("command-count-help", "count", "import os\n", "sum(range(40_000_000))\n", "import what is large in `run`"),
    ("command-count-help", "count", "import os\n", "1 / 0\n", "ZeroDivisionError: division by zero"),
    ("command-count-refuses", "count", "import os\n", "print(1)\n", "--no-such-option: status 2 and 2 lines"),
    ("command-count-refuses", "count", "print(len", "1 / 0, print(len", "nowhere: status 1 and 1 lines"),
    ("command-count-traces", "count", "parser.set", "os.chdir('/'); parser.set", "changes the working directory"),
]


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Check]]:
    """Install a plugin, with something replaced in one of its files, and return its checks by what they are called."""

    def install(name: str, file: str = "", old: str = "", new: str = "") -> dict[str, Check]:
        sources = {"plugin": PLUGIN, "line": LINE, "points": POINTS, "claim": CLAIM, "count": COUNT, "__init__": ""}
        if file:
            assert old in sources[file]
            sources[file] = sources[file].replace(old, new)
        package = tmp_path / name
        package.mkdir()
        for module, source in sources.items():
            (package / f"{module}.py").write_text(source.replace("PACKAGE", name))
        lay_out(tmp_path, name, "1.0", f"{name} = {name}.plugin")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        return {str(check): check for check in checks_of(name)}

    return install


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[f"{name}-{new}"[:50] for name, _, _, new, _ in WRONG])
def test_each_mistake_is_found_by_its_check(checks, number):
    name, file, old, new, message = WRONG[number]
    check = checks(f"wrong{number}", file, old, new)[name]
    with pytest.raises(AssertionError) as error:
        check()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_right_plugin_passes(checks):
    found = checks("right")
    skipped = {}
    for name, check in found.items():
        try:
            check()
        except SkipTest as reason:
            skipped[name] = str(reason)
    assert skipped == {"data-more-pickles": "for the test"}
    assert len(found) == 45


def test_command(command, refused, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'nobodys'\n")
    assert "nothing installed is named 'nobodys'" in refused("check", ".")
    assert "did you mean 'gan'" in refused("check", "gna")
    (tmp_path / "pyproject.toml").write_text("[project")
    assert "pyproject.toml does not say a project's name" in refused("check", ".")
    assert "did you mean 'said'" in refused("check", "learning-is-descent", "--only", "sad")
    only = command("check", "learning-is-descent", "--only", "said").stdout
    assert only.endswith("all 1 hold or do not apply\n")
    result = command("check", "learning-is-descent")
    assert result.returncode == 0
    assert [line.split()[:2] for line in result.stdout.splitlines() if line.startswith("  ok")] == [
        ["ok", name] for name in ("light", "target", "said", "control")
    ]


def test_fork_of_a_fork_is_heard(tmp_path: Path) -> None:
    def outer() -> int:
        (tmp_path / "inner").mkdir()
        status, said, wrong = run_apart(lambda: print("inner") or 3, tmp_path / "inner")
        print("outer", status, said, wrong)
        return 4

    assert run_apart(outer, tmp_path) == (4, "outer 3 inner\n \n", "")


def test_models_are_checked_with_other_data():
    checks = {check.name: check for check in checks_of("cnn", data="digits")}
    checks["trains"]()
    assert "Digits" in checks["trains"].run.__self__.run.config.read_text()
    with pytest.raises(SkipTest, match="it is checked with digits"):
        checks["fitting"]()
    own = {check.name: check for check in checks_of("cnn", data="image-folder")}  # which has a sample
    own["trains"]()
    assert "/files" in own["trains"].run.__self__.run.config.read_text()
    with pytest.raises(InputError, match="--data mnist: its files have to be there first, and it has no sample"):
        checks_of("cnn", data="mnist")
    with pytest.raises(InputError, match="cnn takes images, but adding-problem gives"):
        checks_of("cnn", data="adding-problem")
    with pytest.raises(InputError, match="--data mnist5k is for models, and digits is none"):
        checks_of("digits", data="mnist5k")
