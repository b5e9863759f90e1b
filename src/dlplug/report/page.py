"""Run folders → one HTML page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from dlplug.panels import COMMON, DEFAULT_MONITORS, STAGES, Panel, split_stage
from dlplug.report import frames
from dlplug.report.curves import Curve, Indices, thin
from dlplug.report.expectations import unmet
from dlplug.report.frames import Reel
from dlplug.report.template import fill, write_page
from dlplug.report.views import SPEED, View, differences, read_views
from dlplug.runs import Run

POINTS = 1000  # of a curve
LIVE_SECONDS = 20  # between two versions of a page while the run is trained
POINTS_TOGETHER = 400_000  # of all curves on a page, at about 15 bytes each


@dataclass
class Drawn:
    """A panel as the template draws it.

    Attributes:
        title: What it is called.
        note: How to read it.
        charts: What page.js draws, each a title and its traces.
        viewers: A run's label and its medium.
        problems: What a person should look at: numbers that are not finite, and what the panel expects in vain.
        met: Whether the panel expects something, and finds it.
        anchor: Its place on the page.
        curves: The names of its metrics.
    """

    title: str
    note: str
    curves: tuple[str, ...] = ()
    charts: list[dict[str, Any]] = field(default_factory=list)
    viewers: list[tuple[str, Reel]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    met: bool = False
    anchor: str = ""


def write_report(run: Run, live: str = "") -> Path:
    """Write a run's report into its folder and return where it is.

    Args:
        run: The run.
        live: How far it has come, while it is trained: such a page reloads itself.
    """
    return write([run], run.path / "report.html", live)


def write(runs: Sequence[Run], path: Path, live: str = "") -> Path:
    """Write the report of one run, or of several side by side.

    Args:
        runs: The runs; those that are named twice are shown once.
        path: The page.
        live: As for ``write_report``.

    Raises:
        InputError: It cannot be written there.
    """
    return write_page(path, render(read_views(runs), live))


def render(views: Sequence[View], live: str = "") -> str:
    """Return the page."""
    frames.fill([reel for view in views for reel in view.reels])
    sections, numbers = _sections(views), _numbers(views)
    tested = {metric for metric in numbers if metric.endswith("(dlplug test)") and len(views) > 1}
    return fill(
        "page.html",
        views=views,
        heading=_heading(views),
        sections=sections,
        tested={metric: row for metric, row in numbers.items() if metric in tested},
        numbers={metric: row for metric, row in numbers.items() if metric not in tested},
        looks=[panel for group in sections.values() for panel in group if panel.problems],
        anchors={
            name: panel for group in reversed(sections.values()) for panel in reversed(group) for name in panel.curves
        },
        differences=differences(views),
        models=_cards(views, "model"),
        datas=_cards(views, "data"),
        epochs=[[int(step) for step in view.starts] for view in views],
        points=POINTS,
        live=live,
        live_seconds=LIVE_SECONDS,
        axis=" or ".join(dict.fromkeys(view.axis for view in views)),
    )


def _heading(views: Sequence[View]) -> tuple[str, str]:
    """Return the models' names, and what they were trained on."""
    models = list(dict.fromkeys(view.model for view in views if view.model))
    data = list(dict.fromkeys(view.data for view in views if view.data))
    return " and ".join(models) if 0 < len(models) < 3 else "", " and ".join(data) if len(data) < 3 else ""


def _panels(views: Sequence[View]) -> list[Panel]:
    """Return the panels of all models, and one for each metric and medium that they leave out."""
    panels = list({panel: None for view in views for panel in view.panels})
    curves = {curve.name: None for view in views for curve in view.curves if curve.name != view.axis}
    media = {reel.key: None for view in views for reel in view.reels}
    described = {name for panel in (*panels, *SPEED) for name in panel.curves}
    # A model without panels of its own has no others either.
    own = {panel.title for panel in panels} - {panel.title for panel in COMMON}
    metrics, shown = ("Other metrics", "Other media") if own else ("Metrics", "Media")
    others = [Panel(metrics, name, _undescribed("metric", name), (name,)) for name in curves if name not in described]
    described = {panel.media for panel in panels if not panel.curves}
    others += [Panel(shown, key, _undescribed("medium", key), media=key) for key in media if key not in described]
    return [*panels, *others, *SPEED] if own else [*others, *panels, *SPEED]


