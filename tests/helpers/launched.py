"""A process of a command that a launcher starts, a fork of one that has imported torch."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from dlplug.processes import fork_server
from dlplug.testing import commands

# How the names of variables begin by which a launcher tells a process its place.
LAUNCHERS = ("SLURM_", "TORCHELASTIC_", "NODE_RANK", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "DLPLUG_RUN")


def free_port() -> str:
    """Return a port below those that a system gives out by itself, so that no other process gets it in between."""
    for port in range(20_000 + 37 * os.getpid() % 10_000, 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
    raise OSError("no port is free")


def start(*args: str, folder: Path, **env: str) -> BaseProcess:
    """Start ``dlplug`` in a folder, with the variables by which its launcher tells it its place."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
    process: BaseProcess = fork_server().Process(target=_start, args=([*args], folder, inherited | env))
    process.start()
    return process


def _start(line: list[str], folder: Path, env: Mapping[str, str]) -> None:
    from lightning.fabric.utilities import rank_zero

    os.environ.update(env)
    rank_zero.rank_zero_only.rank = rank_zero._get_rank() or 0  # what Lightning does where it is imported
    commands._command(line, folder, env)
