"""Distributions for tests: laid out by hand, or built and installed in an environment of their own."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
LECTURES = [path.parents[2].name for path in ROOT.glob("plugins/*/src/*/plugin.py") if "ModelSpec(" in path.read_text()]
PIP = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")


def lay_out(folder: Path, name: str, version: str, entry_point: str, requires: str = "dlplug") -> None:
    """Write into a folder what an installer would write of a plugin, besides its modules."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: {requires}\n"
    )
    (info / "entry_points.txt").write_text(f"[dlplug]\n{entry_point}\n")


def lay_out_project(folder: Path, project: Path) -> None:
    """Do the same for a project that has a pyproject.toml."""
    table = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    [(name, target)] = table["entry-points"]["dlplug"].items()
    lay_out(folder, table["name"], table["version"], f"{name} = {target}")


def build_wheels(folder: Path, *projects: Path) -> None:
    """Build a wheel of each project, in the environment that runs this."""
    line = ["wheel", *PIP, "--no-build-isolation", "--wheel-dir", str(folder), *map(str, projects)]
    subprocess.run([sys.executable, "-m", "pip", *line], check=True, capture_output=True)


class Environment:
    """A fresh environment that has all that this one has but dlplug and its plugins.

    Attributes:
        python: Its interpreter.
        folder: The working directory of its commands.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        venv.create(folder / "env", with_pip=True)
        self.python = str(folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
        # Links to everything else, since torch is large, and no .pth file, since those may lead to editable installs.
        others = folder / "others"
        others.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if "dlplug" not in path.name and path.suffix != ".pth" and not path.name.startswith("pip"):
                (others / path.name).symlink_to(path)
        [site_packages] = (folder / "env").rglob("site-packages")
        (site_packages / "others.pth").write_text(f"{others}\n")

    def run(self, *args: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run the interpreter there."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        env |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        line = [self.python, *map(str, args)]
        return subprocess.run(line, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    def dlplug(self, *args: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run the command there."""
        return self.run("-m", "dlplug", *args)

    def pip(self, *args: str | Path) -> None:
        """Run pip there, on what is here already."""
        result = self.run("-m", "pip", *args)
        assert result.returncode == 0, result.stderr

    def install(self, *what: str | Path) -> None:
        """Install wheels or projects."""
        self.pip("install", *PIP, "--no-build-isolation", *what)
