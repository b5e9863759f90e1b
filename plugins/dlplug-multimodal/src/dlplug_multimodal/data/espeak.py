"""Synthetic speech: words in many voices, from eSpeak NG.

As a program, ``python -m dlplug_multimodal.data.espeak FILE`` reads voices and words as JSON from its standard input
and writes the audio to FILE: what eSpeak says depends on what it has said before, so each collection is synthesised in
one order by a process of its own.
"""

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

from dlplug.files import write_atomically
from dlplug_multimodal.data.wav import resample

SAMPLE_RATE = 8000  # of what is returned
PACKAGE = "espeakng-loader"
MISSING = "this speech is made by eSpeak NG, which is not installed: pip install 'dlplug-multimodal[speech]'"
VERSION = 1  # of what is done to the audio here; a change makes what is cached anew
QUIET = 0.02  # share of the peak below which the ends are cut off
PEAK = 0.5  # of each word's samples, so that all are equally loud
DIGEST = 32  # bytes of SHA-256 that a cached file starts with

# Numbers of the C interface, speak_lib.h.
SYNCHRONOUS, CHARACTERS, UTF8 = 2, 1, 1

Audio = npt.NDArray[np.int16]


def speak(voices: Sequence[str], words: Sequence[str], folder: Path | None = None) -> Audio:
    """Return each word in each voice: one second, the word in its middle, all equally loud.

    The audio is cached with its checksum, so that the same words sound the same in each run.

    Args:
        voices: As eSpeak names them, such as ``"en-us+m3"``: an accent and a variant, which is a speaker.
        words: What they say.
        folder: Where it is cached; a cache folder of the user's unless given.

    Returns:
        16-bit samples, ``SAMPLE_RATE`` a second, shape (voices, words, SAMPLE_RATE).

    Raises:
        ValueError: eSpeak NG is not installed, or does not know a voice.
    """
    if importlib.util.find_spec(PACKAGE.replace("-", "_")) is None:
        raise ValueError(MISSING)
    request = json.dumps({"voices": list(voices), "words": list(words)})
    made_by = f"{VERSION} {importlib.metadata.version(PACKAGE)} {request}"
    name = f"speech-{hashlib.sha256(made_by.encode()).hexdigest()[:16]}"
    path = (folder or user_cache_path("dlplug")) / name
    audio = _read_cached(path)
    if audio is None:
        audio, buffer = _synthesise_apart(request), io.BytesIO()
        np.save(buffer, audio)
        write_atomically(path, hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    return audio


def _read_cached(path: Path) -> Audio | None:
    """Return the cached audio, or None where there is none or it was changed."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
        return None
    cached: Audio = np.load(io.BytesIO(content[DIGEST:]))
    return cached


def _synthesise_apart(request: str) -> Audio:
    """Synthesise in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audio.npy"
        line = [sys.executable, "-m", "dlplug_multimodal.data.espeak", str(path)]
        done = subprocess.run(line, input=request, capture_output=True, text=True, check=False)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ValueError(f"eSpeak NG failed: {why}")
        audio: Audio = np.load(path)
        return audio


def _synthesise(voices: Sequence[str], words: Sequence[str]) -> Audio:
    """Return what eSpeak says, in this process."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = str(espeakng_loader.get_data_path()).encode()
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
    if rate <= 0:
        raise ValueError(f"eSpeak NG cannot start with its data in {data.decode()}")
    pieces: list[Audio] = []

    def collect(samples: Any, count: int, events: int) -> int:
        if count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0  # continue

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = kind(collect)  # the name keeps it from being garbage-collected
    library.espeak_SetSynthCallback(callback)
    audio = np.zeros((len(voices), len(words), SAMPLE_RATE), np.int16)
    for v, voice in enumerate(voices):
        if library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"unknown voice {voice!r}")
        for w, word in enumerate(words):
            pieces.clear()
            text = word.encode()
            library.espeak_Synth(text, len(text) + 1, 0, CHARACTERS, 0, UTF8, None, None)
            audio[v, w] = _fit(np.concatenate(pieces), rate)
    return audio


def _fit(spoken: Audio, rate: int) -> Audio:
    """Return one second with the word in its middle, trimmed and normalised to the peak."""
    wave = resample(spoken.astype(np.float32), rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(wave) > QUIET * np.abs(wave).max())
    wave = wave[loud[0] : loud[-1] + 1][:SAMPLE_RATE]
    start = (SAMPLE_RATE - len(wave)) // 2
    second = np.zeros(SAMPLE_RATE, np.int16)
    second[start : start + len(wave)] = np.round(wave * (PEAK * 32767 / np.abs(wave).max()))
    return second


if __name__ == "__main__":
    request = json.load(sys.stdin)
    np.save(sys.argv[1], _synthesise(request["voices"], request["words"]))
