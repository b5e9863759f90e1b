"""Your own labelled texts, in a table."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlplug.console import plain, say
from dlplug_sequence.data.labelled_text import LabelledTextData
from dlplug_sequence.data.phrases import draw_phrases
from dlplug_sequence.data.tables import BadRows, read_table

NUMBER = re.compile(r"[-+]?\d*[.,]?\d+(e[-+]?\d+)?%?", re.IGNORECASE)
LIST = re.compile(r'[\[({].*[\])}]|.*[,;|"].*', re.DOTALL)


class TextTable(LabelledTextData):
    """Your own labelled texts: a CSV or TSV file (by its suffix) whose first line names the columns.

        text,label
        "I love it, truly",positive
        never again,negative

    UTF-8; in TSV quotes do not count. Rows of equal text count once. Rows that lack a text or a class, or have more
    cells than there are columns, are refused, all at once.

    Args:
        path: The file.
        text: The column of the texts.
        label: The column of the classes.
        skip_bad: Whether bad rows are left out instead of refused.
    """

    def __init__(
        self, path: str, text: str = "text", label: str = "label", skip_bad: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.text, self.label, self.skip_bad = path, text, label, skip_bad

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write forty phrases of each of three kinds."""
        rows = [(text, kind) for kind in ("date", "money", "time") for text, _ in draw_phrases(40, kind)]
        with open(folder / "texts.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("text", "label"), *rows])
        return {"data.path": folder / "texts.csv", "data.batch_size": 8}

    def read(self) -> Sequence[tuple[str, str]]:
        """Return the rows."""
        bad, items = BadRows(self.path, self.skip_bad), []
        for number, (text, label) in read_table(bad, self.text, self.label):
            if text.strip() and label.strip():
                items.append((text, label.strip()))
            else:
                bad.add(number, f"the {'class' if text.strip() else 'text'} is missing")
        bad.settle()
        labels = {label for _, label in items}
        doubts = {
            f"are {len(labels):,} in {len(items):,} rows": len(labels) > len(items) / 2,
            "look like numbers, whose order is not used": all(map(NUMBER.fullmatch, labels)),
            "look like lists or hold quotes": any(map(LIST.fullmatch, labels)),
            "differ where texts are equal, of which the first counts": len(set(items)) > len(dict(items)),
        }
        if doubt := " and ".join(doubt for doubt, holds in doubts.items() if holds and items):
            doubt += f" ({plain(', '.join(sorted(labels)[:3]))}, …)"
            say(f"{self.path}: the classes {doubt}; --data.label names another column than {self.label!r}")
        return items
