"""Image files as tensors."""

from collections.abc import Iterable
from pathlib import Path

import PIL.Image
import PIL.ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional

from dlplug.console import say
from dlplug.errors import InputError

MAX_NAMED = 10  # unreadable files named in the warning


def read_image(path: str | Path, channels: int, height: int, width: int) -> Tensor:
    """Read an image upright, resized and center-cropped, on white where it is transparent.

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
        raise InputError(f"cannot read the image {path}: {_reason(error)}") from error


def read_images(root: Path, names: Iterable[str], channels: int, size: int) -> dict[str, Tensor]:
    """Read a folder's images as squares, by file name; those that cannot be read are named in a line and left out.

    Args:
        root: The folder.
        names: Files in it.
        channels: As for ``read_image``, as is the rest.
        size: Rows and columns.
    """
    images, unreadable = {}, []
    for name in names:
        try:
            images[name] = _read(root / name, channels, size, size)
        except Exception as error:  # as above
            unreadable.append(f"{name} ({_reason(error)})")
    if unreadable:
        more = f" and {len(unreadable) - MAX_NAMED} more" if len(unreadable) > MAX_NAMED else ""
        count = f"{len(unreadable)} of {len(unreadable) + len(images)} images in {root}"
        say(f"left out, since they cannot be read, {count}: {', '.join(unreadable[:MAX_NAMED])}{more}")
    return images


def _read(path: Path, channels: int, height: int, width: int) -> Tensor:
    with PIL.Image.open(path) as file:
        file.draft("RGB", (2 * width, 2 * height))  # large JPEGs are decoded at a fraction of their size
        image = PIL.ImageOps.exif_transpose(file).convert("RGBA")
    image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB" if channels == 3 else "L")
    scale = max(height / image.height, width / image.width)
    resized = functional.resize(
        image, [max(height, round(image.height * scale)), max(width, round(image.width * scale))]
    )
    pixels: Tensor = functional.pil_to_tensor(functional.center_crop(resized, [height, width]))
    return pixels


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "not an image"
    return f"{type(error).__name__}: {error}"
