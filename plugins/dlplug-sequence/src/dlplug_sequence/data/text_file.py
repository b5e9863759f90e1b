"""A person's own text."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dlplug.errors import InputError
from dlplug_sequence.data.token_stream import PIECE, TextData
from dlplug_sequence.data.vocabulary import Level


class TextFile(TextData):
    """Text of your own in any language: a UTF-8 file, or all files of a folder that match a pattern, one after another.

    Files are read a piece at a time; in memory there is a number of one to four bytes a token.

    Args:
        path: The file or folder.
        pattern: Which files of a folder, those of its folders included, in alphabetical order.
        level: What a token is.
        vocabulary_size: Most tokens of the vocabulary; 0 for all, and for 8,000 with ``bpe``.
        min_count: Tokens seen less often in the training text are unknown.
        batch_size: Rows of a batch on each device.
        length: Tokens of a row: as far as gradients flow back.
        held_out: Most characters of the validation text, and of the test text; 0 for all.
    """

    def __init__(
        self,
        path: str = "text.txt",
        pattern: str = "*.txt",
        level: Level = "character",
        vocabulary_size: int = 0,
        min_count: int = 1,
        batch_size: int = 20,
        length: int = 64,
        held_out: int = 200_000,
    ) -> None:
        super().__init__(level, vocabulary_size, min_count, batch_size, length, held_out)
        self.path, self.pattern = Path(path).expanduser(), pattern

    def read(self) -> Callable[[], Iterable[str]]:
        """Return the files in pieces."""
        files = sorted(self.path.rglob(self.pattern)) if self.path.is_dir() else [self.path]
        files = [file for file in files if file.is_file()]
        if not files:
            what = f"holds no file like {self.pattern}" if self.path.is_dir() else "is not there"
            raise InputError(f"{self.path} {what}; give a UTF-8 text file or a folder of such as data.path")
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
            lines.append(text.replace("\r\n", "\n"))
            held += len(text)
            if held >= PIECE:
                yield "".join(lines)
                lines, held = [], 0
    yield "".join(lines)
