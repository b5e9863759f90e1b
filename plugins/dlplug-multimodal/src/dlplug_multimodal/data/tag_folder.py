"""Your own images with tags."""

import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchvision.transforms.v2.functional import to_pil_image

from dlplug.errors import InputError
from dlplug.tables import BadRows, read_table
from dlplug_multimodal.data.emoji import category_words
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, TaggedImages, count_words, group_split, index_splits
from dlplug_multimodal.data.twemoji import read_glyphs
from dlplug_vision.data.lazy_images import ImageFiles, readable_names


class TagFolder(ImageFiles, TaggedImages):
    """Your own images with tags: a folder and a table, CSV or TSV, with the columns file and tags.

        pictures/
        ├── beach/1.jpg        tags.csv:
        ├── forest/1.jpg       file,tags
        └── tags.csv           beach/1.jpg,"sea, sunset"

    A line of it names an image and its tags, such as ``beach/1.jpg,"sea, sunset"``; between tags there are commas,
    semicolons or spaces, and a tag given twice counts twice. Several lines for one image add up. Each image is scaled
    and cropped to a square, on white where it is transparent; more than ``in_memory`` are decoded as batches need them.
    Split 80 : 10 : 10.

    Args:
        root: The folder of images.
        table: The table; a relative path is looked for in ``root``.
        size: Side of the square in pixels.
        min_count: Images that a tag must have; rarer tags are left out.
        split_seed: Another seed is another split.
        skip_bad: Whether bad rows, and rows of images that cannot be read, are left out instead of refused.
    """

    def __init__(
        self,
        root: str = "pictures",
        table: str = "tags.csv",
        size: int = 32,
        min_count: int = 2,
        split_seed: int = 0,
        skip_bad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root, self.table = Path(root).expanduser(), table
        self.shape = 3, size, size
        self.size, self.min_count, self.split_seed, self.skip_bad = size, min_count, split_seed, skip_bad
        require(vars(self), "at least 1", "size", "min_count")

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write sixty emoji with the words of their category."""
        rows = [("file", "tags")]
        for number, glyph in enumerate(read_glyphs()[::30][:60], start=1):
            to_pil_image(glyph.render(32)).save(folder / f"{number}.png")
            rows.append((f"{number}.png", ", ".join(category_words(glyph))))
        with open(folder / "tags.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        return {"data.root": folder}

    def load(self) -> tuple[TaggedImageInfo, Mapping[str, tuple[Any, ...]]]:
        """Read the table and all images that it names."""
        bad = BadRows(self.root / Path(self.table).expanduser(), self.skip_bad)
        lines: dict[str, int] = {}  # that name an image first
        tags: dict[str, list[str]] = {}
        for number, (file, text) in read_table(bad, "file", "tags"):
            row = [tag for tag in re.split(r"[,;\s]+", text.lower()) if tag]
            if file.strip() and row:
                lines.setdefault(file.strip(), number)
                tags.setdefault(file.strip(), []).extend(row)
            else:
                bad.add(number, f"the tags of {file.strip()} are missing" if file.strip() else "the file is missing")
        read, found = self.reader(len(lines)), {}
        for file, number in lines.items():
            try:
                found[file] = read(self.root / file)
            except InputError as error:
                bad.add(number, str(error))
        bad.settle()
        frequency = Counter(tag for file in found for tag in set(tags[file]))
        words = tuple(sorted(tag for tag, count in frequency.items() if count >= self.min_count))
        if not words:
            raise ValueError(f"no tag is given to {self.min_count} images: lower min_count")
        if len(found) < 10:
            raise ValueError(f"{self.table} names {len(found)} images: a split needs at least 10")
        files, parts = list(found), group_split(list(found), self.split_seed)
        counts = count_words([tags[file] for file in files], words)
        splits = index_splits((self.images(files, list(found.values())), counts), parts)
        self.names = readable_names([files[i] for i in parts["test"].tolist()], splits["test"][0])
        return TaggedImageInfo(3, self.size, self.size, words), splits
