"""What a model shows, and the one place that knows how it is saved."""

import csv
import io
import math
import wave
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import numpy as np
import torch
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from dlplug.files import data_uri, write_atomically

# Paths as arguments of `generate` and `demos`: a page offers what gives such a file, and leaves out what is written to.
ImageFile = Annotated[str, "image file"]
SoundFile = Annotated[str, "sound file"]
TextFile = Annotated[str, "text file"]
OutputFile = Annotated[str, "output file"]


class Media(ABC):
    """Something a person looks at."""

    suffix: ClassVar[str]

    @abstractmethod
    def encode(self) -> bytes:
        """Return the content of its file."""

    def _repr_png_(self) -> bytes | None:
        """Return what a notebook shows of a picture."""
        return self.encode() if self.suffix == "png" else None

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows of all else."""
        return None


@dataclass(frozen=True)
class Image(Media):
    """A picture, or many in a grid.

    Attributes:
        pixels: Shape (channels, height, width), or (n, channels, height, width) for a grid; 1 or 3 channels.
        low: The value that is black.
        high: The value that is white.
        columns: Pictures in a row of a grid; as many as make it square unless given.
        caption: What is seen; kept in the file.
    """

    pixels: Tensor
    low: float = 0.0
    high: float = 1.0
    columns: int | None = None
    caption: str = ""

    suffix = "png"

    def encode(self) -> bytes:
        """Return a PNG, small pictures enlarged without blur so that a person can see them."""
        caption = PngInfo()
        if self.caption:
            caption.add_itxt("Description", self.caption)
        file = io.BytesIO()
        picture = _picture(self.pixels, self.low, self.high, self.columns)
        picture.save(file, "PNG", pnginfo=caption)
        return file.getvalue()


@dataclass(frozen=True)
class Video(Media):
    """A moving picture.

    Attributes:
        frames: Shape (frames, channels, height, width), or (frames, n, channels, height, width) for grids; 1 or 3
            channels.
        low: The value that is black.
        high: The value that is white.
        rate: Frames a second.
    """

    frames: Tensor
    low: float = 0.0
    high: float = 1.0
    rate: float = 10.0

    suffix = "gif"

    def encode(self) -> bytes:
        """Return a GIF that repeats for ever."""
        first, *rest = [_picture(frame, self.low, self.high, None) for frame in self.frames]
        file = io.BytesIO()
        first.save(file, "GIF", save_all=True, append_images=rest, duration=round(1000 / self.rate), loop=0)
        return file.getvalue()

    def _repr_html_(self) -> str:
        return f'<img src="{data_uri(self.encode(), "image/gif")}">'


@dataclass(frozen=True)
class Audio(Media):
    """A sound.

    Attributes:
        samples: Shape (samples,), from -1 to 1; what is beyond is cut off.
        sample_rate: Samples a second.
    """

    samples: Tensor
    sample_rate: int

    suffix = "wav"

    def encode(self) -> bytes:
        """Return a WAV file of 16 bits and one channel."""
        if self.samples.dim() != 1:
            raise ValueError(f"a sound has shape (samples,), not {tuple(self.samples.shape)}")
        levels = self.samples.detach().float().cpu().nan_to_num().clamp(-1, 1).mul(32767).round()
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setparams((1, 2, self.sample_rate, 0, "NONE", ""))
            written.writeframes(levels.numpy().astype("<i2").tobytes())
        return file.getvalue()

    def _repr_html_(self) -> str:
        return f'<audio controls src="{data_uri(self.encode(), "audio/wav")}"></audio>'


@dataclass(frozen=True)
class Text(Media):
    """Words.

    Attributes:
        text: Any text.
    """

    text: str

    suffix = "txt"

    def encode(self) -> bytes:
        """Return it as UTF-8."""
        return self.text.encode()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


@dataclass(frozen=True)
class Table(Media):
    """Rows under named columns.

    Attributes:
        columns: The columns' names.
        rows: A value for each column, row by row.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    suffix = "csv"

    def encode(self) -> bytes:
        """Return a CSV file with a heading line."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue().encode()

    def _repr_html_(self) -> str:
        lines = [("th", self.columns), *(("td", row) for row in self.rows)]
        rows = ("".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) for tag, cells in lines)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


class Figure(Media):
    """A figure of matplotlib's, kept as a picture, or of plotly's, kept as data that a page draws.

    Args:
        figure: A ``matplotlib.figure.Figure`` or ``plotly.graph_objects.Figure``; neither library is needed here.

    Raises:
        TypeError: It is neither.
    """

    def __init__(self, figure: Any) -> None:
        if not (hasattr(figure, "savefig") or hasattr(figure, "to_json")):
            raise TypeError(f"{type(figure).__name__} is not a figure of matplotlib or plotly")
        self.figure = figure

    @property
    def suffix(self) -> str:  # type: ignore[override]
        """``png`` or ``json``."""
        return "png" if hasattr(self.figure, "savefig") else "json"

    def encode(self) -> bytes:
        """Return a PNG, or plotly's JSON."""
        if self.suffix == "json":
            return str(self.figure.to_json()).encode()
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=120, bbox_inches="tight")
        return file.getvalue()

    def svg(self) -> bytes | None:
        """Return it as SVG, which a slide scales; None for a figure of plotly's."""
        if self.suffix == "json":
            return None
        file = io.BytesIO()
        self.figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        return file.getvalue()

    def _repr_html_(self) -> str | None:
        return str(self.figure._repr_html_()) if self.suffix == "json" else None  # matplotlib's returns None


