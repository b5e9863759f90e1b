"""Your own images with captions."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torchvision.transforms.v2.functional import to_pil_image

from dlplug.errors import InputError
from dlplug.files import read_lines
from dlplug.tables import BadRows, holds_records, read_header, read_rows, read_table
from dlplug_multimodal.data.captioned_images import CaptionedImageInfo, CaptionedImages, CaptionTokens
from dlplug_multimodal.data.emoji_scenes import EmojiScenes
from dlplug_sequence.data.padded import SPECIALS, fitting_min_count, split_indices
from dlplug_sequence.data.vocabulary import Level, Vocabulary
from dlplug_vision.data.image_files import read_images
from dlplug_vision.data.lazy_images import ImageFiles, Images, readable_names, take

KAGGLE_HEADER = "image,caption"  # of Flickr8k's captions as Kaggle has them
COLUMNS = ("file_name", "file", "image"), ("caption", "text")  # of records
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which JSON can spell
Entry = tuple[int | str, str, str]  # where it stands in the file, the image's name, the caption


class CaptionFolder(ImageFiles, CaptionedImages):
    """Your own images with a file of captions, one or more an image, in the layout of Flickr8k or of COCO.

        pictures/
        ├── 1.jpg              captions.txt:
        ├── 2.jpg              1.jpg#0<tab>A dog runs .
        └── captions.txt       1.jpg#1<tab>A brown dog on grass .

    The file is UTF-8 in one of three layouts, recognised by its content: lines ``dog.jpg#0<tab>A dog runs .``
    (Flickr8k's ``Flickr8k.token.txt``); a CSV whose first line is ``image,caption`` (Kaggle's copy of it); or JSON with
    ``images`` and ``annotations`` (COCO's ``captions_train2017.json``). Or it has columns ``file_name`` (or ``file`` or
    ``image``) and ``caption`` (or ``text``): JSON lines (``.jsonl``) or, with the extra ``dlplug[arrow]``, Parquet or a
    folder that Hugging Face's ``save_to_disk`` wrote. Malformed lines are named, all at once. All captions of an image
    are in its split, 80 : 10 : 10. An image that is missing or cannot be read is named and left out.

    Each image is scaled and cropped to a square and kept as bytes: 10,000 of 64×64 take 123 MB; more than ``in_memory``
    are decoded as batches need them. Captions stay as they are where ``flip`` mirrors their image.

    Args:
        root: The folder of the images.
        captions: The file of captions; a path, or its name in ``root``.
        size: Side of the square in pixels.
        channels: 3 for colour, 1 for grey.
        level: What a token is; captions are lowercased.
        vocabulary_size: Most tokens of the vocabulary; 0 for all, or 8,000 with ``bpe``.
        min_count: Tokens rarer than this in the training captions are unknown; 0 for 1 where there are few captions,
            below 10,000, and otherwise 2.
        split_seed: Another seed is another split.
        skip_bad: Whether malformed lines are left out instead of refused.
    """

    def __init__(
        self,
        root: str = "pictures",
        captions: str = "captions.txt",
        size: int = 64,
        channels: Literal[1, 3] = 3,
        level: Level = "word",
        vocabulary_size: int = 0,
        min_count: int = 0,
        split_seed: int = 0,
        skip_bad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 8:
            raise InputError(f"size must be at least 8, not {size}")
        self.root, self.captions, self.size, self.channels = Path(root).expanduser(), captions, size, channels
        self.shape = channels, size, size
        self.level, self.vocabulary_size, self.min_count = level, vocabulary_size, min_count
        self.split_seed, self.skip_bad = split_seed, skip_bad

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write sixty scenes of two emoji, with two captions each."""
        info, splits = EmojiScenes(kinds=5).load()
        images, captions = (column[torch.arange(60)] for column in splits["val"])
        vocabulary, lines = Vocabulary.from_json(info.vocabulary), []
        for number, (image, tokens) in enumerate(zip(images, captions.tolist(), strict=True), start=1):
            to_pil_image(image).save(folder / f"{number}.png")
            lines += [f"{number}.png#{i}\t{text}\n" for i, text in enumerate(vocabulary.decode_batch(tokens))]
        (folder / "captions.txt").write_text("".join(lines), encoding="utf-8")
        return {"data.root": folder, "data.size": 32}

    def load(self) -> tuple[CaptionedImageInfo, Mapping[str, "list[Images | CaptionTokens]"]]:
        """Read all captions and images."""
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is not a folder; root is the one that holds the images")
        path = Path(self.captions).expanduser()
        bad = BadRows(path if path.exists() else self.root / self.captions, self.skip_bad)
        texts: dict[str, list[str]] = {}
        for where, name, caption in _entries(bad):
            if name.strip() and caption.strip():
                texts.setdefault(name.strip(), []).append(caption.strip())
            else:
                bad.add(where, f"the {'caption' if name.strip() else 'name of the image'} is empty")
        bad.settle()
        read = read_images(self.root, texts, self.reader(len(texts)))
        names, parts = list(read), split_indices(len(read), self.split_seed)
        images = self.images(names, list(read.values()))
        trained = [caption for place in parts["train"] for caption in texts[names[place]]]
        options = {"sentences": self.level != "character", "lowercase": True}
        min_count = self.min_count or fitting_min_count(len(trained))
        vocabulary = Vocabulary.train(trained, self.level, self.vocabulary_size, min_count, SPECIALS, **options)
        splits: dict[str, list[Images | CaptionTokens]] = {}
        for split, places in parts.items():
            chosen = [names[place] for place in places]
            captions = CaptionTokens([texts[name] for name in chosen], vocabulary)
            splits[split] = [take(images, torch.tensor(places)), captions]
            if split != "train":
                # In lower case, a letter at a time as the tokenizer does it.
                lower = [["".join(map(str.lower, caption)) for caption in texts[name]] for name in chosen]
                splits[split].append(CaptionTokens(lower))
            if split == "val":
                vocabulary.report_unknown(captions.tokens.tokens, "the validation captions")
        self.names = readable_names(
            [names[place] for place in parts["test"]], take(images, torch.tensor(parts["test"]))
        )
        longest = int(CaptionTokens([trained], vocabulary).tokens.lengths.max()) - 1
        return CaptionedImageInfo(self.channels, self.size, self.size, vocabulary.to_json(), longest), splits


