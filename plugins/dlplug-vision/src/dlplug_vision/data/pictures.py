"""A person's own pictures, as tensors."""

from collections.abc import Iterable
from pathlib import Path

import PIL.Image
import PIL.ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional

from dlplug.console import say
from dlplug.errors import InputError

NAMED = 10


def read_picture(path: str | Path, channels: int, height: int, width: int) -> Tensor:
    """Return a picture upright, scaled and cut to a size, on white where it is transparent.

    Args:
        path: Its file, of any kind that Pillow reads.
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
    except Exception as error:  # what a damaged picture makes a decoder raise is anyone's guess
        raise InputError(f"cannot read the picture {path}: {_reason(error)}") from error


def read_pictures(root: Path, names: Iterable[str], channels: int, side: int) -> dict[str, Tensor]:
    """Return squares of a folder's pictures by name; those that cannot be read are named in a line and left out.

    Args:
        root: The folder.
        names: Files in it.
        channels: As for ``read_picture``, as is the rest.
        side: Rows and columns.
    """
    found, unreadable = {}, []
    for name in names:
        try:
            found[name] = _read(root / name, channels, side, side)
        except Exception as error:  # as above
            unreadable.append(f"{name} ({_reason(error)})")
    if unreadable:
        more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
        count = f"{len(unreadable)} of {len(unreadable) + len(found)} pictures in {root}"
        say(f"left out, since they cannot be read, {count}: {', '.join(unreadable[:NAMED])}{more}")
    return found


def _read(path: Path, channels: int, height: int, width: int) -> Tensor:
    with PIL.Image.open(path) as file:
        file.draft("RGB", (2 * width, 2 * height))  # large JPEGs are decoded at a fraction of their size
        picture = PIL.ImageOps.exif_transpose(file).convert("RGBA")
    picture = PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB" if channels == 3 else "L")
    scale = max(height / picture.height, width / picture.width)
    near = [max(height, round(picture.height * scale)), max(width, round(picture.width * scale))]
    pixels: Tensor = functional.pil_to_tensor(functional.center_crop(functional.resize(picture, near), [height, width]))
    return pixels


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "it is no picture"
    return f"{type(error).__name__}: {error}"
