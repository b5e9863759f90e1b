"""A process of a command that a launcher starts, a fork of one that has imported torch."""

import os
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from dlplug.processes import fork_server
from dlplug.testing import commands


def start(*args: str, folder: Path, **env: str) -> BaseProcess:
    """Start ``dlplug`` in a folder, with the variables by which its launcher tells it its place."""
    process: BaseProcess = fork_server().Process(target=_start, args=([*args], folder, {**os.environ, **env}))
    process.start()
    return process


def _start(line: list[str], folder: Path, env: Mapping[str, str]) -> None:
    from lightning.fabric.utilities import rank_zero

    os.environ.update(env)
    rank_zero.rank_zero_only.rank = rank_zero._get_rank() or 0  # what Lightning does where it is imported
    commands._command(line, folder, env)
