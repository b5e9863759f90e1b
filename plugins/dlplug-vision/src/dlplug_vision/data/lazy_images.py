"""Image files beyond memory: decoded a batch at a time, by workers."""

import os
import sys
from collections.abc import Sequence
from copy import copy
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

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
        images: list[Tensor] = []
        kept: list[int] = []
        failed: list[str] = []
        following = ((int(index[-1]) + step) % len(self) for step in range(1, len(self) + 1))
        for number, each in enumerate(chain(index.tolist(), following)):
            if number >= len(index) and images:
                break
            if (image := self._read(each, failed)) is not None:
                images.append(image)
                kept.append(each)
        if failed:  # each process of several says so of its own batches
            print(f"left out, since they cannot be read: {first_few(failed)}", file=sys.stderr, flush=True)
        # In a worker, collate fills the memory that it shares, and saves a copy.
        batch: Tensor = default_collate(images) if images else torch.empty(0, *self.shape, dtype=torch.uint8)
        return batch, torch.tensor(kept, dtype=torch.long)

    def _read(self, each: int, failed: list[str]) -> Tensor | None:
        place = int(self._places[each])
        if self.cache and (image := self.cache.read(place, self.shape)) is not None:
            return image
        name = os.fsdecode(self._names[place])
        try:
            image = read_image(self.root / name, *self.shape)
        except InputError as error:
            if not self._unreadable[place]:
                self._unreadable[place] = True
                failed.append(f"{name} ({reason(error, name)})")
            return None
        if self.cache:
            self.cache.write(place, image)
        return image


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
