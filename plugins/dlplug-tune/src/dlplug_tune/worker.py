"""Works on a study's trials, one after another."""

import csv
import errno
import json
import math
import os
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from dlplug.console import plain, say
from dlplug.errors import InputError
from dlplug.processes import start_fit
from dlplug.runs import Run
from dlplug_tune.space import Value, text
from dlplug_tune.study import BEAT, Study, number_of

FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
PATIENCE = 3  # trials that may fail before one is completed


class Stopped(Exception):
    """A trial was stopped, and can be gone on with."""


class Failed(Exception):
    """A trial came to no result."""


class Worker:
    """Begins trials until there are enough, or time is up.

    Args:
        study: Whose trials they are.
        most: How many there are to be, those of all workers together.
        until: When, on the monotonic clock, none is begun any more.
        stopped: Set where all workers of this process are to end.
    """

    def __init__(self, study: Study, most: float, until: float, stopped: Event) -> None:
        self._study, self._most, self._until, self._stopped = study, most, until, stopped

    def __call__(self) -> None:
        """Work.

        Raises:
            InputError: No trial would come to a result.
        """
        while not self._stopped.is_set() and time.monotonic() < self._until and (asked := self._study.ask(self._most)):
            try:
                self._attempt(*asked)
            except UpdateFinishedTrialError:  # this machine was asleep, or away from the storage
                say(f"trial {number_of(asked[0])}: another worker goes on with it")

    def _attempt(self, trial: Trial, values: dict[str, Value]) -> None:
        study, number = self._study, number_of(trial)
        options = ", ".join(f"{option.rpartition('.')[2]} {_short(value)}" for option, value in values.items())
        begun = time.monotonic()
        try:
            reached = self._train(trial, values)
            study.show_life(trial)
            state = TrialState.COMPLETE if reached else TrialState.PRUNED
            study.optuna.tell(trial, reached or None, state)
            what = ", ".join(
                f"{name} {value:.4g}" for (name, _), value in zip(study.search.objectives, reached, strict=False)
            )
            what = what or f"pruned after epoch {study.attributes(trial)['pruned']}"
            line = f"trial {number}: {what} ({time.monotonic() - begun:.0f} s; {options})"
            full = shutil.get_terminal_size().columns if sys.stderr.isatty() else len(line)
            say(line if len(line) <= full else f"{line[: full - 1]}…")
        except Stopped as error:
            self._stopped.set()
            study.hand_back(trial)
            if str(error):
                raise InputError(f"trial {number}: {error}") from error
        except Failed as error:
            trial.set_user_attr("error", plain(error))
            study.optuna.tell(trial, state=TrialState.FAIL)
            say(f"trial {number}: failed: {error} ({options})")
            ended = [each.state for each in study.trials()]
            if TrialState.COMPLETE not in ended and ended.count(TrialState.FAIL) >= PATIENCE:
                self._stopped.set()
                raise InputError(f"{ended.count(TrialState.FAIL)} trials failed and none was completed") from error

    def _train(self, trial: Trial, values: Mapping[str, Value]) -> list[float]:
        """Fit once a seed, and return the means of the objectives; nothing for a trial that was pruned."""
        study, search = self._study, self._study.search
        options = [f"--{option}={text(value)}" for option, value in values.items()]
        found: list[list[float]] = []
        for seed in search.seeds:
            name = f"trial{number_of(trial)}-seed{seed}"
            run = Run(study.folder / search.model / name)
            if run.about.get("state") != "done":
                line = [*search.line, *options, "--run", name, "--resume", "auto", "--seed_everything", str(seed)]
                line += ["--trainer.default_root_dir", str(study.folder)]
                self._fit(trial, line, study.folder / f"{name}.log", is_first=not found)
                state = "pruned" if "pruned" in study.attributes(trial) else "done"
                run.say_of_itself(study=study.name, trial=number_of(trial), state=state)
            if "pruned" in study.attributes(trial):
                return []
            found.append(self._read(run))
        trial.set_user_attr(
            "config", Run(run.path.with_name(f"trial{number_of(trial)}-seed{search.seeds[0]}")).config.read_text()
        )
        return [statistics.fmean(of_seeds) for of_seeds in zip(*found, strict=True)]

    def _fit(self, trial: Trial, line: list[str], log: Path, is_first: bool) -> None:
        study, env = self._study, {}
        if study.search.prune != "none" and is_first:  # the first seed's epochs are compared with other trials' first's
            place = study.place if "://" in study.place else os.path.abspath(study.place)
            told = {"storage": place, "study": study.name, "trial": trial._trial_id, "metric": study.search.monitor[0]}
            env = {"DLPLUG_TRIAL": json.dumps(told)}
        process = start_fit(line, log, **env)
        try:
            while process.is_alive():
                process.join(BEAT)
                study.show_life(trial)
        except UpdateFinishedTrialError:
            process.terminate()
            raise
        status = process.exitcode or 0
        if status >= 128:
            raise Stopped
        if status:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or [""]
            said = lines[-1].removeprefix("dlplug: ") if status > 0 else f"killed by signal {-status}"
            raise Stopped(said) if said.endswith(FULL) else Failed(f"{said}; see {log}")

    def _read(self, run: Run) -> list[float]:
        """Return a run's objectives: the metrics of the epoch whose checkpoint is its best, and its seconds."""
        search = self._study.search
        names, rows = _read_table(run.path / "metrics.csv")
        name, mode = search.monitor
        measured = [row for row in rows if name in row]
        best = (min if mode == "min" else max)(measured, key=lambda row: row[name]) if measured else {}
        best["seconds"] = sum(row["seconds"] for row in _read_table(run.path / "timing.csv")[1])
        for objective, _ in search.objectives:
            if objective not in (*names, "seconds"):
                self._stopped.set()
                known = ", ".join(name for name in names if name.startswith("val")) or "no val/…"
                raise InputError(f"{run.path} logs no {objective} to search by; it logs {known}")
            if objective not in best:
                raise Failed(f"{objective} is no finite number where {name} is best; see {run.path / 'metrics.csv'}")
        return [best[objective] for objective, _ in search.objectives]


def _read_table(path: Path) -> tuple[list[str], list[dict[str, float]]]:
    """Return a file's columns, and of each row the numbers that are finite."""
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        rows = [{key: float(cell) for key, cell in row.items() if cell} for row in reader]
    return [*(reader.fieldnames or ())], [{k: v for k, v in row.items() if math.isfinite(v)} for row in rows]


def _short(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
