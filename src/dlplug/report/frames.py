"""A run's media as what an HTML page can hold: each step one frame."""

import csv
import json
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from PIL import Image

from dlplug.files import data_uri

BYTES = 5_000_000  # of files on one page
BYTES_EACH = 2_000_000
ROWS = 200  # of a table
KINDS = {"png": "picture", "gif": "picture", "wav": "sound", "txt": "text", "csv": "table", "json": "figure"}


@dataclass
class Frame:
    """One medium at one step.

    Attributes:
        step: Batches trained so far.
        kind: ``"picture"``, ``"sound"``, ``"text"``, ``"table"``, ``"figure"`` or ``"problem"``.
        content: A data URI, the text, the rows with the heading first, plotly's figure, or what is wrong.
        caption: What is seen, where the file says so.
    """

    step: int
    kind: str
    content: Any
    caption: str = ""


@dataclass
class Reel:
    """All steps of one medium that a run shows.

    Attributes:
        key: What the model calls it.
        folder: Where its files are.
        files: One a step, in order.
        frames: Those on the page: the first, the last, and as many between as fit.
    """

    key: str
    folder: Path
    files: list[Path]
    frames: list[Frame] = field(default_factory=list)


def find(run: Path) -> list[Reel]:
    """Return a run's media without their frames."""
    reels = []
    for folder in sorted(run.glob("media/*")):
        files = [f for f in folder.glob("*") if f.suffix[1:] in KINDS and f.stem.isdecimal() and f.is_file()]
        if files:
            key = "" if folder.name == "%" else unquote(folder.name)
            reels.append(Reel(key, folder, sorted(files, key=lambda file: int(file.stem))))
    return reels


def fill(reels: Sequence[Reel]) -> None:
    """Read the frames of all media on a page, as many as its bytes allow; what small media leave goes to the others."""
    sizes = {id(reel): [file.stat().st_size for file in reel.files] for reel in reels}
    left = BYTES
    for done, reel in enumerate(sorted(reels, key=lambda reel: sum(sizes[id(reel)]))):
        fair = left / (len(reels) - done)
        size = sizes[id(reel)]
        count = min(len(size), max(2, int(fair * len(size) / max(1, sum(size)))))
        chosen = np.unique(np.linspace(0, len(size) - 1, count).round().astype(int))
        left -= sum(size[i] for i in chosen)
        reel.frames = [read_frame(reel.files[i], int(reel.files[i].stem)) for i in chosen]


def read_frame(file: Path, step: int = 0) -> Frame:
    """Return what a file holds, or what is wrong with it."""
    kind = KINDS[file.suffix[1:]]
    try:
        if file.stat().st_size > BYTES_EACH:
            return Frame(step, "problem", f"{file} is too large for this page.")
        if kind == "picture":
            return Frame(step, kind, *_picture(file))
        if kind == "sound":
            return Frame(step, kind, _sound(file))
        if kind == "text":
            return Frame(step, kind, file.read_text(errors="replace"))
        if kind == "table":
            return Frame(step, kind, *_table(file))
        return Frame(step, kind, _figure(file))
    except Exception as error:  # Pillow raises whatever the bytes lead it to
        return Frame(step, "problem", f"{file} cannot be read: {error}")


def _picture(file: Path) -> tuple[str, str]:
    with Image.open(file, formats=("PNG", "GIF")) as picture:
        caption = str(picture.info.get("Description", ""))
        kind = Image.MIME[picture.format or ""]
        picture.verify()
    return data_uri(file.read_bytes(), kind), caption


def _sound(file: Path) -> str:
    with wave.open(str(file)):  # or it is none
        return data_uri(file.read_bytes(), "audio/wav")


def _table(file: Path) -> tuple[list[list[str]], str]:
    with open(file, newline="", errors="replace") as lines:
        rows = list(csv.reader(lines))
    return rows[: ROWS + 1], f"The first {ROWS} of {len(rows) - 1} rows of {file}." if len(rows) > ROWS + 1 else ""


def _figure(file: Path) -> Mapping[str, Any]:
    # JSON of a page has no word for what is not a number.
    figure = json.loads(file.read_text(), parse_constant=lambda _: None)
    if not isinstance(figure, dict) or not isinstance(figure.get("data"), list):
        raise ValueError("it is not a figure of plotly's")
    return {"data": figure["data"], "layout": figure.get("layout") or {}}
