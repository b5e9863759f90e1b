"""What panels expect of a run's curves, and what of it they do not find."""

import re
from collections.abc import Sequence

import numpy as np

from dlplug.panels import RULE, Panel, split_stage
from dlplug.report.curves import Curve, Floats

STRETCHES = 10  # a curve is judged by the means of so many parts, as batches are noisy
TURN = 0.25  # how much of the way a curve may turn back from its best


def unmet(panel: Panel, curves: Sequence[Curve]) -> list[str] | None:
    """Return what a run's curves lack of what a panel expects, a sentence each; None where nothing could be judged."""
    verdicts = [verdict for rule in panel.expect for verdict in _verdicts(rule, curves)]
    return [verdict for verdict in verdicts if verdict] if verdicts else None


def _verdicts(rule: str, curves: Sequence[Curve]) -> list[str]:
    """Return a sentence for each curve that a rule is about, empty where it keeps the rule."""
    found = re.fullmatch(RULE, rule)
    assert found
    about = [curve for curve in curves if found["metric"] in (curve.name, curve.column) and len(curve.values)]
    if way := found["way"]:
        return [_turned(curve, way) for curve in about if len(curve.values) > 1]
    return [_beyond(curve, found["sign"], bound) for curve in about for bound in _bounds(found["bound"], curve, curves)]


def _turned(curve: Curve, way: str) -> str:
    means = _means(curve) if way == "falls" else -_means(curve)
    start, least, end = means[0], means.min(), means[-1]
    if end >= start:
        return f"{curve.column} does not {way.removesuffix('s')}"
    back = "rises" if way == "falls" else "falls"
    return f"{curve.column} {way}, then {back} again" if end - least > TURN * (start - least) else ""


def _beyond(curve: Curve, sign: str, bound: tuple[str, float]) -> str:
    end, (name, limit) = _means(curve)[-1], bound
    met = end < limit if sign == "<" else end > limit
    side = {"<": "below", ">": "above"}[sign]
    return "" if met else f"{curve.column} ends at {end:.4g}, not {side} {f'{name}, ' if name else ''}{limit:.4g}"


def _bounds(text: str, curve: Curve, curves: Sequence[Curve]) -> list[tuple[str, float]]:
    """Return the number, or the name and the end of the other curve of the same stage where there is one."""
    try:
        return [("", float(text))]
    except ValueError:
        stage, name = split_stage(text)
        others = [c for c in curves if c.name == name and c.stage == (stage or curve.stage) and len(c.values)]
        return [(other.column, float(_means(other)[-1])) for other in others]


def _means(curve: Curve) -> Floats:
    parts = np.array_split(curve.values, min(STRETCHES, len(curve.values)))
    return np.array([part.mean() for part in parts])
