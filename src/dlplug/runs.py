"""Where a run keeps its files.

runs/<model>/<date-time>/
    config.yaml         complete, written before training and never again
    about.json          what a reader needs where the plugin is not installed: the model's card, its panels, who made
                        it, and the commands that were typed
    metrics.csv         a row a logging step; test.csv and validate.csv beside it once asked for
    checkpoints/        best.ckpt (where the model names a monitor) and last.ckpt, each of a completed epoch; of
                        installed weights best.safetensors
    media/<key>/        <step>.png, what the model showed
    timing.csv          seconds an epoch and batches a second, apart from what is the same on every machine
    report.html         all of it on one page
    predictions.csv     what `dlplug predict` wrote
"""

import errno
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlplug.errors import InputError
from dlplug.files import sweep, write_atomically
from dlplug.panels import Panel

NAME = re.compile(r"\w[\w.-]*")  # of a run
ABOUT = {"commands": list, "panels": list, "model": dict, "data": dict, "versions": dict, "renamed_metrics": dict}
ABOUT |= {"axis": str, "cwd": str}
LOCK, HOLDER = ".lock", ".holder"  # of the process that trains


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, root: Path, config: str, about: Mapping[str, Any], name: str | None = None) -> "Run":
        """Make a new folder ``root/<name>`` that holds its config from the first moment on.

        The folder is filled under another name and renamed: a rename onto a folder that is not empty fails, so of any
        number of launches in one second each gets a folder of its own, and none is ever seen without its config.

        Args:
            root: Where the runs of one model are.
            config: Text of config.yaml.
            about: Content of about.json: plain data.
            name: The folder's; date and time unless given.

        Raises:
            InputError: The folder cannot be made.
        """
        import tempfile  # with datetime 8 ms, which a misspelt name does without
        from datetime import datetime

        suffixes = [""] if name else ["", *(f"-{n}" for n in range(2, 1000))]
        name = name or datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        filled = None
        try:
            root.mkdir(parents=True, exist_ok=True)
            sweep(root, ".*")
            filled = Path(tempfile.mkdtemp(prefix=".new-", suffix=f".{os.getpid()}", dir=root))
            filled.chmod(0o777 & ~_umask())
            (filled / "config.yaml").write_text(config)
            (filled / "about.json").write_text(json.dumps(about, indent=1))
            for suffix in suffixes:
                path = root / f"{name}{suffix}"
                if not path.exists():
                    try:
                        filled.rename(path)
                        return cls(path)
                    except OSError:
                        if not path.exists():
                            raise
            raise FileExistsError(errno.EEXIST, f"{name} exists")
        except OSError as error:
            if filled:
                cls(filled).discard()
            raise InputError(f"cannot make a run folder in {root}: {error.strerror or error}") from error

    @classmethod
    def open(cls, folder: str) -> "Run":
        """Return the run in a folder, or of a name.

        Args:
            folder: In this order: a path, the name of a run below ``runs``, that of installed weights, what only one
                run's name begins with, or ``last``, the one that was made last.

        Raises:
            InputError: There is none, or there are several.
        """
        path = Path(folder)
        try:
            path = path if path.exists() else _named(folder) or path
            if not path.is_dir():
                why = "there is no run below runs" if folder == "last" else "there is no such folder"
                raise InputError(f"{folder} is not a run folder: {why}")
            if not (path / "config.yaml").is_file():
                raise InputError(f"{folder} is not a run folder: it holds no config.yaml")
        except OSError as error:  # its name is too long, or a folder above it may not be entered
            raise InputError(f"{folder} is not a run folder: {error.strerror}") from error
        return cls(path)

    @property
    def config(self) -> Path:
        """Its config."""
        return self.path / "config.yaml"

    @property
    def about(self) -> dict[str, Any]:
        """What the run says of itself; empty where it says nothing that can be read."""
        fields = self._read_about().items()
        return {name: value for name, value in fields if isinstance(value, ABOUT.get(name, object))}

    def _read_about(self) -> dict[str, Any]:
        try:
            about = json.loads((self.path / "about.json").read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return about if isinstance(about, dict) else {}

    def note(self, typed: Sequence[str], panels: Sequence[Panel]) -> None:
        """Note a further command that trained it, unless that is empty, and what its model wants drawn."""
        commands = [*self.about.get("commands", []), *([shlex.join(typed)] if typed else [])]
        drawn = [panel.to_dict() for panel in panels]
        self.say_of_itself(commands=commands, panels=drawn, state="stopped")  # until it ends otherwise

    def say_of_itself(self, **fields: Any) -> None:
        """Change what about.json says; what another version wrote there stays."""
        content = json.dumps(self._read_about() | fields, indent=1).encode()
        write_atomically(self.path / "about.json", content, inside=self.path)

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path | None:
        """The checkpoint that it resumes from, of its last completed epoch or of the middle of the next, if any."""
        path = self.checkpoints / "last.ckpt"
        return path if path.exists() else None  # a sharded one is a folder

    @property
    def best(self) -> Path | None:
        """The best checkpoint by the model's monitor, or the last one where the model names none."""
        paths = (self.checkpoints / "best.ckpt", self.last, self.weights)
        return next((path for path in paths if path and path.exists()), None)

    @property
    def weights(self) -> Path | None:
        """The weights of a run that came as a package, from which none resumes."""
        path = self.checkpoints / "best.safetensors"
        return path if path.is_file() else None

    @property
    def trained(self) -> Path:
        """The checkpoint to measure or to generate with.

        Raises:
            InputError: There is none yet, or it is damaged.
        """
        if self.best is None:
            resume = f"dlplug fit {shlex.quote(str(self.path))}"
            raise InputError(f"{self.path} holds no checkpoint yet: no epoch was completed; `{resume}` resumes it")
        if self.best == self.weights and digest_of(self.best) != self.about.get("digest"):
            raise InputError(f"{self.best} is damaged: remove {self.path}, which is made anew from the package")
        return self.best

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training here; one that ends, however it ends, lets go of it.

        Raises:
            InputError: Another process trains here.
        """
        import platform

        from filelock import FileLock, Timeout  # with platform 11 ms, which all but training does without

        lock = FileLock(self.path / LOCK)
        holder = self.path / HOLDER
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = holder.read_text() if holder.is_file() else "another process"
            raise InputError(f"{self.path} is being trained by {who}: wait for it, or stop it") from None
        except NotImplementedError:  # a file system without locks
            pass
        sweep(self.path, "**/.*")
        write_atomically(holder, f"process {os.getpid()} of {platform.node()}".encode())
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def is_trained(self) -> bool:
        """Whether a process trains here."""
        from filelock import FileLock

        if not os.path.isfile(self.path / HOLDER):
            return False
        try:
            with FileLock(self.path / LOCK, blocking=False):
                return False  # it was killed
        except (OSError, NotImplementedError):  # of which Timeout is one
            return True

    def is_empty(self) -> bool:
        """Whether nothing was trained: it holds its config, what it says of itself, a page, and loggers' beginnings."""
        begun = {"config.yaml", "about.json", "report.html", "wandb", "tensorboard", LOCK, HOLDER}
        return self.path.is_dir() and {path.name for path in self.path.iterdir()} <= begun

    def summary(self, command: str, offered: Sequence[str] = ()) -> str:
        """Return what a person does next after a command: where to look, what to type.

        Args:
            command: The command.
            offered: Plugins' commands that take a run folder, such as ``play``.
        """
        lines = [f"run: {self.path}"]
        pictures = sorted(self.path.glob("media/*/*"))
        latest = {picture.parent: picture for picture in pictures}
        if command == "fit":
            lines += [f"picture: {picture}" for picture in latest.values()]
            if (self.path / "report.html").is_file():
                lines += [f"report: {self.path / 'report.html'}"]
            more = [*(["generate"] if self.about.get("generates") else []), *offered, "fit", "validate", "predict"]
            lines += [f"next: dlplug test {shlex.quote(str(self.path))}  (or {', '.join(more)})"]
        return "\n".join(lines)

    def discard(self) -> None:
        """Remove a folder in which nothing was trained."""
        import shutil  # 2 ms, which a misspelt name does without

        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # other runs are in there
            self.path.parent.rmdir()


def _named(name: str) -> Path | None:
    """Return the one run below ``runs`` that a name is of.

    Raises:
        InputError: There are several.
    """
    from dlplug.registry.weights import unpack  # a door: what is installed is known there, and only by its names

    paths = [*run_folders(Path("runs"))]
    exact = [path for path in paths if path.name == name]
    if not exact and (unpacked := unpack(name)):
        return unpacked
    found = exact or [path for path in paths if path.name.startswith(name)]
    if len(found) > 1:
        listed = ", ".join(map(str, sorted(found)[:5])) + (", …" if len(found) > 5 else "")
        raise InputError(f"{name} may be {len(found)} runs: {listed}")
    if not found and name == "last" and paths:
        found = [max(paths, key=lambda path: (path / "config.yaml").stat().st_mtime_ns)]
    return found[0] if found else None


def run_folders(folder: Path, depth: int = 3) -> Iterator[Path]:
    """Give the run folders below a folder; links are not followed, nor is what is deeper, as the runs of claims are."""
    try:
        names = sorted(e.name for e in os.scandir(folder) if e.name[0] != "." and e.is_dir(follow_symlinks=False))
    except OSError:  # it may not be read, or has gone
        return
    for path in (folder / name for name in names if depth):
        if os.path.isfile(path / "config.yaml"):  # False where it may not be asked
            yield path
        else:
            yield from run_folders(path, depth - 1)


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    import hashlib  # 5 ms, which most commands do without

    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
