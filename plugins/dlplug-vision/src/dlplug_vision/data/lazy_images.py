"""Image files beyond memory: decoded a batch at a time, by workers."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.data import suggested_max_num_workers
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from dlplug.cache import cache_folder
from dlplug.console import first_few, say
from dlplug.data import Batch, TensorData
from dlplug.errors import InputError
from dlplug_vision.data.image_cache import ImageCache, open_cache
from dlplug_vision.data.image_files import check_image, read_image, reason

Shape = tuple[int, int, int]  # channels, height and width


class LazyImages:
    """The images of files, read when a batch asks for them; the pixels are those of ``read_image``.

    Args:
        root: The folder of the files.
        names: Their names in it.
        shape: Channels, height and width that they are read at.
        cache: Where they are kept decoded; None to decode them each time.
    """

    def __init__(self, root: Path, names: Sequence[str], shape: Shape, cache: ImageCache | None = None) -> None:
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

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Read some of the images, shape (k, channels, height, width), as ``read`` does."""
        return self.read(torch.arange(len(self))[index])[0]

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
        others: Tensors of their length, or what is indexed as these are.
    """

    def __init__(self, images: LazyImages, others: Sequence[Any]) -> None:
        self.images, self.others = images, others

    def __getitem__(self, index: Tensor) -> Batch:
        images, kept = self.images.read(index)
        return images, *(other[kept] for other in self.others)


class ImageFiles(TensorData):
    """Data whose first column is images of files: in memory where they fit, and otherwise read as batches need them.

    Args:
        in_memory: Megabytes of images up to which they are kept in memory.
        workers: Processes of each loader that decode what is not; unless given as many as there are CPUs, but for one,
            at most 8, shared by the processes that train together. 0 decodes in the training process.
        cache: Gigabytes that images which were decoded once may take in ``~/.cache/dlplug`` (or ``$XDG_CACHE_HOME``),
            with all else that is kept there; 0 decodes them anew in each epoch.

    Attributes:
        root: The folder of the images.
        shape: Channels, height and width that they are read at.
    """

    root: Path
    shape: Shape

    def __init__(self, in_memory: float = 500, workers: int | None = None, cache: float = 20, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in (("in_memory", in_memory), ("workers", workers or 0), ("cache", cache)):
            if value < 0:
                raise InputError(f"{name} must be at least 0, not {value}")
        self.in_memory, self.workers, self.cache = in_memory, workers, cache

    def reader(self, count: int) -> Callable[[Path], Tensor | None]:
        """Return what is done at the start with each of so many files: it is decoded, or only its header is read."""
        if count * math.prod(self.shape) > 1e6 * self.in_memory:
            return check_image
        channels, height, width = self.shape
        return partial(read_image, channels=channels, height=height, width=width)

    def images(self, names: Sequence[str], read: Sequence[Tensor | None]) -> "Images":
        """Return a column of images.

        Args:
            names: Their names in ``root``.
            read: What ``reader`` read of each.

        Returns:
            A tensor where they were decoded.
        """
        if decoded := [image for image in read if image is not None]:
            return torch.stack(decoded)
        devices = self.trainer.num_devices if self.trainer else 1
        self.num_workers = min(suggested_max_num_workers(devices), 8) if self.workers is None else self.workers
        cache = open_cache(self.root, names, self.shape, 1e9 * self.cache)
        megabytes = len(names) * math.prod(self.shape) / 1e6
        size = f"{len(names):,} images of {self.shape[2]}×{self.shape[1]} take {megabytes:,.0f} MB"
        kept = f" and kept in {cache_folder('images')}" if cache else ""
        say(f"{size}: they are decoded as batches need them, by {self.num_workers or 'no'} workers{kept}")
        return LazyImages(self.root, names, self.shape, cache)

    def prepare_batch(self, batch: Batch) -> Batch:
        """Return a batch as models take it.

        Raises:
            InputError: No image of the split can be read any more.
        """
        if not len(batch[0]):
            raise InputError(f"no image in {self.root} can be read any more")
        return super().prepare_batch(batch)

    def _indexed(self, columns: Sequence[Any]) -> Dataset[Batch]:
        images, *others = columns
        return LazyBatches(images, others) if isinstance(images, LazyImages) else super()._indexed(columns)


Images = Tensor | LazyImages


def take(images: Images, index: Tensor) -> Images:
    """Return some of the images, without reading them."""
    return images.take(index) if isinstance(images, LazyImages) else images[index]


def readable_names(names: Sequence[str], images: Images) -> Sequence[str]:
    """Return the names of images, without those of which a worker finds out later that they cannot be read."""
    return ReadableNames(names, images) if isinstance(images, LazyImages) else names


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
