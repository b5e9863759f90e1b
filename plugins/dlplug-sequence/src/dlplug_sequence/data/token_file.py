"""Tokens of a text that memory is not to hold, in one file."""

import json
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from dlplug.files import open_atomically
from dlplug_sequence.data.vocabulary import Vocabulary

SIZE = 8  # bytes of the number that a file ends with: how many bytes before it say what the others are


def write_tokens(path: Path, vocabulary: Vocabulary, splits: Mapping[str, Iterable[str]]) -> None:
    """Encode texts, a piece at a time, into a file that is there whole or not at all.

    Args:
        path: The file.
        vocabulary: What encodes them.
        splits: Each split's text in pieces, as ``Vocabulary.encode_pieces`` takes them.
    """
    sizes = dict.fromkeys(splits, 0)
    with open_atomically(path) as file:
        for split, pieces in splits.items():
            for tokens in vocabulary.encode_pieces(pieces):
                file.write(tokens.numpy().tobytes())
                sizes[split] += len(tokens)
        about = json.dumps([vocabulary.to_json(), sizes]).encode()
        file.write(about + len(about).to_bytes(SIZE, "little"))


class TokenFile:
    """What ``write_tokens`` wrote, mapped into memory.

    Args:
        path: The file.

    Attributes:
        vocabulary: What encoded the tokens.
        splits: The tokens of each split, shape (tokens,).
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            file.seek(-SIZE, 2)
            file.seek(-SIZE - int.from_bytes(file.read(SIZE), "little"), 2)
            text, sizes = json.loads(file.read()[:-SIZE])
            # A copy on write, since torch warns of tensors that cannot be written to.
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.vocabulary = Vocabulary.from_json(text)
        dtype, start = self.vocabulary.dtype, 0
        self.splits: dict[str, Tensor] = {}
        for split, count in sizes.items():
            self.splits[split] = torch.frombuffer(self._mapped, dtype=dtype, count=count, offset=start)
            start += count * dtype.itemsize

    def release(self) -> None:
        """Let go of the pages that were read, which would count as this process's own; they stay in the system's."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)
