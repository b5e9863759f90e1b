"""Recorded sounds, before a model reads them."""

import struct
from pathlib import Path

from dlplug.errors import InputError

SECONDS = 60


def check_sound(path: str) -> None:
    """Refuse what is no WAV file, or takes long to hear.

    Raises:
        InputError: It is such a file.
    """
    with open(path, "rb") as file:
        head = file.read(32)
    if len(head) < 32 or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise InputError("that is not a WAV file")
    (rate,) = struct.unpack("<I", head[28:32])  # bytes a second
    seconds = Path(path).stat().st_size / max(1, rate)
    if seconds > SECONDS:
        raise InputError(f"that takes {seconds:.0f} seconds: {SECONDS} at most")
