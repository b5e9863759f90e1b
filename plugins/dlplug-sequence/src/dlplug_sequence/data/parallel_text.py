"""Your own translations."""

from collections.abc import Mapping, Sequence
from typing import Any

from dlplug.files import read_lines
from dlplug_sequence.data.padded import split_items
from dlplug_sequence.data.text_pairs import Pair, PairData


class ParallelText(PairData):
    """Your own translations: a file of lines ``text<tab>translation``, or two files, line by line.

    UTF-8. Of equal texts the first translation counts. Split 80 : 10 : 10. A line without a translation is refused.

    Args:
        path: The file, or with ``target`` the file of texts.
        target: The file of translations, a line for each line of ``path``; empty where ``path`` holds both.
        split_seed: Seed of the split.
    """

    def __init__(self, path: str, target: str = "", min_count: int = 2, split_seed: int = 0, **kwargs: Any) -> None:
        super().__init__(min_count=min_count, **kwargs)
        self.path, self.target, self.split_seed = path, target, split_seed

    def pairs(self) -> Mapping[str, Sequence[Pair]]:
        """Return the pairs by split."""
        items: dict[str, str] = {}
        for number, (text, translation) in enumerate(self._lines(), start=1):
            if not text.strip() or not translation.strip():
                side = "translation" if text.strip() else "text"
                raise ValueError(f"{self.path}, line {number}: the {side} is empty")
            items.setdefault(text.strip(), translation.strip())
        return split_items(list(items.items()), self.split_seed)

    def _lines(self) -> list[Pair]:
        texts = read_lines(self.path)
        if self.target:
            translations = read_lines(self.target)
            if len(texts) != len(translations):
                raise ValueError(
                    f"{self.path} has {len(texts):,} lines and {self.target} {len(translations):,}: line "
                    f"{min(len(texts), len(translations)) + 1:,} has no partner"
                )
            return list(zip(texts, translations, strict=True))
        pairs = []
        for number, line in enumerate(texts, start=1):
            text, *rest = line.split("\t")
            if len(rest) != 1:
                raise ValueError(f"{self.path}, line {number}: {len(rest)} tabs where text<tab>translation has one")
            pairs.append((text, rest[0]))
        return pairs
