"""A run folder as the report needs it, with whatever is missing left out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from dlplug.files import load_yaml
from dlplug.panels import Panel, default_monitor
from dlplug.registry import renamed
from dlplug.report import curves, frames
from dlplug.report.curves import Curve, Floats
from dlplug.report.frames import Reel
from dlplug.runs import Run

SPEED = (
    Panel(
        "Speed",
        "Batches a second",
        "How many batches were trained a second, epoch by epoch. Healthy: about the same throughout. Broken: falling, "
        "where something piles up or the machine is shared.",
        curves=("batches_per_second",),
    ),
    Panel("Speed", "Seconds an epoch", "How long each epoch took, validation included.", curves=("seconds",)),
)


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
    def of(cls, run: Run, label: str) -> "View":
        """Read a run."""
        about = renamed.about(run.about)
        names = about.get("renamed_metrics", {})
        found, starts = curves.read(run.path / "metrics.csv", str(about.get("axis", "")), names)
        found += [curve for curve in curves.read(run.path / "timing.csv")[0] if _is_speed(curve)]
        results = {
            command: _last_values(curves.read(run.path / f"{command}.csv", "", names)[0])
            for command in ("test", "validate")
        }
        return cls(run, label, about, _config(run), found, results, starts, frames.find(run.path))

    @property
    def config_text(self) -> str:
        """Its config as it stands in the file."""
        try:
            return self.run.config.read_text(errors="replace")
        except OSError as error:
            return f"{self.run.config} cannot be read: {error.strerror}"

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
    def steps(self) -> int:
        """The last step of which something is known."""
        return int(max((curve.steps[-1] for curve in self.curves if len(curve.steps)), default=-1)) + 1

    @property
    def epochs(self) -> str:
        """How far it came."""
        most = self.config.get("trainer.max_epochs")
        return f"{len(self.starts)} of {most}" if isinstance(most, int) and most > 0 else str(len(self.starts))

    @property
    def seconds(self) -> float | None:
        """How long it trained, where it says so."""
        return next((float(curve.values.sum()) for curve in self.curves if curve.column == "seconds"), None)

    @property
    def monitor(self) -> tuple[str, str] | None:
        """The metric that says which checkpoint is best, and whether its ``"min"`` or ``"max"`` is."""
        match self.about.get("monitor"):
            case [str(column), ("min" | "max") as best]:
                return column, best
            case "default":
                return default_monitor(curve.column for curve in self.curves)
        return None

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
        """Up to four metrics that say most: those of the test, or the last ones of the latest stage that has some."""
        for stage in ("val", "train"):
            last = _last_values([curve for curve in self.curves if curve.stage == stage])
            if found := self.results["test"] or last:
                return dict(list(found.items())[:4])
        return {}


def _is_speed(curve: Curve) -> bool:
    return any(curve.column in panel.curves for panel in SPEED)


def _last_values(found: list[Curve]) -> dict[str, float]:
    return {curve.column: float(curve.values[-1]) if len(curve.values) else np.nan for curve in found}


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
