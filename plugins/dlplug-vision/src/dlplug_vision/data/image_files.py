"""Image files: as tensors, and where they are found."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from dlplug.console import first_few, say
from dlplug.errors import InputError

T = TypeVar("T")

SUFFIXES = (*IMG_EXTENSIONS, ".gif", ".jfif", ".pbm", ".pnm", ".avif", ".jp2")
# Photographs that Pillow does not read by itself: named, not passed over.
UNREAD = (".heic", ".heif", ".hif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf")
# What systems leave beside people's files; names that begin with a dot, such as ._1.png or .ipynb_checkpoints, aside.
LITTER = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini"}
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF


def read_image(path: str | Path, channels: int, height: int, width: int) -> Tensor:
    """Read an image upright, resized and center-cropped, on white where it is transparent.

    Of an animation or of several pages it is the first. Of more than 8 bits a sample, black stays black and white
    white; samples for which no value is white are refused.

    Args:
        path: Its file, of any format that Pillow reads.
        channels: 3 for colour, 1 for grey.
        height: Rows.
        width: Columns.

    Returns:
        Bytes of shape (channels, height, width).

    Raises:
        InputError: It cannot be read.
    """
    try:
        return _read(Path(path).expanduser(), channels, height, width)
    except Exception as error:  # what a damaged image makes a decoder raise is anyone's guess
        raise _unreadable(path, error) from error


def check_image(path: str | Path) -> None:
    """Raise where a file cannot be read or does not begin as an image does, without decoding it.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        PIL.Image.open(path).close()
    except Exception as error:  # as above
        raise _unreadable(path, error) from error


def read_images(root: Path, names: Iterable[str], read: Callable[[Path], T]) -> dict[str, T]:
    """Read a folder's images, by file name; those that cannot be read are named in a line and left out.

    Args:
        root: The folder.
        names: Files in it.
        read: Returns what is read of a file, as ``read_image`` does, or raises an ``InputError`` as that does.
    """
    images, unreadable = {}, []
    for name in names:
        try:
            images[name] = read((root / name).absolute())  # in which no ~ is a home
        except InputError as error:
            unreadable.append(f"{name} ({reason(error, name)})")
    if unreadable:
        count = f"{len(unreadable)} of {len(unreadable) + len(images)} images in {root}"
        say(f"left out, since they cannot be read, {count}: {first_few(unreadable)}")
    return images


def to_pixels(image: PIL.Image.Image, channels: int, height: int, width: int) -> Tensor:
    """Return an image of at most 8 bits a sample as ``read_image`` does."""
    if image.mode not in ("L", "RGB") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB" if channels == 3 else "L")
    scale = max(height / image.height, width / image.width)
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    image = image if image.size == size else image.resize(size, PIL.Image.Resampling.BILINEAR)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    image = image if size == (width, height) else image.crop((left, top, left + width, top + height))
    # A channel at a time: turning all of an image's bytes around costs as much as a fifth of decoding it.
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in image.split()]))


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder in natural order, without hidden files and what systems leave there."""
    kept = (path for path in folder.iterdir() if path.name[0] != "." and path.name.lower() not in LITTER)
    return sorted(kept, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return what names are sorted by so that 2.png comes before 10.png."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name))], name


def load_image(path: str | Path, shape: tuple[int, int, int]) -> Tensor:
    """Return an image as models take it: from 0 to 1, shape (1, channels, height, width).

    Args:
        path: Its file.
        shape: Channels, height and width.

    Raises:
        InputError: It cannot be read.
    """
    return read_image(path, *shape)[None].float() / 255


def find_inputs(source: str, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the files that a person gives to be predicted, by name, in natural order.

    Args:
        source: A file, a folder, whose subfolders count too, or ``-`` for standard input, a file's name a line.
        suffixes: What the names of files in a folder end with.

    Raises:
        ValueError: There are none.
    """
    if source == "-":
        names = [os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines() if line.strip()]
        if any("\0" in name for name in names):
            raise ValueError("standard input is to name files, a line each; it holds something else")
        return {name: Path(name) for name in names}
    folder = Path(source).expanduser()
    if not folder.is_dir():
        return {source: folder}
    known = {os.path.realpath(folder): folder}
    kept = [path for path in walk(folder, known) if path.suffix.lower() in (*suffixes, *UNREAD) and not path.is_dir()]
    if not kept:
        raise ValueError(f"{source} holds no file whose name ends in {', '.join(suffixes)}")
    return {str(path.relative_to(folder)): path for path in kept}


