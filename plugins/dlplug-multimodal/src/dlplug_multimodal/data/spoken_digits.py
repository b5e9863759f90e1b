"""Handwritten digits and the same digits spoken."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from dlplug.data import Batch, ImageInfo
from dlplug_multimodal.data.audio_visual import AudioVisualData, AudioVisualInfo, IndexedTensor, LabelledSounds
from dlplug_multimodal.data.espeak import SAMPLE_RATE, speak
from dlplug_multimodal.data.tagged_images import to_float
from dlplug_vision.data.mnist5k import MNIST5k

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = (
    *("apple", "bird", "cloud", "door", "earth", "flower", "garden", "house", "island", "jungle"),
    *("kitchen", "lemon", "mountain", "night", "ocean", "paper", "queen", "river", "summer", "table"),
    *("umbrella", "village", "window", "yellow"),
)
ACCENTS = ("en-us", "en-gb-scotland", "en-gb-x-rp", "en-029")
# Variants whose breath eSpeak does not draw at random, so that they sound the same each time.
SPEAKERS = {
    "train": (
        *("m1", "m2", "m3", "m5", "m7", "m8", "Andy", "Lee", "Marco", "Michael", "belinda", "boris", "grandma"),
        *("grandpa", "klatt3", "pablo", "paul", "quincy", "anika", "announcer"),
    ),
    "val": ("m6", "f1", "Gene", "steph"),
    "test": ("m4", "f4", "Annie", "Jacky", "adam", "linda"),
}


class SpokenDigits(AudioVisualData):
    """5,000 handwritten digits, each with the same digit spoken by one of many synthetic voices.

    The voices are 30 speakers with 4 accents of English each. Those of 20 speakers are heard in training, those of 4 in
    validation, those of 6 in the test: no voice is in two splits. The images are those of ``mnist5k``. All voices also
    say 24 other words, for a probe of what was learned beyond the digits.

    A pair is a digit's image and any voice that says it. The speech is synthetic throughout.

    Source: eSpeak NG (GPL-3; package espeakng-loader, an extra: ``pip install 'dlplug-multimodal[speech]'``), made in
    seconds on the first use and kept in a cache folder of 65 MB; images as in ``mnist5k``.

    Args:
        pairs: Training pairs, at most 4,000.
    """

    def __init__(self, pairs: int = 4000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 10 <= pairs <= 4000:
            raise ValueError(f"pairs must be from 10 to 4000, not {pairs}")
        self.pairs = pairs

    def load(self) -> tuple[AudioVisualInfo, Mapping[str, Batch]]:
        """Read the images, have all voices speak, and pair the two."""
        speakers = [(split, each) for split, names in SPEAKERS.items() for each in names]
        voices = [(split, f"{accent}+{each}") for split, each in speakers for accent in ACCENTS]
        names = tuple(name for _, name in voices)
        spoken, (seen, splits) = _speech_and_digits(names)
        self.voices = {split: [v for v, (of, _) in enumerate(voices) if of == split] for split in SPEAKERS}
        self.spoken = spoken
        shape = seen.channels, seen.height, seen.width
        info = AudioVisualInfo(*shape, SAMPLE_RATE, SAMPLE_RATE, len(DIGITS), DIGITS, names)
        flat = spoken.flatten(0, 1)  # (voices × words, samples)
        pairs: dict[str, Batch] = {}
        for split, (images, labels) in splits.items():
            some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[: self.pairs]
            images, labels = (images[some], labels[some]) if split == "train" else (images, labels)
            own = torch.tensor(self.voices[split])
            chosen = own[torch.randint(len(own), (len(labels),), generator=torch.Generator().manual_seed(1))]
            place = chosen * spoken.shape[1] + labels
            waves = IndexedTensor(flat, place) if split == "train" else flat[place]
            pairs[split] = (images, waves, labels, chosen)  # type: ignore[assignment]
        return info, self.with_fixed_noise(pairs)

    def probes(self, split: str) -> Mapping[str, tuple[LabelledSounds, LabelledSounds]]:
        """Return digits and other words, each said by the training voices and by the split's."""
        parts = {"digits": range(len(DIGITS)), "words": range(len(DIGITS), len(DIGITS) + len(WORDS))}
        return {name: (self._sounds(part, "train"), self._sounds(part, split)) for name, part in parts.items()}

    def _sounds(self, words: range, split: str) -> LabelledSounds:
        spoken = self.spoken[self.voices[split], words.start : words.stop]  # (voices, words, samples)
        labels: Tensor = torch.arange(len(words)).repeat(len(spoken))
        return to_float(spoken.flatten(0, 1)), labels


@cache
def _speech_and_digits(voices: tuple[str, ...]) -> tuple[Tensor, tuple[ImageInfo, Mapping[str, Batch]]]:
    """Return the speech, shape (voices, words, samples), and the digits: once a process, since claims fit often."""
    return torch.from_numpy(speak(voices, (*DIGITS, *WORDS))), MNIST5k().load()
