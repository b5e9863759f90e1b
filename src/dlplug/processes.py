"""Processes that share one import of torch."""

import multiprocessing
import sys
from typing import Any

PRELOAD = ["dlplug.claims", "dlplug.training.preload"]  # what the one that is forked imports; more, before it starts


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
