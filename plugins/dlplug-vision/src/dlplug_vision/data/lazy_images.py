"""Image files beyond memory: decoded a batch at a time, by workers."""

import os
import sys
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dlplug.console import first_few
from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug_vision.data.image_cache import ImageCache
from dlplug_vision.data.image_files import read_image, reason


class LazyImages:
    """The images of files, read when a batch asks for them; the pixels are those of ``read_image``.

    Args:
        root: The folder of the files.
        names: Their names in it.
        shape: Channels, height and width that they are read at.
        cache: Where they are kept decoded; None to decode them each time.
    """

    def __init__(
        self, root: Path, names: Sequence[str], shape: tuple[int, int, int], cache: ImageCache | None = None
    ) -> None:
        self.root, self.shape, self.cache = root.absolute(), shape, cache
        # Not a list: counting references to its strings would copy its pages into every worker.
        self._names = np.array([os.fsencode(name) for name in names])
        self._unreadable = torch.zeros(len(names), dtype=torch.bool)  # as workers find out
        self._unreadable.share_memory_()  # type: ignore[no-untyped-call]
        self._places = torch.arange(len(names))

    def __len__(self) -> int:
        return len(self._places)

    def take(self, index: Tensor) -> "LazyImages":
        """Return some of the images, without reading them."""
        part = copy(self)
        part._places = self._places[index]
        return part

    def unreadable(self) -> Tensor:
        """Return of each image whether it was found that it cannot be read, shape (n,)."""
        unreadable: Tensor = self._unreadable[self._places]
        return unreadable

    def read(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Read images; those that cannot be read are left out, and named once on stderr.

        Args:
            index: Which ones, shape (n,).

        Returns:
            Bytes of shape (k, channels, height, width), and which ones they are, shape (k,). Where none of them can be
            read it is the next one that can, so that no batch is empty while any image can be read.
        """
        images = torch.empty(len(index), *self.shape, dtype=torch.uint8)
        failed: list[str] = []
        kept = [n for n, each in enumerate(index.tolist()) if self._read(each, images[n], failed)]
        if not kept and len(self):
            index = (index[-1] + 1 + torch.arange(len(self))) % len(self)
            kept = next(([n] for n, each in enumerate(index.tolist()) if self._read(each, images[0], failed)), [])
            images = images[: len(kept)]
        elif len(kept) < len(images):
            images = images[kept]
        if failed:  # each process of several says so of its own batches
            print(f"left out, since they cannot be read: {first_few(failed)}", file=sys.stderr, flush=True)
        return images, index[kept]

    def _read(self, each: int, into: Tensor, failed: list[str]) -> bool:
        place = int(self._places[each])
        if self.cache and self.cache.read(place, into):
            return True
        name = os.fsdecode(self._names[place])
        try:
            into.copy_(read_image(self.root / name, *self.shape))
        except InputError as error:
            if not self._unreadable[place]:
                self._unreadable[place] = True
                failed.append(f"{name} ({reason(error, name)})")
            return False
        if self.cache:
            self.cache.write(place, into)
        return True


class LazyBatches(Dataset[Batch]):
    """Batches of images and what belongs to each.

    Args:
        images: The images.
        others: Tensors of their length.
    """

    def __init__(self, images: LazyImages, others: Sequence[Tensor]) -> None:
        self.images, self.others = images, others

    def __getitem__(self, index: Tensor) -> Batch:
        images, kept = self.images.read(index)
        return images, *(other[kept] for other in self.others)


class ReadableNames(Sequence[str]):
    """The names of images, less those of which it was found that they cannot be read.

    Args:
        names: A name an image.
        images: The images.
    """

    def __init__(self, names: Sequence[str], images: LazyImages) -> None:
        self._names, self._images = np.array(names, dtype=object), images

    def __len__(self) -> int:
        return len(self[:])

    def __getitem__(self, place):  # type: ignore[no-untyped-def] # as a list
        return self._names[~self._images.unreadable().numpy()].tolist()[place]
