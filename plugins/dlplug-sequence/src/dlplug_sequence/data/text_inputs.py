"""Texts that people bring to be predicted, and where they are found."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dlplug.data import Batch, Input
from dlplug.files import read_lines
from dlplug.tables import TABLES, BadRows, holds_records, is_table, read_rows, read_table

# Hidden files and what systems and notebooks leave may be a second, stale copy of a text.
LITTER = re.compile(r"(^|/)(\.[^/]|__MACOSX/)")


def find_texts(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder and its subfolders that match a pattern, in alphabetical order, but hidden ones."""
    files = sorted(folder.rglob(pattern))
    return [file for file in files if file.is_file() and not LITTER.search(file.relative_to(folder).as_posix())]


def text_inputs(source: str, encode: Callable[[str], Batch], column: str) -> Sequence[Input]:
    """Return texts to predict.

    Args:
        source: A file with a text a line; a table, as ``dlplug.tables`` reads them; a folder of text files, each one;
            or ``-`` for standard input, a text a line.
        encode: Returns a text's sample.
        column: The table's column of texts; the first, in a table without names, where it is empty.

    Returns:
        The texts by the line on which they begin, or by their file's name.

    Raises:
        ValueError: There is none, or it is not text.
    """
    folder = Path(source).expanduser()
    if folder.is_dir() and not is_table(folder):
        if not (files := find_texts(folder, "*.txt")):
            raise ValueError(f"{source} holds no file whose name ends in .txt")
        return [(str(path.relative_to(folder)), partial(_encode_file, path, encode)) for path in files]
    bad = BadRows(source, skip=True)
    if not is_table(source):
        rows = list(enumerate(read_lines(source, bad.add), start=1))
    elif column:
        rows = [(number, text) for number, (text,) in read_table(bad, column)]
    else:
        found = read_table(bad) if holds_records(source) else read_rows(bad, TABLES[folder.suffix.lower()])
        rows = [(number, cells[0]) for number, cells in found]
    texts = dict(rows)
    numbers = sorted(texts.keys() | {number for number in bad.reasons if isinstance(number, int)})
    return [(str(n), partial(_encode, texts.get(n, ""), encode, bad.reasons.get(n, ""))) for n in numbers]


def _encode_file(path: Path, encode: Callable[[str], Batch]) -> Batch:
    return _encode(" ".join(read_lines(path)), encode)


def _encode(text: str, encode: Callable[[str], Batch], reason: str = "") -> Batch:
    if reason or not text.strip():
        raise ValueError(reason or "the text is empty")
    return encode(text)
