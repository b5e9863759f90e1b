"""Texts of user interfaces, in English and French."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from babel.messages.mofile import read_mo

from dlplug_sequence.data.padded import split_items
from dlplug_sequence.data.text_pairs import Pair, PairData
from dlplug_sequence.data.vocabulary import Level

# The packages and where their compiled message catalogues are.
CATALOGUES = {"django": "**/locale/fr/LC_MESSAGES/*.mo", "jupyterlab_language_pack_fr_FR": "**/*.mo"}
MARKUP = re.compile(r"[%{<\\]|&\w+;|https?:")  # places for values, tags and addresses
NO_LETTERS = re.compile(r"[\W\d_]+")


class UIStrings(PairData):
    """About 3,000 labels, messages and explanations of programs, as people translated them from English to French.

    From the catalogues of Django and of JupyterLab's French language pack (both BSD 3-clause), which the extra
    ``dlplug-sequence[ui]`` installs; neither is imported. Left out are texts with places for values, tags or addresses,
    those that stayed in English, and all but the first of texts or translations that differ in capitals, digits and
    punctuation alone, so that no sentence of either language is in two parts. Of plural forms only the singular is
    taken. Split 80 : 10 : 10. Other versions of the two packages have slightly different sentences.

    Args:
        split_seed: Seed of the split.
    """

    def __init__(
        self,
        level: Level = "bpe",  # so few texts repeat few words, and byte pairs leave none unknown
        vocabulary_size: int = 1500,
        min_count: int = 2,
        split_seed: int = 0,
        batch_size: int = 32,
    ) -> None:
        super().__init__(level, vocabulary_size, min_count, batch_size)
        self.split_seed = split_seed

    def pairs(self) -> Mapping[str, Sequence[Pair]]:
        """Return the pairs by split."""
        seen: tuple[set[str], set[str]] = set(), set()
        kept = []
        for pair in read_catalogues():
            keys = [NO_LETTERS.sub(" ", text).strip().casefold() for text in pair]
            if not all(keys) or keys[0] == keys[1] or MARKUP.search(" ".join(pair)):
                continue
            if not any(key in known for key, known in zip(keys, seen, strict=True)):
                kept.append(pair)
                for key, known in zip(keys, seen, strict=True):
                    known.add(key)
        return split_items(kept, self.split_seed)


def read_catalogues() -> Iterator[Pair]:
    """Yield (text, translation) of all messages, white space made one space.

    Raises:
        ValueError: A package is missing, or holds no catalogue.
    """
    for name, pattern in CATALOGUES.items():
        package = importlib.util.find_spec(name)
        folders = package.submodule_search_locations if package else None
        files = sorted(Path(folders[0]).glob(pattern)) if folders else []
        if not files:
            raise ValueError(f"no French catalogue of the package {name}: pip install dlplug-sequence[ui]")
        for file in files:
            with file.open("rb") as stream:
                messages = list(read_mo(stream))
            for message in messages:
                sides = [side if isinstance(side, str) else side[0] for side in (message.id, message.string or "")]
                text, translation = (" ".join(side.split()) for side in sides)
                yield text, translation
