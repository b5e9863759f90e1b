"""Claims: a sentence of the course, measured, with a control that has to fail.

A claim is a function from a ``Lab``, which trains through the same code as the command, to ``Evidence``.
"""

import hashlib
import json
import math
import os
import shutil
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock
from lightning.pytorch import LightningDataModule, seed_everything
from scipy.stats import beta, t

from dlplug import media
from dlplug.data import Info
from dlplug.errors import InputError
from dlplug.files import write_atomically
from dlplug.loggers.csv import read_metrics
from dlplug.model import Model
from dlplug.registry import Registry
from dlplug.registry.job import Job, expand
from dlplug.registry.source import file_of, load_class
from dlplug.runs import Run
from dlplug.training.cli import CLI, prepare

CONFIDENCE = 0.95
DONE = ".shared"  # marks a run that other claims may take


@dataclass(frozen=True)
class Measure:
    """A number held against a threshold by a one-sided 95 % confidence bound.

    Attributes:
        name: What was measured, with its unit.
        values: One a seed, each already the difference where two things are compared by seed (a paired comparison).
        sense: ``">="`` or ``"<="``: how the number has to compare with the threshold.
        threshold: The bar, set before measuring or with its history in the claim's spec.
        baseline: What the bar comes from, with its figure.
        trials: Independent cases that each value is a share of, 0 where it is no share: the bound is then the exact
            one of all cases together (Clopper and Pearson, 1934), not Student's t over seeds.
        exact: Whether the values are counted or derived, the same for every seed: they are their own bound.
    """

    name: str
    values: Sequence[float]
    sense: Literal[">=", "<="]
    threshold: float
    baseline: str = ""
    trials: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.name!r} holds no value")

    @property
    def mean(self) -> float:
        """The mean of the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """The standard deviation of the seeds; 0 for a single value."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The one-sided 95 % bounds from below and from above; nan for one value, neither exact nor a share."""
        if self.exact:
            return min(self.values), max(self.values)
        count = len(self.values)
        if self.trials:
            cases = self.trials * count
            hits = self.mean * cases
            below, above = beta(hits, cases - hits + 1), beta(hits + 1, cases - hits)
            return (
                float(below.ppf(1 - CONFIDENCE)) if hits > 0 else 0.0,
                float(above.ppf(CONFIDENCE)) if hits < cases else 1.0,
            )
        if count == 1:
            return math.nan, math.nan
        margin = float(t(count - 1).ppf(CONFIDENCE)) * self.spread / math.sqrt(count)
        return self.mean - margin, self.mean + margin

    @property
    def reached(self) -> bool:
        """Whether the mean is on the right side of the threshold, whatever its uncertainty."""
        return self.mean >= self.threshold if self.sense == ">=" else self.mean <= self.threshold

    @property
    def holds(self) -> bool:
        """Whether the bound of a measure is on the right side of the threshold."""
        below, above = self.interval
        return below >= self.threshold if self.sense == ">=" else above <= self.threshold

    @property
    def fails(self) -> bool:
        """Whether the bound of a control is on the wrong side of the threshold: it is shown to fail."""
        below, above = self.interval
        return above < self.threshold if self.sense == ">=" else below > self.threshold


@dataclass(frozen=True)
class Evidence:
    """What a claim found.

    Attributes:
        measures: What has to hold.
        controls: The same measured where the claim must not hold (labels shuffled, the mechanism taken out, a planted
            error): each has to be shown to fail its threshold, or the claim could not have failed either.
        figures: What a person looks at, by title.
        note: What a reader should know besides.
    """

    measures: Sequence[Measure]
    controls: Sequence[Measure]
    figures: Mapping[str, media.Media] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        if not self.measures or not self.controls:
            raise ValueError("evidence needs a measure and a control: a claim that cannot fail says nothing")

    @property
    def holds(self) -> bool:
        """Whether every measure holds and every control is shown to fail."""
        return all(m.holds for m in self.measures) and all(c.fails for c in self.controls)


@dataclass(frozen=True)
class Trained:
    """What a training command left.

    Attributes:
        run: Its folder.
        model: The model with the weights of the last epoch, in evaluation mode.
        data: The data it was trained on.
    """

    run: Run
    model: Any
    data: LightningDataModule

    def history(self, metric: str) -> list[float]:
        """Return the values of a metric in the order they were logged, such as ``train/loss``."""
        return [float(row[metric]) for row in read_metrics(self.run.path / "metrics.csv") if row.get(metric)]


