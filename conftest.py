"""What tests of the core and of the plugins share: the command, run in a folder of its own."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import launched
import pytest

from dlplug.__main__ import main
from dlplug.testing import run_command
from dlplug.testing.commands import run_apart

# Small networks are fastest on one thread, and on one thread they are exact.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

Result = subprocess.CompletedProcess[str]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Result]:
    """Run ``dlplug`` in a folder of its own; returns what it said and its status."""
    return partial(run_command, folder=tmp_path)


@pytest.fixture
def patched_command(tmp_path: Path) -> Callable[..., Result]:
    """Do so in a fork of this process, with whatever the test has patched."""

    def patched_command(*args: str | Path, **env: str) -> Result:
        line = [*map(str, args)]

        def work() -> int:
            os.environ.update(env)
            return main(line)

        return subprocess.CompletedProcess(line, *run_apart(work, tmp_path))

    return patched_command


@pytest.fixture
def fit(command: Callable[..., Result], tmp_path: Path) -> Callable[..., Path]:
    """Fit, check that it worked, and return the run folder; what was said is ``fit.said``."""

    def fit(*args: str | Path, **env: str) -> Path:
        before = set(tmp_path.glob("runs/*/*"))
        result = command("fit", *args, **env)
        assert result.returncode == 0, result.stderr
        fit.said = result.stderr  # type: ignore[attr-defined]
        [run] = set(tmp_path.glob("runs/*/*")) - before or {tmp_path / str(args[0])}
        return run

    return fit


@pytest.fixture
def fit_on_two(tmp_path: Path) -> Callable[..., Path]:
    """Fit on two processes, by ddp and in mixed precision unless options say otherwise.

    They are started as Lightning's launcher starts the second, but for its import of torch.
    What both said is ``fit_on_two.said``. The launcher itself is what docs/scaling.md types, in tests/test_docs.py.
    """

    def fit_on_two(*args: str | Path) -> Path:
        two = ["--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp"]
        two += ["--trainer.precision=bf16-mixed"]
        given = {str(arg).partition("=")[0] for arg in args}
        line = ["fit", *map(str, args), *(option for option in two if option.partition("=")[0] not in given)]
        job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": launched.free_port(), "NODE_RANK": "0", "WORLD_SIZE": "2"}
        second = tmp_path.with_name(f"{tmp_path.name}.second")  # the same folder, with streams of its own
        if not second.exists():
            second.symlink_to(tmp_path)
        before = set(tmp_path.glob("runs/*/*"))
        folders = tmp_path, second
        ranks = [launched.start(*line, folder=f, **job, LOCAL_RANK=str(n)) for n, f in enumerate(folders)]
        for rank in ranks:
            rank.join()
        fit_on_two.said = "".join(f.with_name(f"{f.name}.err").read_text() for f in folders)  # type: ignore[attr-defined]
        assert [rank.exitcode for rank in ranks] == [0, 0], fit_on_two.said  # type: ignore[attr-defined]
        [run] = set(tmp_path.glob("runs/*/*")) - before or {tmp_path / str(args[0])}
        return run

    return fit_on_two


@pytest.fixture
def refused(command: Callable[..., Result]) -> Callable[..., str]:
    """Run ``dlplug``, check that it refuses in one line with status 2, and return the line.

    What a run of a test's own classes imports is said before it.
    """

    def refused(*args: str | Path, **env: str) -> str:
        result = command(*args, **env)
        assert result.returncode == 2, result
        assert result.stdout == ""
        said = [line for line in result.stderr.splitlines(keepends=True) if " imports own." not in line]
        assert len(said) == 1, result.stderr
        assert said[0].startswith("dlplug: "), result.stderr
        return said[0]

    return refused
