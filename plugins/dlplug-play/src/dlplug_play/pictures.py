"""A drawn or photographed picture, brought to how the pictures that a model was trained on lie in their frame."""

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dlplug.errors import InputError

Array = NDArray[Any]
PNG = "data:image/png;base64,"
PIXELS, LARGEST = 50_000_000, 1024  # of an upload, and the longer side that is looked at
INK, FLAT = 0.25, 0.15  # what differs from the background by so much of the range is drawn; by so little is flat


@dataclass(frozen=True)
class Frame:
    """How pictures lie in their frame.

    Attributes:
        background: Of each channel, from 0 to 1.
        size: The longer side of what is drawn, as a share of the frame.
        by_mass: Whether the centre of mass is in the middle, not that of the box.
    """

    background: tuple[float, ...]
    size: float
    by_mass: bool

    @classmethod
    def measure(cls, images: Array) -> "Frame | None":
        """Return how images (n, channels, height, width) from 0 to 1 lie; None where they fill their frames."""
        border = np.concatenate([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], axis=-1)
        background = np.median(border, axis=(0, 2))  # (channels,)
        if (np.abs(border - background[:, None]).max(1) > FLAT).mean() > 0.1:
            return None
        inks = [ink for ink in np.abs(images - background[:, None, None]).max(1) if (ink > INK).any()]
        if not inks:
            return None
        boxes = [_box(ink) for ink in inks]
        sizes = [max(bottom - top, right - left) for top, bottom, left, right in boxes]
        middles = [((top + bottom) / 2, (left + right) / 2) for top, bottom, left, right in boxes]
        spread = [np.var(points, axis=0).sum() for points in ([_mass(ink) for ink in inks], middles)]
        size = float(np.median(sizes)) / max(images.shape[2:])
        return cls(tuple(map(float, background)), size, bool(spread[0] < spread[1]))


def fit(picture: Image.Image, shape: tuple[int, int, int], frame: Frame | None) -> tuple[Image.Image, str]:
    """Return a picture as a model takes it, and what was done to it, in words.

    Args:
        picture: Of any mode; what is transparent was not drawn on.
        shape: Channels, height and width.
        frame: How the pictures of the data lie; None to scale and crop it whole.

    Raises:
        InputError: Nothing is drawn.
    """
    channels, height, width = shape
    mode = "RGB" if channels == 3 else "L"
    whole = picture.convert("RGBA")
    pixels = np.asarray(whole, dtype=np.float32) / 255
    alpha = pixels[..., 3]
    if alpha.max() == 0:
        raise InputError("draw something")
    if frame is None:
        paper = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
        return ImageOps.fit(paper.convert(mode), (width, height)), f"scaled and cropped to {width}×{height} pixels"
    if alpha.min() > 0:  # a photograph or a file: what differs from its border is drawn
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])[:, :3]
        distance = np.abs(pixels[..., :3] - np.median(border, axis=0)).max(-1)
        alpha = np.clip((distance / max(float(distance.max()), INK) - INK) * 2, 0, 1)
        if not (alpha > INK).any():
            raise InputError("nothing stands out from the picture's border")
    top, bottom, left, right = _box(alpha)
    scale = frame.size * max(height, width) / max(bottom - top, right - left)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    background = np.array(frame.background, dtype=np.float32)
    light = float(background.mean() < 0.5)
    ink = np.full((*alpha.shape, 1), light, dtype=np.float32) if channels == 1 else pixels[..., :3]
    small, colours = (_resize(a[top:bottom, left:right], size) for a in (alpha, ink))
    y, x = _mass(small[..., 0]) if frame.by_mass else (size[1] / 2, size[0] / 2)
    y0 = min(max(round(height / 2 - y), 0), max(0, height - size[1]))
    x0 = min(max(round(width / 2 - x), 0), max(0, width - size[0]))
    result = np.broadcast_to(background, (height, width, channels)).copy()
    part = result[y0 : y0 + size[1], x0 : x0 + size[0]]
    rows, columns = part.shape[:2]
    part += small[:rows, :columns] * (colours[:rows, :columns] - part)
    levels = np.round(np.clip(result, 0, 1) * 255).astype(np.uint8)
    colour = (", white on black" if light else ", black on white") if channels == 1 else ""
    centre = "its centre of mass in the middle" if frame.by_mass else "in the middle"
    told = f"scaled to {max(size)} of {max(height, width)} pixels, {centre}{colour}: as the data are"
    return Image.fromarray(levels[..., 0] if channels == 1 else levels), told


def read_pad(url: str) -> Image.Image | None:
    """Return what is drawn on a pad, a PNG in a data URL; None where nothing is.

    Raises:
        InputError: It is damaged.
    """
    try:
        content = base64.b64decode(url.removeprefix(PNG), validate=True)
    except ValueError as error:
        raise InputError("the drawing cannot be read") from error
    picture = read_picture(BytesIO(content)) if content else None
    return picture if picture and picture.getchannel("A").getbbox() else None


def read_picture(file: str | BytesIO) -> Image.Image:
    """Return a picture upright, with transparency, no larger than a person draws.

    Raises:
        InputError: It is damaged or has too many pixels.
    """
    try:
        with Image.open(file) as opened:
            pixels = opened.width * opened.height
            picture = ImageOps.exif_transpose(opened).convert("RGBA") if pixels <= PIXELS else None
    except Exception as error:  # what a damaged image makes a decoder raise is anyone's guess
        raise InputError("that picture cannot be read") from error
    if picture is None:
        raise InputError(f"that picture has {pixels / 1e6:.0f} million pixels: {PIXELS / 1e6:.0f} at most")
    picture.thumbnail((LARGEST, LARGEST))
    return picture


def frame_of(run: Any) -> Frame | None:
    """Return how the pictures of a run's data lie; None where its data cannot be read, or fill their frames."""
    try:
        data = run.data
        images = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)[0]
        return Frame.measure(images.float().numpy())
    except Exception:  # whatever a data module raises: its files may be gone
        return None


def _box(ink: Array) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _mass(ink: Array) -> tuple[float, float]:
    total = float(ink.sum())
    y, x = (float((ink.sum(axis) * (np.arange(ink.shape[1 - axis]) + 0.5)).sum()) / total for axis in (1, 0))
    return y, x


def _resize(pixels: Array, size: tuple[int, int]) -> Array:
    """Return channels (height, width[, channels]) at another size, averaged over what each pixel covers."""
    planes = np.atleast_3d(pixels)
    resized = [Image.fromarray(planes[..., c]).resize(size, Image.Resampling.BOX) for c in range(planes.shape[2])]
    return np.stack([np.asarray(plane, dtype=np.float32) for plane in resized], axis=-1)
