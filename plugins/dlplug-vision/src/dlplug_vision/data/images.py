"""What image data sets share: augmentation, splits, and tables in installed packages."""

import gzip
import hashlib
import importlib.util
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlplug.data import Batch, ImageInfo, Input, TensorData
from dlplug.errors import InputError
from dlplug_vision.data.augment import random_affine, random_horizontal_flip
from dlplug_vision.data.image_files import SUFFIXES, find_inputs, read_image

FOLDS = 5


class ImageData(TensorData):
    """Labelled images in memory; batches are (images from 0 to 1, of shape (n, channels, height, width); labels).

    Bytes stay bytes until a batch is prepared, which takes a quarter of the memory.

    Args:
        batch_size: Images a batch on each device.
        augment: Strength of the random affine augmentation of training images; 0 for none, 1 for rotations of up to 10
            degrees, scaling by 10 % and shifts by 8 % of the side.
        flip: Whether a random half of the training images is flipped left to right.
    """

    def __init__(self, batch_size: int = 64, augment: float = 0.0, flip: bool = False) -> None:
        super().__init__(batch_size)
        if not 0 <= augment <= 5:
            raise InputError(f"augment must be from 0 to 5, not {augment}")
        self.augment, self.flip = augment, flip

    def read_inputs(self, source: str, info: Any) -> Sequence[Input]:
        """Return images to predict: a file, those of a folder, or those named on standard input."""
        shape = info.channels, info.height, info.width
        return [(n, partial(_as_sample, path, shape)) for n, path in find_inputs(source, SUFFIXES).items()]

    def prepare_batch(self, batch: Batch) -> Batch:
        """Return bytes as floats from 0 to 1, augmented in training."""
        images, *others = batch
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        if self.trainer is not None and self.trainer.training:
            images = random_affine(images, self.augment) if self.augment else images
            images = random_horizontal_flip(images) if self.flip else images
        return images, *others


def _as_sample(path: Path, shape: tuple[int, int, int]) -> Batch:
    return (read_image(path, *shape),)


class SplitImages(ImageData):
    """Images that come in one piece, given by a subclass in ``read``, and are split here class by class.

    80 % for training, 10 % for validation and 10 % for test, always the same; or by folds.

    Args:
        fold: Five-fold cross-validation over all images: which fifth is the test split, from 0 to 4; a tenth of all is
            the validation split. None for the fixed split.
    """

    def __init__(self, batch_size: int = 64, augment: float = 0.0, fold: int | None = None) -> None:
        super().__init__(batch_size, augment)
        if fold is not None and not 0 <= fold < FOLDS:
            raise InputError(f"fold must be from 0 to {FOLDS - 1}, not {fold}")
        self.fold = fold

    @abstractmethod
    def read(self) -> tuple[Tensor, Tensor]:
        """Return the images, bytes or floats from 0 to 1, shape (n, channels, height, width), and labels (n,)."""

    def load(self) -> tuple[ImageInfo, Mapping[str, Batch]]:
        """Read and split."""
        images, labels = self.read()
        parts = stratified_split(labels, fold=self.fold)
        channels, height, width = images.shape[1:]
        info = ImageInfo(channels, height, width, classes=len(torch.unique(labels)))
        return info, {split: (images[index], labels[index]) for split, index in parts.items()}


def stratified_split(labels: Tensor, fold: int | None = None, seed: int = 0) -> dict[str, Tensor]:
    """Split so that each class has a tenth of its items in ``val``, a tenth in ``test`` and the rest in ``train``.

    A class of 3 to 9 items has one each in ``val`` and ``test``.

    Args:
        labels: Shape (n,).
        fold: Which fifth of each class is in ``test`` instead of a tenth, from 0 to 4: each item is in one of the five.
        seed: Another seed gives another split.

    Returns:
        The items' indices by split, in ascending order; the same on every machine.
    """
    parts: dict[str, list[Tensor]] = {"train": [], "val": [], "test": []}
    for label in torch.unique(labels).tolist():
        items = (labels == label).nonzero().flatten()
        count = len(items)
        # A generator a class, and 1,000,003 so that no two classes under any two seeds share one.
        items = items[torch.randperm(count, generator=torch.Generator().manual_seed(label + 1_000_003 * seed))]
        val = test = count // 10 or int(count > 2)
        if fold is not None:
            tested = torch.arange(count) % FOLDS == fold
            items, test = torch.cat([items[~tested], items[tested]]), int(tested.sum())
        for split, part in zip(parts, items.split([count - val - test, val, test]), strict=True):
            parts[split].append(part)
    return {split: torch.cat(part).sort().values for split, part in parts.items()}


def hold_out(images: Tensor, labels: Tensor, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """Split a validation set, a tenth of each class, off training data that come with a test set of their own.

    Args:
        images: Shape (n, channels, height, width).
        labels: Shape (n,).
        seed: Another seed gives another tenth.

    Returns:
        Images and labels of ``train`` and of ``val``.
    """
    parts = stratified_split(labels, seed=seed)
    train, val = torch.cat([parts["train"], parts["test"]]).sort().values, parts["val"]
    return {"train": (images[train], labels[train]), "val": (images[val], labels[val])}


def package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it.

    Raises:
        ValueError: It is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the package {package}, which holds the data, is not installed")
    return Path(spec.submodule_search_locations[0])


def read_packaged(package: str, path: str, sha256: str) -> bytes:
    """Return what a file in an installed package holds.

    Args:
        package: Its import name.
        path: The file's path in it.
        sha256: The file's digest.

    Raises:
        ValueError: The file is missing or has another digest.
    """
    file = package_folder(package) / path
    if not file.is_file():
        raise ValueError(f"{file} is missing: reinstall the package {package}")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{file} has another SHA-256 than expected: reinstall the package {package}")
    return content


def read_table(package: str, path: str, sha256: str) -> Tensor:
    """Read a gzipped CSV of numbers from an installed package, a row a line; see ``read_packaged``."""
    lines = gzip.decompress(read_packaged(package, path, sha256)).decode().splitlines()
    return torch.from_numpy(np.loadtxt(lines, delimiter=",", dtype=np.float32))
