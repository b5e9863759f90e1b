"""Your own images, a folder a class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from dlplug.data import Batch, ImageInfo
from dlplug.errors import InputError
from dlplug_vision.data.image_files import read_images
from dlplug_vision.data.images import ImageData, hold_out, stratified_split


class ImageFolder(ImageData):
    """Your own images, a folder a class: ``root/cat/1.jpg``, ``root/dog/2.png``; classes in alphabetical order.

    Where ``root`` holds a folder ``train`` (and maybe ``val`` and ``test``), the class folders are in these; otherwise
    the images are split 80 : 10 : 10, class by class. Each image is resized and center-cropped to a square. One that
    cannot be read is named and left out. They are kept as bytes: 10,000 of 64×64 take 123 MB.

    Args:
        root: The folder.
        size: Side of the square in pixels.
        channels: 3 for colour, 1 for grey.
        split_seed: Seed of the split into training, validation and test images.
    """

    def __init__(
        self, root: str = "pictures", size: int = 64, channels: Literal[1, 3] = 3, split_seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if size < 1:
            raise InputError(f"size must be at least 1, not {size}")
        self.root, self.size, self.channels, self.split_seed = Path(root).expanduser(), size, channels, split_seed

    def load(self) -> tuple[ImageInfo, Mapping[str, Batch]]:
        """Read all images."""
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is not a folder; give one that holds a folder of images a class as root")
        # A folder `train` of images, not of folders, is the class of railway images.
        parts = [name for name in ("train", "val", "test") if _folders(self.root / name)]
        classes = _folders(self.root / "train" if "train" in parts else self.root)
        if not classes:
            raise ValueError(f"{self.root} holds no folders; give one that holds a folder of images a class as root")
        indices = {name: index for index, name in enumerate(classes)}
        splits = self._read_parts(parts, indices) if "train" in parts else self._read_and_split(indices)
        for name, (images, _) in splits.items():
            if not len(images):
                raise ValueError(f"no image is left for {name}: {self.root} holds too few")
        return ImageInfo(self.channels, self.size, self.size, len(classes), tuple(classes)), splits

    def _read_parts(self, names: list[str], indices: dict[str, int]) -> Mapping[str, Batch]:
        splits: dict[str, tuple[Tensor, Tensor]] = {}
        for name in names:
            if unknown := set(_folders(self.root / name)) - indices.keys():
                raise ValueError(f"{self.root / name} holds a class that train lacks: {', '.join(sorted(unknown))}")
            images, labels, self.names = self._read(self.root / name, indices)  # the last is test's, or is not asked
            splits[name] = images, labels
        if "val" not in splits:
            images, labels = splits["train"]
            splits |= hold_out(images, labels, self.split_seed)
        return splits

    def _read_and_split(self, indices: dict[str, int]) -> Mapping[str, Batch]:
        images, labels, files = self._read(self.root, indices)
        parts = stratified_split(labels, seed=self.split_seed)
        self.names = [files[i] for i in parts["test"].tolist()]
        return {name: (images[index], labels[index]) for name, index in parts.items()}

    def _read(self, folder: Path, indices: dict[str, int]) -> tuple[Tensor, Tensor, list[str]]:
        """Return the images, labels and file names in a folder of class folders."""
        there = make_dataset(folder, indices, IMG_EXTENSIONS, allow_empty=True)
        known = {str(Path(path).relative_to(self.root)): label for path, label in there}
        images = read_images(self.root, known, self.channels, self.size)
        labels = [known[name] for name in images]
        if empty := [name for name, index in indices.items() if index not in labels]:
            raise ValueError(f"{folder / empty[0]} holds no readable image ({', '.join(IMG_EXTENSIONS)})")
        return torch.stack(list(images.values())), torch.tensor(labels), list(images)


def _folders(path: Path) -> list[str]:
    """Return the names of a folder's folders in alphabetical order, hidden ones left out; none if it is not there."""
    inside = path.iterdir() if path.is_dir() else ()
    return sorted(each.name for each in inside if each.is_dir() and not each.name.startswith("."))
