"""Every run in one table, as an HTML page."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from dlplug.files import data_uri
from dlplug.report.template import HERE, csp_hash, fill, write_page

SMALL = 96  # pixels of a picture's longer side
PICTURED = 200  # runs, the first, whose picture is in the page


def write_runs(runs: Sequence[Mapping[str, Any]], columns: Sequence[str], path: Path) -> Path:
    """Write a page and return where it is.

    Args:
        runs: A row each, with its ``name`` and ``path``.
        columns: What is shown of it besides its name.
        path: The page; links to the runs' reports count from its folder.

    Raises:
        InputError: It cannot be written there.
    """
    rows: list[dict[str, Any]] = []
    for number, run in enumerate(runs):
        folder = Path(run["path"])
        report = folder / "report.html"
        pictures = sorted(folder.glob("media/*/*.png")) if number < PICTURED else []
        link = os.path.relpath(report, path.absolute().parent) if report.is_file() else ""
        rows.append({**run, "report": link, "picture": _thumbnail(pictures[-1]) if pictures else ""})
    script = (HERE / "runs.js").read_text()
    of_page = {"scripts": [Markup(script)], "hashes": [csp_hash(script)]}
    return write_page(path, fill("runs.html", rows=rows, columns=columns, epochs=[], axis="step", **of_page))


def _thumbnail(file: Path) -> str:
    """Return a picture, made small, as a data URI; nothing where it cannot be read."""
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            small = picture.convert("RGB")
            small.thumbnail((SMALL, SMALL))
    except Exception:  # Pillow raises whatever the bytes lead it to
        return ""
    content = io.BytesIO()
    small.save(content, "PNG")
    return data_uri(content.getvalue(), "image/png")