def is_image(path: Path) -> bool:
    """Return whether something is a file, or a link that leads nowhere, whose name ends as images' names do."""
    return path.suffix.lower() in SUFFIXES + UNREAD and (path.is_file() or not path.exists())


def walk(folder: Path, known: dict[str, Path]) -> Iterator[Path]:
    """Yield all visible files in a folder and its subfolders, and the folders in which it does not look.

    Args:
        folder: The folder. Links are followed, but not in a circle, and into no folder twice.
        known: By their true paths, the folders that have been looked into.
    """
    for path in visible(folder):
        if path.is_dir() and known.setdefault(os.path.realpath(path), path) == path:
            yield from walk(path, known)
        else:
            yield path


def _read(path: Path, channels: int, height: int, width: int) -> Tensor:
    # From a stream: a TIFF that lies on its side and is mapped into memory comes out garbled (Pillow 13).
    with open(path, "rb") as stream, PIL.Image.open(stream) as file:
        file.draft("RGB", (2 * width, 2 * height))  # large JPEGs are decoded at a fraction of their size
        # Pillow scales small and large samples to bytes, but not the colour that is to be transparent.
        scale = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}.get(str(file.tile[0][3]) if file.tile else "")
        if scale and (color := file.info.get("transparency")) is not None:
            file.info["transparency"] = tuple(int(v * scale) for v in color) if scale < 1 else int(color * scale)
        return to_pixels(_to_8_bits(PIL.ImageOps.exif_transpose(file), file), channels, height, width)


def _to_8_bits(image: PIL.Image.Image, file: Any) -> PIL.Image.Image:
    """Return grey of more than 8 bits as grey of 8; Pillow makes all above 255 white.

    Args:
        image: What was read.
        file: The image of Pillow that it was read from.

    Raises:
        ValueError: No value is white.
    """
    tags = file.tag_v2 if file.format == "TIFF" else {}
    if 2 in tags.get(SAMPLE_FORMAT, ()) or (image.mode == "I" and tags):
        raise ValueError("signed or 32-bit integers, of which none is white: save it with 8 or 16 bits")
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image).astype(np.float32)
    white = 1 if image.mode == "F" else 2 ** tags.get(BITS, (16,))[0] - 1
    if not -0.001 < values.min() <= values.max() < 1.001 * white:
        raise ValueError(f"values from {values.min():g} to {values.max():g}, where 0 is black and {white} white")
    values = 1 - values / white if tags.get(PHOTOMETRIC) == 0 else values / white
    grey = PIL.Image.fromarray((255 * values).round().astype(np.uint8))
    if (level := image.info.get("transparency")) is not None:
        grey.putalpha(PIL.Image.fromarray(np.asarray(image) != level).convert("L"))
    return grey


def _unreadable(path: str | Path, error: Exception) -> InputError:
    return InputError(f"cannot read the image {path}: {_why(error, Path(path))}")


def reason(error: InputError, name: str) -> str:
    """Return why ``read_image`` or ``check_image`` raised, without the path of the file."""
    return _why(error.__cause__ or error, Path(name))


def _why(error: BaseException, path: Path) -> str:
    if isinstance(error, PIL.UnidentifiedImageError):
        if path.suffix.lower() in UNREAD:
            return f"{path.suffix[1:].upper()} is not read: export it as JPEG"
        return "not an image that can be read"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
