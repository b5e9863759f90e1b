"""What image data sets share."""

import gzip
import hashlib
import importlib.util
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlplug.data import Batch, ImageInfo, TensorData


class ImageData(TensorData):
    """Labelled images in memory; batches are (images from 0 to 1, of shape (n, channels, height, width); labels).

    A subclass gives all images in ``read``; they are split here, class by class, into 80 % for training, 10 % for
    validation and 10 % for test, always the same.
    """

    @abstractmethod
    def read(self) -> tuple[Tensor, Tensor]:
        """Return the images, bytes or floats from 0 to 1, of shape (n, channels, height, width), and labels (n,)."""

    def load(self) -> tuple[ImageInfo, Mapping[str, Batch]]:
        """Read and split."""
        images, labels = self.read()
        parts = stratified_split(labels)
        channels, height, width = images.shape[1:]
        info = ImageInfo(channels, height, width, classes=len(torch.unique(labels)))
        return info, {split: (images[index], labels[index]) for split, index in parts.items()}

    def prepare_batch(self, batch: Batch) -> Batch:
        """Return bytes as floats from 0 to 1."""
        images, labels = batch
        return (images.float() / 255 if images.dtype == torch.uint8 else images), labels


def stratified_split(labels: Tensor) -> dict[str, Tensor]:
    """Split items so that each class has a tenth of its items in ``val``, a tenth in ``test``, the rest in ``train``.

    Args:
        labels: Shape (n,).

    Returns:
        The items' indices by split, in ascending order; the same on every machine.
    """
    parts: dict[str, list[Tensor]] = {"train": [], "val": [], "test": []}
    for label in torch.unique(labels).tolist():
        items = (labels == label).nonzero().flatten()
        items = items[torch.randperm(len(items), generator=torch.Generator().manual_seed(label))]
        tenth = len(items) // 10
        for split, part in zip(parts, items.split([len(items) - 2 * tenth, tenth, tenth]), strict=True):
            parts[split].append(part)
    return {split: torch.cat(part).sort().values for split, part in parts.items()}


def read_table(package: str, path: str, sha256: str) -> Tensor:
    """Read a gzipped CSV of numbers from an installed package without importing the package.

    Args:
        package: Its import name.
        path: The file's path in it.
        sha256: What the file's digest must be.

    Returns:
        The numbers, a row a line.

    Raises:
        ValueError: The file is missing or is not the one it should be.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the package {package}, which holds the data, is not installed")
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        raise ValueError(f"{file} is missing: reinstall the package {package}")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{file} is not the file it should be: reinstall the package {package}")
    return torch.from_numpy(np.loadtxt(gzip.decompress(content).decode().splitlines(), delimiter=",", dtype=np.float32))
