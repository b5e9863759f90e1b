"""metrics.csv as curves, and few enough points of them to draw."""

import csv
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlplug.panels import split_stage

CHUNK = 1 << 24  # bytes that one process parses at once

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Curve:
    """One metric over time.

    Attributes:
        column: What it is called in the file, such as ``"val/loss"``.
        steps: Batches trained so far, shape (n,).
        values: Finite numbers, shape (n,).
        lost: How many values were not finite.
        first_lost: Step of the first of these.
    """

    column: str
    steps: Floats
    values: Floats
    lost: int = 0
    first_lost: int = 0

    @property
    def stage(self) -> str:
        """``"train"``, ``"val"``, ``"test"``, or nothing where the name has none."""
        return split_stage(self.column)[0]

    @property
    def name(self) -> str:
        """The name without its stage."""
        return split_stage(self.column)[1]


def read(path: Path, axis: str = "", renamed: Mapping[str, str] | None = None) -> tuple[list[Curve], Floats]:
    """Read a file that ``MetricsFile`` wrote, or is writing: its last line may be torn.

    A file of 100,000 rows and 400 columns takes seconds, so cells are parsed many at once, on every core.

    Args:
        path: The file; there may be none.
        axis: Column to count steps by instead of batches, where there is one; rows without it have the last row's.
        renamed: Today's names of columns by what they were called.

    Returns:
        A curve for each column that holds a number, and the steps at which the epochs start.
    """
    columns, table = _read_table(path)
    columns = [(renamed or {}).get(column, column) for column in columns]
    if not {"epoch", "step"} <= set(columns) or not table.size:
        return [], np.empty(0)
    steps, epochs = table[columns.index("step")], table[columns.index("epoch")]
    if not np.isfinite(steps).all():
        table = table[:, np.isfinite(steps)]
        steps, epochs = table[columns.index("step")], table[columns.index("epoch")]
    steps = steps + 1  # a row says how many batches came before its own
    if axis in columns:
        counted = table[columns.index(axis)]
        steps = np.maximum.accumulate(np.where(np.isfinite(counted), counted, 0.0))
    curves = [_curve(column, steps, row) for column, row in zip(columns, table, strict=True)]
    starts = steps[np.flatnonzero(np.diff(epochs, prepend=-1.0) > 0)]
    return [c for c in curves if c.column not in ("epoch", "step") and (len(c.values) or c.lost)], starts


def _curve(column: str, steps: Floats, values: Floats) -> Curve:
    finite, lost = np.isfinite(values), np.isinf(values)
    return Curve(column, steps[finite], values[finite], int(lost.sum()), int(steps[lost][0]) if lost.any() else 0)


def _read_table(path: Path) -> tuple[list[str], Floats]:
    """Return the columns' names and a row a column: NaN where a cell is empty, infinite where it is not finite."""
    try:
        with open(path, "rb") as file:
            columns = next(csv.reader([file.readline().decode(errors="replace")]), [])
            starts = [file.tell()]
            size = path.stat().st_size
            while starts[-1] + CHUNK < size:
                file.seek(starts[-1] + CHUNK)
                file.readline()
                starts.append(file.tell())
    except (OSError, csv.Error):
        columns = []
    if not columns:
        return [], np.empty((0, 0))
    read_rows = partial(_read_rows, path, len(columns))
    ends = [*starts[1:], size]
    if len(starts) < 4:  # starting processes would take longer
        return columns, np.concatenate(list(map(read_rows, starts, ends)), axis=1)
    # Threads would wait for each other, and a fork would copy those of torch.
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), get_context("spawn")) as pool:
        return columns, np.concatenate(list(pool.map(read_rows, starts, ends)), axis=1)


def _read_rows(path: Path, width: int, start: int, end: int) -> Floats:
    with open(path, "rb") as file:
        file.seek(start)
        lines = file.read(end - start)
    lines = lines[: lines.rfind(b"\n") + 1]  # the last one may be torn off by a kill, or not yet whole
    if not lines:
        return np.empty((width, 0))
    try:
        return np.ascontiguousarray(_parse(lines, width).T)
    except ValueError:
        return _parse_carefully(lines, width).T


def _parse(lines: bytes, width: int) -> Floats:
    """Return rows of numbers.

    Raises:
        ValueError: Something is not a number, or rows differ in length.
    """
    text = np.frombuffer(lines.replace(b"\n", b","), np.uint8)
    ends = text == ord(",")
    filled = np.diff(np.flatnonzero(ends), prepend=-1) > 1
    empty = ends & np.concatenate(([True], ends[:-1]))  # the comma of an empty cell
    values = np.full(len(filled), np.nan)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        # Where something is not a number NumPy before 2.3 warns, and gives fewer numbers than there is room for.
        numbers = np.fromstring(text[~empty].tobytes(), sep=",")
    values[filled] = np.nan_to_num(numbers, nan=np.inf, posinf=np.inf, neginf=np.inf)
    return values.reshape(-1, width)


def _parse_carefully(lines: bytes, width: int) -> Floats:
    """Return rows of numbers, without what is none and without rows of another length."""
    rows = (line.split(",") for line in lines.decode(errors="replace").split("\n"))
    return np.array([[_number(cell) for cell in row] for row in rows if len(row) == width]).reshape(-1, width)


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.inf


def thin(values: Floats, points: int) -> Indices:
    """Choose what to draw of a curve: the least and the greatest value of each of ``points / 2`` stretches.

    Args:
        values: Shape (n,), finite.
        points: About how many to choose, at least 2.

    Returns:
        Indices, ascending, the first and the last among them.
    """
    if len(values) <= points:
        return np.arange(len(values))
    size = -(-len(values) // (points // 2))
    stretches = np.pad(values, (0, -len(values) % size), mode="edge").reshape(-1, size)
    starts = np.arange(len(stretches)) * size
    extremes = (starts + stretches.argmin(1), starts + stretches.argmax(1), [0, len(values) - 1])
    chosen: Indices = np.unique(np.concatenate(extremes).clip(max=len(values) - 1))
    return chosen
