"""Word vectors: as a text file in the format of the word2vec program, and on a plane."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlplug.files import read_lines, write_atomically


def write_vectors(path: Path, words: Sequence[str], vectors: Tensor) -> None:
    """Write vectors: a line with their number and their dimension, then a line a word.

    Args:
        path: The file.
        words: Without white space.
        vectors: Shape (words, dimension).
    """
    rows = (" ".join([word, *(f"{x:.6g}" for x in row)]) for word, row in zip(words, vectors.tolist(), strict=True))
    header = f"{len(words)} {vectors.shape[1]}"
    write_atomically(path, ("\n".join([header, *rows]) + "\n").encode())


def read_vectors(path: Path) -> tuple[list[str], Tensor]:
    """Return the words and their vectors, shape (words, dimension), of a file as ``write_vectors`` writes it.

    The first line may be missing, as in GloVe's files.

    Raises:
        ValueError: It is not such a file.
    """
    rows = [line.split() for line in read_lines(path) if line.strip()]
    if rows and len(rows[0]) == 2:
        rows = rows[1:]
    try:
        values = np.array([row[1:] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise ValueError(f"{path} does not hold a word and as many numbers in each line") from error
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{path} holds no word vectors")
    return [row[0] for row in rows], torch.from_numpy(values)


def principal_coordinates(vectors: Tensor) -> Tensor:
    """Return the coordinates (n, 2) of vectors (n, dimension) on their two principal directions."""
    centred = vectors - vectors.mean(0)
    coordinates: Tensor = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    return coordinates
