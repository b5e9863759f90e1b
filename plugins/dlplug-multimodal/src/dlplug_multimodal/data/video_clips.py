"""Your own videos: frames with the sound that goes with them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
import torch
from scipy.io import wavfile
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from dlplug.console import first_few, say
from dlplug.errors import InputError
from dlplug_multimodal.data.audio_visual import AudioVisualData, AudioVisualInfo
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import group_split, index_splits
from dlplug_multimodal.data.wav import chunk, read_wav, resample
from dlplug_vision.data.image_files import is_image, to_pixels, visible
from dlplug_vision.data.lazy_images import ImageFiles, readable_names
from dlplug_vision.data.mnist5k import MNIST5k

VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
MISSING = "video files are read by PyAV, which is not installed: pip install 'dlplug-multimodal[video]'"

Frames = Sequence[Path | Tensor]


class VideoClips(ImageFiles, AudioVisualData):
    """Your own videos, as SoundNet learns from: frames and the sound that goes with them, without labels.

        clips/                    or    clips/
        ├── beach/                      ├── beach.mp4
        │   ├── 0001.jpg                └── street.mov
        │   ├── 0002.jpg
        │   └── sound.wav
        └── street/…

    The frames of a folder are at even distances over the length of its WAV file; video files (mp4, mkv, webm, avi, mov)
    need the extra ``pip install 'dlplug-multimodal[video]'``. The sound is cut into chunks of some seconds; each goes
    with the frame in its middle, scaled and cropped to a square. Frames are in natural order, 2.png before 10.png.
    Clips are split 80 : 10 : 10, so that all chunks of one are in one split. A clip that cannot be read is named and
    left out. Labels and voices are -1. Frames of folders are decoded as batches need them where they are more than
    ``in_memory``, in which sounds and the frames of video files are always.

    Args:
        root: The folder.
        seconds: Length of a chunk of sound.
        sample_rate: Samples a second that the sound is resampled to.
        size: Side of the square in pixels.
        channels: 3 for colour, 1 for grey.
        split_seed: Another seed is another split.
    """

    def __init__(
        self,
        root: str = "clips",
        seconds: float = 1.0,
        sample_rate: int = 8000,
        size: int = 64,
        channels: Literal[1, 3] = 3,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root, self.seconds, self.sample_rate = Path(root).expanduser(), seconds, sample_rate
        self.size, self.channels, self.split_seed = size, channels, split_seed
        require(vars(self), "above 0", "seconds", "sample_rate")
        require(vars(self), "at least 1", "size")
        self.shape = channels, size, size

    @classmethod
    def write_sample(cls, folder: Path) -> dict[str, Any]:
        """Write twelve clips of two seconds: handwritten digits, and a tone that is higher for higher digits."""
        images, labels = MNIST5k().read()
        for number in range(12):
            (folder / str(number + 1)).mkdir()
            for frame, image in enumerate(images[labels == number % 3][4 * number : 4 * number + 4], start=1):
                to_pil_image(image).save(folder / str(number + 1) / f"{frame}.png")
            tone = np.sin(np.arange(16_000) * 2 * np.pi * 200 * 2 ** (number % 3) / 8000)
            wavfile.write(folder / str(number + 1) / "sound.wav", 8000, (8000 * tone).astype(np.int16))
        return {"data.root": folder, "data.size": 28, "data.channels": 1, "data.batch_size": 8}

    def load(self) -> tuple[AudioVisualInfo, Mapping[str, tuple[Any, ...]]]:
        """Read all clips."""
        if not self.root.is_dir():
            raise ValueError(
                f"{self.root} is not a folder; root is one that holds a folder of frames and a WAV file a clip"
            )
        samples = round(self.seconds * self.sample_rate)
        paths, left_out = visible(self.root), dict[str, Exception]()
        clips = {path.name: clip for path in paths if (clip := self._clip(path, samples, left_out))}
        frames = [frame for shown, _ in clips.values() for frame in shown]
        # A video's frames are decoded with its sound, one after the other.
        read = self.reader(0 if any(isinstance(frame, Tensor) for frame in frames) else len(frames))
        images: dict[str, list[Tensor | None]] = {}
        for name, (shown, _) in clips.items():
            try:
                images[name] = [frame if isinstance(frame, Tensor) else read(frame) for frame in shown]
            except InputError as error:
                left_out[name] = error
        if named := [f"{path.name} ({left_out[path.name]})" for path in paths if path.name in left_out]:
            say(f"left out of {self.root}, {len(named)} clips or files: {first_few(named, '; ')}")
        if len(images) < 10:
            raise ValueError(f"{self.root} holds {len(images)} clips that can be read; a split needs at least 10")
        groups = [name for name, shown in images.items() for _ in shown]
        files = [str(frame.relative_to(self.root)) for n in images for frame in clips[n][0] if isinstance(frame, Path)]
        sounds, unknown = torch.cat([clips[name][1] for name in images]), torch.full((len(groups),), -1)
        column = self.images(files, [image for shown in images.values() for image in shown])
        splits = index_splits((column, sounds, unknown, unknown), parts := group_split(groups, self.split_seed))
        self.names = readable_names([groups[i] for i in parts["test"].tolist()], splits["test"][0])
        info = AudioVisualInfo(self.channels, self.size, self.size, samples, self.sample_rate)
        return info, self.with_fixed_noise(splits)

    def _clip(self, path: Path, samples: int, left_out: dict[str, Exception]) -> tuple[Frames, Tensor] | None:
        """Return the frames that go with a clip's chunks of sound, and these as 16-bit samples; None if unreadable."""
        try:
            frames, sound = self._read(path)
            chunks = chunk(sound, samples).clamp(-1, 1).mul(32767).round().short()  # (chunks, samples)
        except (OSError, ValueError) as error:
            if str(error) == MISSING:
                raise
            left_out[path.name] = error
            return None
        return [frames[int((n + 0.5) / len(chunks) * len(frames))] for n in range(len(chunks))], chunks

    def _read(self, path: Path) -> tuple[Frames, Tensor]:
        """Return a clip's frames, as files or as bytes, and its sound."""
        if not path.is_dir():
            if path.suffix.lower() not in VIDEOS:
                raise ValueError("neither a folder nor a video file")
            return read_video(path, self.sample_rate, lambda frame: to_pixels(frame, *self.shape))
        frames = [each for each in visible(path) if is_image(each)]
        sounds = [each for each in visible(path) if each.suffix.lower() == ".wav"]
        if not frames or len(sounds) != 1:
            raise ValueError(f"{len(frames)} frames and {len(sounds)} WAV files")
        return frames, read_wav(sounds[0], self.sample_rate)


