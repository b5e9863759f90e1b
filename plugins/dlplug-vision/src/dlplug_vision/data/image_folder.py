"""Your own images, a folder a class, or with a table of their targets."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from dlplug.console import first_few, say
from dlplug.data import ImageInfo, Target
from dlplug.errors import InputError
from dlplug.tables import BadRows, read_header, read_table
from dlplug.targets import AskedTarget, encode_targets, read_targets, target_names
from dlplug_vision.data.image_files import (
    SUFFIXES,
    is_image,
    natural_key,
    read_images,
    visible,
    walk,
)
from dlplug_vision.data.images import ImageData, stratified_split
from dlplug_vision.data.lazy_images import ImageFiles, Images, readable_names, take
from dlplug_vision.data.mnist5k import MNIST5k

SPLITS = {  # what their folders may be called: train, Training, train_set, train2017, …
    split: re.compile(rf"(?:{names})(?:[ _-]?(?:set|split|data|images|[0-9]{{4}}))?", re.IGNORECASE)
    for split, names in {
        "train": "train(ing)?|trn",
        "val": "val(id(at(e|ion))?)?|dev",
        "test": "test(ing|s)?|tst",
    }.items()
}

Splits = dict[str, tuple[Images, Tensor]]
Read = tuple[Target, tuple[str, ...], Splits, list[str]]  # kind, names, splits, the test images' names


class ImageFolder(ImageFiles, ImageData):
    """Your own images, a folder a class; classes in alphabetical order.

        pictures/           or    pictures/
        ├── cat/                  ├── train/
        │   ├── 1.jpg             │   ├── cat/1.jpg
        │   └── 2.png             │   └── dog/any name.webp
        └── dog/                  ├── val/…
            └── more/3.jpg        └── test/…

    Where ``root`` holds a folder ``train`` (and maybe ``val`` and ``test``), the class folders are in these; they may
    be called ``Training``, ``valid`` or ``test_set`` as well. Otherwise the images are split 80 : 10 : 10, class by
    class. Each image is resized and center-cropped to a square; of an animation it is the first. What is left out is
    named with the reason, but for hidden files and what systems leave (``__MACOSX``, ``Thumbs.db``).

    Images are kept in memory as bytes: 10,000 of 64×64 take 123 MB. More than ``in_memory`` are decoded by ``workers``
    as batches need them, to the same bytes. Then only files' headers are read at the start: one that turns out to be
    damaged later keeps its place in the split, is named once and left out of its batch.

    With ``labels``, a table says what is learned of the images, which lie anywhere in the folder. Its first column has
    their names below ``root``, the others a class, labels or numbers:

        file,price,rooms
        a/1.jpg,1200.5,3
        b.png,800,2

    Where all names begin with a folder ``train``, ``val`` or ``test``, these are the splits. Rows without a readable
    image or with cells that are no such target are refused, all at once.

    Args:
        root: The folder.
        labels: A CSV or TSV file (by its suffix) whose first line names the columns; none for a folder a class.
        label: The table's column of the targets, or columns, as in ``[price,rooms]``; all but the first unless given.
        target: What is learned from the table: a ``class``, ``labels`` (several an image, separated by semicolons, bars
            or else commas, or columns of 0 and 1), or ``number``, one for each column. ``auto`` takes numbers where
            most cells are, but a column of at most 20 different whole ones for classes and several columns of 0 and 1
            for labels.
        skip_bad: Whether bad rows of the table are left out instead of refused.
        size: Side of the square in pixels.
        channels: 3 for colour, 1 for grey.
        split_seed: Seed of the split into training, validation and test images.
    """

    def __init__(
        self,
        root: str = "pictures",
        size: int = 64,
        channels: Literal[1, 3] = 3,
        split_seed: int = 0,
        labels: str = "",
        label: list[str] | str = "",
        target: AskedTarget = "auto",
        skip_bad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 1:
            raise InputError(f"size must be at least 1, not {size}")
        self.root, self.size, self.channels, self.split_seed = Path(root).expanduser(), size, channels, split_seed
        self.shape = channels, size, size
        if not labels and (label or target != "auto"):
            raise InputError("label and target are about a table: give it as labels")
        self.labels, self.label, self.target, self.skip_bad = labels, label, target, skip_bad

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write twenty handwritten digits of each of three classes, and a table of how much ink each takes."""
        images, labels = MNIST5k().read()
        rows: list[tuple[str, object]] = [("file", "ink")]
        for label, name in enumerate(("zero", "one", "two")):
            (folder / name).mkdir()
            for number, image in enumerate(images[labels == label][:20], start=1):
                to_pil_image(image).save(folder / name / f"{number}.png")
                rows.append((f"{name}/{number}.png", round(float(image.float().mean() / 255), 4)))
        with open(folder / "ink.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        return {"data.root": folder, "data.size": 28, "data.channels": 1, "data.batch_size": 8}

    def load(self) -> tuple[ImageInfo, Mapping[str, Sequence[Any]]]:
        """Read all images, or of more than memory is to hold their headers."""
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is not a folder; give one that holds a folder of images a class as root")
        true = self.root.resolve()
        self._known = {str(folder): folder for folder in (true, *true.parents)}  # folders that are not entered again
        self._others: list[tuple[Path, str]] = []  # what is left out, and why
        kind, labels, splits, names = self._read_listed() if self.labels else self._read_classes()
        for name, (images, _) in splits.items():
            if not len(images):
                raise ValueError(f"no image is left for {name}: {self.root} holds too few")
        if "test" in splits:
            order = sorted(range(len(names)), key=lambda i: natural_key(names[i]))
            images, targets = splits["test"]
            splits["test"] = images, targets = take(images, torch.tensor(order)), targets[order]
            names = [names[i] for i in order]
            self.names = readable_names(names, images)
        if self._others:
            others = [f"{path.relative_to(self.root)} ({reason})" for path, reason in self._others]
            say(f"left out of {self.root}, {len(others)} files or folders: {first_few(others)}")
        classes = len(labels) if kind == "class" else 0
        return ImageInfo(self.channels, self.size, self.size, classes, labels, kind), splits

    def _read_classes(self) -> Read:
        """Read a folder a class."""
        parts = self._parts()
        folders = [self.root, *(self.root / part for part in parts.values())]
        classes = sorted(self._folders(self.root / parts.get("train", "")))
        if not classes:
            raise ValueError(f"{self.root} holds no folders; give one that holds a folder of images a class as root")
        if all(any(pattern.fullmatch(name) for pattern in SPLITS.values()) for name in classes):
            raise ValueError(f"{self.root} holds {' and '.join(classes)}, but in these there is no folder a class")
        inside = {tuple(self._folders(self.root / name)) for name in classes}
        if not parts and len(classes) > 1 and len(inside) == 1 and (common := min(inside)):
            named = f"{first_few(classes)} are taken as classes, though each holds the folders {first_few(common)}"
            say(f"{self.root}: {named}: those of a split are called train, val or test")
        splits, names = self._read_splits(parts, {name: index for index, name in enumerate(classes)})
        used = {*folders, *self._known.values()}
        loose = (path for folder in folders for path in visible(folder) if path not in used)
        self._others += [(path, "in no folder of a class") for path in loose if path.is_dir() or is_image(path)]
        # Names that are not UTF-8 cannot be drawn.
        labels = tuple(os.fsencode(name).decode(errors="backslashreplace") for name in classes)
        return "class", labels, splits, names

    def _read_listed(self) -> Read:
        """Read the images that the table names."""
        bad = BadRows(Path(self.labels).expanduser(), self.skip_bad)
        file, *others = read_header(bad) or [""]
        columns = ([self.label] if isinstance(self.label, str) else self.label) if self.label else others
        if not columns:
            raise ValueError(f"{bad.path} has to name two columns, the images' files and what is learned of them")
        files: dict[int, str] = {}
        rows = []
        known: set[str] = set()
        for number, (name, *cells) in read_table(bad, file, *columns):
            name = os.path.normpath(name.strip()) if name.strip() else ""
            place = os.path.abspath(self.root / name)
            if name and place not in known:
                known.add(place)
                files[number] = name
                rows.append((number, cells))
            else:
                bad.add(number, f"{name} is named a second time" if name else "the file is missing")
        kind, targets = read_targets(bad, rows, columns, self.target)
        read = self.reader(len(targets))
        found: dict[int, Tensor | None] = {}
        for number in targets:
            try:
                found[number] = read(self.root / files[number])
            except InputError as error:
                bad.add(number, str(error))
        bad.settle()
        if not found:
            raise ValueError(f"{bad.path} names no image")
        unnamed = (path for path in walk(self.root, self._known) if is_image(path))
        self._others += [(p, "not in the table") for p in unnamed if os.path.abspath(p) not in known]
        values, names = [targets[number] for number in found], [files[number] for number in found]
        labels = target_names(kind, values, columns)
        images, encoded = self.images(names, list(found.values())), encode_targets(kind, values, labels)
        places = self._places(names, encoded if kind == "class" else torch.zeros(len(names)))
        splits: Splits = {split: (take(images, index), encoded[index]) for split, index in places.items()}
        return kind, labels, splits, [names[i] for i in places.get("test", torch.empty(0)).tolist()]

    def _places(self, names: list[str], classes: Tensor) -> dict[str, Tensor]:
        """Return which images are in which split: by the folders that all names begin with, or drawn class by class."""
        tops = [name.partition(os.sep)[0] for name in names]
        of = [next((split for split, known in SPLITS.items() if known.fullmatch(top)), "") for top in tops]
        if not all(of) or "train" not in of:
            return stratified_split(classes.long(), seed=self.split_seed)
        places = {split: torch.tensor([i for i, each in enumerate(of) if each == split]) for split in SPLITS}
        places = {split: index for split, index in places.items() if len(index)}
        if "val" not in places:
            places |= self._hold_out(places["train"], classes)
        return places

    def _parts(self) -> dict[str, str]:
        """Return the folders of the splits by their names."""
        # A folder `train` of images, not of folders, is the class of railway images.
        parts: dict[str, str] = {}
        for split, pattern in SPLITS.items():
            for name in filter(pattern.fullmatch, self._folders(self.root)):
                if self._folders(self.root / name) and parts.setdefault(split, name) != name:
                    raise ValueError(f"{self.root} holds both {parts[split]} and {name}: which one is {split}?")
        if parts and "train" not in parts:
            raise ValueError(f"{self.root} holds {' and '.join(parts.values())}, but no folder train")
        return parts

    def _read_splits(self, parts: dict[str, str], indices: dict[str, int]) -> tuple[Splits, list[str]]:
        """Return the splits, and the names of the test images."""
        found: dict[str, dict[str, int]] = {}  # labels by file name, of each part
        for split, part in (parts or {"": ""}).items():
            if unknown := set(self._folders(self.root / part)) - indices.keys() if parts else ():
                raise ValueError(f"{self.root / part} holds a class that train lacks: {', '.join(sorted(unknown))}")
            found[split] = self._find(self.root / part, indices)
        labels = {name: label for each in found.values() for name, label in each.items()}
        readable = read_images(self.root, labels, self.reader(len(labels)))
        for split, each in found.items():
            folder = self.root / parts.get(split, "")
            if empty := indices.keys() - {list(indices)[label] for name, label in each.items() if name in readable}:
                raise ValueError(f"{folder / min(empty)} holds no readable image ({', '.join(SUFFIXES)})")
        names, classes = list(readable), torch.tensor([labels[name] for name in readable])
        images = self.images(names, list(readable.values()))
        if parts:
            places = {s: torch.tensor([i for i, name in enumerate(names) if name in found[s]]) for s in parts}
            places |= {} if "val" in parts else self._hold_out(places["train"], classes)
        else:
            places = stratified_split(classes, seed=self.split_seed)
        splits: Splits = {split: (take(images, index), classes[index]) for split, index in places.items()}
        return splits, [names[i] for i in places.get("test", torch.empty(0)).tolist()]

    def _hold_out(self, train: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the training images but for a tenth of each class, and this tenth to validate."""
        parts = stratified_split(classes[train].long(), seed=self.split_seed)
        return {"train": train[torch.cat([parts["train"], parts["test"]]).sort().values], "val": train[parts["val"]]}

    def _find(self, folder: Path, indices: dict[str, int]) -> dict[str, int]:
        """Return the labels of the images in a folder of class folders, by file name."""
        for path in (folder / name for name in indices):
            if (known := self._known.setdefault(os.path.realpath(path), path)) != path:
                raise ValueError(f"{path} and {known} are the same folder")
        labels: dict[str, int] = {}
        for name, label in indices.items():
            # The order that splits are drawn from.
            for path in sorted(walk(folder / name, self._known), key=lambda path: (str(path.parent), path.name)):
                if is_image(path):
                    labels[str(path.relative_to(self.root))] = label
                else:
                    self._others.append((path, "read already" if path.is_dir() else "no image by its suffix"))
        return labels

    def _folders(self, folder: Path) -> list[str]:
        """Return the names of a folder's folders, without those that lead back to it in a circle; none of a file."""
        inside = visible(folder) if folder.is_dir() else []
        return [path.name for path in inside if path.is_dir() and os.path.realpath(path) not in self._known]
