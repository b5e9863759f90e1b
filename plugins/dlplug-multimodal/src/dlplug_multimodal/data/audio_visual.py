"""Pictures with sounds: what data sets of them share."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dlplug.data import Batch, Info, TensorData
from dlplug.errors import InputError

Labelled = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class SoundedInfo(Info):
    """Pictures of one size, of values from 0 to 1, each with a sound of one length, of values from -1 to 1.

    Attributes:
        channels: 1 for grey pictures, 3 for colour.
        height: Their rows.
        width: Their columns.
        samples: Samples of a sound.
        rate: Samples a second.
        classes: Number of classes that pictures and sounds are of; 0 where they have no labels.
        labels: Their names.
        voices: Names of the voices that are heard; empty where they are not known.
    """

    channels: int
    height: int
    width: int
    samples: int
    rate: int
    classes: int = 0
    labels: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()

    def __str__(self) -> str:
        picture = f"{self.channels}×{self.height}×{self.width} images"
        return f"{picture} with {self.samples / self.rate:g} s of sound, {self.rate} samples a second"


class Picked:
    """A few items in any order and as often as one likes, without a copy of them.

    Args:
        items: Shape (items, ...).
        index: Which, shape (n,).
    """

    def __init__(self, items: Tensor, index: Tensor) -> None:
        self.items, self.index = items, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, places: Tensor) -> Tensor:
        return self.items[self.index[places]]


class SoundedImages(TensorData):
    """Pictures with sounds, in memory.

    Batches are (pictures from 0 to 1, shape (n, channels, height, width); sounds from -1 to 1, shape (n, samples);
    labels (n,), -1 where there is none; voices (n,), likewise). Bytes and 16-bit samples stay such until a batch is
    prepared.

    Args:
        batch_size: Pairs a batch on each device.
        shift: Seconds by which a training sound is moved at most, to either side.
        speed: By how much one is played faster or slower at most, 0.1 for 10 %.
        hiss: Standard deviation of normal noise that is added to training sounds.
        picture_noise: Standard deviation of normal noise in all pictures, those that are tested on too.
        sound_noise: The same in all sounds, whose peak is 0.5.
    """

    def __init__(
        self,
        batch_size: int = 64,
        shift: float = 0.1,
        speed: float = 0.15,
        hiss: float = 0.01,
        picture_noise: float = 0.0,
        sound_noise: float = 0.0,
    ) -> None:
        super().__init__(batch_size)
        if not 0 <= shift < 1 or not 0 <= speed < 1 or min(hiss, picture_noise, sound_noise) < 0:
            raise InputError(
                "shift and speed must be from 0 to below 1, hiss, picture_noise and sound_noise at least 0, not "
                f"{shift}, {speed}, {hiss}, {picture_noise} and {sound_noise}"
            )
        self.shift, self.speed, self.hiss = shift, speed, hiss
        self.picture_noise, self.sound_noise = picture_noise, sound_noise

    def prepare_batch(self, batch: Batch) -> Batch:
        """Return bytes and 16-bit samples as floats, noise in them, sounds changed at random in training."""
        pictures, waves, labels, voices = batch
        pictures, waves = _floats(pictures, waves)
        if self.trainer is not None and self.trainer.training:
            waves = vary(waves, round(self.shift * self.info.rate), self.speed)  # type: ignore[attr-defined]
            waves = waves + self.hiss * torch.randn_like(waves) if self.hiss else waves
            pictures, waves = self._disturb(pictures, waves)
        return pictures, waves, labels, voices

    def disturbed(self, columns: Mapping[str, Batch]) -> Mapping[str, Batch]:
        """Return splits whose noise is drawn once for all, as those that are measured on must be."""
        if not self.picture_noise and not self.sound_noise:
            return columns
        found = dict(columns)
        for name in found.keys() - {"train"}:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                pictures, waves, *rest = found[name]
                found[name] = (*self._disturb(*_floats(pictures, waves)), *rest)
        return found

    def probes(self, split: str) -> Mapping[str, tuple[Labelled, Labelled]]:
        """Return what a linear probe learns from and is measured on, by its name; nothing where there are no labels.

        Args:
            split: ``"val"`` or ``"test"``: whose voices are measured on.

        Returns:
            Sounds as in a batch and labels of the training voices, and those of the split's.
        """
        return {}

    def _disturb(self, pictures: Tensor, waves: Tensor) -> tuple[Tensor, Tensor]:
        if self.picture_noise:
            pictures = pictures + self.picture_noise * torch.randn_like(pictures)
        if self.sound_noise:
            waves = waves + self.sound_noise * torch.randn_like(waves)
        return pictures, waves


def _floats(pictures: Tensor, waves: Tensor) -> tuple[Tensor, Tensor]:
    """Return bytes from 0 to 1 and 16-bit samples from -1 to 1; floats as they are."""
    pictures = pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
    return pictures, waves.float() / 32768 if waves.dtype == torch.int16 else waves


def vary(waves: Tensor, most: int, speed: float) -> Tensor:
    """Move each sound by its own random time and play it at its own random speed; what is not there is silence.

    Args:
        waves: Shape (n, samples).
        most: Samples by which one is moved at most, to either side.
        speed: By how much it is played faster or slower at most, and so higher or lower: 0.1 for 10 %.
    """
    n, samples = waves.shape
    moved = (2 * torch.rand(n, 1, device=waves.device) - 1) * most
    faster = 1 + (2 * torch.rand(n, 1, device=waves.device) - 1) * speed
    middle = (samples - 1) / 2
    place = (torch.arange(samples, device=waves.device) - middle - moved) * faster + middle  # (n, samples)
    before = place.floor()
    share = place - before
    index = before.long()
    inside = (index >= 0) & (index < samples - 1)
    index = index.clamp(0, samples - 2)
    between = waves.gather(1, index) * (1 - share) + waves.gather(1, index + 1) * share
    return between * inside
