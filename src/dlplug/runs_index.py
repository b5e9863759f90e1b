"""What is known of every run below a folder, kept in an index while its files stay as they are."""

import csv
import json
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dlplug.files import write_atomically
from dlplug.panels import find_monitor, split_stage
from dlplug.runs import Run, run_folders

INDEX = ".runs.json"
VERSION = 2  # of an entry's fields
WATCHED = ("about.json", "metrics.csv", "test.csv", "timing.csv")
SEED, MOST = (re.compile(rf"^{key}: (.+)$", re.MULTILINE) for key in ("seed_everything", "  max_epochs"))
# Options that say where and what, not how.
PLACE = {"--model", "--data", "--run", "--resume", "--open", "--seed_everything", "--trainer.default_root_dir"}
PLACE |= {"--every_n_train_steps", "--train_time_interval"}


@dataclass
class Entry:
    """A run in a line.

    Attributes:
        path: Its folder.
        model: The model's name.
        data: The data's or environment's name.
        options: What was typed besides, and so differs from the recipe.
        seed: Of everything.
        state: ``running``, ``done``, ``failed``, or ``stopped``.
        epochs: How many were completed.
        of: How many were asked for; empty where that is open.
        seconds: How long it trained.
        monitor: The metric that says which checkpoint is best; empty without one.
        mode: Whether its ``min`` or ``max`` is best.
        best: Its best value.
        metrics: The last value of each metric of metrics.csv, and those of test.csv.
        note: What ``dlplug runs note`` wrote.
        study: The study of ``dlplug tune`` whose trial it is.
    """

    path: str
    model: str = ""
    data: str = ""
    options: str = ""
    seed: str = ""
    state: str = "stopped"
    epochs: int = 0
    of: str = ""
    seconds: float = 0.0
    monitor: str = ""
    mode: str = ""
    best: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""
    study: str = ""

    @property
    def name(self) -> str:
        """The folder's."""
        return Path(self.path).name

    @property
    def tested(self) -> str:
        """The metric of the test that says most: none of loss, where there is another."""
        names = [name for name in self.metrics if split_stage(name)[0] == "test"]
        return next((name for name in names if "loss" not in name), next(iter(names), ""))

    def row(self) -> dict[str, Any]:
        """Return the fields and metrics as they are shown and sorted by."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("metrics", "mode", "of", "best")}
        minutes, seconds = divmod(round(self.seconds), 60)
        return {
            "name": self.name,
            **plain,
            "epochs": f"{self.epochs}/{self.of}" if self.of else str(self.epochs),
            "time": f"{minutes}:{seconds:02}",
            "monitored": f"{self.monitor} {self.best:.4g}" if self.best is not None else None,
            "test": f"{self.tested} {self.metrics[self.tested]:.4g}" if self.tested else None,
            **self.metrics,
            **({self.monitor: self.best} if self.best is not None else {}),
        }

    def mentions(self, word: str) -> bool:
        """Return whether its name, model, data, options, state or note hold a word."""
        return (
            word.lower()
            in f"{self.path} {self.model} {self.data} {self.options} {self.state} {self.note} {self.study}".lower()
        )


def read_entries(folder: Path) -> list[Entry]:
    """Return the runs below a folder, the newest first; links to folders are not followed."""
    try:
        known = json.loads((folder / INDEX).read_text())
        known = known["entries"] if known["version"] == VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    kept: dict[str, Any] = {}
    entries = []
    for path in run_folders(folder):
        stamp = [_stamp(path / name) for name in WATCHED]
        key = str(path.relative_to(folder))
        try:
            old_stamp, plain = known[key]
            entry = Entry(**plain) if old_stamp == stamp and plain["path"] == str(path) else None
        except (KeyError, TypeError, ValueError):
            entry = None
        entry = entry or _read(Run(path))
        kept[key] = [stamp, asdict(entry)]
        if Run(path).is_trained():
            entry.state = "running"
        entries.append((stamp[0][1] if stamp[0] else 0, entry))
    if kept != known:
        with suppress(OSError):  # a folder that is not ours to write
            write_atomically(folder / INDEX, json.dumps({"version": VERSION, "entries": kept}).encode())
    return [entry for _, entry in sorted(entries, key=lambda pair: (pair[1].name, pair[0]), reverse=True)]


def _stamp(path: Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _read(run: Run) -> Entry:
    about = run.about
    try:
        config = run.config.read_text(errors="replace")
    except OSError:
        config = ""
    # Searched for, since parsing a thousand configs takes a minute.
    seed, most = (next(iter(key.findall(config)), "") for key in (SEED, MOST))
    entry = Entry(str(run.path), seed=seed, note=str(about.get("note", "")), of=most)
    entry.study = str(about.get("study", ""))
    names = (str(about.get(kind, {}).get("name", "")) for kind in ("model", "data"))
    entry.model, entry.data = (name.rpartition(".")[2] for name in names)  # one's own classes have paths
    typed = typed_options(about.get("commands", []))
    entry.options = " ".join(f"{key}={value}" if value else key for key, value in typed.items())
    entry.of = typed.get("trainer.max_epochs", entry.of)
    entry.of = "" if entry.of in ("-1", "null") else entry.of
    columns = _columns(run.path / "metrics.csv")
    entry.monitor, entry.mode = find_monitor(about.get("monitor"), columns) or ("", "")
    if values := [value for value in columns.get(entry.monitor, ()) if value == value]:  # less those that are none
        entry.best = min(values) if entry.mode == "min" else max(values)
    for found in (columns, _columns(run.path / "test.csv")):
        entry.metrics |= {
            name: values[-1] for name, values in found.items() if name not in ("epoch", "step") and values
        }
    timing = _columns(run.path / "timing.csv")
    entry.epochs, entry.seconds = len(timing.get("epoch", ())), sum(timing.get("seconds", ()))
    ended = "done" if str(entry.epochs) == entry.of else "stopped"  # of runs that do not say how they ended
    entry.state = str(about.get("state") or ended)
    return entry


def typed_options(commands: Iterable[Any]) -> dict[str, str]:
    """Return the options of the commands that trained a run, later ones over earlier, but for where and what."""
    options: dict[str, str] = {}
    for command in commands:
        key = ""
        with suppress(ValueError):  # of shlex
            for word in shlex.split(str(command))[2:]:
                if word.startswith("--") or word == "-c":
                    key, equals, value = word.partition("=")
                    options[key] = value
                    key = "" if equals else key
                elif key:
                    options[key] = word
    return {key.lstrip("-"): value for key, value in options.items() if key not in PLACE}


def _columns(path: Path) -> dict[str, list[float]]:
    """Return the numbers of a metrics file by column; what is none is left out."""
    columns: dict[str, list[float]] = {}
    with suppress(OSError, csv.Error), open(path, newline="", errors="replace") as file:
        for row in csv.DictReader(file):
            for name, cell in row.items():
                if name and isinstance(cell, str) and cell:
                    with suppress(ValueError):
                        columns.setdefault(name, []).append(float(cell))
    return columns
