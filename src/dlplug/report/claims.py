"""What ``dlplug verify`` found as one HTML page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlplug.files import write_atomically
from dlplug.report.frames import read_frame
from dlplug.report.template import fill


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
        claims.append({"error": "", **evidence, "frames": frames})
    seeds = max((len(evidence["seeds"]) for evidence in found), default=0)
    page = fill("claims.html", claims=claims, seeds=seeds, epochs=[], axis="step")
    write_atomically(path, page.encode(errors="replace"))
