"""Your own text."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import tokenizers
from torch import Tensor

from dlplug.cache import cache_folder, find_cached
from dlplug.console import say
from dlplug.errors import InputError
from dlplug_sequence.data.bible import Bible
from dlplug_sequence.data.text_inputs import find_texts
from dlplug_sequence.data.token_file import TokenFile, write_tokens
from dlplug_sequence.data.token_stream import PIECE, TextData, cut
from dlplug_sequence.data.vocabulary import Vocabulary

SAMPLE = 30 * PIECE  # characters that byte pairs are learned from, where a text is not in memory


class TextFile(TextData):
    """Your own text in any language: a UTF-8 file, or all files of a folder that match a pattern, one after another.

        book.txt    or    books/
                          ├── 1.txt
                          └── more/2.txt

    Files are read a piece at a time; in memory a token takes one to four bytes. Of more than ``in_memory`` the tokens
    are a file, made once, that is mapped into memory; with ``bpe`` the vocabulary is then learned from a sample.

    Args:
        path: The file or folder.
        pattern: Which files of a folder and its subfolders, in alphabetical order; hidden ones are passed over.
        in_memory: Megabytes of text up to which its tokens are in memory.
        cache: Gigabytes that files of tokens may take in ``~/.cache/dlplug`` (or ``$XDG_CACHE_HOME``), with all else
            that is kept there; where a text has no room, it is read into memory.
    """

    def __init__(
        self,
        path: str = "text.txt",
        pattern: str = "*.txt",
        in_memory: float = 100,
        cache: float = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.pattern = Path(path).expanduser(), pattern
        self.in_memory, self.cache = in_memory, cache

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write the first 50,000 characters of the King James Bible."""
        (folder / "book.txt").write_text("".join(next(iter(Bible().read()())))[:50_000], encoding="utf-8")
        return {"data.path": folder / "book.txt"}

    def prepare_data(self) -> None:
        """Write the file of tokens where memory is not to hold them: of a machine's processes the first is asked to."""
        try:
            self._token_file(self._files())
        except (OSError, ValueError) as error:
            raise InputError(f"{type(self).__name__}: {error}") from error

    def load(self) -> tuple[Vocabulary, dict[str, Tensor]]:
        """Read the text, or map its tokens."""
        if (path := self._token_file(self._files())) is None:
            return super().load()
        file = TokenFile(path)
        self.release = file.release
        return file.vocabulary, file.splits

    def read(self) -> Callable[[], Iterable[str]]:
        """Return the files in pieces."""
        files = self._files()
        return lambda: (piece for file in files for piece in read_pieces(file))

    def _files(self) -> list[Path]:
        files = [self.path] if self.path.is_file() else find_texts(self.path, self.pattern)
        if not files:
            what = f"holds no file like {self.pattern}" if self.path.is_dir() else "is not there"
            raise InputError(f"{self.path} {what}; give a UTF-8 text file or a folder of such files as data.path")
        return files

    def _token_file(self, files: list[Path]) -> Path | None:
        """Return the file of tokens, made if it is not there; None where they are to be in memory."""
        size = sum(file.stat().st_size for file in files)
        if size <= 1e6 * self.in_memory:
            return None
        options = f"{self.level} {self.vocabulary_size} {self.min_count} {self.held_out} {tokenizers.__version__}"
        path = find_cached("tokens", options, files, 2 * size, 1e9 * self.cache)
        if path and not path.exists():
            say(f"{self.path} holds {size / 1e6:,.0f} MB: its tokens are written to {cache_folder('tokens')}, once")
            bounds = self.bounds(pieces := self.read())
            train = cut(pieces(), *bounds["train"])
            if self.level == "bpe":
                train = islice(train, 0, None, -(-bounds["train"][1] // SAMPLE))
            lines = chain.from_iterable(piece.splitlines(keepends=True) for piece in train)
            # Not in pieces, of which the trainer holds hundreds at once.
            vocabulary = self.learn(iter(lambda: "".join(islice(lines, 500)), ""))
            write_tokens(path, vocabulary, {split: cut(pieces(), *each) for split, each in bounds.items()})
        return path


def read_pieces(path: Path) -> Iterator[str]:
    """Give a UTF-8 file in pieces of about ``PIECE`` characters, whole lines each.

    Raises:
        ValueError: A line is not UTF-8: its number, and the byte that is not.
    """
    text, number = "", 1
    with open(path, "rb") as file:
        file.seek(len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0)
        while block := file.read(PIECE) + file.readline():
            try:
                text += block.decode()
            except UnicodeDecodeError as error:
                number += block.count(b"\n", 0, error.start)
                place = error.start - block.rfind(b"\n", 0, error.start)
                raise ValueError(
                    f"{path}, line {number}: byte {place} (0x{block[error.start]:02x}) is not UTF-8; convert "
                    "the file first, as with iconv"
                ) from error
            number += block.count(b"\n")
            while end := text.find("\n", PIECE - 1) + 1:
                yield _with_newlines(text[:end])
                text = text[end:]
    yield _with_newlines(text)


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
