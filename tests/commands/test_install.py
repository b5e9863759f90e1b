"""`dlplug install` and `uninstall`: pip for real in an environment of its own, and stubbed for all that it may say."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from distributions import ROOT, Environment, build_wheels

from dlplug.__main__ import main
from dlplug.commands import install

PLUGIN = """
from dlplug import CommandSpec, DataSpec, hookimpl
@hookimpl
def dlplug_specs():
    return [CommandSpec("hello", "PACKAGE.plugin:hello", "Says hello."), DataSpec("PACKAGE", "PACKAGE.plugin:D", "d.")]
def hello(parser):
    parser.set_defaults(run=lambda options: print("hello of VERSION"))
"""


def write_wheel(folder: Path, name: str, version: str, *requires: str, plugin: str = PLUGIN) -> None:
    """Write a wheel by hand, with a plugin named as its package unless the plugin's source is empty."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{name}/plugin.py", plugin.replace("PACKAGE", name).replace("VERSION", version))
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{info}/METADATA", metadata + "".join(f"Requires-Dist: {line}\n" for line in requires))
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        if plugin:
            wheel.writestr(f"{info}/entry_points.txt", f"[dlplug]\n{name} = {name}.plugin\n")
        wheel.writestr(f"{info}/RECORD", "")


ORIGIN = f"dlplug-vision {metadata.version('dlplug-vision')}"
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "sgf"
version = "1.0"
"""
BACKEND = """
import shutil
def build_wheel(folder, *_):
    return shutil.copy("sgf-1.0-py3-none-any.whl", folder).rpartition("/")[2]
"""


def write_project(folder: Path) -> Path:
    """Write a git repository with a project that builds without a network."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    write_wheel(folder, "sgf", "1.0", "dlplug")
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for line in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "One")):
        subprocess.run([*git, *line], check=True)
    return folder


