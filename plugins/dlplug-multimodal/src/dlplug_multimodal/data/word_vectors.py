"""Word vectors as a file of text: the format of the word2vec program."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlplug.files import write_atomically


def write_vectors(path: Path, words: Sequence[str], vectors: Tensor) -> None:
    """Write vectors: a line with how many there are and how long they are, then a line a word.

    Args:
        path: The file.
        words: Without white space.
        vectors: Shape (words, dimension).
    """
    rows = (" ".join([word, *(f"{x:.6g}" for x in row)]) for word, row in zip(words, vectors.tolist(), strict=True))
    head = f"{len(words)} {vectors.shape[1]}"
    write_atomically(path, ("\n".join([head, *rows]) + "\n").encode())


def read_vectors(path: Path) -> tuple[list[str], Tensor]:
    """Return the words and their vectors, shape (words, dimension), of a file as ``write_vectors`` writes it.

    The first line may be missing, as in GloVe's files.

    Raises:
        ValueError: It is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read word vectors from {path}: {error}") from error
    rows = [line.split() for line in lines if line.strip()]
    if rows and len(rows[0]) == 2:
        rows = rows[1:]
    try:
        values = np.array([row[1:] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise ValueError(f"{path} does not hold a word and as many numbers in each line") from error
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{path} holds no word vectors")
    return [row[0] for row in rows], torch.from_numpy(values)
