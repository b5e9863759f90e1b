"""Run folders → one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from dlplug.errors import InputError
from dlplug.files import write_atomically
from dlplug.panels import STAGES, Panel, split_stage
from dlplug.report import frames
from dlplug.report.curves import Curve, Indices, thin
from dlplug.report.frames import Reel
from dlplug.report.template import fill
from dlplug.report.views import SPEED, View
from dlplug.runs import Run

POINTS = 1000  # of a curve
POINTS_TOGETHER = 400_000  # of all curves on a page, at about 15 bytes each


@dataclass
class Drawn:
    """A panel as the template draws it.

    Attributes:
        title: What it is called.
        note: How to read it.
        charts: What page.js draws, each a title and its traces.
        viewers: A run's label and its medium.
        problems: What a person should know of the numbers.
    """

    title: str
    note: str
    charts: list[dict[str, Any]] = field(default_factory=list)
    viewers: list[tuple[str, Reel]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def write_report(run: Run) -> Path:
    """Write a run's report into its folder and return where it is."""
    return write([run], run.path / "report.html")


def write(runs: Sequence[Run], path: Path) -> Path:
    """Write the report of one run, or of several side by side.

    Args:
        runs: The runs; those that are named twice are shown once.
        path: The page.

    Raises:
        InputError: It cannot be written there.
    """
    page = render([View.of(run, label) for run, label in _labels(runs).items()])
    try:
        write_atomically(path, page.encode(errors="replace"))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _labels(runs: Sequence[Run]) -> dict[Run, str]:
    """Return each run once with a short name: its folder's, or its whole path where others have the same."""
    distinct: dict[Path, Run] = {}
    for run in runs:
        distinct.setdefault(run.path.resolve(), run)
    names = [path.name for path in distinct]
    return {run: path.name if names.count(path.name) == 1 else str(run.path) for path, run in distinct.items()}


def render(views: Sequence[View]) -> str:
    """Return the page."""
    frames.fill([reel for view in views for reel in view.reels])
    return fill(
        "page.html",
        views=views,
        sections=_sections(views),
        numbers=_numbers(views),
        differences=_differences(views),
        models=_cards(views, "model"),
        datas=_cards(views, "data"),
        epochs=[[int(step) for step in view.starts] for view in views],
        points=POINTS,
        axis=" or ".join(dict.fromkeys(str(view.about.get("axis") or "step") for view in views)),
    )


