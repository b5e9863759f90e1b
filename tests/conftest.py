import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

# Small networks are fastest on one thread, and on one thread they are exact.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

Result = "subprocess.CompletedProcess[str]"


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Result]:
    """Run ``dlplug`` in a folder of its own; returns what it said and its status.

    A fork of this process, since importing torch takes seconds and a suite runs a hundred commands.
    """
    import dlplug.cli  # noqa: F401 (before the fork)
    from dlplug.__main__ import main

    def command(*args: str | Path, **env: str) -> Result:
        line = [*map(str, args)]
        files = [tmp_path.with_name(f"{tmp_path.name}.{name}") for name in ("out", "err")]
        child = os.fork()
        if not child:
            status = 1
            try:
                for number, path in enumerate(files, start=1):
                    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                os.chdir(tmp_path)
                os.environ.update(env)
                sys.argv = ["dlplug", *line]
                warnings.resetwarnings()
                status = main(line)
            except SystemExit as error:
                status = error.code if isinstance(error.code, int) else 1
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return subprocess.CompletedProcess(line, status, *(path.read_text() for path in files))

    return command


@pytest.fixture
def refused(command: Callable[..., Result]) -> Callable[..., str]:
    """Run ``dlplug``, check that it refuses in one line with status 2, and return the line."""

    def refused(*args: str | Path, **env: str) -> str:
        result = command(*args, **env)
        assert result.returncode == 2, result
        assert result.stdout == ""
        assert result.stderr.startswith("dlplug: "), result.stderr
        assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr

    return refused
