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
    DataSpec(
        "digit-names",
        "dlplug_multimodal.digit_names:DigitNames",
        "5,000 handwritten digits, each with its name.",
        lecture="5.4",
        tags=("pictures", "words", "mnist"),
        gives="tagged images",
    ),
]
