"""Decoded images in the user's cache folder."""

import math
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import PIL
import torch
from torch import Tensor

from dlplug.cache import find_cached

CHECKSUM = 4  # bytes


class ImageCache:
    """A file of decoded images, each in a row of its own behind its checksum.

    Rows are written as images are first decoded, by any number of processes that know nothing of each other: a row
    counts only where its checksum is right, so one that is half written, or was lost with the power or on a full disk,
    is decoded again. The file is read by position, not mapped into memory: mapped pages count as the process's own, and
    a full disk would kill it.

    Args:
        path: The file, which has holes where nothing was written.
        size: Bytes of an image.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._row = CHECKSUM + size

    def read(self, place: int, shape: tuple[int, int, int]) -> Tensor | None:
        """Return an image of a shape, bytes; None where it is not there."""
        image = torch.empty(shape, dtype=torch.uint8)
        with suppress(OSError), open(self.path, "rb", buffering=0) as file:  # another run may have swept it away
            file.seek(place * self._row)
            checksum, pixels = file.read(CHECKSUM), image.numpy().data.cast("B")
            if file.readinto(pixels) == len(pixels) and checksum == _checksum(pixels):
                return image
        return None

    def write(self, place: int, image: Tensor) -> None:
        """Keep an image, where there is room."""
        with suppress(OSError), open(self.path, "r+b", buffering=0) as file:
            pixels = image.numpy().tobytes()
            file.seek(place * self._row)
            file.write(_checksum(pixels) + pixels)


def _checksum(pixels: bytes | memoryview) -> bytes:
    return zlib.crc32(pixels).to_bytes(CHECKSUM, "little")


def open_cache(root: Path, names: Sequence[str], shape: tuple[int, int, int], most: float) -> ImageCache | None:
    """Return the file that keeps these very images decoded, of which there may be none yet.

    It is known by the files, the shape, and Pillow's version; see ``dlplug.cache``.

    Args:
        root: The folder of the images.
        names: Their names in it.
        shape: Channels, height and width that they are decoded to.
        most: Bytes that all that is kept may take.

    Returns:
        The cache; None where it has no room, or the folder cannot be written.
    """
    size = math.prod(shape)
    files = (root / name for name in names)
    path = find_cached("images", f"{shape} {PIL.__version__}", files, len(names) * (size + CHECKSUM), most)
    if path is None:
        return None
    try:
        path.touch()
    except OSError:
        return None
    return ImageCache(path, size)
