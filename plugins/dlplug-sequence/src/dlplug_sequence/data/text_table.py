"""Your own labelled texts, in a table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlplug.files import read_lines
from dlplug_sequence.data.labelled_text import LabelledTextData


class TextTable(LabelledTextData):
    """Your own labelled texts: a CSV or TSV file (by its suffix) whose first line names the columns.

    UTF-8. Rows of equal text count once. A row that lacks a text or a class is refused with its line.

    Args:
        path: The file.
        text: The column of the texts.
        label: The column of the classes.
    """

    def __init__(self, path: str, text: str = "text", label: str = "label", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path, self.text, self.label = path, text, label

    def read(self) -> Sequence[tuple[str, str]]:
        """Return the rows."""
        delimiter = "\t" if Path(self.path).suffix.lower() in (".tsv", ".tab") else ","
        rows = csv.DictReader((line + "\n" for line in read_lines(self.path)), delimiter=delimiter)
        columns = list(rows.fieldnames or ())
        for name in (self.text, self.label):
            if name not in columns:
                raise ValueError(f"{self.path} has no column {name!r}; it has {', '.join(columns) or 'none'}")
        items = []
        for row in rows:
            text, label = row[self.text], row[self.label]
            if not (text and text.strip() and label and label.strip()):
                missing = "class" if text and text.strip() else "text"
                raise ValueError(f"{self.path}, line {rows.line_num}: the {missing} is missing")
            items.append((text, label.strip()))
        return items
