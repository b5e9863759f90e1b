"""Public data sets at full size, from files that torchvision downloads or that are there already."""

import gzip
import math
import zlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from dlplug.data import Batch, ImageInfo
from dlplug_vision.data.images import ImageData, hold_out

MAGIC = b"\x00\x00\x08"  # of an IDX file of bytes; the number of dimensions follows


class FullSize(ImageData):
    """A public data set with a training and a test part; a tenth of the first, class by class, is for validation.

    Args:
        root: Folder that holds the files, or that they are downloaded to.
        download: Whether to download what is missing from the internet.
    """

    classes: ClassVar[int] = 10
    labels: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[type[Any]]  # torchvision's class

    def __init__(self, root: str = "data", download: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root, self.download = Path(root).expanduser(), download

    @abstractmethod
    def read(self, train: bool) -> Batch:
        """Return the images, bytes of shape (n, channels, height, width), and labels (n,) of the training or test part.

        Raises:
            FileNotFoundError: Files are missing.
            ValueError: A file is damaged.
        """

    def load(self) -> tuple[ImageInfo, Mapping[str, Batch]]:
        """Read, after a download where that was asked for, and split."""
        try:
            test = self.read(train=False)
        except FileNotFoundError as missing:
            if not self.download:
                raise
            try:
                self.source(self.root, download=True)
            except (OSError, RuntimeError) as error:
                raise ValueError(f"the download failed ({' '.join(str(error).split())}); {missing}") from error
            test = self.read(train=False)
        images, labels = self.read(train=True)
        channels, height, width = images.shape[1:]
        info = ImageInfo(channels, height, width, self.classes, self.labels)
        return info, {**hold_out(images, labels), "test": test}


class MNIST(FullSize):
    """MNIST in full: 60,000 handwritten digits, a tenth of them to validate, and 10,000 to test, 28×28 grey.

    Source: LeCun, Cortes and Burges (1998), without a formal licence; 12 MB. In ``root`` or ``root/MNIST/raw``:
    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, gzipped or not.
    """

    source: ClassVar[type[datasets.MNIST]] = datasets.MNIST

    def read(self, train: bool) -> Batch:
        """Read a file of images and one of labels."""
        part = "train" if train else "t10k"
        image_file, label_file = (self._find(f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        images, labels = read_idx(image_file, dims=3), read_idx(label_file, dims=1)
        if len(images) != len(labels):
            raise ValueError(f"{image_file} holds {len(images)} images, but {label_file} {len(labels)} labels")
        if not len(images) or labels.max() >= self.classes:
            raise ValueError(f"{label_file} is damaged: its labels should be from 0 to {self.classes - 1}")
        return images.unsqueeze(1), labels.long()

    def _find(self, name: str) -> Path:
        folder = self.root / self.source.__name__ / "raw"
        for path in (folder / name, self.root / name, folder / f"{name}.gz", self.root / f"{name}.gz"):
            if path.is_file():
                return path
        raise FileNotFoundError(
            f"no {name} (or {name}.gz) in {self.root} or {folder}: put the four IDX files there or, with internet, "
            "give --data.download true"
        )


class FashionMNIST(MNIST):
    """Fashion-MNIST in full: 60,000 images of clothes, a tenth of them to validate, and 10,000 to test, 28×28 grey.

    Source: Xiao, Rasul and Vollgraf (2017), MIT licence; 31 MB. The files are named as MNIST's, in ``root`` or
    ``root/FashionMNIST/raw``; Debian's package dataset-fashion-mnist puts them in /usr/share/datasets/fashion-mnist.
    """

    source = datasets.FashionMNIST
    labels = tuple(datasets.FashionMNIST.classes)


class CIFAR10(FullSize):
    """CIFAR-10: 50,000 small photographs of ten things, a tenth of them to validate, and 10,000 to test, 32×32 colour.

    Source: Krizhevsky (2009), without a formal licence; 170 MB. Its "python version", unpacked in ``root``.
    """

    source: ClassVar[type[datasets.CIFAR10]] = datasets.CIFAR10
    labels = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def read(self, train: bool) -> Batch:
        """Read with torchvision, once the files' digests are right: they are pickles, which could run code."""
        for name, digest in (*self.source.train_list, *self.source.test_list):
            path = self.root / self.source.base_folder / name
            if not path.is_file():
                raise FileNotFoundError(
                    f"no {path}: unpack cifar-10-python.tar.gz in {self.root} or, with internet, "
                    "give --data.download true"
                )
            if not check_integrity(path, digest):
                raise ValueError(f"{path} is damaged: its digest is wrong")
        part = self.source(self.root, train=train)
        images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()  # (n, 3, 32, 32)
        return images, torch.tensor(part.targets)


def read_idx(path: Path, dims: int) -> Tensor:
    """Read an IDX file of bytes, gzipped where its name ends in ``.gz``.

    Args:
        path: The file.
        dims: How many dimensions it must have.

    Returns:
        Its bytes in their shape.

    Raises:
        ValueError: It is damaged or another kind of file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            head = file.read(4 + 4 * dims)
            shape = np.frombuffer(head[4:], ">u4").tolist()
            if head[:4] != MAGIC + bytes([dims]) or len(shape) != dims:
                raise ValueError(f"{path} is damaged: it does not start as an IDX file of {dims} dimensions does")
            content = bytearray(math.prod(shape))
            read = file.readinto(content)
            if not content or read != len(content) or file.read(1):
                raise ValueError(f"{path} is damaged: it should hold {'×'.join(map(str, shape))} bytes")
    except (EOFError, gzip.BadGzipFile, zlib.error, MemoryError, OverflowError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return torch.frombuffer(content, dtype=torch.uint8).view(shape)
