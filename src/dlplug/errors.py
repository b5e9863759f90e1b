"""The one exception whose message is meant for the person at the keyboard."""

from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The command prints the message in one line and exits with status 2. Models and data raise it, or a plain
    ``ValueError``, from ``__init__``, ``build`` and ``load``.
    """


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return a hint that ends an error message: the nearest known name, or all of them where none is near."""
    from difflib import get_close_matches  # only ever needed on the way out

    names = sorted(known)
    close = get_close_matches(wrong.lower(), names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names) or 'none'}"
