"""What strangers' broken plugins do to everyone else."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from distributions import lay_out

from dlplug.testing import run_command

VERSION = "1.2.3"

OFFER = """
from dlplug import ModelSpec, hookimpl
@hookimpl
def dlplug_specs():
    return [ModelSpec("{name}", "{target}", "A line by a stranger.", recipe={{"trainer.max_epochs": 1}})]
"""

# Nothing of ours: a plain LightningModule that brings its own data.
MODEL = """
import torch
from lightning.pytorch import LightningModule
class Plain(LightningModule):
    def __init__(self, width: int = 1):
        super().__init__()
        self.layer = torch.nn.Linear(2, width)
    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=4)
"""

ODD_KEY = """from lightning.pytorch import Callback
    return [type("Odd", (Callback,), {"state_key": property(lambda self: exit("bye"))})()]"""
UNCHECKED = """from dlplug import ModelSpec, hookimpl
class Own(ModelSpec):
    def __post_init__(self): pass
@hookimpl
def dlplug_specs(): return [Own("x", "a:X", "A.", 3)]
"""
HOOK = "from dlplug import hookimpl\n@hookimpl\ndef {}:\n    {}\n"

# The plugin.py of each distribution. These load:
WORKING = {
    "good": OFFER.format(name="plain", target="stranger_good.model:Plain"),
    "first": OFFER.format(name="wanted", target="stranger_first.model:Plain"),
    "second": OFFER.format(name="wanted", target="stranger_second.model:Plain"),
    "absent": OFFER.format(name="absent", target="stranger_absent.model:Nowhere"),
    "stale": OFFER.format(name="stale", target="stranger_stale.stale:Plain"),
    "callbacks": HOOK.format("dlplug_callbacks()", "raise OSError('no room')"),
    "keys": HOOK.format("dlplug_callbacks()", ODD_KEY),
    "parser": HOOK.format("dlplug_add_arguments(parser)", "parser.add_argument('--config')"),
}
# These do not, for this reason:
BROKEN = {
    "importing": ("1 / 0", "ZeroDivisionError: division by zero"),
    "exiting": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "lacking": (WORKING["good"], "requires no-such-distribution>=2, which is not installed"),
    "newer": (WORKING["good"], "requires dlplug>=99, but dlplug is"),
    "misspelt": (HOOK.format("dlplug_specz()", "return []"), "unknown hook 'dlplug_specz'"),
    "arguments": (HOOK.format("dlplug_add_arguments(pasrer)", "pass"), "{'pasrer'} are declared in the hookimpl"),
    "raising": (HOOK.format("dlplug_specs()", "raise RuntimeError('no luck')"), "RuntimeError: no luck"),
    "unchecked": (UNCHECKED, "ValueError: lecture 3 of 'x' is not like '4.6'"),
    "rubbish": (HOOK.format("dlplug_specs()", "return ['gan']"), "gave 'gan', which is not a Spec"),
}
REQUIRES = {"lacking": "no-such-distribution>=2", "newer": "dlplug>=99"}

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an installer would leave it, with all of them."""
    site = tmp_path_factory.mktemp("site")
    for name, source in {**WORKING, **{name: source for name, (source, _) in BROKEN.items()}}.items():
        package = site / f"stranger_{name}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "plugin.py").write_text(source)
        (package / "model.py").write_text(MODEL)
        (package / "stale.py").write_text(MODEL.replace("lightning.pytorch", "pytorch_lightning"))
        entry_point = f"{name} = stranger_{name}.plugin"
        lay_out(site, f"stranger-{name}", VERSION, entry_point, REQUIRES.get(name, "dlplug"))
    return site


