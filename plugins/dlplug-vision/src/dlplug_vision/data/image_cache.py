"""Decoded images in the user's cache folder."""

import hashlib
import math
import os
import shutil
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import PIL
import torch
from torch import Tensor

UNUSED = 30 * 24 * 60 * 60  # seconds after which a file that nobody opened is removed
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

    It is known by the folder, the files' names, sizes and times, the shape, and Pillow's version. Other such files are
    removed, those first that were not used for the longest time, until all take no more than ``most``, and those that
    nobody used for thirty days.

    Args:
        root: The folder of the images.
        names: Their names in it.
        shape: Channels, height and width that they are decoded to.
        most: Bytes that all such files together may take.

    Returns:
        The cache; None where it has no room, of which half the free space stays free, or the folder cannot be written.
    """
    size = math.prod(shape)
    whole = len(names) * (size + CHECKSUM)
    if whole > most:
        return None
    digest = hashlib.sha256(f"{root.resolve()} {shape} {PIL.__version__}".encode(errors="surrogateescape"))
    try:
        for name in names:
            stat = os.stat(root / name)
            times = f"\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\0"
            digest.update(os.fsencode(name) + times.encode())
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{digest.hexdigest()[:32]}.pixels"
        _sweep(folder, path, most - whole)
        path.touch()  # also says when it was used last
        if whole - 512 * path.stat().st_blocks > shutil.disk_usage(folder).free / 2:
            return None
    except OSError:
        return None
    return ImageCache(path, size)


def cache_folder() -> Path:
    """Return where decoded images are kept: below ``XDG_CACHE_HOME``, ``~/.cache`` where that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dlplug" / "images"


def _sweep(folder: Path, kept: Path, most: float) -> None:
    """Remove files that are old or, the least recently used first, too many beside the one that is kept."""
    files = [(path.stat(), path) for path in folder.glob("*.pixels") if path != kept]
    used = sum(512 * stat.st_blocks for stat, _ in files)
    for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
        if used > most or stat.st_mtime < time.time() - UNUSED:
            path.unlink(missing_ok=True)
            used -= 512 * stat.st_blocks
