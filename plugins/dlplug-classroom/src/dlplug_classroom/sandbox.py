"""Starts the process of a student's class, as far from everything else as the machine allows."""

import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any

from dlplug_classroom import wire


class Ungraded(Exception):
    """A student's process gave nothing that can be measured; the text says why."""


@dataclass(frozen=True)
class Limits:
    """What a process may take.

    Attributes:
        minutes: Of processor time; twice as many on the clock.
        memory: GiB.
    """

    minutes: float = 10.0
    memory: float = 8.0

    def apply(self) -> None:
        """Limit this process."""
        seconds, size = max(1, int(60 * self.minutes)), int(self.memory * 2**30)
        for what, limit in (
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_DATA, size),
            (resource.RLIMIT_FSIZE, size),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(what, (limit, limit))


@cache
def bubblewrap() -> str:
    """Return the path of bubblewrap where it is installed and may be used here, else nothing."""
    found = shutil.which("bwrap") or ""
    tried = [found, "--ro-bind", "/", "/", "--unshare-all", "true"]
    return found if found and not subprocess.run(tried, capture_output=True).returncode else ""


def readable() -> list[Path]:
    """Return where Python and what is installed lie, without the working directory."""
    found = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *sys.path) if os.path.isdir(place)}
    return sorted(found - {Path.cwd()})


class Student:
    """A process with a student's class in the place of a model.

    Args:
        file: The student's file, which is copied.
        kind: The class in it.
        model: The model that it stands for.
        limits: What the process may take.
        log: Where what it prints is added.
        hidden: Files that it may not read, though they lie where what is installed does.
        runs: A folder that it may read too.

    Attributes:
        hidden: These files.
    """

    def __init__(
        self, file: Path, kind: str, model: str, limits: Limits, log: Path, hidden: Iterable[Path], runs: Path
    ) -> None:
        self.hidden = frozenset(hidden)
        self._home = tempfile.TemporaryDirectory(prefix="dlplug-student-")
        home = Path(self._home.name).resolve()
        shutil.copy(file, home / file.name)
        places = [*readable(), runs.resolve()]
        command = [sys.executable, "-m", "dlplug_classroom.student"]
        if bubblewrap():
            command = [bubblewrap(), *_walls(home, places, self.hidden), *command]
        path = os.pathsep.join([*(each for each in sys.path if Path(each).resolve() in places), str(home)])
        self._limits, self._log = limits, log.open("ab")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=home,
            env={
                "HOME": str(home),
                "TMPDIR": str(home),
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": path,
                "DLPLUG_WITH": f"{model}={file.stem}.{kind}",
                "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", ""),
            },
            preexec_fn=limits.apply,
            start_new_session=True,
        )
        self._send({"readable": [*map(str, places)], "hidden": [*map(str, self.hidden)]})

    def ask(self, *request: Any) -> Any:
        """Return what the process answers.

        Raises:
            Ungraded: It raised, ended, or took too long.
        """
        timer = Timer(120 * self._limits.minutes, self._process.kill)
        timer.start()
        try:
            self._send(request)
            assert self._process.stdout
            answer = wire.receive(self._process.stdout)
        except (OSError, ValueError) as error:
            self._process.kill()
            raise Ungraded(f"{error}; its process ended with status {self._process.wait()}") from error
        finally:
            timer.cancel()
        if not isinstance(answer, dict) or "found" not in answer:
            raise Ungraded(str(answer.get("error") if isinstance(answer, dict) else answer))
        return answer["found"]

    def close(self) -> None:
        """End the process, and remove what it wrote."""
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._home.cleanup()

    def _send(self, value: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(pickle.dumps(value))
        self._process.stdin.flush()


def _walls(home: Path, places: Iterable[Path], hidden: Iterable[Path]) -> list[str]:
    """Return the arguments of bubblewrap: no network, no other process, and nothing but these folders to read."""
    walls = ["--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for system in ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"):
        walls += ["--ro-bind-try", system, system]
    for place in places:
        walls += ["--ro-bind", str(place), str(place)]
    walls += ["--bind", str(home), str(home)]
    for file in hidden:
        walls += ["--ro-bind", "/dev/null", str(file)]
    return walls
