"""Sound as a row of numbers: reading it, changing its rate, cutting it to length."""

import math
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import resample_poly
from torch import Tensor

from dlplug.errors import InputError

Samples = npt.NDArray[np.float32]


def to_rate(samples: Samples, before: int, after: int) -> Samples:
    """Return sound at another rate.

    Args:
        samples: Shape (n,).
        before: Samples a second.
        after: Those of what is returned.
    """
    common = math.gcd(before, after)
    changed: Samples = resample_poly(samples, after // common, before // common).astype(np.float32)
    return changed


def read_wav(path: str | Path, rate: int) -> Tensor:
    """Return a WAV file's sound, its channels averaged, from -1 to 1, shape (samples,).

    Args:
        path: A file of 8, 16, 24 or 32-bit samples, uncompressed.
        rate: Samples a second of what is returned.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, before = file.getnchannels(), file.getsampwidth(), file.getframerate()
            content = np.frombuffer(file.readframes(file.getnframes()), np.uint8)
    except (OSError, EOFError, wave.Error) as error:
        raise InputError(f"{path} is no WAV file that can be read: {error or 'it ends too early'}") from error
    each = content[: len(content) // (width * channels) * width * channels].reshape(-1, width)  # (values, bytes)
    if width == 1:
        values = each[:, 0].astype(np.float32) - 128  # unlike the wider ones these have no sign
    else:
        wide = np.zeros((len(each), 4), np.uint8)  # little-endian, its last byte has the sign
        wide[:, 4 - width :] = each
        values = wide.view("<i4")[:, 0].astype(np.float32) / 2 ** (32 - 8 * width)
    if not len(values):
        raise InputError(f"{path} holds no sound")
    mono = values.reshape(-1, channels).mean(1) / 2 ** (8 * width - 1)
    return torch.from_numpy(to_rate(mono, before, rate))


def cut(sound: Tensor, samples: int) -> Tensor:
    """Return a sound in pieces of one length, shape (pieces, samples); one that is shorter stands in the middle.

    Args:
        sound: Shape (n,). What is left after the last whole piece is left out.
        samples: Length of a piece.
    """
    if len(sound) < samples:
        before = (samples - len(sound)) // 2
        return torch.nn.functional.pad(sound, (before, samples - len(sound) - before))[None]
    return sound[: len(sound) // samples * samples].view(-1, samples)
