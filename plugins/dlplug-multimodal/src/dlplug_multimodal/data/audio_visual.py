"""Images with sounds: what data sets of them share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlplug.data import Batch, Info, Input, TensorData
from dlplug.errors import InputError
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import to_float
from dlplug_multimodal.data.wav import chunk, read_wav
from dlplug_vision.data.image_files import SUFFIXES, find_inputs, read_image
from dlplug_vision.data.lazy_images import LazyImages

LabelledSounds = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class AudioVisualInfo(Info):
    """Images of one size, of values from 0 to 1, each with a sound of one length, of values from -1 to 1.

    Attributes:
        channels: 1 for grey images, 3 for colour.
        height: Their rows.
        width: Their columns.
        samples: Samples of a sound.
        sample_rate: Samples a second.
        classes: Number of classes that images and sounds are of; 0 where they have no labels.
        labels: The classes' names.
        voices: Names of the voices that are heard; empty where they are not known.
    """

    channels: int
    height: int
    width: int
    samples: int
    sample_rate: int
    classes: int = 0
    labels: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()

    def __str__(self) -> str:
        images = f"{self.channels}×{self.height}×{self.width} images"
        return f"{images} with {self.samples / self.sample_rate:g} s of sound, {self.sample_rate} samples a second"


class IndexedTensor:
    """A view of a tensor's items in any order, each as often as one likes, without a copy of them.

    Args:
        items: Shape (items, ...).
        index: Which items, shape (n,).
    """

    def __init__(self, items: Tensor, index: Tensor) -> None:
        self.items, self.index = items, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, places: Tensor) -> Tensor:
        return self.items[self.index[places]]


class AudioVisualData(TensorData):
    """Images with sounds, in memory.

    Batches are (images from 0 to 1, shape (n, channels, height, width); sounds from -1 to 1, shape (n, samples);
    labels (n,), -1 where there is none; voices (n,), likewise). Bytes and 16-bit samples stay such until a batch is
    prepared.

    Args:
        batch_size: Pairs a batch on each device.
        shift: Augmentation: most seconds by which a training sound is shifted, either way.
        speed: Augmentation: most by which a training sound is played faster or slower, 0.1 for 10 %.
        noise_std: Augmentation: standard deviation of normal noise that is added to training sounds.
        image_noise_std: Standard deviation of normal noise in all images, those of validation and test too.
        sound_noise_std: The same in all sounds, whose peak is 0.5.
    """

    def __init__(
        self,
        batch_size: int = 64,
        shift: float = 0.1,
        speed: float = 0.15,  # worth 2 points of soundnet's validation accuracy
        noise_std: float = 0.01,
        image_noise_std: float = 0.0,
        sound_noise_std: float = 0.0,
    ) -> None:
        super().__init__(batch_size)
        self.shift, self.speed, self.noise_std = shift, speed, noise_std
        self.image_noise_std, self.sound_noise_std = image_noise_std, sound_noise_std
        require(vars(self), "from 0 to below 1", "shift", "speed")
        require(vars(self), "at least 0", "noise_std", "image_noise_std", "sound_noise_std")

    def prepare_batch(self, batch: Batch) -> Batch:
        """Return bytes and 16-bit samples as floats, with noise, and training sounds augmented."""
        images, waves, *others = batch
        images, waves = to_float(images), to_float(waves)
        if self.trainer is not None and self.trainer.training:
            shift = round(self.shift * self.info.sample_rate)  # type: ignore[attr-defined]
            waves = random_shift_and_stretch(waves, shift, self.speed)
            images, waves = self._add_noise(images, _noisy(waves, self.noise_std))
        return images, waves, *others

    def read_inputs(self, source: str, info: Any) -> Iterator[Input]:
        """Yield images and sounds to predict, each chunk of a WAV file by itself.

        An image and a sound of one name, such as ``7.png`` and ``7.wav``, are a pair, and what a file lacks is 0.
        Batches are as in training, without labels and voices (-1), and with a fifth column: whether there is an image,
        and a sound, 1 or 0, shape (n, 2).
        """
        found: dict[str, list[tuple[str, Path]]] = {}
        for name, path in find_inputs(source, (*SUFFIXES, ".wav")).items():
            found.setdefault(str(Path(name).with_suffix("")), []).append((name, path))
        for stem, files in found.items():
            paired = len({is_wav(path) for _, path in files}) == len(files) == 2
            for group in [files] if paired else [[file] for file in files]:
                name = stem if paired else group[0][0]
                image = next((path for _, path in group if not is_wav(path)), None)
                sound = next((path for _, path in group if is_wav(path)), None)
                try:
                    chunks = chunk(read_wav(sound, info.sample_rate), info.samples) if sound else [None]
                except InputError as error:
                    yield name, partial(_fail, error)
                    continue
                for number, wave in enumerate(chunks):
                    at = f" {number * info.samples / info.sample_rate:g} s" if len(chunks) > 1 else ""
                    yield f"{name}{at}", partial(_as_sample, image, wave, info)

    def with_fixed_noise(self, columns: Mapping[str, Batch]) -> Mapping[str, Batch]:
        """Return splits where validation and test have noise that is drawn once, so that they stay the same.

        Raises:
            ValueError: Their images are not in memory.
        """
        if not self.image_noise_std and not self.sound_noise_std:
            return columns
        if isinstance(columns["train"][0], LazyImages):
            raise ValueError("noise is added to images in memory alone: raise data.in_memory")
        noisy = dict(columns)
        for split in noisy.keys() - {"train"}:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                images, waves, *rest = noisy[split]
                noisy[split] = (*self._add_noise(to_float(images), to_float(waves)), *rest)
        return noisy

    def probes(self, split: str) -> Mapping[str, tuple[LabelledSounds, LabelledSounds]]:
        """Return what a linear probe is fitted to and measured on, by its name; nothing where there are no labels.

        Args:
            split: ``"val"`` or ``"test"``: whose voices it is measured on.

        Returns:
            Sounds as in a batch and labels of the training voices, and those of the split's.
        """
        return {}

    def _add_noise(self, images: Tensor, waves: Tensor) -> tuple[Tensor, Tensor]:
        return _noisy(images, self.image_noise_std), _noisy(waves, self.sound_noise_std)


def is_wav(path: Path) -> bool:
    """Return whether a file's name ends as those of WAV files do."""
    return path.suffix.lower() == ".wav"


