"""Embeddings of words and of pictures, the emoji that they learn from, and what the notes say of them."""

from dlplug import DataSpec, Spec

SPECS: list[Spec] = [
    DataSpec(
        "emoji",
        "dlplug_multimodal.emoji:Emoji",
        "1,903 emoji: a picture and its tags, or its name.",
        lecture="5.5",
        tags=("pictures", "words", "tags"),
        gives="tagged images",
    ),
]