def read_video(
    path: Path, sample_rate: int, shrink: Callable[[PIL.Image.Image], Tensor]
) -> tuple[Sequence[Tensor], Tensor]:
    """Return a video file's frames, two a second, and its sound, channels averaged, shape (samples,).

    Args:
        path: The file.
        sample_rate: Samples a second of what is returned.
        shrink: What is kept of a frame.

    Raises:
        ValueError: PyAV is not installed, or the file lacks frames or sound.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(MISSING) from error
    frames: list[Tensor] = []
    pieces, rate = [], sample_rate
    with av.open(str(path)) as file:
        if not file.streams.video or not file.streams.audio:
            raise ValueError("it has no frames or no sound")
        for frame in file.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                if frame.time is not None and frame.time >= len(frames) / 2:
                    # Telephones leave it to the player to turn what they hold sideways.
                    frames.append(shrink(frame.to_image().rotate(getattr(frame, "rotation", 0), expand=True)))
            else:
                rate = frame.sample_rate
                values = frame.to_ndarray()  # (channels, samples), or (1, samples × channels) where interleaved
                scale = 1.0 if values.dtype.kind == "f" else -float(np.iinfo(values.dtype).min)
                pieces.append(values.astype(np.float32).reshape(-1, frame.samples, order="F").mean(0) / scale)
    if not frames or not pieces:
        raise ValueError("it has no frames or no sound")
    return frames, torch.from_numpy(resample(np.concatenate(pieces), rate, sample_rate))
