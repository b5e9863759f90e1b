"""What a model shows, and the one place that knows how it is saved."""

import io
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import torch
from PIL import Image as PillowImage
from torch import Tensor

from dlplug.runs import write_atomically


class Media(ABC):
    """Something a person looks at."""

    suffix: ClassVar[str]

    @abstractmethod
    def encode(self) -> bytes:
        """Return the content of its file."""


@dataclass(frozen=True)
class Image(Media):
    """A picture, or many in a grid.

    Attributes:
        pixels: Shape (channels, height, width), or (n, channels, height, width) for a grid; 1 or 3 channels.
        low: The value that is black.
        high: The value that is white.
        columns: Pictures in a row of a grid; as many as make it square unless given.
    """

    pixels: Tensor
    low: float = 0.0
    high: float = 1.0
    columns: int | None = None

    suffix = "png"

    def encode(self) -> bytes:
        """Return a PNG, small pictures enlarged without blur so that a person can see them."""
        pixels = self.pixels.detach().float().cpu()
        if pixels.dim() not in (3, 4) or pixels.shape[-3] not in (1, 3):
            raise ValueError(f"an image has shape ([n,] 1 or 3, height, width), not {tuple(pixels.shape)}")
        levels = ((pixels - self.low) / (self.high - self.low)).nan_to_num().clamp(0, 1).mul(255).round().byte()
        picture = _grid(levels, self.columns) if levels.dim() == 4 else levels
        zoom = max(1, 480 // max(picture.shape[1:]))
        picture = picture.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
        array = picture.permute(1, 2, 0).expand(-1, -1, 3).numpy()  # (height, width, 3)
        file = io.BytesIO()
        PillowImage.fromarray(array).save(file, "PNG")
        return file.getvalue()


def _grid(pictures: Tensor, columns: int | None) -> Tensor:
    """Lay pictures (n, channels, height, width) out in rows, a grey line between them."""
    count, channels, height, width = pictures.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = torch.full((channels, rows * (height + 1) + 1, columns * (width + 1) + 1), 128, dtype=torch.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + 1) + 1, i % columns * (width + 1) + 1
        grid[:, top : top + height, left : left + width] = picture
    return grid


def save(media: Media, folder: Path, key: str, step: int) -> Path:
    """Save one medium of a run.

    Args:
        media: What to save.
        folder: The run folder.
        key: What it is called; any text.
        step: Batches trained so far.

    Returns:
        Its file, ``media/<key>/<step>.<suffix>``; characters that no file name may hold are written as ``%xx``.
    """
    name = quote(key, safe=" ").replace(".", "%2E")
    path = folder / "media" / name / f"{step:08d}.{media.suffix}"
    write_atomically(path, media.encode())
    return path
