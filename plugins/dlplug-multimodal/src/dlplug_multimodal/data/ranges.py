"""Ranges of options, for models and data."""

from collections.abc import Callable, Mapping
from typing import Any

from dlplug.errors import InputError

RANGES: dict[str, Callable[[float], bool]] = {
    "at least 0": lambda value: value >= 0,
    "at least 1": lambda value: value >= 1,
    "above 0": lambda value: value > 0,
    "from 0 to 1": lambda value: 0 <= value <= 1,
    "from 0 to below 1": lambda value: 0 <= value < 1,
}


def require(options: Mapping[str, Any], range_name: str, *names: str) -> None:
    """Refuse options out of a range.

    Args:
        options: Values by name.
        range_name: One of ``RANGES``.
        names: The options that must be in it.

    Raises:
        InputError: One is out of the range.
    """
    for name in names:
        if not RANGES[range_name](options[name]):
            raise InputError(f"{name} must be {range_name}, not {options[name]}")