def _entries(bad: BadRows) -> Iterator[Entry]:
    """Yield all captions of a file, whatever its layout; what is malformed is bad."""
    if Path(bad.path).suffix.lower() == ".json":
        yield from _coco(bad, "\n".join(read_lines(bad.path)))
    elif holds_records(bad.path):
        names = read_header(bad)
        columns = [next((name for name in known if name in names), known[0]) for known in COLUMNS]
        yield from ((number, name, caption) for number, (name, caption) in read_table(bad, *columns))
    elif [re.sub(r'[\s"]', "", line).lower() for line in read_lines(bad.path, bad.add)[:1]] == [KAGGLE_HEADER]:
        for number, (name, *cells) in islice(read_rows(bad, ","), 1, None):
            if cells:  # a caption that holds commas may or may not be quoted
                yield number, name, ",".join(cells)
            else:
                bad.add(number, "no comma where image,caption has one")
    else:
        for number, (name, *cells) in read_rows(bad, "\t"):
            if len(cells) == 1:
                yield number, re.sub("#[0-9]+$", "", name), cells[0]
            else:
                bad.add(number, f"{len(cells)} tabs where name.jpg#0<tab>caption has one")


def _coco(bad: BadRows, text: str) -> Iterator[Entry]:
    """Read ``{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}``."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {getattr(error, 'lineno', 1)}"
        raise ValueError(f"{bad.path}, {where}: not JSON ({getattr(error, 'msg', error)})") from error
    names: dict[Any, str | None] = {}
    for where, key, name in _pairs(bad, content, "images", "id", "file_name"):
        if names.setdefault(key, name) != name:
            bad.add(where, f"its id {key!r} is another image's too")
            names[key] = None  # whose captions it is that name this id is not known
    for where, key, caption in _pairs(bad, content, "annotations", "image_id", "caption"):
        if found := names.get(key):
            yield where, found, caption
        else:
            bad.add(where, f"its image_id {key!r} is {'that of two' if key in names else 'not among the'} images")


def _pairs(bad: BadRows, content: Any, kind: str, key: str, text: str) -> Iterator[tuple[str, Any, str]]:
    """Yield where each entry of a list stands, its id and its text."""
    found = content.get(kind) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{bad.path} has no list {kind!r}, as COCO's captions have")
    for number, entry in enumerate(found, start=1):
        where = f"{kind.removesuffix('s')} {number}"
        missing = [name for name in (key, text) if not isinstance(entry, dict) or name not in entry]
        if missing:
            bad.add(where, f"it has no {missing[0]!r}")
        elif not isinstance(entry[key], int | str):
            bad.add(where, f"its {key} is neither a whole number nor a text")
        elif not isinstance(entry[text], str) or SURROGATE.search(entry[text]):
            bad.add(where, f"its {text} is no text")
        else:
            yield where, entry[key], entry[text]
