"""A person's own translations."""

from collections.abc import Mapping, Sequence

from dlplug.files import read_lines
from dlplug_sequence.data.padded import split_places
from dlplug_sequence.data.text_pairs import Pair, PairData
from dlplug_sequence.data.vocabulary import Level


class ParallelText(PairData):
    """Translations of your own: a file of lines ``text<tab>translation``, or two files, line by line.

    UTF-8. Of equal texts the first translation counts. Split 80 : 10 : 10. A line that has no translation is named.

    Args:
        path: The file, or with ``target`` the file of texts.
        target: The file of translations, a line for each line of ``path``; empty where ``path`` holds both.
        level: What a token is.
        vocabulary_size: Most tokens of each vocabulary; 0 for all, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training texts are unknown.
        split_seed: Another number is another split.
        batch_size: Pairs a batch on each device.
    """

    def __init__(
        self,
        path: str,
        target: str = "",
        level: Level = "word",
        vocabulary_size: int = 0,
        min_count: int = 2,
        split_seed: int = 0,
        batch_size: int = 64,
    ) -> None:
        super().__init__(level, vocabulary_size, min_count, batch_size)
        self.path, self.target, self.split_seed = path, target, split_seed

    def pairs(self) -> Mapping[str, Sequence[Pair]]:
        """Return the pairs by split."""
        items: dict[str, str] = {}
        for number, (text, translation) in enumerate(self._lines(), start=1):
            if not text.strip() or not translation.strip():
                side = "translation" if text.strip() else "text"
                raise ValueError(f"{self.path}, line {number}: the {side} is empty")
            items.setdefault(text.strip(), translation.strip())
        pairs, parts = list(items.items()), split_places(len(items), self.split_seed)
        return {split: [pairs[i] for i in places] for split, places in parts.items()}

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
