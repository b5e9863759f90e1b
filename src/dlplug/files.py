"""Files: written whole or not at all, and read so that whatever is wrong with one is named by its line."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

DEPTH, NODES = 100, 100_000  # of YAML: far more than a config has, and little enough to be walked at once


def data_uri(content: bytes, kind: str) -> str:
    """Return a file's content as an address that holds it, for pages that are one file; ``kind`` is its MIME type."""
    from base64 import b64encode  # not for every command

    return f"data:{kind};base64,{b64encode(content).decode()}"


def write_atomically(path: Path, content: bytes, inside: Path | None = None) -> None:
    """Write a file so that at any moment either its old or its new content is there, whole.

    Args:
        path: The file; folders that it lacks are made.
        content: All that it is to hold.
        inside: A folder above it that has to be there still, or what somebody removed would be there again in part.

    Raises:
        OSError: It cannot be written.
    """
    if inside is not None and not inside.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder is gone", str(inside))
    with open_atomically(path) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of the old one at the end, whole, or not at all where that raises.

    Args:
        path: The file; folders that it lacks are made.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path, pattern: str) -> None:
    """Remove what processes that are no more left half-written: of a folder, the files of that pattern."""
    import shutil  # 2 ms, which a misspelt name does without

    for path in folder.glob(pattern):
        name, _, process = path.name.rpartition(".")
        if name and process.isdecimal() and not is_alive(int(process)):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Return whether a process of this machine still runs; where that cannot be asked, that it does."""
    if os.name == "nt":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except OverflowError:
        return False
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


def read_lines(path: str | Path, refuse: Callable[[int, str], None] | None = None) -> list[str]:
    """Return the lines of a UTF-8 file without their ends: in one that has no other, carriage returns.

    Args:
        path: The file; ``-`` for standard input.
        refuse: Called with the number of a line that is not UTF-8 and what is wrong with it, instead of raising; the
            line is then empty.

    Raises:
        ValueError: The file cannot be read, is no text at all, or a line is not UTF-8.
    """
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # as Excel's "Unicode text" begins
    if utf_16 or b"\0" in content:
        what = (
            f"it is UTF-{32 if content[2:4] == bytes(2) else 16}, to be saved as UTF-8"
            if utf_16
            else "it holds bytes that are 0"
        )
        raise ValueError(f"{'standard input' if str(path) == '-' else path} is not UTF-8 text: {what}")
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n" if b"\n" in content else b"\r")
    if lines[-1] == b"":
        lines.pop()
    decoded = []
    for number, line in enumerate(lines, start=1):
        try:
            decoded.append(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError as error:
            reason = f"not UTF-8 (byte {line[error.start]:#04x})"
            if refuse is None:
                raise ValueError(f"{path}, line {number}: {reason}") from error
            refuse(number, reason)
            decoded.append("")
    return decoded


def asked_lines(text: str, file: str) -> list[str]:
    """Return the texts that a person asks for.

    Raises:
        ValueError: There is neither a text nor a file, or both.
    """
    if bool(text) == bool(file):
        raise ValueError("give either a text or a file")
    return read_lines(file) if file else [text]


def load_yaml(text: str, load: Callable[[str], Any] | None = None) -> Any:
    """Return what YAML holds: plain data, never so deep or so often repeated that reading it would not end.

    Args:
        text: The YAML.
        load: Parses it once it is found harmless; ``yaml.safe_load`` unless given.

    Raises:
        yaml.YAMLError: It is not YAML, or holds tags of Python's, an alias to itself, or too much.
    """
    import yaml  # 10 ms, which most commands do without

    if "&" in text or len(text) > DEPTH:
        _check_size(text)
    try:
        return (load or yaml.safe_load)(text)
    except yaml.YAMLError:
        raise
    except Exception as error:  # a day that no month has, a number of 5,000 digits, !!timestamp x
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from error


def _check_size(text: str) -> None:
    import yaml

    sizes: dict[str | None, int] = {}  # nodes below each anchor, its aliases counted in full
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        size = 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 0))
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
            sizes[anchor] = size = size + 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in open_nodes):
                raise yaml.YAMLError(f"the alias *{event.anchor} refers to itself")
            size = sizes.get(event.anchor, 1)
        anchor, before = open_nodes[-1]
        open_nodes[-1] = (anchor, before + size)
        if len(open_nodes) > DEPTH or before + size > NODES:
            raise yaml.YAMLError(f"it is nested deeper than {DEPTH} or holds more than {NODES:,} values")
