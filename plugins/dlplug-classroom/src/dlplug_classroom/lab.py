"""The lab in which claims are measured of a student's class: its weights, in the course's own class."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dlplug import load
from dlplug.claims import Lab, Trained
from dlplug.data import ImageInfo, Info
from dlplug.registry import Registry
from dlplug.runs import Run
from dlplug_classroom.sandbox import Limits, Student, Ungraded, readable
from dlplug_classroom.student import outputs_of, state_of

# One step of the course's own class makes the run folder, and sets the data up.
FOLDER_ONLY = (
    "--trainer.max_epochs=1",
    "--trainer.max_steps=-1",
    "--trainer.limit_train_batches=1",
    "--trainer.limit_val_batches=1",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.num_sanity_val_steps=0",
)
NO_DATA = {".py", ".pyc", ".so", ".html", ".css", ".js", ".j2", ".ttf", ".svg", ".yaml", ".pth", ".cfg", ".typed"}
_opened: set[Path] | None = None


@dataclass(frozen=True)
class Graded(Trained):
    """What a student's training left, in the course's own class."""

    def history(self, metric: str) -> list[float]:
        """Return the one value that is measured here, of the last weights: what the student logged does not count."""
        return [load(self.run.path).validate({"ckpt_path": "last"})[metric]]


class GradingLab(Lab):
    """A lab in which another process trains one model; all else is as in any lab.

    Args:
        registry: The installed plugins.
        folder: Where its runs land.
        seeds: What it repeats its measurements over.
        model: The model whose place the student's class takes.
        file: The student's file.
        kind: The class in it.
        limits: What the student's process may take.

    Attributes:
        asked: Whether the student's class was needed yet.
    """

    def __init__(
        self, registry: Registry, folder: Path, seeds: Any, model: str, file: Path, kind: str, limits: Limits
    ) -> None:
        super().__init__(registry, folder, seeds)
        self.name, self._class_of_file, self._limits = model, (file, kind, model), limits
        self._hidden: set[Path] = set()
        self._student: Student | None = None
        self.asked = False

    def fit(self, model: str, *options: str, seed: int = 0) -> Trained:
        """Train; of the student's class, there, on the same data without those of the test."""
        if model != self.name:
            return super().fit(model, *options, seed=seed)
        with _recorded(self._hidden):
            own = super().fit(model, *options, *FOLDER_ONLY, seed=seed)
        batch = _first_batch(own.data)
        answer = self._ask("fit", self.name, options, seed, _without_test(own.data), batch)
        run = Run(own.run.path.with_name(f"{own.run.path.name}-graded"))
        shutil.copytree(own.run.path, run.path)
        own_state = state_of(own.model)
        for path, which in ((run.last, "last"), (run.best, "best")):
            if path:
                saved = torch.load(path, weights_only=True)
                torch.save({**saved, **_plain(own_state, answer[which])}, path)
        return Graded(run, _taught(own.model, answer, batch), own.data)

    def model(self, name: str, info: Info, seed: int = 0, **options: Any) -> Any:
        """Return an untrained model; of the student's class, the course's own with the weights that it starts with."""
        model = super().model(name, info, seed, **options)
        if name != self.name:
            return model
        batch = None
        if isinstance(info, ImageInfo):
            noise = torch.rand(4, info.channels, info.height, info.width, generator=torch.Generator().manual_seed(0))
            batch = (noise, torch.zeros(4, dtype=torch.long))
        return _taught(model, self._ask("model", name, info, seed, options, batch), batch)

    def data(self, name: str, **options: Any) -> Any:
        """Return data of that name, set up."""
        with _recorded(self._hidden):
            return super().data(name, **options)

    def close(self) -> None:
        """End the student's process."""
        if self._student:
            self._student.close()
        self._student = None

    def _ask(self, *request: Any) -> Any:
        self.asked = True
        if self._student and not self._hidden <= self._student.hidden:
            self.close()
        if not self._student:
            runs = self.folder / self.name
            runs.mkdir(parents=True, exist_ok=True)
            log = self.folder / "student.txt"
            self._student = Student(*self._class_of_file, self._limits, log, {*self._hidden}, runs)
        return self._student.ask(*request)


def _taught(model: Any, answer: Any, batch: Any) -> Any:
    """Return the course's own model with what a student's learned, where both compute the same of a batch.

    Raises:
        Ungraded: The weights do not fit, or give other outputs.
    """
    try:
        state = _plain(state_of(model), answer["last"])
        model.on_load_checkpoint(state)
        model.load_state_dict(state["state_dict"])
    except Exception as error:
        raise Ungraded(
            f"its weights are not those of {type(model).__name__}: {' '.join(str(error).split())}"
        ) from error
    theirs = answer.get("outputs", {})
    for part, outputs in outputs_of(model.eval(), batch).items():
        for name, own in outputs.items():
            found = theirs.get(part, {}).get(name)
            same = isinstance(found, torch.Tensor) and found.shape == own.shape
            if not same or not torch.allclose(found.double(), own.double(), 1e-3, 1e-4, equal_nan=True):
                raise Ungraded(
                    f"with the same weights, its {part} computes other {name} than the course's: see forward"
                )
    return model


def _first_batch(data: Any) -> Any:
    """Return the first validation batch, as models get it; None where there is none."""
    loader = data.val_dataloader()
    batch = next(iter(loader), None)
    return batch if batch is None else data.on_after_batch_transfer(batch, 0)


def _plain(own: dict[str, Any], answer: Any) -> dict[str, Any]:
    """Return a checkpoint's entries as the student has them; what its data are like is known better here."""
    return {key: own[key] if key == "info" else answer.get(key, own[key]) for key in own}


def _without_test(data: Any) -> Any:
    """Return data without what the test is made on, and without the trainer."""
    given = copy(data)
    given.trainer = None
    if splits := getattr(data, "splits", None):
        given.splits = {name: columns for name, columns in splits.items() if name != "test"}
    return given


@contextmanager
def _recorded(found: set[Path]) -> Iterator[None]:
    """Add the files of data that are read meanwhile: those among what is installed that hold neither code nor pages."""
    global _opened
    if _opened is None:
        _opened = set()
        sys.addaudithook(_record)
    _opened.clear()
    yield
    places = readable()
    for path in [*_opened]:
        own = path.suffix not in NO_DATA and not any(part.endswith(".dist-info") for part in path.parts)
        if own and path.is_file() and any(path.is_relative_to(place) for place in places):
            found.add(path)


def _record(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(args[0], str | bytes | os.PathLike) and _opened is not None:
        _opened.add(Path(os.path.realpath(os.fsdecode(args[0]))))
