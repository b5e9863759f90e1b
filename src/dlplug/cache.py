"""The user's cache folder: what can be made again from files, bounded and swept."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dlplug.files import sweep

UNUSED = 30 * 24 * 60 * 60  # seconds after which a file that nobody opened is removed


def cache_folder(kind: str) -> Path:
    """Return where files of a kind are kept: below ``XDG_CACHE_HOME``, ``~/.cache`` where that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dlplug" / kind


def find_cached(kind: str, options: str, files: Iterable[Path], size: float, most: float) -> Path | None:
    """Return where what is made of these very files is kept; there may be nothing yet.

    It is known by the files' names, sizes and times, and by the options. What is kept of other files, of every kind, is
    removed, that first which was not used for the longest time, until all takes no more than ``most``, and what nobody
    used for thirty days.

    Args:
        kind: What is made, such as ``"images"``.
        options: What it depends on besides the files.
        files: The files, in their order.
        size: Bytes that it takes at most.
        most: Bytes that everything that is kept may take.

    Returns:
        The path; None where there is no room, of which half the free space stays free, or the folder cannot be written.
    """
    if size > most:
        return None
    digest = hashlib.sha256(options.encode(errors="surrogateescape"))
    folder = cache_folder(kind)
    try:
        for file in files:
            stat = os.stat(file)
            times = f"\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\0"
            digest.update(os.fsencode(os.path.abspath(file)) + times.encode())
        path = folder / f"{digest.hexdigest()[:32]}.cache"
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(path, most - size)
        with suppress(FileNotFoundError):
            os.utime(path)  # says when it was used last
            size -= 512 * path.stat().st_blocks
        return path if size <= shutil.disk_usage(folder).free / 2 else None
    except OSError:
        return None


def _make_room(kept: Path, most: float) -> None:
    """Remove files that are old or, the least recently used first, too many beside the one that is kept."""
    sweep(kept.parent, ".*.cache.*")
    files = [(path.stat(), path) for path in kept.parent.parent.glob("*/[!.]*.cache") if path != kept]
    used = sum(512 * stat.st_blocks for stat, _ in files)
    for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
        if used > most or stat.st_mtime < time.time() - UNUSED:
            path.unlink(missing_ok=True)
            used -= 512 * stat.st_blocks
