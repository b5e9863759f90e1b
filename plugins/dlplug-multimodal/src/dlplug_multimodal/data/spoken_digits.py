"""Handwritten digits and the same digits spoken."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from dlplug.data import Batch, ImageInfo
from dlplug_multimodal.data.audio_visual import Labelled, Picked, SoundedImages, SoundedInfo
from dlplug_multimodal.data.espeak import RATE, speak
from dlplug_vision.data.mnist5k import MNIST5k

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = (
    *("apple", "bird", "cloud", "door", "earth", "flower", "garden", "house", "island", "jungle"),
    *("kitchen", "lemon", "mountain", "night", "ocean", "paper", "queen", "river", "summer", "table"),
    *("umbrella", "village", "window", "yellow"),
)
ACCENTS = ("en-us", "en-gb-scotland", "en-gb-x-rp", "en-029")
# Variants whose breath is not drawn at random, so that they sound the same each time they are made.
SPEAKERS = {
    "train": (
        *("m1", "m2", "m3", "m5", "m7", "m8", "Andy", "Lee", "Marco", "Michael", "belinda", "boris", "grandma"),
        *("grandpa", "klatt3", "pablo", "paul", "quincy", "anika", "announcer"),
    ),
    "val": ("m6", "f1", "Gene", "steph"),
    "test": ("m4", "f4", "Annie", "Jacky", "adam", "linda"),
}


class SpokenDigits(SoundedImages):
    """5,000 handwritten digits, each with the same digit spoken by one of many synthetic voices.

    The voices are 30 speakers with 4 accents of English each. Those of 20 speakers are heard in training, those of 4 in
    validation, those of 6 in the test: no voice of one is heard in another. The pictures are those of ``mnist5k``. All
    voices also say 24 words that are no digits, for a probe of what was learned beyond the digits.

    A pair is two of a kind: a digit's picture and any voice that says it. The speech is synthetic throughout.

    Source: eSpeak NG (GPL-3; package espeakng-loader, an extra: ``pip install 'dlplug-multimodal[speech]'``), made in
    seconds on the first use and kept in a cache folder of 65 MB; pictures as in ``mnist5k``.

    Args:
        pairs: Training pairs, at most 4,000.
        batch_size: Pairs a batch on each device.
        shift: Seconds by which a training sound is moved at most, to either side.
        speed: By how much one is played faster or slower at most, 0.1 for 10 %.
        hiss: Standard deviation of normal noise that is added to training sounds.
        picture_noise: Standard deviation of normal noise in all pictures, those that are tested on too.
        sound_noise: The same in all sounds, whose peak is 0.5.
    """

    def __init__(
        self,
        pairs: int = 4000,
        batch_size: int = 64,
        shift: float = 0.1,
        speed: float = 0.15,
        hiss: float = 0.01,
        picture_noise: float = 0.0,
        sound_noise: float = 0.0,
    ) -> None:
        super().__init__(batch_size, shift, speed, hiss, picture_noise, sound_noise)
        if not 10 <= pairs <= 4000:
            raise ValueError(f"pairs must be from 10 to 4000, not {pairs}")
        self.pairs = pairs

    def load(self) -> tuple[SoundedInfo, Mapping[str, Batch]]:
        """Read the pictures, have all voices speak, and pair the two."""
        speakers = [(split, each) for split, names in SPEAKERS.items() for each in names]
        voices = [(split, f"{accent}+{each}") for split, each in speakers for accent in ACCENTS]
        names = tuple(name for _, name in voices)
        spoken, (pictures, splits) = _material(names)
        self.heard = {split: [v for v, (of, _) in enumerate(voices) if of == split] for split in SPEAKERS}
        self.spoken = spoken
        info = SoundedInfo(pictures.channels, pictures.height, pictures.width, RATE, RATE, len(DIGITS), DIGITS, names)
        flat = spoken.flatten(0, 1)  # (voices × words, samples)
        found: dict[str, Batch] = {}
        for split, (images, labels) in splits.items():
            some = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[: self.pairs]
            images, labels = (images[some], labels[some]) if split == "train" else (images, labels)
            own = torch.tensor(self.heard[split])
            chosen = own[torch.randint(len(own), (len(labels),), generator=torch.Generator().manual_seed(1))]
            place = chosen * spoken.shape[1] + labels
            waves = Picked(flat, place) if split == "train" else flat[place]
            found[split] = (images, waves, labels, chosen)  # type: ignore[assignment]
        return info, self.disturbed(found)

    def probes(self, split: str) -> Mapping[str, tuple[Labelled, Labelled]]:
        """Return digits and other words, each said by the training voices and by the split's."""
        parts = {"digits": range(len(DIGITS)), "words": range(len(DIGITS), len(DIGITS) + len(WORDS))}
        return {name: (self._said(part, "train"), self._said(part, split)) for name, part in parts.items()}

    def _said(self, words: range, split: str) -> Labelled:
        spoken = self.spoken[self.heard[split], words.start : words.stop]  # (voices, words, samples)
        labels: Tensor = torch.arange(len(words)).repeat(len(spoken))
        return spoken.flatten(0, 1).float() / 32768, labels


@cache
def _material(voices: tuple[str, ...]) -> tuple[Tensor, tuple[ImageInfo, Mapping[str, Batch]]]:
    """Return what is said, shape (voices, words, samples), and the pictures: once a process, since claims fit often."""
    return torch.from_numpy(speak(voices, (*DIGITS, *WORDS))), MNIST5k().load()