class Lab:
    """Where a claim trains.

    Attributes:
        registry: The installed plugins.
        folder: Where its runs land.
        seeds: What it repeats its measurements over.
        runs: Where it keeps runs for other claims that train the same, and takes theirs from; nowhere if None.
    """

    def __init__(self, registry: Registry, folder: Path, seeds: Sequence[int], runs: Path | None = None) -> None:
        self.registry = registry
        self.folder = folder
        self.seeds = seeds
        self.runs = runs

    def fit(self, model: str, *options: str, seed: int = 0) -> Trained:
        """Train as ``dlplug fit --model MODEL OPTIONS --seed_everything SEED`` does.

        Args:
            model: Short name or class path.
            options: Further options, each ``--key=value``.
            seed: Seed of everything.
        """
        own = ["--model", model, *options, "--seed_everything", str(seed)]
        trained = self._shared(own) if self.runs else None
        trained = trained or self._train([*own, f"--trainer.default_root_dir={self.folder}"])
        seed_everything(seed, verbose=False)  # what is drawn next is the same, whether it was trained just now or not
        return trained

    def test(self, trained: Trained, *options: str) -> dict[str, float]:
        """Measure the best checkpoint as ``dlplug test RUN`` does, and return the metrics by name."""
        with FileLock(f"{trained.run.path}.lock"):  # another claim may measure the same run, otherwise
            self._run(expand("test", [str(trained.run.path), *options], self.registry))
            [row] = read_metrics(trained.run.path / "test.csv")
        return {name: float(value) for name, value in row.items() if "/" in name}

    def data(self, name: str, **options: Any) -> Any:
        """Return data of that name, set up."""
        data: Any = self._class("data", name, LightningDataModule)(**options)
        data.setup()
        return data

    def model(self, name: str, info: Info, seed: int = 0, **options: Any) -> Any:
        """Return an untrained model of that name, built to fit data that is like ``info``, in evaluation mode."""
        seed_everything(seed, verbose=False)
        model: Any = self._class("model", name, Model)(**options)
        model.build(info)
        model.info = info
        return model.eval()

    def _shared(self, line: list[str]) -> Trained | None:
        """Return the run of a command line, trained if none has yet; None where another's would not do."""
        assert self.runs
        job = expand("fit", line, self.registry)
        key = _key(job, self.runs)
        if not key:
            return None
        run = Run(self.runs / job.model / key)
        run.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{run.path}.lock"):
            if (run.path / DONE).exists():
                return self._again(run)
            shutil.rmtree(run.path, ignore_errors=True)  # one that was interrupted
            trained = self._train([*line, f"--trainer.default_root_dir={self.runs}", f"--run={key}"])
            (run.path / "report.html").unlink(missing_ok=True)  # megabytes, which `dlplug report RUN` makes anew
            if run.last:
                (run.path / DONE).touch()
                return trained
            own = shutil.copytree(run.path, self.folder / job.model / key, dirs_exist_ok=True)
            return replace(trained, run=Run(own))  # without a checkpoint, the next one trains anew

    def _again(self, run: Run) -> Trained:
        """Return what training left as if it had been just now: the last epoch's weights, and the data set up."""
        cli = prepare(expand("validate", [str(run.path)], self.registry), self.registry)
        cli.datamodule.prepare_data()
        cli.datamodule.setup("fit")
        assert run.last
        model = type(cli.model).load_from_checkpoint(run.last, map_location="cpu", weights_only=True)
        return Trained(run, model.eval(), cli.datamodule)

    def _train(self, line: list[str]) -> Trained:
        cli = self._run(expand("fit", line, self.registry))
        assert cli.run
        return Trained(cli.run, cli.model.eval(), cli.datamodule)

    def _class(self, kind: str, name: str, base: type) -> type:
        return load_class(self.registry.find(kind, name).class_path, base)

    def _run(self, job: Job) -> CLI:
        cli = prepare(job, self.registry)
        if cli.execute() >= 128:  # a loss that is no number is evidence too
            raise RuntimeError("training was interrupted")
        return cli


def _key(job: Job, runs: Path) -> str:
    """Return what a run has in common with those that are trained the same; empty where a folder may have changed.

    The names of the classes, the options and the seed are all among a job's arguments; the defaults are in the code,
    which ``runs`` is for.
    """
    digest = hashlib.sha256()
    for argument in job.args:
        digest.update(f"{argument}\n".encode())
        value = argument.partition("=")[2]
        if os.path.isfile(value):
            digest.update(Path(value).read_bytes())
        elif os.path.isdir(value) and runs.resolve() not in Path(value).resolve().parents:
            return ""
    for class_path in job.chosen.values():  # of a file that is no plugin's
        if file := file_of(class_path.rpartition(".")[0]):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def run_claim(name: str, folder: Path, seeds: Sequence[int], jobs: int, runs: Path | None = None) -> None:
    """Run one claim and write what it found to ``folder/evidence.json``; its figures are beside it.

    Meant for a process of its own: what the claim prints goes to ``folder/log.txt``, and a claim that raises is
    written down as one that failed.

    Args:
        name: The claim's.
        folder: Where its runs and what it found land.
        seeds: What it repeats its measurements over.
        jobs: How many claims run at once, each with its share of the threads: more of them than cores would wait for
            each other.
        runs: Where claims keep the runs that they share.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
    registry = Registry.discover()
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with open(folder / "log.txt", "w") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            module, _, function = registry.find("claim", name).target.partition(":")
            evidence = getattr(import_module(module), function)(Lab(registry, folder, seeds, runs))
            found = _as_dict(evidence, folder)
        except Exception as error:
            traceback.print_exc()
            found = {"holds": False, "error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    found["seconds"] = time.monotonic() - started
    write_atomically(folder / "evidence.json", json.dumps(found, indent=1).encode())


def _as_dict(evidence: Evidence, folder: Path) -> dict[str, Any]:
    if not isinstance(evidence, Evidence):
        raise InputError(f"the claim returned {evidence!r}, which is not Evidence")
    figures = {}
    for title, medium in evidence.figures.items():
        path = folder / f"{media.file_name(title)}.{medium.suffix}"
        write_atomically(path, medium.encode())
        if isinstance(medium, media.Figure) and (drawn := medium.svg()):
            write_atomically(path.with_suffix(".svg"), drawn)
        figures[title] = path.name

    def plain(measure: Measure) -> dict[str, Any]:
        return {
            **asdict(measure),
            "mean": measure.mean,
            "spread": measure.spread,
            "interval": [None if math.isnan(end) else end for end in measure.interval],
            "reached": measure.reached,
            "holds": measure.holds,
            "fails": measure.fails,
        }

    return {
        "holds": evidence.holds,
        "measures": [plain(measure) for measure in evidence.measures],
        "controls": [plain(control) for control in evidence.controls],
        "figures": figures,
        "note": evidence.note,
    }
