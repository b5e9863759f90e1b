"""Your own images with captions."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dlplug.errors import InputError
from dlplug.files import read_lines
from dlplug_multimodal.data.captioned_images import CaptionedImageInfo, CaptionedImages, CaptionTokens
from dlplug_sequence.data.padded import SPECIALS, split_indices
from dlplug_sequence.data.vocabulary import Level, Vocabulary
from dlplug_vision.data.image_files import read_images

KAGGLE_HEADER = "image,caption"  # of Flickr8k's captions as Kaggle has them
Entry = tuple[str, str, str]  # where it stands in the file, the image's name, the caption


class CaptionFolder(CaptionedImages):
    """Your own images with a file of captions, one or more an image, in the layout of Flickr8k or of COCO.

    The file is UTF-8 in one of three layouts, recognised by its content: lines ``dog.jpg#0<tab>A dog runs .``
    (Flickr8k's ``Flickr8k.token.txt``); a CSV whose first line is ``image,caption`` (Kaggle's copy of it); or JSON with
    ``images`` and ``annotations`` (COCO's ``captions_train2017.json``). A malformed line is named. All captions of an
    image are in its split, 80 : 10 : 10. An image that is missing or cannot be read is named and left out.

    Each image is scaled and cropped to a square and kept as bytes: 10,000 of 64×64 take 123 MB. Captions stay as they
    are where ``flip`` mirrors their image.

    Args:
        root: The folder of the images.
        captions: The file of captions; a path, or its name in ``root``.
        size: Side of the square in pixels.
        channels: 3 for colour, 1 for grey.
        level: What a token is; captions are lowercased.
        vocabulary_size: Most tokens of the vocabulary; 0 for all, or 8,000 with ``bpe``.
        min_count: Tokens rarer than this in the training captions are unknown, in the references too.
        split_seed: Another seed is another split.
    """

    def __init__(
        self,
        root: str = "pictures",
        captions: str = "captions.txt",
        size: int = 64,
        channels: Literal[1, 3] = 3,
        level: Level = "word",
        vocabulary_size: int = 0,
        min_count: int = 2,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 8:
            raise InputError(f"size must be at least 8, not {size}")
        self.root, self.captions, self.size, self.channels = Path(root).expanduser(), captions, size, channels
        self.level, self.vocabulary_size, self.min_count, self.split_seed = (
            level,
            vocabulary_size,
            min_count,
            split_seed,
        )

    def load(self) -> tuple[CaptionedImageInfo, Mapping[str, "list[Tensor | CaptionTokens]"]]:
        """Read all captions and images."""
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is not a folder; root is the one that holds the images")
        texts: dict[str, list[str]] = {}
        for where, name, caption in self._entries():
            if not name.strip() or not caption.strip():
                raise ValueError(f"{where}: the {'caption' if name.strip() else 'name of the image'} is empty")
            texts.setdefault(name.strip(), []).append(caption.strip())
        images = read_images(self.root, texts, self.channels, self.size)
        names, parts = list(images), split_indices(len(images), self.split_seed)
        trained = [caption for place in parts["train"] for caption in texts[names[place]]]
        options = {"sentences": self.level != "character", "lowercase": True}
        vocabulary = Vocabulary.train(trained, self.level, self.vocabulary_size, self.min_count, SPECIALS, **options)
        splits: dict[str, list[Tensor | CaptionTokens]] = {}
        for split, places in parts.items():
            chosen = [names[place] for place in places]
            captions = CaptionTokens([texts[name] for name in chosen], vocabulary)
            splits[split] = [torch.stack([images[name] for name in chosen]), captions]
        self.names = [names[place] for place in parts["test"]]
        longest = int(CaptionTokens([trained], vocabulary).tokens.lengths.max()) - 1
        return CaptionedImageInfo(self.channels, self.size, self.size, vocabulary.to_json(), longest), splits

    def _entries(self) -> Iterator[Entry]:
        """Return all captions, whatever their layout."""
        path = Path(self.captions).expanduser()
        path = path if path.is_file() else self.root / self.captions
        lines = read_lines(path)
        if path.suffix.lower() == ".json":
            return _coco(path, "\n".join(lines))
        return _kaggle(path, lines) if lines and lines[0].strip().lower() == KAGGLE_HEADER else _flickr(path, lines)


def _flickr(path: Path, lines: list[str]) -> Iterator[Entry]:
    """Read lines ``name.jpg#0<tab>caption``; the number is ignored."""
    for number, line in enumerate(lines, start=1):
        name, *rest = line.split("\t")
        if len(rest) != 1:
            raise ValueError(f"{path}, line {number}: {len(rest)} tabs where name.jpg#0<tab>caption has one")
        stem, mark, place = name.rpartition("#")
        yield f"{path}, line {number}", stem if mark and place.isdigit() else name, rest[0]


def _kaggle(path: Path, lines: list[str]) -> Iterator[Entry]:
    """Read a CSV; a caption that holds commas may or may not be quoted."""
    rows = csv.reader(line + "\n" for line in lines)
    next(rows)
    for row in rows:
        if len(row) < 2:
            raise ValueError(f"{path}, line {rows.line_num}: no comma where image,caption has one")
        yield f"{path}, line {rows.line_num}", row[0], ",".join(row[1:])


def _coco(path: Path, text: str) -> Iterator[Entry]:
    """Read ``{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}``."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    images, annotations = (_list(path, content, key) for key in ("images", "annotations"))
    names: dict[Any, str] = {}
    for number, image in enumerate(images, start=1):
        names[_field(path, image, "id", f"image {number}")] = _field(path, image, "file_name", f"image {number}")
    for number, annotation in enumerate(annotations, start=1):
        where = f"annotation {number}"
        place, caption = (_field(path, annotation, key, where) for key in ("image_id", "caption"))
        if place not in names:
            raise ValueError(f"{path}, {where}: its image_id {place} is not among the images")
        yield f"{path}, {where}", str(names[place]), str(caption)


def _list(path: Path, content: Any, key: str) -> list[Any]:
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{path} has no list {key!r}, as COCO's captions have")
    return found


def _field(path: Path, entry: Any, key: str, where: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise ValueError(f"{path}, {where}: it has no {key!r}")
    return entry[key]