@pytest.mark.slow("pip, eighteen times, in an environment of its own")
@pytest.mark.xdist_group("installation")
def test_real_wheels_come_and_go(tmp_path: Path) -> None:
    """By name and version, upgraded, from a file, a folder and git; offline; then the runs that need one are named."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    build_wheels(wheels, ROOT)
    environment = Environment(tmp_path)
    environment.install(*wheels.glob("dlplug-*.whl"))
    environment.run("-m", "pip", "uninstall", "--quiet", "--yes", "setuptools")  # older than what torch asks for
    for version in ("1.0", "1.1"):
        write_wheel(wheels, "sga", version, "dlplug")
    write_wheel(wheels, "sgb", "1.0", "sga", plugin="1 / 0")
    write_wheel(wheels, "sgc", "1.0", "sga<1.1", "sgd")
    write_wheel(wheels, "sgd", "1.0", "sga>1.0")
    write_wheel(wheels, "sge", "1.0", "dlplug==0.2.99", plugin="")
    write_wheel(wheels, "dlplug", "0.2.99", plugin="")

    def dlplug(*args: str | Path, status: int = 0) -> str:
        result = environment.dlplug(*args)
        assert result.returncode == status, result
        return result.stderr if status == 2 else result.stdout

    offline = ("--no-index", "--find-links", wheels)
    said = dlplug("install", "sga==1.0", *offline)
    assert said.startswith("sga 1.0\nsga  sga 1.0\n    from   a package index\n    hooks  dlplug_specs\n")
    assert "    command  hello\n    data   sga\ntry: dlplug hello --help\n" in said
    assert dlplug("hello") == "hello of 1.0\n"
    assert dlplug("install", "sga", *offline).startswith("nothing to install: it is here already")
    assert dlplug("install", "sga", "--upgrade", *offline).startswith("sga 1.0 -> 1.1\nsga  sga 1.1\n")
    assert dlplug("install", wheels / "sga-1.0-py3-none-any.whl", *offline).startswith("sga 1.1 -> 1.0\n")

    broken = dlplug("install", "sgb", *offline, status=1)
    assert "sgb  sgb 1.0  NOT LOADED\n    ZeroDivisionError: division by zero\n" in broken
    assert "sgd 1.0 depends on sga>1.0" in dlplug("install", "sgc", *offline, status=2)
    assert "No matching distribution found for nothing" in dlplug("install", "nothing", *offline, status=2)
    assert dlplug("install", "sge", *offline, status=2).endswith(
        "dlplug would change, which other plugins and runs rely on: say --yes, since there is no terminal to ask in\n"
    )

    project = write_project(environment.folder / "sgf")
    assert dlplug("install", "sgf", "--no-index").startswith(f"sgf 1.0\nsgf  sgf 1.0\n    from   {project}\n")
    assert "sgf 1.0 is removed\nno plugin is new or changed\n" in dlplug("uninstall", "sgf", "--yes")
    assert f"from   git+file://{project}@" in dlplug("install", f"git+file://{project}", "--no-index")

    run = environment.folder / "runs" / "x" / "1"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("data:\n  class_path: sga.plugin.D\n")
    assert "say --yes" in dlplug("uninstall", "sga", status=2)
    said = dlplug("uninstall", "sga", "--yes", status=1)
    assert said.startswith(f"runs here that need sga 1.0: 1\n  {Path('runs', 'x', '1')}\nsga 1.0 is removed\n")
    assert "sgb  sgb 1.0  NOT LOADED\n    requires sga, which is not installed\n" in said
    assert "need sgb 1.0: none\n" in dlplug("uninstall", "sgb", "--yes")


class Pip:
    """What is called instead of pip or uv.

    Attributes:
        would: What would be installed, by name.
        called: The command lines that were.
        refuses: What it says where it refuses.
    """

    def __init__(self) -> None:
        self.would = {"dlplug-new": "1.0"}
        self.called: list[list[str]] = []
        self.refuses = ""

    def run(self, line: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        """Do as if."""
        self.called.append(line)
        said = ""
        if "--dry-run" in line and "-m" in line:
            found = [{"metadata": {"name": name, "version": number}} for name, number in self.would.items()]
            said = "Collecting it\n" + json.dumps({"install": found}, indent=2) + "\nWould install it\n"
        elif "--dry-run" in line:
            said = "Would install 1 package\n" + "".join(f" + {n}=={number}\n" for n, number in self.would.items())
        return subprocess.CompletedProcess(line, int(bool(self.refuses)), said, self.refuses)


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pip:
    """Stub what is called, in an environment that has pip and no terminal."""
    pip = Pip()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dlplug.commands.install.subprocess.run", pip.run)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return pip


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command line; returns the status and what was said."""
    return lambda *args: (main([*args]), *capsys.readouterr())


def test_sources(pip: Pip, said: Said, tmp_path: Path) -> None:
    (tmp_path / "dlplug-mine").mkdir()
    (tmp_path / "dlplug-mine" / "pyproject.toml").touch()
    (tmp_path / "scikit").mkdir()  # no project: the name of one
    given = ["dlplug-mine", "scikit", "https://x.org/y.git", "https://x.org/y.git@main", "git+ssh://x/y.git", "a[b]>=2"]
    assert said("install", "--no-index", "--find-links=w", *given)[0] == 0
    dry, _, real, _ = pip.called
    taken = [str(tmp_path / "dlplug-mine"), "scikit", "git+https://x.org/y.git", "git+https://x.org/y.git@main"]
    assert real[1:6] == ["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    assert real[6:] == ["--no-index", "--find-links=w", "--", *taken, *given[4:]]
    assert [word for word in dry if word not in ("--dry-run", "--report=-")] == real
    assert said("install")[0] == said("install", "--nope", "x")[0] == 2


@pytest.mark.parametrize("name", ["torch", "Lightning", "pytorch_lightning", "dlplug"])
def test_what_everything_rests_on_changes_only_where_somebody_agrees(
    pip: Pip, said: Said, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pip.would = {"dlplug-new": "1.0", name: "99"}
    status, out, err = said("install", "dlplug-new")
    assert (status, len(pip.called)) == (2, 1)
    assert " -> 99\n" in out
    assert err.endswith("say --yes, since there is no terminal to ask in\n")

    terminal = io.StringIO("n\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert said("install", "dlplug-new")[::2] == (2, "dlplug: nothing was changed\n")
    assert len(pip.called) == 2
    terminal.write("y\n")
    terminal.seek(2)
    assert said("install", "dlplug-new")[0] == said("install", "--yes", "dlplug-new")[0] == 0
    assert [line[3] for line in pip.called if "--dry-run" not in line and "pip" in line] == ["install", "install"]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ("ERROR: Could not find it\nERROR: No matching distribution found for x.\n", "Could not find it; No matching"),
        (
            "Using Python 3.11\nerror: No solution found\n  cause: Because x was not found\n",
            "No solution found cause: B",
        ),
        ("  fatal: unable to access 'x'\nerror: subprocess-exited-with-error\n", "unable to access 'x'"),
        (
            "ERROR: Exception:\nTraceback (most recent call last):\n  File x\npip.Odd: odd\n",
            "pip.Odd: odd\n",
        ),
        ("", "status 1"),
    ],
)
def test_refusals_of_pip_and_uv_are_one_line(pip: Pip, said: Said, refusal: str, message: str) -> None:
    pip.refuses = refusal or " "
    status, out, err = said("install", "x")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"dlplug: {message}")


