"""What a person reads in the terminal."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

MAX_NAMED = 10  # names, files or rows in a message
LONGEST = 4000  # characters of a line: what is longer, a plugin's name of megabytes, nobody reads


def say(text: str) -> None:
    """Print what the person should know, apart from a command's output, and once where there are several processes."""
    if is_rank_zero():
        lines = "\n".join(map(plain, text.split("\n")))
        print(f"{lines}\n", end="", file=sys.stderr)  # in one piece: several threads may speak


def first_few(names: Sequence[str], separator: str = ", ") -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return separator.join(map(plain, names[:MAX_NAMED])) + more


def is_rank_zero() -> bool:
    """Return whether this process is the only one, or the first of several that train together."""
    from lightning_utilities.core.rank_zero import rank_zero_only  # not where nothing is trained

    # On a further node, Lightning's own launch knows the node alone until the trainer is there.
    return getattr(rank_zero_only, "rank", 0) == 0 and os.environ.get("NODE_RANK", "0") == "0"


def is_watched() -> bool:
    """Return whether a progress bar has somebody to see it: at a terminal, or in a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def plain(text: object) -> str:
    """Return text in one line of what can be printed: a terminal obeys escape codes, whoever wrote them.

    Args:
        text: Anything; an exception whose own text raises is named by its class.
    """
    try:
        words = " ".join(str(text).split())
    except BaseException:  # a plugin's exception may do whatever it likes
        words = type(text).__name__
    words = words if len(words) <= LONGEST else f"{words[:LONGEST]}…"
    return "".join(map(_printable, words))


def plain_warnings() -> None:
    """Show each warning in one line of what can be printed: gymnasium's are in colour."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {plain(message)}\n"


class PlainOutput:
    """A text stream that writes what can be printed, line ends and tabs, and shows all else by its escape sequence."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        return self._stream.write(text if text.isprintable() else "".join(map(_printable, text)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _printable(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return ascii(character)[1:-1]  # lone surrogates too, which stand for bytes of a file's name that are not UTF-8
