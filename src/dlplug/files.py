"""Files: written whole or not at all, and read so that whatever is wrong with one is named by its line."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment either its old or its new content is there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_lines(path: str | Path) -> list[str]:
    """Return the lines of a UTF-8 file without their ends.

    Raises:
        ValueError: The file cannot be read, or a line is not UTF-8.
    """
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    decoded = []
    for number, line in enumerate(lines, start=1):
        try:
            decoded.append(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}, line {number}: not UTF-8 (byte {line[error.start]:#04x})") from error
    return decoded


def asked_lines(text: str, file: str) -> list[str]:
    """Return the texts that a person asks for.

    Raises:
        ValueError: There is neither a text nor a file, or both.
    """
    if bool(text) == bool(file):
        raise ValueError("give either --text TEXT or --file FILE")
    return read_lines(file) if file else [text]