def test_environments_of_other_tools(pip: Pip, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", {"uv": "/bin/uv"}.get)
    status, out, _ = said("install", "dlplug-new", "--upgrade")
    assert (status, out.splitlines()[0]) == (0, "dlplug-new 1.0")
    assert pip.called[2] == ["/bin/uv", "pip", "install", f"--python={sys.executable}", "--upgrade", "--", "dlplug-new"]
    status, _, err = said("uninstall", "vision", "--yes")  # pip and uv call it a success, wherever a plugin is
    assert (status, err) == (2, f"dlplug: {ORIGIN} is still here: it is outside this environment, {sys.prefix}\n")
    assert pip.called[-1] == ["/bin/uv", "pip", "uninstall", f"--python={sys.executable}", "dlplug-vision"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "-m ensurepip" in said("install", "x")[2]
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    (tmp_path / "uv-receipt.toml").touch()
    assert said("install", "x", "y")[2].endswith(
        "another tool keeps this environment; type: uv tool install dlplug --with x y\n"
    )
    (tmp_path / "pipx_metadata.json").touch()
    assert said("install", "x", "--no-index")[2].endswith("type: pipx inject dlplug x\n")
    assert said("uninstall", "vision", "--yes")[2].endswith("type: pipx uninject dlplug dlplug-vision\n")


def test_what_is_no_plugin_is_not_uninstalled(pip: Pip, said: Said) -> None:
    assert said("uninstall", "core")[2] == "dlplug: that is dlplug itself: pip uninstall dlplug\n"
    assert said("uninstall", "dlplug")[0] == 2
    assert "no plugin 'torch' is installed" in said("uninstall", "torch")[2]
    assert not pip.called


def test_runs_that_need_a_plugin(pip: Pip, said: Said, tmp_path: Path) -> None:
    """Those whose config names a class of its packages, and those that it hooked into."""
    configs = {
        "a/1": "model:\n  class_path: dlplug_vision.models.cnn.CNN\n",
        "b/2": "# made with dlplug-vision 0.2.0 (pip install)\nmodel:\n  class_path: mine.CNN\n",
        "c/3": "model:\n  class_path: my.dlplug_vision.CNN\n  text: dlplug_vision\n",
        "d/4": "model:\n  class_path: dlplug_visionary.CNN\n# made with dlplug-vision-more 1 (x)\n",
    }
    for run, text in configs.items():
        (tmp_path / "runs" / run).mkdir(parents=True)
        (tmp_path / "runs" / run / "config.yaml").write_text(text)
    status, out, err = said("uninstall", "vision")
    needing = [str(Path("runs", *run.split("/"))) for run in ("a/1", "b/2")]
    assert (status, out.splitlines()[1:]) == (2, [f"  {run}" for run in needing])
    assert err == "dlplug: dlplug-vision would be removed: say --yes, since there is no terminal to ask in\n"
    assert not pip.called