def _sections(views: Sequence[View]) -> dict[str, list[Drawn]]:
    """Return the panels that have something to show, by section."""
    count = sum(len(view.curves) for view in views)
    points = max(50, min(POINTS, POINTS_TOGETHER // max(1, count)))
    sections: dict[str, list[Drawn]] = {}
    shown: set[str] = set()
    for panel in _panels(views):
        drawn = _drawn(panel, views, points, shown if len(views) > 1 else set())
        if drawn.charts or drawn.viewers or drawn.problems:
            drawn.anchor = f"panel-{sum(map(len, sections.values())) + 1}"
            sections.setdefault(panel.section, []).append(drawn)
        shown |= {f"media {panel.media}"} | {f"curve {name}" for name in panel.curves}
    return sections


def _undescribed(kind: str, name: str) -> str:
    return f"The {kind} “{name}”, as the model gives it; no panel says how to read it."


def _drawn(panel: Panel, views: Sequence[View], points: int, shown: Collection[str]) -> Drawn:
    """Return what is drawn of a panel, less the metrics and media that another model's panel has shown."""
    drawn = Drawn(panel.title, panel.note, panel.curves)
    curves = [name for name in panel.curves if f"curve {name}" not in shown]
    if panel.media and f"media {panel.media}" not in shown:
        drawn.viewers = [(view.label, reel) for view in views for reel in view.reels if reel.key == panel.media]
    # Colours tell the metrics of one run apart, and of several runs the runs: then each metric has its own chart.
    for names in [curves] if len(views) == 1 else [[name] for name in curves]:
        traces = []
        for index, view in enumerate(views):
            for colour, name in enumerate(names, start=index):
                look = {"run": view.label, "index": index, "colour": colour}
                traces += [{**trace, **look} for trace in _traces(view, name, points, len(names) > 1)]
        if traces:
            drawn.charts.append({"title": names[0] if len(panel.curves) > len(names) else "", "traces": traces})
    for view in views:
        lost = [_lost(curve) for curve in view.curves if curve.name in curves and curve.lost]
        lacking = unmet(panel, view.curves) if panel in view.panels else None
        drawn.met |= lacking == []
        label = f"{view.label}: " if len(views) > 1 else ""
        drawn.problems += [f"{label}{problem}." for problem in (*lost, *(lacking or ()))]
    drawn.met &= not drawn.problems
    return drawn


def _traces(view: View, name: str, points: int, several: bool) -> list[dict[str, Any]]:
    """Return what is drawn of one metric of a run: a line a stage, that of the test from one end to the other."""
    found = sorted((c for c in view.curves if c.name == name), key=lambda c: (*STAGES, "").index(c.stage))
    traces = [_trace(curve, thin(curve.values, points)) for curve in found if len(curve.values)]
    measured = [value for column, value in view.results["test"].items() if split_stage(column) == ("test", name)]
    for value in map(_rounded, measured):
        traces.append({"stage": "test", "x": [0, max(1, view.steps)], "y": [value, value]})
    for trace in traces:
        stage = trace["stage"]
        trace["name"] = f"{name} {stage}".strip() if several else stage or name
    return traces


def _trace(curve: Curve, chosen: Indices) -> dict[str, Any]:
    steps, values = curve.steps[chosen].tolist(), curve.values[chosen].tolist()
    return {"stage": curve.stage, "x": [int(step) for step in steps], "y": [_rounded(value) for value in values]}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if isfinite(value) else None


def _lost(curve: Curve) -> str:
    of = f"{curve.lost} of {len(curve.values) + curve.lost} values of {curve.column}"
    return f"{of} are not finite, the first at step {curve.first_lost}"


@dataclass
class Number:
    """A metric of one run in figures.

    Attributes:
        last: Its last value.
        low: The least.
        high: The greatest.
        best: The better of these two, where it is known which is better.
        wins: Whether no other run has a better one.
    """

    last: float
    low: float
    high: float
    best: float | None = None
    wins: bool = False


def _numbers(views: Sequence[View]) -> dict[str, list[Number | None]]:
    """Return every metric in figures, a cell a run, those of the tests first, then the monitored ones."""
    rows: dict[str, list[Number | None]] = {}
    monitors = {view.monitor[0]: view.monitor[1] for view in views if view.monitor}
    ways = DEFAULT_MONITORS | {split_stage(column)[1].lower(): way for column, way in monitors.items()}
    for index, view in enumerate(views):
        cells = {
            f"{name} (dlplug {command})": Number(value, value, value)
            for command, result in view.results.items()
            for name, value in result.items()
        }
        for curve in view.curves:
            if len(curve.values):
                low, high = float(curve.values.min()), float(curve.values.max())
                cells[curve.column] = Number(float(curve.values[-1]), low, high)
        for metric, number in cells.items():
            rows.setdefault(metric, [None] * len(views))[index] = number
    for metric, numbers in rows.items():
        stage, name = split_stage(metric.partition(" ")[0])
        way = ways.get(name.lower()) if stage in ("val", "test") else None
        known = [number for number in numbers if number and way]
        for number in known:
            number.best = number.low if way == "min" else number.high
        bests = {number.best for number in known if number.best is not None}
        for number in known:
            number.wins = len(bests) > 1 and number.best == (min if way == "min" else max)(bests)
    stages = ("test", "val", "train", "")
    asked = [metric for metric in rows if " " in metric]
    order = [*asked, *monitors, *sorted(rows, key=lambda metric: stages.index(split_stage(metric)[0]))]
    return {metric: rows[metric] for metric in dict.fromkeys(order) if metric in rows}


def _cards(views: Sequence[View], kind: str) -> list[dict[str, Any]]:
    """Return the cards of the models or the data, each once."""
    cards = [view.about.get(kind) for view in views]
    return [card for i, card in enumerate(cards) if isinstance(card, dict) and card not in cards[:i]]