def _sections(views: Sequence[View]) -> dict[str, list[Drawn]]:
    """Return the panels that have something to show, by section, those that no model describes last."""
    panels = list({panel: None for view in views for panel in view.panels})
    curves = {curve.name: None for view in views for curve in view.curves}
    media = {reel.key: None for view in views for reel in view.reels}
    described = {name for panel in (*panels, *SPEED) for name in panel.curves}
    panels += [Panel("Other metrics", n, _undescribed("metric", n), (n,)) for n in curves if n not in described]
    described = {panel.media for panel in panels if not panel.curves}
    panels += [Panel("Other media", k, _undescribed("medium", k), media=k) for k in media if k not in described]
    panels += SPEED
    count = sum(len(view.curves) for view in views)
    points = max(50, min(POINTS, POINTS_TOGETHER // max(1, count)))
    sections: dict[str, list[Drawn]] = {}
    for panel in panels:
        drawn = _drawn(panel, views, points)
        if drawn.charts or drawn.viewers or drawn.problems:
            sections.setdefault(panel.section, []).append(drawn)
    return sections


def _undescribed(kind: str, name: str) -> str:
    return f"The {kind} “{name}”, as the model gives it; no panel says how to read it."


def _drawn(panel: Panel, views: Sequence[View], points: int) -> Drawn:
    drawn = Drawn(panel.title, panel.note)
    if panel.media:
        drawn.viewers = [(view.label, reel) for view in views for reel in view.reels if reel.key == panel.media]
        return drawn
    # Colours tell the metrics of one run apart, and of several runs the runs: then each metric has its own chart.
    groups = [panel.curves] if len(views) == 1 else [(name,) for name in panel.curves]
    for names in groups:
        traces = []
        for index, view in enumerate(views):
            for colour, name in enumerate(names, start=index):
                look = {"run": view.label, "index": index, "colour": colour}
                traces += [{**trace, **look} for trace in _traces(view, name, points, len(names) > 1)]
        if traces:
            drawn.charts.append({"title": names[0] if len(panel.curves) > len(names) else "", "traces": traces})
    for view in views:
        lost = [curve for curve in view.curves if curve.name in panel.curves and curve.lost]
        drawn.problems += [_lost(curve, view.label if len(views) > 1 else "") for curve in lost]
    return drawn


def _traces(view: View, name: str, points: int, several: bool) -> list[dict[str, Any]]:
    """Return what is drawn of one metric of a run: a line a stage, that of the test from one end to the other."""
    found = sorted((c for c in view.curves if c.name == name), key=lambda c: (*STAGES, "").index(c.stage))
    traces = [_trace(curve, thin(curve.values, points)) for curve in found if len(curve.values)]
    measured = [value for column, value in view.results["test"].items() if split_stage(column) == ("test", name)]
    for value in map(_rounded, measured):
        traces.append({"stage": "test", "x": [0, max(1, view.steps - 1)], "y": [value, value]})
    for trace in traces:
        stage = trace["stage"]
        trace["name"] = f"{name} {stage}".strip() if several else stage or name
    return traces


def _trace(curve: Curve, chosen: Indices) -> dict[str, Any]:
    steps, values = curve.steps[chosen].tolist(), curve.values[chosen].tolist()
    return {"stage": curve.stage, "x": [int(step) for step in steps], "y": [_rounded(value) for value in values]}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if isfinite(value) else None


def _lost(curve: Curve, label: str) -> str:
    of = f"{curve.lost} of {len(curve.values) + curve.lost} values of {curve.column}"
    return (f"{label}: " if label else "") + f"{of} are not finite, the first at step {curve.first_lost}."


@dataclass(frozen=True)
class Number:
    """A metric of one run in figures.

    Attributes:
        last: Its last value.
        low: The least.
        high: The greatest.
        best: Whether no other run has a better one, where the model says which is better.
    """

    last: float
    low: float
    high: float
    best: bool = False


def _numbers(views: Sequence[View]) -> dict[str, list[Number | None]]:
    """Return every metric in figures, a cell a run, those of the tests first."""
    rows: dict[str, list[Number | None]] = {}
    best = _best(views)
    for index, view in enumerate(views):
        cells = {
            f"{name} (dlplug {command})": Number(value, value, value)
            for command, result in view.results.items()
            for name, value in result.items()
        }
        for curve in view.curves:
            if len(curve.values):
                marked = view is best and curve.column == (view.monitor or "")[0]
                cells[curve.column] = Number(curve.values[-1], curve.values.min(), curve.values.max(), marked)
        for metric, number in cells.items():
            rows.setdefault(metric, [None] * len(views))[index] = number
    return rows


def _best(views: Sequence[View]) -> View | None:
    """Return the run whose best checkpoint is the best, where all are chosen by the same metric."""
    monitors = {view.monitor for view in views}
    known = {view: view.best[1] for view in views if view.best}
    if len(monitors) > 1 or not known:
        return None
    [monitor] = monitors
    return (min if monitor and monitor[1] == "min" else max)(known, key=known.__getitem__)


def _differences(views: Sequence[View]) -> dict[str, list[Any]]:
    """Return the options in which the runs differ."""
    options = {option: None for view in views for option in view.config}
    table = {option: [view.config.get(option, "–") for view in views] for option in options}
    return {option: values for option, values in table.items() if any(value != values[0] for value in values)}


def _cards(views: Sequence[View], kind: str) -> list[dict[str, Any]]:
    """Return the cards of the models or the data, each once."""
    cards = [view.about.get(kind) for view in views]
    return [card for i, card in enumerate(cards) if isinstance(card, dict) and card not in cards[:i]]