@pytest.fixture
def dlplug(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command beside them, in a folder of its own."""
    for folder in (site, tmp_path):
        monkeypatch.syspath_prepend(folder)
    return partial(run_command, folder=tmp_path, COLUMNS="120")


def squeeze(text: str) -> str:
    """Undo the wrapping, which may fall inside a word."""
    return "".join(text.split())


def write_metadata(folder: Path, metadata: str, entry_point: str) -> None:
    """Lay out by hand what an installer writes, for what no installer would."""
    info = folder / "odd-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"[dlplug]\n{entry_point}\n")
    if metadata:
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{metadata}\n")


def test_plugins_names_each_broken_one_with_its_reason(dlplug: Command) -> None:
    result = dlplug("plugins")
    assert result.returncode == 1
    for name, (_, reason) in BROKEN.items():
        assert squeeze(f"{name}  stranger-{name} {VERSION}  NOT LOADED") in squeeze(result.stdout)
        assert squeeze(reason) in squeeze(result.stdout)
    for name in WORKING:
        assert f"{name}  stranger-{name} {VERSION}\n" in result.stdout


def test_list_works_and_says_which_are_not_loaded(dlplug: Command) -> None:
    result = dlplug("list")
    assert result.returncode == 0
    assert "plain" in result.stdout
    assert result.stderr == f"not loaded: {', '.join(sorted(BROKEN))}; `dlplug plugins` says why\n"


def test_info_of_a_good_one_works(dlplug: Command) -> None:
    result = dlplug("info", "plain")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"model of stranger-good {VERSION}, stranger_good.model.Plain" in result.stdout
    assert "--model.width" in result.stdout


@pytest.mark.parametrize("command", [("info", "wanted"), ("fit", "--model", "wanted")])
def test_a_name_offered_twice_is_won_by_neither(dlplug: Command, command: tuple[str, ...]) -> None:
    result = dlplug(*command)
    assert result.returncode == 2
    assert result.stderr == (
        "dlplug: model 'wanted' is offered by 2 plugins: "
        "say first:wanted (stranger_first.model.Plain) or second:wanted (stranger_second.model.Plain)\n"
    )


def test_topic_and_name_ask_one_plugin(dlplug: Command) -> None:
    result = dlplug("info", "second:wanted")
    assert (result.returncode, result.stderr) == (0, "")
    assert "stranger_second.model.Plain" in result.stdout
    assert "stranger_first" not in result.stdout


def test_fit_works_beside_them(dlplug: Command, tmp_path: Path) -> None:
    """Hooks that raise are left out with a warning; the run is whole."""
    result = dlplug("fit", "--model", "plain", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu")
    assert result.returncode == 0, result.stderr
    assert len([*tmp_path.glob("runs/plain/*/checkpoints/last.ckpt")]) == 1
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 3
    assert "warning: stranger_keys.plugin.Odd is left out: at first sight: SystemExit: bye" in warnings
    assert f"warning: stranger-callbacks {VERSION}: its dlplug_callbacks is left out: OSError: no room" in warnings
    assert any(line.startswith(f"warning: stranger-parser {VERSION}: its dlplug_add_arguments is") for line in warnings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent", ("stranger_absent.model.Nowhere", "has no attribute 'Nowhere'")),
        ("stale", ("stranger_stale.stale.Plain", "from lightning.pytorch import LightningModule")),
        ("second:wanted --model.widht 2", ("'widht'", "did you mean 'width'?")),
    ],
)
def test_what_only_use_can_show_is_one_line(dlplug: Command, tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    result = dlplug("fit", "--model", *name.split())
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert not (tmp_path / "runs").exists()


def test_disabled_plugins_are_gone(dlplug: Command) -> None:
    disabled = ["good", *BROKEN]
    result = dlplug("plugins", DLPLUG_DISABLE=",".join(disabled))
    assert result.returncode == 0
    assert not any(f"stranger-{name} " in result.stdout for name in disabled)
    assert f"stranger-second {VERSION}" in result.stdout


@pytest.mark.parametrize(
    ("metadata", "entry_point", "words"),
    [
        ("", "damaged = json", "damaged"),  # METADATA is gone: an uninstall that stopped half-way
        ("Name: odd\nVersion: 1\nRequires-Dist: a ===== b", "damaged = json", "damaged  odd 1  NOT LOADED  Invalid"),
        ("Name: odd\nVersion: 1", "damaged = not a module", "damaged  odd 1  NOT LOADED"),
    ],
)
def test_damaged_distributions(dlplug: Command, tmp_path: Path, metadata: str, entry_point: str, words: str) -> None:
    write_metadata(tmp_path, metadata, entry_point)
    result = dlplug("plugins")
    assert (result.returncode, result.stderr) == (1, "")
    assert squeeze(words) in squeeze(result.stdout)


def test_what_importing_one_does_to_the_streams_is_undone(dlplug: Command, tmp_path: Path) -> None:
    write_metadata(tmp_path, "Name: odd\nVersion: 1", "odd = odd")
    (tmp_path / "odd.py").write_text(
        "import sys, warnings; warnings.warn('\\x1b[31mred'); print('\\x1b[31m'); sys.stderr = sys.stdout = None"
    )
    result = dlplug("info", "nothing", DLPLUG_ONLY="odd")
    assert result.returncode == 2
    assert "\x1b" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("dlplug: nothing is named")


def test_what_importing_one_takes_from_all_is_put_back(dlplug: Command, tmp_path: Path) -> None:
    """Where Python looks for modules, what it has imported, and the working directory."""
    write_metadata(tmp_path, "Name: odd\nVersion: 1", "aaa = odd")
    (tmp_path / "odd.py").write_text("import os, sys; sys.path[:] = []; sys.modules['json'] = None; os.chdir('/')")
    result = dlplug("list", "--json")
    assert result.returncode == 0
    assert "gan" in result.stdout


def test_two_entry_points_of_one_name(dlplug: Command, tmp_path: Path) -> None:
    write_metadata(tmp_path, "Name: odd\nVersion: 1", "callbacks = json")
    result = dlplug("plugins")
    assert (result.returncode, result.stderr) == (1, "")
    assert "callbacks  odd 1\n" in result.stdout
    assert f"callbacks  stranger-callbacks {VERSION}  NOT LOADED\n" in result.stdout


@pytest.mark.parametrize("field", ["lecture=4.6", "tags=None"])
def test_spec_with_a_field_of_another_type(dlplug: Command, tmp_path: Path, field: str) -> None:
    """It stops its own plugin and no command."""
    write_metadata(tmp_path, "Name: odd\nVersion: 1", "odd = odd")
    source = OFFER.format(name="odd", target="odd:Odd").replace('recipe={"trainer.max_epochs": 1}', field)
    (tmp_path / "odd.py").write_text(source)
    assert squeeze("odd  odd 1  NOT LOADED") in squeeze(dlplug("plugins").stdout)
    assert dlplug("list").returncode == 0
