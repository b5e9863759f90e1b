"""What ``dlplug verify`` found as one HTML page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlplug.report.frames import read_frame
from dlplug.report.template import fill, write_page

WIDTH, MARGIN = 200, 9  # of the strip that a measure's seeds are drawn on


def write_claims(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a page.

    Args:
        found: The evidence of each claim, as ``dlplug verify --json`` writes it.
        path: The page.
    """
    claims = []
    for evidence in found:
        figures = evidence.get("figures", {}).items()
        frames = {title: read_frame(Path(evidence["folder"]) / name) for title, name in figures}
        drawn = {
            kind: [{**each, **_strip(each)} for each in evidence.get(kind, ())] for kind in ("measures", "controls")
        }
        claims.append({"error": "", **evidence, **drawn, "frames": frames})
    numbers = [len(evidence["seeds"]) for evidence in found]
    seeds = f"{min(numbers)} to {max(numbers)}" if len({*numbers}) > 1 else next(iter(numbers), 0)
    page = fill("claims.html", claims=claims, seeds=seeds, epochs=[], axis="step")
    write_page(path, page)


def _strip(measure: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the seeds, the 95 % bounds and the bar of a measure stand on its strip."""
    values, bar = [v for v in measure["values"] if math.isfinite(v)], float(measure["threshold"])
    ends = [end for end in measure["interval"] if end is not None and math.isfinite(end)]
    low, high = min(*values, *ends, bar, bar), max(*values, *ends, bar, bar)
    scale = float(WIDTH - 2 * MARGIN) / (high - low or 1.0)

    def place(value: float) -> float:
        return float(round(MARGIN + scale * (value - low), 1))

    return {
        "dots": [place(value) for value in values],
        "ends": [place(end) for end in ends] if len(ends) == 2 and not measure["exact"] else [],
        "bar": place(bar),
    }
