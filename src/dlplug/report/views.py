"""A run folder as the report needs it, with whatever is missing left out."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dlplug.files import load_yaml
from dlplug.panels import Panel, find_monitor, split_stage
from dlplug.registry import renamed
from dlplug.report import curves, frames
from dlplug.report.curves import Curve, Floats
from dlplug.report.frames import Reel
from dlplug.runs import Run

SPEED = (
    Panel(
        "Speed",
        "Batches a second",
        "How many batches were trained a second, epoch by epoch. Healthy: about the same throughout. Broken: it falls "
        "(something piles up, or the machine is shared).",
        curves=("batches_per_second",),
    ),
    Panel("Speed", "Seconds an epoch", "How long each epoch took, validation included.", curves=("seconds",)),
)


STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?")  # the name of a run that nobody named
LONGEST = 24  # characters of an option's value in a name


@dataclass(frozen=True, eq=False)
class View:
    """What a page shows of one run.

    Attributes:
        run: The run.
        label: What it is called on the page.
        about: What it says of itself.
        config: Its config by dotted option.
        curves: Of metrics.csv and timing.csv.
        results: What ``dlplug test`` and ``dlplug validate`` measured, by command and metric.
        starts: The steps at which its epochs start.
        reels: Its media.
    """

    run: Run
    label: str
    about: dict[str, Any]
    config: dict[str, Any]
    curves: list[Curve]
    results: dict[str, dict[str, float]]
    starts: Floats
    reels: list[Reel]

    @classmethod
    def of(cls, run: Run) -> "View":
        """Read a run, which is called by its folder's name."""
        about = renamed.about(run.about)
        names = about.get("renamed_metrics", {})
        axis = str(about.get("axis", ""))
        found, starts = curves.read(run.path / "metrics.csv", axis, names)
        speeds = [curve for curve in curves.read(run.path / "timing.csv")[0] if _is_speed(curve)]
        if axis and found:  # timing.csv counts batches alone
            counted, begun = curves.read(run.path / "metrics.csv")
            batches, steps = (
                [*s, max((c.steps[-1] for c in cs if len(c.steps)), default=0)]
                for cs, s in ((counted, begun), (found, starts))
            )
            speeds = [replace(curve, steps=np.interp(curve.steps, batches, steps)) for curve in speeds]
        found += speeds
        results = {
            command: _last_values(curves.read(run.path / f"{command}.csv", "", names)[0])
            for command in ("test", "validate")
        }
        return cls(run, run.path.resolve().name, about, _config(run), found, results, starts, frames.find(run.path))

    @property
    def config_text(self) -> str:
        """Its config as it stands in the file."""
        try:
            return self.run.config.read_text(errors="replace")
        except OSError as error:
            return f"{self.run.config} cannot be read: {error.strerror}"

    @property
    def card(self) -> str:
        """The model card that ``dlplug card`` wrote, or that came with a package, less its YAML head."""
        for path in (self.run.path / "card" / "README.md", self.run.path / "README.md"):
            with suppress(OSError):
                text = path.read_text(encoding="utf-8", errors="replace")
                return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).strip()
        return ""

    @property
    def panels(self) -> list[Panel]:
        """What its model wants drawn."""
        found = []
        for plain in self.about.get("panels", []):
            try:
                found.append(Panel.from_dict(plain))
            except (TypeError, ValueError, AttributeError):  # of another version
                continue
        return found

    @property
    def model(self) -> str:
        """What its model is called, if anything."""
        return str(self.about.get("model", {}).get("name", ""))

    @property
    def data(self) -> str:
        """What it was trained on: the environment's name, or the data's and the file or folder that they are from."""
        options = {name: self.config.get(f"data.init_args.{name}") for name in ("env", "path", "root", "download")}
        if env := options["env"]:
            return str(env)
        name = str(self.about.get("data", {}).get("name", ""))
        place = options["path"] or options["root"] if options["download"] is None else None
        return f"{name} {Path(str(place)).name}".strip() if place else name

    @property
    def axis(self) -> str:
        """The metric that its curves are drawn over, without its stage."""
        return split_stage(str(self.about.get("axis") or "step"))[1]

    @property
    def steps(self) -> int:
        """The last step of which something is known."""
        return int(max((curve.steps[-1] for curve in self.curves if len(curve.steps)), default=0))

    @property
    def epochs(self) -> str:
        """How far it came."""
        most = self.config.get("trainer.max_epochs")
        # An epoch shorter than the logging interval may have no row of metrics, one that was cut short none of timing.
        done = max(len(self.starts), *(len(curve.values) for curve in self.curves if curve.column == "seconds"), 0)
        return f"{done} of {most}" if isinstance(most, int) and most > 0 else str(done)

    @property
    def seconds(self) -> float | None:
        """How long it trained, where it says so."""
        return next((float(curve.values.sum()) for curve in self.curves if curve.column == "seconds"), None)

    @property
    def monitor(self) -> tuple[str, str] | None:
        """The metric that says which checkpoint is best, and whether its ``"min"`` or ``"max"`` is."""
        return find_monitor(self.about.get("monitor"), (curve.column for curve in self.curves))

    @property
    def best(self) -> tuple[str, float, int] | None:
        """The monitored metric, its best value and the step of it."""
        column, best = self.monitor or ("", "")
        for curve in self.curves:
            if curve.column == column and len(curve.values):
                index = int(curve.values.argmin() if best == "min" else curve.values.argmax())
                return column, float(curve.values[index]), int(curve.steps[index])
        return None

    @property
    def headline(self) -> dict[str, float]:
        """The monitored metric, and others that say most: of the test, or the last ones of validation or training."""
        last = _last_values(self.curves)
        monitored = {self.best[0]: last[self.best[0]]} if self.best else {}
        stages = [{c: value for c, value in last.items() if split_stage(c)[0] == stage} for stage in ("val", "train")]
        found = next(filter(None, (self.results["test"], *stages)), {})
        return dict(list({**monitored, **found}.items())[:5])