def _picture(pixels: Tensor, low: float, high: float, columns: int | None) -> PillowImage.Image:
    """Return a picture, or a grid of pictures, enlarged to about 480 pixels."""
    pixels = pixels.detach().float().cpu()
    if pixels.dim() not in (3, 4) or pixels.shape[-3] not in (1, 3) or not pixels.numel():
        raise ValueError(f"an image has shape ([n,] 1 or 3, height, width), not {tuple(pixels.shape)}")
    if not low < high:
        raise ValueError(f"low must be below high, not {low} and {high}")
    levels = ((pixels - low) / (high - low)).nan_to_num().clamp(0, 1).mul(255).round().byte()
    picture = _grid(levels, columns) if levels.dim() == 4 else levels
    zoom = max(1, 480 // max(picture.shape[1:]))
    picture = picture.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
    return PillowImage.fromarray(picture.permute(1, 2, 0).expand(-1, -1, 3).numpy())  # (height, width, 3)


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


def of(value: Any) -> Media:
    """Return what a model's ``generate`` gives as a medium.

    Args:
        value: A medium, text, a picture of Pillow's, or a tensor or array: images of shape ([n,] 1 or 3, height,
            width), floats from 0 to 1 or bytes, an array also of shape (height, width, 1 or 3), or numbers of shape
            (n,) or (n, k).

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, Media):
        return value
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, PillowImage.Image):
        value = np.array(value.convert("RGB"))  # a copy, since torch wants one that can be written to
    if isinstance(value, np.ndarray) and value.ndim == 3 and value.shape[0] not in (1, 3) and value.shape[2] in (1, 3):
        value = value.transpose(2, 0, 1)  # as NumPy, Pillow and Matplotlib have pictures
    if isinstance(value, Tensor | np.ndarray):
        numbers = torch.as_tensor(value).detach().cpu()
        if numbers.dim() > 2:
            return Image(numbers, high=255.0 if numbers.dtype == torch.uint8 else 1.0)
        rows = numbers.reshape(len(numbers) if numbers.dim() else 1, -1).tolist()
        return Table([str(column) for column in range(len(rows[0]) if rows else 0)], rows)
    raise ValueError(
        f"{type(value).__name__} is nothing to look at: give text, an image, a tensor or a dlplug.media one"
    )


def save(media: Media, folder: Path, key: str, step: int) -> Path:
    """Save one medium of a run.

    Args:
        media: What to save.
        folder: The run folder.
        key: What it is called; any text.
        step: Batches trained so far.

    Returns:
        Its file, ``media/<key>/<step>.<suffix>``, where the key is written as ``file_name`` says.
    """
    path = folder / "media" / file_name(key) / f"{step:08d}.{media.suffix}"
    write_atomically(path, media.encode(), inside=folder)
    return path


def file_name(key: str) -> str:
    """Return a key as a file name, characters that no file name may hold as ``%xx``, for ``unquote`` to read back."""
    return quote(key, safe=" ").replace(".", "%2E") or "%"


def send(media: Media, key: str, path: Path, step: int, loggers: Iterable[object]) -> None:
    """Send a saved medium to the loggers that can show it, which say so with a method ``log_media``."""
    for logger in loggers:
        if show := getattr(logger, "log_media", None):
            show(key, media, path, step)
