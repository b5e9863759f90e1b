"""A person's own pictures with tags."""

import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.files import read_lines
from dlplug_multimodal.data.tagged_images import TaggedImages, TaggedInfo, count_words, cut, split_groups
from dlplug_vision.data.image_files import read_image

COLUMNS = ("file", "tags")


class Tags(TaggedImages):
    """Pictures of your own with tags: a folder and a table, CSV or TSV, with the columns file and tags.

    A line of it names a picture and its tags, such as ``beach/1.jpg,"sea, sunset"``; between tags there are commas,
    semicolons or spaces, and a tag said twice counts twice. Several lines for one picture add up. Each picture is
    scaled and cut to a square, on white where it is transparent. Split 80 : 10 : 10.

    Args:
        root: The folder of pictures.
        table: The table; a relative path is looked for in ``root``.
        size: Side of the square in pixels.
        min_count: Pictures that a tag must be said of; other tags are left out.
        split_seed: Another number is another split.
        batch_size: Pictures a batch on each device.
        augment: How strongly training pictures are turned, scaled and moved at random; 0 for not at all, 1 for up to
            10 degrees, 10 % and 8 % of the side.
        flip: Whether a random half of the training pictures is mirrored left to right.
    """

    def __init__(
        self,
        root: str = "pictures",
        table: str = "tags.csv",
        size: int = 32,
        min_count: int = 2,
        split_seed: int = 0,
        batch_size: int = 64,
        augment: float = 0.0,
        flip: bool = False,
    ) -> None:
        super().__init__(batch_size, augment, flip)
        if size < 1 or min_count < 1:
            raise InputError(f"size and min_count must be at least 1, not {size} and {min_count}")
        self.root, self.table = Path(root).expanduser(), table
        self.size, self.min_count, self.split_seed = size, min_count, split_seed

    def load(self) -> tuple[TaggedInfo, Mapping[str, Batch]]:
        """Read the table and all pictures that it names."""
        tags = read_tags(self.root / Path(self.table).expanduser())
        often = Counter(tag for said, _ in tags.values() for tag in set(said))
        words = tuple(sorted(tag for tag, count in often.items() if count >= self.min_count))
        if not words:
            raise ValueError(f"no tag is said of {self.min_count} pictures: lower min_count")
        if len(tags) < 10:
            raise ValueError(f"{self.table} names {len(tags)} pictures: too few to split; 10 is the least")
        images = []
        for file, (_, line) in tags.items():
            try:
                images.append(read_image(self.root / file, 3, self.size, self.size))
            except InputError as error:
                raise ValueError(f"{self.table}, line {line}: {error}") from error
        parts = split_groups(list(tags), self.split_seed)
        files = list(tags)
        self.names = [files[i] for i in parts["test"].tolist()]
        counts = count_words([said for said, _ in tags.values()], words)
        return TaggedInfo(3, self.size, self.size, words), cut((torch.stack(images), counts), parts)


def read_tags(path: Path) -> dict[str, tuple[list[str], int]]:
    """Read a table of tags.

    Args:
        path: A CSV file, or a TSV file by its ending, with the columns file and tags.

    Returns:
        The tags of each picture, in small letters, and the number of the line that first names it.

    Raises:
        ValueError: The table cannot be read, or a line of it lacks something; the message says which.
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
        said = [tag for tag in re.split(r"[,;\s]+", text.lower()) if tag]
        if not said:
            raise ValueError(f"{path}, line {rows.line_num}: the tags of {file} are missing")
        before, line = found.get(file, ([], rows.line_num))
        found[file] = (before + said, line)
    return found
