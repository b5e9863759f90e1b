"""A study: where its trials are kept, and which of them have lost their worker."""

import json
import os
import platform
import random
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from filelock import FileLock
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from dlplug.errors import InputError
from dlplug.files import is_alive, write_atomically
from dlplug_tune.space import Search, Value, draw, parse

optuna.logging.set_verbosity(optuna.logging.ERROR)
# What happens to all but one of several machines that make an empty database's tables at once.
AT_ONCE = ("IntegrityError", "ProgrammingError", "StorageInternalError")
BEAT = 60.0  # seconds between two signs of life of a trial
LOST = 5 * BEAT  # without one
DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
SAMPLERS = {"tpe": TPESampler, "random": RandomSampler, "grid": RandomSampler}  # of which a grid's is not asked


class Journal(JournalFileBackend):
    """Optuna's journal, whose end a full disk or a kill may have torn: that is cut off before more is written."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._own = FileLock(Path(path).with_name(".journal.lock"))  # which a process lets go of however it ends
        super().__init__(path, self._own)  # type: ignore[arg-type]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, whole."""
        with self._own:
            with open(self._path, "r+b") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                if file.read() not in (b"", b"\n"):
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            super().append_logs(logs)


def open_storage(place: str) -> BaseStorage:
    """Return the storage at an address, or in a journal.

    Raises:
        InputError: There is none, or what talks to it is not installed.
    """
    if "://" not in place:
        return JournalStorage(Journal(place))
    url, tries = place.replace("postgresql://", "postgresql+psycopg://", 1), 10
    while True:
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except ImportError as error:
            raise InputError(f"--storage: {error}; PostgreSQL's comes with dlplug-tune[postgresql]") from error
        except Exception as error:  # SQLAlchemy's, which do not hold the password
            tries -= 1
            if type(error).__name__ not in AT_ONCE or not tries:
                reason = str(error.__cause__ or error).splitlines()[0]
                raise InputError(f"--storage cannot be used: {reason}") from error
            time.sleep(random.random())


class Study:
    """A study, which any number of workers share.

    Args:
        name: Its name in the storage.
        folder: Where its runs are.
        place: An address, or a journal's path.
        search: What it has to be of.
        recipe: The recipe's values of what is searched.

    Attributes:
        optuna: It as Optuna knows it.

    Raises:
        InputError: There is one of that name that is of another search, or the storage cannot be used.
    """

    def __init__(self, name: str, folder: Path, place: str, search: Search, recipe: Mapping[str, Any]) -> None:
        self.name, self.folder, self.place, self.search = name, folder, place, search
        self._is_shared = "://" in place
        self._lock: AbstractContextManager[Any] = (
            nullcontext() if self._is_shared else FileLock(folder / ".asking.lock")
        )
        storage = open_storage(place)
        with self._lock:
            try:
                directions = [DIRECTIONS[mode] for _, mode in search.objectives]
                self.optuna = optuna.create_study(storage=storage, study_name=name, directions=directions)
                for values in search.first(recipe):
                    self.optuna.enqueue_trial(values, {} if search.sampler == "grid" else {"recipe": True})
                self.optuna.set_user_attr("search", {**asdict(search), "id": uuid4().hex})
            except DuplicatedStudyError:
                self.optuna = optuna.load_study(storage=storage, study_name=name)
        self._check()

    def _check(self) -> None:
        """Refuse another search, or a folder with another one's runs."""
        until = time.monotonic() + BEAT
        while "search" not in self.optuna.user_attrs and time.monotonic() < until:
            time.sleep(0.2)  # another worker is making it
        held = dict(self.optuna.user_attrs.get("search", {}))
        other = f"--study NAME makes another, without {self.folder} this one can be made anew"
        id = held.pop("id", "")
        asked = json.loads(json.dumps(asdict(self.search)))
        if wrong := [key for key in asked if held.get(key) != asked[key]]:
            raise InputError(f"the study {self.name} is of another {' and '.join(wrong)}: {other}")
        mark = self.folder / "study.json"
        if not mark.exists():
            write_atomically(mark, json.dumps({"id": id, **held}, indent=1).encode())
        if json.loads(mark.read_text()).get("id") != id:
            raise InputError(f"{self.folder} holds the runs of another study {self.name}: {other}")

    def trials(self) -> list[FrozenTrial]:
        """Return what was tried or is to be, without those that were begun again."""
        every = self.optuna.get_trials(deepcopy=False)
        again = {trial.user_attrs.get("again") for trial in every}
        return [trial for trial in every if trial.number not in again]

    def ask(self, most: float) -> tuple[Trial, dict[str, Value]] | None:
        """Return a trial to begin, or one to go on with, and its values; None where there are as many as asked for."""
        with self._lock:
            for trial in self.trials():
                if trial.state == TrialState.RUNNING and is_lost(trial):
                    self.hand_back(trial)
            trials = self.trials()
            waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
            if len(trials) - len(waiting) >= most or (self.search.sampler == "grid" and not waiting):
                return None
            # One worker alone searches the same again; of several machines each draws what it likes.
            seed = None if self._is_shared else len(trials)
            self.optuna.sampler = SAMPLERS[self.search.sampler](seed=seed)
            asked = self.optuna.ask()
            self.show_life(asked)
            return asked, draw(asked, parse(self.search.space))

    def hand_back(self, trial: Trial | FrozenTrial) -> None:
        """Let any worker go on with a trial that its own cannot end."""
        with suppress(ValueError, UpdateFinishedTrialError):  # another worker was quicker
            held = self.optuna.tell(trial.number, state=TrialState.FAIL)
            again = {**held.user_attrs, "again": held.number, "run": number_of(held)}
            again.pop("worker", None)  # whose death would be this one's too
            waiting = create_trial(
                state=TrialState.WAITING,
                params=held.params,
                distributions=held.distributions,
                intermediate_values=held.intermediate_values,
                user_attrs=again,
            )
            self.optuna.add_trial(waiting)

    def attributes(self, trial: Trial) -> dict[str, Any]:
        """Return what is noted of a trial, by the process that trains it too."""
        return self.optuna.get_trials(deepcopy=False)[trial.number].user_attrs

    def show_life(self, trial: Trial) -> None:
        """Say that a trial is worked on.

        Raises:
            UpdateFinishedTrialError: Another worker took it for lost, and goes on with it.
        """
        trial.set_user_attr("worker", [platform.node(), os.getpid(), time.time()])


def is_lost(trial: FrozenTrial) -> bool:
    """Return whether the worker of a running trial is no more."""
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    host, process, seen = trial.user_attrs.get("worker", ("", 0, begun))
    return time.time() - seen > LOST or (host == platform.node() and not is_alive(process))


def number_of(trial: Trial | FrozenTrial) -> int:
    """Return the number that a trial's runs have: the one that it was first begun with."""
    return int(trial.user_attrs.get("run", trial.number))
