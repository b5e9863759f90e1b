"""A person's own videos: pictures with what is heard while they are seen."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from dlplug.console import say
from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug_multimodal.data.audio_visual import SoundedImages, SoundedInfo
from dlplug_multimodal.data.tagged_images import split_groups
from dlplug_multimodal.data.wav import cut, read_wav, to_rate

FRAMES = (".jpg", ".jpeg", ".png")
VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
MISSING = "video files are read by PyAV, which is not installed: pip install 'dlplug-multimodal[video]'"
NAMED = 10

Frames = Sequence[Path] | Sequence[Tensor]


class Clips(SoundedImages):
    """Videos of your own, as SoundNet learns from: pictures and the sound that goes with them, without labels.

    ``root`` holds a folder a clip, ``root/beach/0001.jpg``, ``0002.jpg``, … and one WAV file, the frames at even
    distances over its length; or video files (mp4, mkv, webm, avi, mov), which need the extra
    ``pip install 'dlplug-multimodal[video]'``. The sound is cut into pieces of some seconds; each goes with the frame
    in its middle, scaled and cut to a square. Clips are split 80 : 10 : 10, so that pieces of one are on one side. A
    clip that cannot be read is named and left out. Labels and voices are -1.

    Args:
        root: The folder.
        seconds: Length of a piece of sound.
        rate: Samples a second that the sound is brought to.
        size: Side of the square in pixels.
        channels: 3 for colour, 1 for grey.
        split_seed: Another number is another split.
        batch_size: Pairs a batch on each device.
        shift: Seconds by which a training sound is moved at most, to either side.
        speed: By how much one is played faster or slower at most, 0.1 for 10 %.
        hiss: Standard deviation of normal noise that is added to training sounds.
        picture_noise: Standard deviation of normal noise in all pictures, those that are tested on too.
        sound_noise: The same in all sounds.
    """

    def __init__(
        self,
        root: str = "clips",
        seconds: float = 1.0,
        rate: int = 8000,
        size: int = 64,
        channels: Literal[1, 3] = 3,
        split_seed: int = 0,
        batch_size: int = 64,
        shift: float = 0.1,
        speed: float = 0.15,
        hiss: float = 0.01,
        picture_noise: float = 0.0,
        sound_noise: float = 0.0,
    ) -> None:
        super().__init__(batch_size, shift, speed, hiss, picture_noise, sound_noise)
        if min(seconds, rate) <= 0 or size < 1:
            raise InputError(f"seconds and rate must be above 0, size at least 1, not {seconds}, {rate} and {size}")
        self.root, self.seconds, self.rate = Path(root).expanduser(), seconds, rate
        self.size, self.channels, self.split_seed = size, channels, split_seed

    def load(self) -> tuple[SoundedInfo, Mapping[str, Batch]]:
        """Read all clips."""
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is no folder; give one that holds a folder of frames and a WAV file a clip")
        samples = round(self.seconds * self.rate)
        pictures, waves, clips, unreadable = [], [], [], []
        for path in sorted(self.root.iterdir()):
            if path.name.startswith(".") or not (path.is_dir() or path.suffix.lower() in VIDEOS):
                continue
            try:
                frames, sound = self._read(path)
            except (OSError, ValueError) as error:
                if str(error) == MISSING:
                    raise
                unreadable.append(f"{path.name} ({error})")
                continue
            pieces = cut(sound, samples)  # (pieces, samples)
            middles = [int((number + 0.5) / len(pieces) * len(frames)) for number in range(len(pieces))]
            pictures += [self._picture(frames[place]) for place in middles]
            waves.append(pieces)
            clips += [path.name] * len(pieces)
        if unreadable:
            more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
            say(f"left out, since they cannot be read: {'; '.join(unreadable[:NAMED])}{more}")
        if len(set(clips)) < 10:
            raise ValueError(f"{self.root} holds {len(set(clips))} clips that can be read; it takes 10 to split them")
        sounds = torch.cat(waves).clamp(-1, 1).mul(32767).round().short()
        nothing = torch.full((len(clips),), -1)
        parts = split_groups(clips, self.split_seed)
        self.names = [clips[i] for i in parts["test"].tolist()]
        columns = (torch.stack(pictures), sounds, nothing, nothing)
        info = SoundedInfo(self.channels, self.size, self.size, samples, self.rate)
        return info, self.disturbed({name: tuple(c[index] for c in columns) for name, index in parts.items()})

    def _read(self, path: Path) -> tuple[Frames, Tensor]:
        """Return a clip's frames, as files or as bytes, and its sound."""
        if not path.is_dir():
            return read_video(path, self.rate, self._square)
        frames = sorted(each for each in path.iterdir() if each.suffix.lower() in FRAMES)
        sounds = sorted(each for each in path.iterdir() if each.suffix.lower() == ".wav")
        if not frames or len(sounds) != 1:
            raise ValueError(f"{len(frames)} frames and {len(sounds)} WAV files")
        return frames, read_wav(sounds[0], self.rate)

    def _picture(self, frame: Path | Tensor) -> Tensor:
        if isinstance(frame, Tensor):
            return frame
        with PIL.Image.open(frame) as file:
            return self._square(file)

    def _square(self, frame: PIL.Image.Image) -> Tensor:
        """Return a frame as bytes of shape (channels, size, size)."""
        picture = frame.convert("RGB" if self.channels == 3 else "L")
        picture = functional.center_crop(functional.resize(picture, [self.size]), [self.size])
        pixels: Tensor = functional.pil_to_tensor(picture)
        return pixels


def read_video(path: Path, rate: int, shrink: Callable[[PIL.Image.Image], Tensor]) -> tuple[Sequence[Tensor], Tensor]:
    """Return a video file's frames, two a second, and its sound, channels averaged, shape (samples,).

    Args:
        path: The file.
        rate: Samples a second of what is returned.
        shrink: What is kept of a frame.

    Raises:
        ValueError: PyAV is not installed, or the file lacks pictures or sound.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(MISSING) from error
    frames: list[Tensor] = []
    pieces, before = [], rate
    with av.open(str(path)) as file:
        if not file.streams.video or not file.streams.audio:
            raise ValueError("it has no pictures or no sound")
        for frame in file.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                if frame.time is not None and frame.time >= len(frames) / 2:
                    frames.append(shrink(frame.to_image()))
            else:
                before = frame.sample_rate
                values = frame.to_ndarray()  # (channels, samples), or (1, samples × channels) where they alternate
                scale = 1.0 if values.dtype.kind == "f" else -float(np.iinfo(values.dtype).min)
                pieces.append(values.astype(np.float32).reshape(-1, frame.samples, order="F").mean(0) / scale)
    if not frames or not pieces:
        raise ValueError("it has no pictures or no sound")
    return frames, torch.from_numpy(to_rate(np.concatenate(pieces), before, rate))