def _as_sample(image: Path | None, wave: Tensor | None, info: AudioVisualInfo) -> Batch:
    shape, unknown = (info.channels, info.height, info.width), torch.tensor(-1)
    pixels = torch.zeros(shape, dtype=torch.uint8) if image is None else read_image(image, *shape)
    sound = torch.zeros(info.samples) if wave is None else wave
    given = torch.tensor([float(image is not None), float(wave is not None)])
    return pixels, sound, unknown, unknown, given


def _fail(error: Exception) -> Batch:
    raise error


def _noisy(values: Tensor, std: float) -> Tensor:
    return values + std * torch.randn_like(values) if std else values


def random_shift_and_stretch(waves: Tensor, max_shift: int, max_speed: float) -> Tensor:
    """Shift each sound in time and play it at another speed, both at random; beyond its ends there is silence.

    Samples are interpolated linearly, so the pitch changes with the speed.

    Args:
        waves: Shape (n, samples).
        max_shift: Most samples by which one is shifted, either way.
        max_speed: Most by which one is played faster or slower: 0.1 for 10 %.
    """
    n, samples = waves.shape
    shift = (2 * torch.rand(n, 1, device=waves.device) - 1) * max_shift
    speed = 1 + (2 * torch.rand(n, 1, device=waves.device) - 1) * max_speed
    middle = (samples - 1) / 2
    place = (torch.arange(samples, device=waves.device) - middle - shift) * speed + middle  # (n, samples)
    left = place.floor()
    fraction = place - left
    index = left.long()
    inside = (index >= 0) & (index < samples - 1)
    index = index.clamp(0, samples - 2)
    return (waves.gather(1, index) * (1 - fraction) + waves.gather(1, index + 1) * fraction) * inside
