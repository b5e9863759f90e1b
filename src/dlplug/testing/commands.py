"""Runs ``dlplug`` for a check or a test, without the seconds that importing torch takes each time."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TextIO


def run_command(*args: str | Path, folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run ``dlplug`` in a folder, and return what it said and its status.

    Args:
        args: The command line after ``dlplug``.
        folder: Where it runs.
        env: Environment variables that it gets besides this process's.
    """
    line = [*map(str, args)]

    def work() -> int:
        from dlplug.__main__ import main

        sys.argv = ["dlplug", *line]
        return main(line)

    import dlplug.training.cli  # noqa: F401 (once, before the forks)

    status, out, err = run_apart(work, folder, env)
    return subprocess.CompletedProcess(line, status, out, err)


def run_apart(work: Callable[[], int], folder: Path, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a function in a fork of this process, so that whatever it does to the process stays there.

    Args:
        work: Returns the exit status.
        folder: Working directory.
        env: Further environment variables.

    Returns:
        The exit status, and what was written to stdout and stderr.
    """
    files = [folder.with_name(f"{folder.name}.{name}") for name in ("out", "err")]
    child = os.fork()
    if not child:
        status = 1
        try:
            for number, path in enumerate(files, start=1):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            kept = sys.stdout, sys.stderr  # noqa: F841 (in a fork of a fork, losing them would close 1 and 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            os.chdir(folder)
            os.environ.update(env or {})
            warnings.resetwarnings()
            for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)  # as Python does unless told otherwise
            warnings.showwarning = _show  # pytest's would keep them from being seen
            status = work()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.__excepthook__(*sys.exc_info())  # some libraries replace sys.excepthook, and draw instead
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    out, err = (path.read_text() for path in files)
    return status, out, err


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))
