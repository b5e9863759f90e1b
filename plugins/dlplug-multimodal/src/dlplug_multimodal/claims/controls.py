"""What the claims share: data whose modalities do not belong together, and differences over seeds."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure as Drawing

from dlplug.data import Batch
from dlplug_multimodal.data.audio_visual import AudioVisualInfo
from dlplug_multimodal.data.emoji import Emoji
from dlplug_multimodal.data.spoken_digits import SpokenDigits
from dlplug_multimodal.data.tagged_images import TaggedImageInfo


class MispairedEmoji(Emoji):
    """``emoji`` whose training images have the words of others; validation and test are unchanged."""

    def load(self) -> tuple[TaggedImageInfo, Mapping[str, Batch]]:
        """Return the splits, the training texts permuted."""
        info, splits = super().load()
        return info, {**splits, "train": permuted(splits["train"], (1,), seed=0)}


class MislabelledDigits(SpokenDigits):
    """``spoken-digits`` whose training labels are permuted."""

    def load(self) -> tuple[AudioVisualInfo, Mapping[str, Batch]]:
        """Return the splits, mislabelled."""
        info, splits = super().load()
        return info, {**splits, "train": permuted(splits["train"], (2,), seed=2)}


class MispairedDigits(SpokenDigits):
    """``spoken-digits`` whose training images and sounds do not belong together."""

    def load(self) -> tuple[AudioVisualInfo, Mapping[str, Batch]]:
        """Return the splits, the training images and their labels permuted."""
        info, splits = super().load()
        return info, {**splits, "train": permuted(splits["train"], (0, 2), seed=2)}


def permuted(columns: Batch, which: Sequence[int], seed: int) -> Batch:
    """Return columns of which some, by their places, are in one other order."""
    order = torch.randperm(len(columns[0]), generator=torch.Generator().manual_seed(seed))
    return tuple(column[order] if i in which else column for i, column in enumerate(columns))


def epochs(count: int) -> tuple[str, str]:
    """Return the options of a fit of so many epochs, validated after the last."""
    return f"--trainer.max_epochs={count}", f"--trainer.check_val_every_n_epoch={count}"


def differences(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the first less the second, seed by seed."""
    return [a - b for a, b in zip(first, second, strict=True)]


def plot_bars(groups: Mapping[str, Sequence[float]], names: Sequence[str], up: str) -> Drawing:
    """Draw bars side by side.

    Args:
        groups: The heights of one colour by what the legend calls it.
        names: What stands below the bars, in the order of the heights.
        up: What the vertical axis measures.
    """
    drawing = Drawing(figsize=(5, 3.2), layout="constrained")
    axes = drawing.add_subplot(ylabel=up)
    width = 0.8 / len(groups)
    for k, (name, heights) in enumerate(groups.items()):
        axes.bar(
            [place + width * (k - (len(groups) - 1) / 2) for place in range(len(names))], heights, width, label=name
        )
    axes.set_xticks(range(len(names)), names)
    axes.legend()
    return drawing
