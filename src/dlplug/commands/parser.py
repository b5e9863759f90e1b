"""How commands take their arguments, and how they print text in a terminal's width."""

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from dlplug.console import plain
from dlplug.errors import InputError
from dlplug.registry.source import Argument


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit status 2, as everywhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.color = False  # Python 3.14's escape codes, which no output of ours lets pass

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise InputError(message)


def seeds(text: str) -> list[int]:
    """Return seeds that were typed, such as ``0-4`` or ``1,2,7``: a type for ``add_argument``."""
    parts = [re.fullmatch(r"(\d+)(?:-(\d+))?", part) for part in text.split(",")]
    ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part]
    if len(ranges) < len(parts) or not all(ranges):
        raise argparse.ArgumentTypeError(f"takes numbers and ranges, such as 0-4 or 1,2,7; not {text!r}")
    return [*dict.fromkeys(seed for part in ranges for seed in part)]


def print_arguments(arguments: Iterable[Argument], prefix: str, values: dict[str, str]) -> None:
    """Print a line or more an argument; ``values`` are defaults that a recipe changes, by option."""
    for argument in arguments:
        default = values.get((prefix + argument.name)[2:], argument.default)
        given = "required" if default is None else f"default {default}"
        print_wrapped(f"  {prefix}{argument.name}  ", f"{argument.help} ({argument.type or 'any'}, {given})", indent=6)


def print_wrapped(start: str, text: str, indent: int | None = None) -> None:
    """Print text that starts with ``start`` and is indented by as much, or by ``indent``, on its further lines."""
    import shutil
    import textwrap  # both are slow to import, and a misspelt name does without

    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    hang = " " * (len(start) if indent is None else indent)
    # Names and paths stay in one piece, to be copied.
    wrapper = textwrap.TextWrapper(width, subsequent_indent=hang, break_on_hyphens=False, break_long_words=False)
    print(wrapper.fill(start + plain(text)))
