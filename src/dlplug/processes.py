"""Processes that share one import of torch."""

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from threading import Lock
from types import ModuleType
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
