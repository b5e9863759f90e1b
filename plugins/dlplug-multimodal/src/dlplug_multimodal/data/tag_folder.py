"""Your own images with tags."""

import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.files import read_lines
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, TaggedImages, count_words, group_split, index_splits
from dlplug_vision.data.image_files import read_image

COLUMNS = ("file", "tags")


class TagFolder(TaggedImages):
    """Your own images with tags: a folder and a table, CSV or TSV, with the columns file and tags.

    A line of it names an image and its tags, such as ``beach/1.jpg,"sea, sunset"``; between tags there are commas,
    semicolons or spaces, and a tag given twice counts twice. Several lines for one image add up. Each image is scaled
    and cropped to a square, on white where it is transparent. Split 80 : 10 : 10.

    Args:
        root: The folder of images.
        table: The table; a relative path is looked for in ``root``.
        size: Side of the square in pixels.
        min_count: Images that a tag must have; rarer tags are left out.
        split_seed: Another seed is another split.
    """

    def __init__(
        self,
        root: str = "pictures",
        table: str = "tags.csv",
        size: int = 32,
        min_count: int = 2,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root, self.table = Path(root).expanduser(), table
        self.size, self.min_count, self.split_seed = size, min_count, split_seed
        require(vars(self), "at least 1", "size", "min_count")

    def load(self) -> tuple[TaggedImageInfo, Mapping[str, Batch]]:
        """Read the table and all images that it names."""
        tags = read_tags(self.root / Path(self.table).expanduser())
        frequency = Counter(tag for row, _ in tags.values() for tag in set(row))
        words = tuple(sorted(tag for tag, count in frequency.items() if count >= self.min_count))
        if not words:
            raise ValueError(f"no tag is given to {self.min_count} images: lower min_count")
        if len(tags) < 10:
            raise ValueError(f"{self.table} names {len(tags)} images: a split needs at least 10")
        images = []
        for file, (_, line) in tags.items():
            try:
                images.append(read_image(self.root / file, 3, self.size, self.size))
            except InputError as error:
                raise ValueError(f"{self.table}, line {line}: {error}") from error
        files = list(tags)
        parts = group_split(files, self.split_seed)
        self.names = [files[i] for i in parts["test"].tolist()]
        counts = count_words([row for row, _ in tags.values()], words)
        return TaggedImageInfo(3, self.size, self.size, words), index_splits((torch.stack(images), counts), parts)


def read_tags(path: Path) -> dict[str, tuple[list[str], int]]:
    """Read a table of tags.

    Args:
        path: A CSV file, or a TSV file by its ending, with the columns file and tags.

    Returns:
        The tags of each image, in lower case, and the number of the line that first names it.

    Raises:
        ValueError: The table cannot be read, or a line of it lacks something; the message names it.
    """
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    rows = csv.DictReader((line + "\n" for line in read_lines(path)), delimiter=delimiter)
    columns = list(rows.fieldnames or ())
    for name in COLUMNS:
        if name not in columns:
            raise ValueError(f"{path}, line 1: there is no column {name!r}, only {', '.join(columns) or 'nothing'}")
    found: dict[str, tuple[list[str], int]] = {}
    for row in rows:
        file, text = ((row[name] or "").strip() for name in COLUMNS)
        if not file:
            raise ValueError(f"{path}, line {rows.line_num}: the file is missing")
        if None in row:
            raise ValueError(f"{path}, line {rows.line_num}: more columns than the first line names; quote the tags")
        tags = [tag for tag in re.split(r"[,;\s]+", text.lower()) if tag]
        if not tags:
            raise ValueError(f"{path}, line {rows.line_num}: the tags of {file} are missing")
        before, line = found.get(file, ([], rows.line_num))
        found[file] = (before + tags, line)
    return found
