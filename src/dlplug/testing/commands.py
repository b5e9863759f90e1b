"""Runs ``dlplug`` for a check or a test, without the seconds that importing torch takes each time."""

import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from dlplug.processes import start


def run_command(*args: str | Path, folder: Path, input: bytes = b"", **env: str) -> "subprocess.CompletedProcess[str]":
    """Run ``dlplug`` in a folder, and return what it said and its status, which is -9 after signal 9.

    Args:
        args: The command line after ``dlplug``.
        folder: Where it runs.
        input: What it reads from stdin.
        env: Environment variables that it gets besides this process's.
    """
    _files(folder)[0].write_bytes(input)
    process = start_command(*args, folder=folder, **env)
    process.join()
    status = process.exitcode
    assert status is not None
    return subprocess.CompletedProcess([*map(str, args)], status, *(path.read_text() for path in _files(folder)[1:]))


def start_command(*args: str | Path, folder: Path, **env: str) -> BaseProcess:
    """Do not wait for it: what it says lands beside the folder, in files that end with ``.out`` and ``.err``.

    What it reads from stdin is one that ends with ``.in``. Any of them may be a link to a terminal.
    """
    variables = {**os.environ, **env}
    return start(_command, [*map(str, args)], folder, variables)


def _command(line: list[str], folder: Path, env: Mapping[str, str]) -> None:
    from dlplug.__main__ import main

    sys.argv = [str(Path(sys.executable).with_name("dlplug")), *line]  # Lightning starts a second process with it
    sys.exit(_run(lambda: main(line), folder, env))


def run_apart(work: Callable[[], int], folder: Path) -> tuple[int, str, str]:
    """Run a function in a fork of this process, so that whatever it does to the process stays there.

    Args:
        work: Returns the exit status.
        folder: Working directory.

    Returns:
        The exit status, and what was written to stdout and stderr.
    """
    import dlplug.training.cli  # noqa: F401 (once, before the forks)

    child = os.fork()
    if not child:
        status = 1
        try:
            warnings.resetwarnings()
            for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)  # as Python does unless told otherwise
            # pytest's would keep them from being seen
            warnings.showwarning = lambda *shown: print(warnings.formatwarning(*shown[:4]), end="", file=sys.stderr)
            status = _run(work, folder, {**os.environ})
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _, out, err = (path.read_text() for path in _files(folder))
    return status, out, err


def _run(work: Callable[[], int], folder: Path, env: Mapping[str, str]) -> int:
    """Turn this process into one that was started for the work, do it, and return the exit status."""
    gc.freeze()  # collecting what was imported before the fork would copy all of it
    read, *written = _files(folder)
    os.dup2(os.open(read, os.O_RDONLY | os.O_CREAT), 0)
    for number, path in enumerate(written, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    kept = sys.stdin, sys.stdout, sys.stderr  # noqa: F841 (in a fork of a fork, losing them would close 0 to 2)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    try:
        return work()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.__excepthook__(*sys.exc_info())  # some libraries replace sys.excepthook, and draw instead
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _files(folder: Path) -> list[Path]:
    return [folder.with_name(f"{folder.name}.{name}") for name in ("in", "out", "err")]
