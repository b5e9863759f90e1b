"""Checks for the tests of plugins, third parties' too. Torch-free."""

import csv
from pathlib import Path
from urllib.parse import unquote

from dlplug.panels import COMMON, STAGES, Panel
from dlplug.runs import Run


def check_panels(folder: str | Path) -> None:
    """Check that whatever a model's panels name was really logged: curves in some stage, media in at least one file.

    The panels that every model has are left out, since it depends on the run whether they are drawn.

    Args:
        folder: A run folder, after a fit that reached its logging interval and a validation; ``dlplug test`` first
            where panels name what only a test logs.

    Raises:
        AssertionError: The titles of the panels that would stay empty, and what they lack.
    """
    run = Run.open(str(folder))
    logged = {name for path in run.path.glob("*.csv") for name in _columns(path)}
    shown = {unquote(path.parent.name) for path in run.path.glob("media/*/*")}
    empty = []
    for panel in map(Panel.from_dict, run.about["panels"]):
        if panel in COMMON:
            continue
        lacking = [name for name in panel.curves if not logged & {f"{stage}/{name}" for stage in STAGES}]
        lacking += [panel.media] if panel.media and panel.media not in shown else []
        if lacking:
            empty.append(f"{panel.title!r} lacks {', '.join(lacking)}")
    if empty:
        raise AssertionError(f"panels of {run.path} stay empty: {'; '.join(empty)}")


def _columns(path: Path) -> list[str]:
    with open(path, newline="") as file:
        return next(csv.reader(file), [])
