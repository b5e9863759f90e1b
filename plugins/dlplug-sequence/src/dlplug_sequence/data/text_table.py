"""A person's own texts with classes, in a table."""

import csv
from collections.abc import Sequence
from pathlib import Path

from dlplug.files import read_lines
from dlplug_sequence.data.labelled_text import LabelledTextData
from dlplug_sequence.data.vocabulary import Level


class TextTable(LabelledTextData):
    """Texts and classes of your own: a CSV or TSV file (by its ending) whose first line names the columns.

    UTF-8. Rows of equal text count once. A row that lacks a text or a class is named by its line.

    Args:
        path: The file.
        text: The column of the texts.
        label: The column of the classes.
        level: What a token is; capitals are made small.
        vocabulary_size: Most tokens of the vocabulary; 0 for all, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training texts are unknown.
        length: Tokens after so many are cut off.
        split_seed: Another number is another split.
        batch_size: Texts a batch on each device.
    """

    def __init__(
        self,
        path: str,
        text: str = "text",
        label: str = "label",
        level: Level = "word",
        vocabulary_size: int = 0,
        min_count: int = 2,
        length: int = 200,
        split_seed: int = 0,
        batch_size: int = 128,
    ) -> None:
        super().__init__(level, vocabulary_size, min_count, length, split_seed, batch_size)
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
                lacking = "class" if text and text.strip() else "text"
                raise ValueError(f"{self.path}, line {rows.line_num}: the {lacking} is missing")
            items.append((text, label.strip()))
        return items
