"""Tables that people bring, and what is wrong with them: all of it is named at once."""

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from dlplug.arrow import read_arrow
from dlplug.console import MAX_NAMED, first_few, plain, say
from dlplug.files import read_lines

TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}  # what a table's name ends with, and what is between its cells
RECORDS = (".jsonl", ".ndjson", ".parquet")  # and of a file whose values have names
DATASETS = ("state", "dataset_dict")  # the JSON files of a folder that save_to_disk wrote, of one data set or several
SWALLOWED = 5  # so many lines in a cell in quotes that all look like rows are rows: a quote is missing


class BadRows:
    """What is wrong with the rows of a file.

    Args:
        path: The file.
        skip: Whether bad rows are left out, and counted, instead of refused.

    Attributes:
        unit: What a number says of where a row stands.
    """

    unit = "line"

    def __init__(self, path: str | Path, skip: bool) -> None:
        self.path, self.skip = path, skip
        self.reasons: dict[int | str, str] = {}

    def add(self, where: int | str, reason: str) -> None:
        """Note what is wrong with a row: its line, or what else tells where it stands, and the first reason."""
        self.reasons.setdefault(where, reason)

    def settle(self) -> None:
        """Name what was found, once all rows are read.

        Raises:
            ValueError: There are bad rows, and they are not to be left out.
        """
        if self.reasons:
            rows = sorted(self.reasons.items(), key=lambda row: row[0] if isinstance(row[0], int) else 0)
            named = [
                f"{f'{self.unit} {where}' if isinstance(where, int) else where}: {reason}" for where, reason in rows
            ]
            more = f"; and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
            text = f"{self.path}, {'; '.join(named[:MAX_NAMED])}{more}"
            if not self.skip:
                raise ValueError(f"{text} (--data.skip_bad true leaves such rows out)")
            say(plain(f"left out, since they are bad, {len(named)} rows of {text}"))


def read_rows(bad: BadRows, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each row begins, and its cells, of the file of ``bad``; empty rows are passed over.

    Between commas cells are read as RFC 4180 has it, between tabs quotes do not count. A row that cannot be read is
    bad alone: those after it, which its quote seemed to hold, are read.
    """
    lines = read_lines(bad.path, bad.add)
    if delimiter == "\t":
        yield from ((number, line.split("\t")) for number, line in enumerate(lines, start=1) if line)
        return
    csv.field_size_limit(2**31 - 1)  # the default, 131,072 characters, is less than a book
    start, several = 0, []
    while start < len(lines):
        first, rows = start, csv.reader((f"{lines[i]}\n" for i in range(start, len(lines))), strict=True)
        try:
            for cells in rows:
                inside = lines[start + 1 : first + rows.line_num]
                if len(inside) >= SWALLOWED and {line.count(",") + 1 for line in inside} == {len(cells)} != {1}:
                    raise csv.Error
                several += [start + 1] if inside else []
                if cells:
                    yield start + 1, cells
                start = first + rows.line_num
        except csv.Error:
            bad.add(start + 1, "a stray quote or carriage return")
            start += 1
    if several:
        say(
            f"{bad.path}: {len(several)} rows go on over the ends of lines, in quotes, the first from line {several[0]}"
        )


def is_table(path: str | Path) -> bool:
    """Return whether something is a table by its suffix, or holds records."""
    return Path(path).suffix.lower() in TABLES or holds_records(path)


def holds_records(path: str | Path) -> bool:
    """Return whether something is JSON lines or Parquet by its suffix, or a folder of Hugging Face's ``datasets``."""
    folder = Path(path).expanduser()
    return folder.suffix.lower() in RECORDS or any((folder / f"{name}.json").is_file() for name in DATASETS)


def read_table(bad: BadRows, *columns: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each row and its cells in some columns, all unless given.

    The columns' names stand in the first row of a CSV or, by its suffix, TSV file. JSON lines, Parquet and folders
    that ``save_to_disk`` wrote have names of their own; of records in records, they are such as ``translation.en``.

    Raises:
        ValueError: There is no such column, or there are two.
    """
    rows = _rows(bad, columns)
    header = _names(rows)
    columns = columns or tuple(header)
    for name in columns:
        if header.count(name) != 1:
            bad.settle()  # the first row itself may be what is wrong
            found = f"{'two columns' if name in header else 'no column'} {name!r}"
            raise ValueError(f"{bad.path} has {found}; it has {', '.join(header) or 'none'}")
    places = [header.index(name) for name in columns]
    for number, cells in rows:
        if len(cells) > len(header):
            bad.add(number, "more columns than the first line names")
        else:
            yield number, [cells[place] if place < len(cells) else "" for place in places]


def read_header(bad: BadRows) -> list[str]:
    """Return the columns' names, of a table as ``read_table`` reads it."""
    return _names(_rows(bad))


def _rows(bad: BadRows, wanted: Collection[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Yield the names of the columns, then the cells of each row."""
    path = Path(bad.path).expanduser()
    if not holds_records(path):
        return read_rows(bad, TABLES.get(path.suffix.lower(), ","))
    return (
        _read_arrow(bad, path, wanted) if path.is_dir() or path.suffix.lower() == ".parquet" else _read_json_lines(bad)
    )


def _read_arrow(bad: BadRows, path: Path, wanted: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    if (path / DATASETS[1]).with_suffix(".json").is_file():
        splits = sorted(each.name for each in path.iterdir() if each.is_dir())
        one = path / max(splits, key="train".__eq__, default="train")
        raise ValueError(f"{path} holds the data sets {first_few(splits)}: give one of them, such as {one}")
    bad.unit = "row"
    for number, values in enumerate(read_arrow(path, wanted)):
        yield number, [_cell(value) for value in values]


def _read_json_lines(bad: BadRows) -> Iterator[tuple[int, list[str]]]:
    names: list[str] = []
    for number, line in enumerate(read_lines(bad.path, bad.add), start=1):
        try:
            values = _flatten(json.loads(line)) if line.strip() else {}
            cells = [_cell(values.get(name)) for name in names or values]
            "".join(cells).encode()  # half a character, which JSON can spell, is none
        except (ValueError, AttributeError, RecursionError) as error:
            bad.add(number, f"not a JSON object ({getattr(error, 'msg', error)})")
            continue
        if values and not names:
            names = list(values)
            yield number, names
        if values:
            yield number, cells


def _flatten(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = {f"{name}.{key}": each for key, each in _flatten(value).items()} if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else inner
    return flat


def _cell(value: Any) -> str:
    """Return a value as it would stand in a CSV file: of a list the parts, between semicolons; nothing of no number."""
    if isinstance(value, list):
        return ";".join(map(_cell, value))
    if value is None or value != value:
        return ""
    return str(int(value) if isinstance(value, bool) else value)


def _names(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    return [name.strip() for name in next(rows, (1, []))[1]]