def read_views(runs: Sequence[Run]) -> list[View]:
    """Read runs, those that are named twice once, and call them by names that tell them apart."""
    distinct: dict[Path, Run] = {}
    for run in runs:
        distinct.setdefault(run.path.resolve(), run)
    views = [View.of(run) for run in distinct.values()]
    names = [view.label for view in views]
    unnamed = [bool(STAMP.fullmatch(name)) or names.count(name) > 1 for name in names]
    labels = [text if say else name for name, text, say in zip(names, _describe(views), unnamed, strict=True)]
    for others in (names, [str(view.run.path) for view in views]):
        if len({*labels} - {""}) < len(views):
            labels = others
    return [replace(view, label=label) for view, label in zip(views, labels, strict=True)]


def differences(views: Sequence[View]) -> dict[str, list[Any]]:
    """Return the options in which runs differ, as they are typed, those of the model first.

    Options that only some of different models or data have are left out.
    """
    options = {option: None for view in views for option in view.config}
    table = {option: [view.config.get(option, "–") for view in views] for option in options}
    differing = [
        option
        for option, values in table.items()
        if any(value != values[0] for value in values) and not (".init_args." in option and "–" in values)
    ]
    starts = ("model.", "data.", "seed_everything", "")
    differing.sort(key=lambda option: next(n for n, start in enumerate(starts) if option.startswith(start)))
    return {option.replace(".init_args.", "."): table[option] for option in differing}


def _describe(views: Sequence[View]) -> list[str]:
    """Return what is particular about each run: model, data, options, as few as tell them apart."""
    facts = [[view.model for view in views], [view.data for view in views]]
    for option, values in differences(views).items():
        name = option.rpartition(".")[2]
        facts.append(["" if value == "–" else f"{name} {str(value)[:LONGEST]}" for value in values])
    labels = [""] * len(views)
    for fact in facts:
        if len(set(labels)) == len(views):
            break
        if len(set(fact)) > 1:
            labels = [f"{label} {text}".strip() for label, text in zip(labels, fact, strict=True)]
    return labels


def _is_speed(curve: Curve) -> bool:
    return any(curve.column in panel.curves for panel in SPEED)


def _last_values(found: list[Curve]) -> dict[str, float]:
    return {curve.column: float(curve.values[-1]) for curve in found if len(curve.values)}


def _config(run: Run) -> dict[str, Any]:
    try:
        return dict(_flat(load_yaml(run.config.read_text(errors="replace")), ""))
    except (OSError, yaml.YAMLError):
        return {}


def _flat(value: Any, prefix: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [
            pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, value)] if prefix else []
