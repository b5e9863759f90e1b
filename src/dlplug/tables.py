"""Tables that people bring, and what is wrong with them: all of it is named at once."""

import csv
from collections.abc import Iterator
from pathlib import Path

from dlplug.console import MAX_NAMED, plain, say
from dlplug.files import read_lines

TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}  # what a table's name ends with, and what is between its cells
SWALLOWED = 5  # so many lines in a cell in quotes that all look like rows are rows: a quote is missing


class BadRows:
    """What is wrong with the rows of a file.

    Args:
        path: The file.
        skip: Whether bad rows are left out, and counted, instead of refused.
    """

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
            named = [f"{f'line {where}' if isinstance(where, int) else where}: {reason}" for where, reason in rows]
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


def read_table(bad: BadRows, *columns: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each row and its cells in some columns, which the first row names: CSV, or TSV by its suffix.

    Raises:
        ValueError: There is no such column, or there are two.
    """
    rows = _rows(bad)
    header = _names(rows)
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
    """Return the columns' names, which the first row of a table gives: CSV, or TSV by its suffix."""
    return _names(_rows(bad))


def _rows(bad: BadRows) -> Iterator[tuple[int, list[str]]]:
    return read_rows(bad, TABLES.get(Path(bad.path).suffix.lower(), ","))


def _names(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    return [name.strip() for name in next(rows, (1, []))[1]]
