"""Targets that stand in a table: a class, several labels, or numbers, an item."""

import re
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from dlplug.console import first_few, plain, say
from dlplug.data import Target
from dlplug.tables import BadRows

AskedTarget = Literal["auto", "class", "labels", "number"]
Value = str | tuple[str, ...] | tuple[float, ...]  # a class, labels, or numbers
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
LOOKS_NUMERIC = re.compile(r"[-+]?\d*[.,]?\d+(e[-+]?\d+)?%?", re.IGNORECASE)
LOOKS_LISTED = re.compile(r'[\[({].*[\])}]|.*[,;|"].*', re.DOTALL)
FEW = 20  # different whole numbers in one column, up to which they are taken for the names of classes


def read_targets(
    bad: BadRows, rows: Sequence[tuple[int, Sequence[str]]], columns: Sequence[str], asked: AskedTarget = "auto"
) -> tuple[Target, dict[int, Value]]:
    """Return which kind of target the cells of a table are, and that of each row that is not bad.

    ``auto`` takes numbers where most cells are numbers, unless a single column holds at most 20 different whole ones,
    or all cells of several are 0 or 1: those are labels, by the columns' names. One other column is a class, several
    are labels.

    Args:
        bad: Where rows are noted whose cells are no such target.
        rows: The line of each row, and its cells.
        columns: The columns' names.
        asked: ``class``, ``labels``, which semicolons, bars or, where there is neither, commas separate in a cell,
            ``number``, or ``auto``. Cells of several columns are together an item's labels, or are 1 for the labels
            after which the columns are called.

    Returns:
        The kind, and by line a class's name, labels in alphabetical order, or a number for each column.

    Raises:
        ValueError: Several columns are to be one class, one is named twice, or of several some are numbers, some not.
    """
    cells = [[cell.strip() for cell in row] for _, row in rows]
    if twice := [name for place, name in enumerate(columns) if name in columns[:place]]:
        raise ValueError(f"{bad.path}: the column {twice[0]!r} is named twice")
    kind: Target = _kind(bad, cells, columns) if asked == "auto" else asked
    if kind == "class" and len(columns) > 1:
        what = "--data.target labels or number, or one column as --data.label"
        raise ValueError(f"{bad.path}: the columns {', '.join(columns)} are not one class; give {what}")
    separator = next((mark for mark in ";|" if any(mark in cell for row in cells for cell in row)), ",")
    marked = len(columns) > 1 and all(cell in ("0", "1") for row in cells for cell in row)
    found: dict[int, Value] = {}
    for (line, _), row in zip(rows, cells, strict=True):
        if kind == "labels":
            found[line] = tuple(sorted(_labels(row, columns, separator, marked)))
            continue
        wrong = [(name, cell) for name, cell in zip(columns, row, strict=True) if not cell or not _fits(cell, kind)]
        if wrong:
            name, cell = wrong[0]
            missing = "the class is missing" if kind == "class" else f"the number {name!r} is missing"
            bad.add(line, f"{name} {plain(cell)!r} is not a number such as 1200.5" if cell else missing)
        else:
            found[line] = row[0] if kind == "class" else tuple(map(float, row))
    if kind != "class":
        what = f"{separator!r} between them" if kind == "labels" and not marked else first_few(columns)
        say(f"{bad.path}: each item has {'labels' if kind == 'labels' else 'numbers'} ({what}): --data.target {kind}")
    elif asked == "auto":
        _doubt(bad, [str(value) for value in found.values()], columns[0])
    return kind, found


def _kind(bad: BadRows, cells: Sequence[Sequence[str]], columns: Sequence[str]) -> Target:
    values = {cell for row in cells for cell in row}
    numbers = {float(cell) for cell in values if NUMBER.fullmatch(cell)}
    sides: dict[bool, list[str]] = {True: [], False: []}
    for name, column in zip(columns, zip(*cells, strict=True), strict=False):
        filled = [cell for cell in column if cell]
        sides[2 * sum(map(bool, map(NUMBER.fullmatch, filled))) > len(filled)].append(name)
    if all(sides.values()):
        numeric, others = map(first_few, sides.values())
        what = "--data.label names those to learn together, --data.target labels takes them all as labels"
        raise ValueError(f"{bad.path}: its columns are of two kinds, numbers ({numeric}) and others ({others}); {what}")
    if len(columns) > 1:
        return "number" if sides[True] and not values <= {"0", "1"} else "labels"
    return "number" if sides[True] and (len(numbers) > FEW or any(number % 1 for number in numbers)) else "class"


def _fits(cell: str, kind: Target) -> bool:
    return kind == "class" or (NUMBER.fullmatch(cell) is not None and abs(float(cell)) < torch.finfo().max)


def _labels(row: Sequence[str], columns: Sequence[str], separator: str, marked: bool) -> set[str]:
    if marked:
        return {name for name, cell in zip(columns, row, strict=True) if cell == "1"}
    parts = [part.strip(" \t'\"") for cell in row for part in cell.strip("[]").split(separator)]
    return {part for part in parts if part}


def _doubt(bad: BadRows, values: Sequence[str], column: str) -> None:
    """Say what speaks against values being the names of classes."""
    classes = set(values)
    doubts = {
        f"are {len(classes):,} in {len(values):,} rows": len(classes) > len(values) / 2,
        "look like numbers, whose order is not used": all(map(LOOKS_NUMERIC.fullmatch, classes)),
        "look like lists or hold quotes": any(map(LOOKS_LISTED.fullmatch, classes)),
    }
    if doubt := " and ".join(doubt for doubt, holds in doubts.items() if holds and values):
        few = plain(", ".join(sorted(classes)[:3]))
        options = f"--data.target labels or number takes them so, --data.label names another column than {column!r}"
        say(f"{bad.path}: the classes {doubt} ({few}, …); {options}")


def target_names(kind: Target, values: Sequence[Value], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of all classes or labels that occur, in alphabetical order, or of the columns of numbers.

    Raises:
        ValueError: There is nothing to learn.
    """
    if kind == "number":
        return tuple(columns)
    names = sorted({str(name) for value in values for name in ((value,) if isinstance(value, str) else value)})
    if kind == "class" and len(names) == 1:
        raise ValueError(f"there is only one class, {names[0]!r}: nothing to classify")
    if not names:
        raise ValueError("no item has a label")
    return tuple(names)


def encode_targets(kind: Target, values: Sequence[Value], names: Sequence[str]) -> Tensor:
    """Return targets as models take them.

    Args:
        kind: What they are.
        values: One an item.
        names: As ``target_names`` gives them.

    Returns:
        Classes (n,); or floats, 1 for each of an item's labels and otherwise 0, shape (n, labels); or numbers, shape
        (n, columns).

    Raises:
        ValueError: Single precision does not tell the numbers of a column apart.
    """
    if kind == "number":
        exact = torch.tensor(values, dtype=torch.float64).view(-1, len(names))
        numbers = exact.float()
        lost = (numbers - exact).abs().amax(0) > 0.01 * exact.std(0, correction=0)  # such as of times in seconds
        if any(rounded := [name for name, one in zip(names, lost & (exact != exact[0]).any(0), strict=True) if one]):
            what = "subtract from each what they have in common"
            raise ValueError(f"the numbers of {first_few(rounded)} differ too little for their size: {what}")
        return numbers
    places = {name: place for place, name in enumerate(names)}
    if kind == "class":
        return torch.tensor([places[str(value)] for value in values], dtype=torch.long)
    targets = torch.zeros(len(values), len(names))
    for row, value in zip(targets, values, strict=True):
        row[[places[str(name)] for name in value]] = 1
    return targets
