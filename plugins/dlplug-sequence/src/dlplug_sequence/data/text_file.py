"""Your own text."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dlplug.errors import InputError
from dlplug_sequence.data.bible import Bible
from dlplug_sequence.data.text_inputs import find_texts
from dlplug_sequence.data.token_stream import PIECE, TextData


class TextFile(TextData):
    """Your own text in any language: a UTF-8 file, or all files of a folder that match a pattern, one after another.

        book.txt    or    books/
                          ├── 1.txt
                          └── more/2.txt

    Files are read a piece at a time; in memory a token takes one to four bytes.

    Args:
        path: The file or folder.
        pattern: Which files of a folder and its subfolders, in alphabetical order; hidden ones are passed over.
    """

    def __init__(self, path: str = "text.txt", pattern: str = "*.txt", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path, self.pattern = Path(path).expanduser(), pattern

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write the first 50,000 characters of the King James Bible."""
        (folder / "book.txt").write_text("".join(next(iter(Bible().read()())))[:50_000], encoding="utf-8")
        return {"data.path": folder / "book.txt"}

    def read(self) -> Callable[[], Iterable[str]]:
        """Return the files in pieces."""
        files = [self.path] if self.path.is_file() else find_texts(self.path, self.pattern)
        if not files:
            what = f"holds no file like {self.pattern}" if self.path.is_dir() else "is not there"
            raise InputError(f"{self.path} {what}; give a UTF-8 text file or a folder of such files as data.path")
        return lambda: (piece for file in files for piece in read_pieces(file))


def read_pieces(path: Path) -> Iterator[str]:
    """Give a UTF-8 file in pieces of about ``PIECE`` characters, whole lines each.

    Raises:
        ValueError: A line is not UTF-8: its number, and the byte that is not.
    """
    lines: list[str] = []
    held = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}, line {number}: byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8; convert "
                    "the file first, as with iconv"
                ) from error
            lines.append(text.replace("\r\n", "\n").replace("\r", "\n"))
            held += len(text)
            if held >= PIECE:
                yield "".join(lines)
                lines, held = [], 0
    yield "".join(lines)
