"""A person's own text files, read so that whatever is wrong with one is named by its line."""

from pathlib import Path


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
