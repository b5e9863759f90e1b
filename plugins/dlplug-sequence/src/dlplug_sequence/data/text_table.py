"""Your own texts with targets, in a table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlplug.console import say
from dlplug.tables import BadRows, read_table
from dlplug.targets import AskedTarget, read_targets
from dlplug_sequence.data.labelled_text import LabelledTextData
from dlplug_sequence.data.phrases import draw_phrases


class TextTable(LabelledTextData):
    """Your own texts with a class, labels or numbers each: a CSV or TSV file whose first line names the columns.

        text,label
        "I love it, truly",positive
        never again,negative

    TSV by its suffix; UTF-8; in TSV quotes do not count. Or ``path`` is JSON lines (``.jsonl``) or, with the extra
    ``dlplug[arrow]``, Parquet or a folder that Hugging Face's ``save_to_disk`` wrote. Rows of equal text count once.
    Rows that lack a text or a class, hold no number where one belongs, or have more cells than there are columns, are
    refused, all at once.

    Args:
        path: The file.
        text: The column of the texts.
        label: The column of the classes, or the columns of labels or numbers, as in ``[height,weight]``.
        target: What is learned: a ``class``, ``labels`` (several a text, separated by semicolons, bars or else commas,
            or columns of 0 and 1), or ``number``, one for each column. ``auto`` takes numbers where most cells are,
            but a column of at most 20 different whole ones for classes and several columns of 0 and 1 for labels.
        skip_bad: Whether bad rows are left out instead of refused.
    """

    def __init__(
        self,
        path: str,
        text: str = "text",
        label: list[str] | str = "label",
        target: AskedTarget = "auto",
        skip_bad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.text, self.label, self.skip_bad = path, text, label, skip_bad
        self.asked_target = target

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write forty phrases of each of three kinds."""
        rows = [(text, kind) for kind in ("date", "money", "time") for text, _ in draw_phrases(40, kind)]
        with open(folder / "texts.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("text", "label"), *rows])
        return {"data.path": folder / "texts.csv", "data.batch_size": 8}

    def read(self) -> Sequence[tuple[str, Any]]:
        """Return the rows."""
        bad = BadRows(self.path, self.skip_bad)
        columns = [self.label] if isinstance(self.label, str) else self.label
        texts, rows = {}, []
        for number, (text, *cells) in read_table(bad, self.text, *columns):
            if text.strip():
                texts[number] = text
                rows.append((number, cells))
            else:
                bad.add(number, "the text is missing")
        self.target, targets = read_targets(bad, rows, columns, self.asked_target)
        self.numbers = columns
        bad.settle()
        items = [(texts[number], value) for number, value in targets.items()]
        if len(set(items)) > len(dict(items)):
            what = "classes" if self.target == "class" else "numbers" if self.target == "number" else "labels"
            say(f"{self.path}: the {what} differ where texts are equal, of which the first counts")
        return items
