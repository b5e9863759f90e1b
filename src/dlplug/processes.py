"""Processes that share one import of torch."""

import gc
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock, Thread
from types import FrameType, ModuleType
from typing import Any

PRELOAD = ["dlplug.claims", "dlplug.training.preload"]  # what the one that is forked imports; more, before it starts

_STARTING = Lock()


def start(target: Callable[..., None], *args: Any) -> BaseProcess:
    """Start a process that calls a function of ours, and return it.

    It does not import ``__main__``: a script without ``if __name__ == "__main__":`` would begin again in each.
    """
    process: BaseProcess = fork_server().Process(target=target, args=args)
    with _STARTING:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            process.start()
        finally:
            sys.modules["__main__"] = main
    return process


def fork_server() -> Any:
    """Return a context of ``multiprocessing`` whose processes are forks of one that has imported torch and dlplug.

    No tensor was made in that one, so a fork lacks no thread. Where there are no forks, each process imports anew.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    if "dlplug.training.preload" in sys.modules:  # this is such a fork itself, and so are its own
        return multiprocessing.get_context("fork")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def start_fit(line: Sequence[str], log: Path, **env: str) -> BaseProcess:
    """Start ``dlplug fit`` in a process of its own, which exits with the command's status.

    It is interrupted where this process ends before it: its run resumes.

    Args:
        line: What is typed after ``fit``.
        log: The file that what it says is added to.
        env: Environment variables that it gets besides this process's.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    return start(_fit, [*line], log, env)


def _fit(line: list[str], log: Path, env: dict[str, str]) -> None:
    gc.freeze()  # collecting what was imported before the fork would copy all of it
    with open(log, "ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    os.environ.update(env)
    command: Any = import_module("dlplug.__main__")  # by name, since it is of a room above
    # By these Lightning starts the other processes of a fit on several devices.
    sys.modules["__main__"].__spec__, sys.argv = command.__spec__, [command.__file__, "fit", *line]
    Thread(target=_end_with_parent, daemon=True).start()
    status: Any = 1
    try:
        status = command.main(["fit", *line])
    except SystemExit as error:
        status = error.code
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Python's own way out would wait for the threads of a pool that this was forked from, itself among them.
        os._exit(status if isinstance(status, int) else 1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise ``KeyboardInterrupt(SIGTERM)`` after SIGTERM, as Ctrl-C raises it without a number."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt_children() -> None:
    """Interrupt the processes that this one has started: a fit ends in order, and resumes."""
    for process in multiprocessing.active_children():
        process.join(1)  # those of a terminal were interrupted too
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGINT)
