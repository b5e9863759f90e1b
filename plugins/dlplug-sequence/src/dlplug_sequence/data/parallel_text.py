"""Your own translations."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlplug.files import read_lines
from dlplug.tables import BadRows, holds_records, read_header, read_rows, read_table
from dlplug_sequence.data.padded import split_items
from dlplug_sequence.data.phrases import draw_phrases
from dlplug_sequence.data.text_pairs import Pair, PairData


class ParallelText(PairData):
    """Your own translations: a file of lines ``text<tab>translation``, or two files, line by line.

        pairs.tsv                       or    en.txt         fr.txt
        two days ago<tab>il y a 2 j           two days ago   il y a 2 j
        in one hour<tab>dans 1 h              in one hour    dans 1 h

    UTF-8; quotes do not count. Or ``path`` is JSON lines (``.jsonl``) or, with the extra ``dlplug[arrow]``, Parquet or
    a folder that Hugging Face's ``save_to_disk`` wrote. Of equal texts the first translation counts. Split
    80 : 10 : 10. Lines without a translation are refused, all at once.

    Args:
        path: The file, or with ``target`` the file of texts.
        target: The file of translations, a line for each line of ``path``; empty where ``path`` holds both.
        columns: The columns of records that hold text and translation, such as ``[translation.en,translation.fr]``; all
            that there are unless given.
        split_seed: Seed of the split.
        skip_bad: Whether bad lines are left out instead of refused.
    """

    def __init__(
        self,
        path: str,
        target: str = "",
        columns: list[str] | None = None,
        min_count: int = 0,
        split_seed: int = 0,
        skip_bad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(min_count=min_count, **kwargs)
        self.columns = columns or []
        self.path, self.target, self.split_seed, self.skip_bad = path, target, split_seed, skip_bad

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write phrases in English and French."""
        text = "".join(f"{text}\t{translation}\n" for text, translation in draw_phrases(300))
        (folder / "pairs.tsv").write_text(text, encoding="utf-8")
        return {"data.path": folder / "pairs.tsv"}

    def pairs(self) -> Mapping[str, Sequence[Pair]]:
        """Return the pairs by split."""
        bad = BadRows(self.path, self.skip_bad)
        items: dict[str, str] = {}
        for number, cells in self._rows(bad):
            text, *rest = (cell.strip() for cell in cells)
            if len(rest) != 1:
                bad.add(number, f"{len(rest)} tabs where text<tab>translation has one")
            elif not text or not rest[0]:
                bad.add(number, f"the {'translation' if text else 'text'} is empty")
            else:
                items.setdefault(text, rest[0])
        bad.settle()
        return split_items(list(items.items()), self.split_seed)

    def _rows(self, bad: BadRows) -> Iterable[tuple[int, Sequence[str]]]:
        if holds_records(self.path):
            names = self.columns or read_header(bad)
            if len(names) != 2:
                raise ValueError(f"{self.path} has the columns {', '.join(names)}: give two of them as data.columns")
            return read_table(bad, *names)
        if not self.target:
            return read_rows(bad, "\t")
        texts = read_lines(self.path, bad.add)
        translations = read_lines(self.target, lambda line, reason: bad.add(line, f"{reason} in {self.target}"))
        if len(texts) != len(translations):
            raise ValueError(
                f"{self.path} has {len(texts):,} lines and {self.target} {len(translations):,}: line "
                f"{min(len(texts), len(translations)) + 1:,} has no partner"
            )
        return enumerate(zip(texts, translations, strict=True), start=1)
