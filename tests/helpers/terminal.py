"""A terminal that a command is typed at."""

import contextlib
import os
import pty
import termios
from collections.abc import Sequence
from pathlib import Path

from dlplug.testing.commands import start_command


def run_on_terminal(*args: str | Path, folder: Path, streams: Sequence[str]) -> tuple[int, str]:
    """Run ``dlplug`` in a folder, and return its status and what the terminal shows.

    Args:
        args: The command line after ``dlplug``.
        folder: Where it runs.
        streams: Those of ``"in"``, ``"out"`` and ``"err"`` that are the terminal, 80 columns wide.
    """
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    for stream in streams:
        folder.with_name(f"{folder.name}.{stream}").symlink_to(os.ttyname(terminal))
    process = start_command(*args, folder=folder)
    shown = os.read(ours, 4096)  # now it has opened the terminal too
    os.close(terminal)
    with contextlib.suppress(OSError):  # its other end is closed
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    process.join()
    assert process.exitcode is not None
    return process.exitcode, shown.decode()
