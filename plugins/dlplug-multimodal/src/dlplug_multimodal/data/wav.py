"""WAV files: reading them, resampling, cutting to length."""

import math
import struct
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.io import wavfile
from scipy.signal import resample_poly
from torch import Tensor

from dlplug.errors import InputError

Samples = npt.NDArray[np.float32]


def resample(samples: Samples, old_rate: int, new_rate: int) -> Samples:
    """Return sound at another sample rate.

    Args:
        samples: Shape (n,).
        old_rate: Samples a second.
        new_rate: Those of what is returned.
    """
    common = math.gcd(old_rate, new_rate)
    resampled: Samples = resample_poly(samples, new_rate // common, old_rate // common).astype(np.float32)
    return resampled


def read_wav(path: str | Path, sample_rate: int) -> Tensor:
    """Return a WAV file's sound, its channels averaged, from -1 to 1, shape (samples,).

    Args:
        path: A file of 8, 16, 24 or 32-bit integers or of floats, uncompressed.
        sample_rate: Samples a second of what is returned.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks beside the sound, such as titles
            rate, values = wavfile.read(path)
    except (OSError, ValueError, struct.error) as error:
        raise InputError(f"{path} is not a WAV file that can be read: {error or 'it ends too early'}") from error
    if not values.size:
        raise InputError(f"{path} holds no sound")
    if values.dtype == np.uint8:  # unlike the wider integers these have no sign
        samples = (values.astype(np.float32) - 128) / 128
    else:  # 24 bits come as 32, the lowest 8 of them 0
        samples = values.astype(np.float32) / (-float(np.iinfo(values.dtype).min) if values.dtype.kind == "i" else 1)
    return torch.from_numpy(resample(samples.reshape(len(samples), -1).mean(1), rate, sample_rate))


def chunk(sound: Tensor, samples: int) -> Tensor:
    """Return a sound in chunks of one length, shape (chunks, samples); a shorter sound is padded at both ends.

    Args:
        sound: Shape (n,). What is left after the last whole chunk is dropped.
        samples: Length of a chunk.
    """
    if len(sound) < samples:
        left = (samples - len(sound)) // 2
        return torch.nn.functional.pad(sound, (left, samples - len(sound) - left))[None]
    return sound[: len(sound) // samples * samples].view(-1, samples)
