"""Sections 5.3 and 5.6: captions, and which layers of an image network transfer to another task."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Table
from dlplug.plots import plot_bars, plot_curves
from dlplug.trained import start_from
from dlplug_multimodal.claims.controls import differences, epochs
from dlplug_multimodal.data.emoji_scenes import KINDS, paste, read_atlas
from dlplug_multimodal.data.tagged_images import to_float
from dlplug_multimodal.models.captioner import Captioner
from dlplug_sequence.data.padded import EOS_ID
from dlplug_vision.data.images import ImageData
from dlplug_vision.models.cnn import CNN

SMALL = (
    *("--data.kinds=12", "--data.size=24", "--data.scenes_per_epoch=3200"),
    *("--model.hidden_size=64", "--model.embedding_dim=32", *epochs(10)),
)
NEW_SCENES = 500  # of training pairs
NEAREST = 25_600  # training scenes in which the nearest is looked for
LAYERS = (2, 4, 6)  # first layers that are transferred and frozen
CHANNELS = (16, 16, 32, 32, 64, 64)


def need_pictures(lab: Lab) -> Evidence:
    """Caption scenes of held-out pairs by their images and by other ones."""
    held, seen, blind, near, rows = [], [], [], [], []
    for seed in lab.seeds:
        run = lab.fit("captioner", *SMALL, seed=seed)
        images, captions = test_scenes(run)
        fresh = new_scenes(run)
        held.append(exact_match(run, images, captions))
        seen.append(exact_match(run, *fresh))
        blind.append(exact_match(run, images.roll(len(images) // 2, 0), captions))
        near.append(nearest(run, *fresh))
        rows.append((seed, held[-1], seen[-1], blind[-1], near[-1], chance(12)))
    columns = ("seed", "held-out pairs", "seen pairs", "held-out, images shuffled", "nearest image", "chance")
    name = "exact matches of new scenes above the nearest training image's"
    return Evidence(
        [
            Measure(f"{name}, pairs trained on", differences(seen, near), ">=", 0.25),
            Measure(f"{name}, pairs held out", differences(held, near), ">=", 0.1, "the nearest has 0 of these"),
        ],
        [Measure("the same of shuffled images, pairs held out", differences(blind, near), ">=", 0.1)],
        {
            "Exact matches": Table(columns, rows),
            "Exact matches of new scenes": Figure(
                plot_bars(dict(zip(columns[1:5], (held, seen, blind, near), strict=True)), "share of exact matches")
            ),
        },
        note="12 kinds on canvases of 24×24 pixels, 2,000 updates. The nearest image is looked for among 25,600 "
        "scenes, more than are trained on, and scored on pairs that it holds, since it can never be right on others.",
    )


def quality(lab: Lab) -> Evidence:
    """Train the default recipe and test it on held-out pairs, by their images and by other ones."""
    held, beams, blind, near = [], [], [], []
    for seed in lab.seeds:
        run = lab.fit("captioner", seed=seed)
        images, captions = test_scenes(run)
        held.append(exact_match(run, images, captions))
        beams.append(exact_match(run, images, captions, num_beams=5))
        blind.append(exact_match(run, images.roll(len(images) // 2, 0), captions))
        near.append(nearest(run, *new_scenes(run)))
    name = "exact matches of pairs held out"
    rows = [(seed, *found) for seed, found in zip(lab.seeds, zip(held, beams, blind, near, strict=True), strict=True)]
    columns = ("seed", "greedy", "beam of 5", "images shuffled", "nearest image, seen pairs")
    return Evidence(
        [Measure(name, held, ">=", 0.9, f"chance {chance(30):.4f}")],
        [Measure(f"{name}, images shuffled", blind, ">=", 0.9), Measure("the nearest image's", near, ">=", 0.9)],
        {
            "Exact matches": Table(columns, rows),
            "Exact matches of held-out pairs": Figure(
                plot_bars(dict(zip(columns[1:], (held, beams, blind, near), strict=True)), "share of exact matches")
            ),
        },
    )


def test_scenes(run: Trained) -> tuple[Tensor, Tensor]:
    """Return all images, from 0 to 1, and captions of the test."""
    images, captions = cast(Any, run.data).splits["test"]
    places = torch.arange(len(images))
    return to_float(images[places]), captions[places]


def new_scenes(run: Trained) -> tuple[Tensor, Tensor]:
    """Return images and captions of training pairs, of an epoch that no run gets to."""
    images, captions = cast(Any, run.data).splits["train"]
    places = torch.arange(NEW_SCENES) + 1_000_000 * len(images)
    return to_float(images[places]), captions[places]


@torch.no_grad()
def exact_match(run: Trained, images: Tensor, captions: Tensor, num_beams: int = 1) -> float:
    """Return the share of images whose caption equals a reference."""
    outputs: list[str] = []
    for part in torch.split(images, 250):
        outputs += run.model.vocabulary.decode_batch(run.model.caption(part, num_beams).rows(EOS_ID))
    references = map(run.model.vocabulary.decode_batch, captions.tolist())
    return Captioner.score(list(zip(references, outputs, strict=True)))["exact_match"]


def nearest(run: Trained, images: Tensor, captions: Tensor) -> float:
    """Return the share of images for which the caption of the nearest training image, by pixels, is a reference."""
    train_images, train_captions = cast(Any, run.data).splits["train"]
    best, found = torch.full((len(images),), torch.inf), torch.zeros_like(captions[:, 0])
    for places in torch.split(torch.arange(NEAREST), len(train_images)):
        distances, index = torch.cdist(images.flatten(1), to_float(train_images[places]).flatten(1)).min(1)
        closer = distances < best
        best = torch.where(closer, distances, best)
        found[closer] = train_captions[places][index[closer], 0]
    return float((found[:, None] == captions).all(2).any(1).float().mean())


def chance(kinds: int) -> float:
    """Return the share of captions that are references of an image: 2 of all that the grammar allows."""
    return 2 / (kinds * (kinds - 1) * 4)


class OneEmoji(ImageData):
    """One of twenty emoji on a coloured canvas of 24×24 pixels, at a random place and of a random size.

    Args:
        where: Whether the class is the ninth of the canvas that it is in, instead of which emoji it is.
    """

    def __init__(self, where: bool = False) -> None:
        super().__init__(batch_size=32)
        self.where = where

    def load(self) -> tuple[ImageInfo, Mapping[str, Batch]]:
        """Draw all images."""
        generator = torch.Generator().manual_seed(int(self.where))
        atlas = read_atlas(KINDS[:20], 36)  # emoji of 12 to 16 pixels
        splits = {}
        for split, count in (("train", 1000), ("val", 300), ("test", 1000)):
            labels = torch.randint(20, (count,), generator=generator)
            canvas = torch.randint(64, 256, (count, 1, 1, 3), generator=generator).expand(-1, 40, 40, -1).float()
            canvas = canvas.clone()
            steps = torch.randint(len(atlas), (count,), generator=generator)
            rows, columns = torch.randint(9, (2, count), generator=generator)
            paste(canvas, atlas[steps, labels], rows, columns)
            labels = rows // 3 * 3 + columns // 3 if self.where else labels
            splits[split] = (canvas[:, :24, :24].permute(0, 3, 1, 2).byte().contiguous(), labels)
        return ImageInfo(3, 24, 24, 9 if self.where else 20), splits


class Frozen(CNN):
    """A ``cnn`` of six CONVs without a hidden layer, the first of which are another network's and frozen.

    Args:
        frozen: How many.
        init_from: Run folder of the other network; those layers stay as initialised where empty.
    """

    def __init__(self, frozen: int = 0, init_from: str = "") -> None:
        super().__init__(channels=CHANNELS, hidden=0, init_from=init_from)
        self.save_hyperparameters()
        self.frozen = frozen

    def network(self, info: ImageInfo) -> nn.Module:
        """Return the layers, the first of which are frozen."""
        net = super().network(info)
        self._first(net).requires_grad_(False).eval()
        return net

    def train(self, mode: bool = True) -> "Frozen":
        """Switch between training and evaluation; the normalisation of frozen layers stays as it is."""
        super().train(mode)
        if hasattr(self, "net"):
            self._first(self.net).eval()
        return self

    def initialise(self) -> None:
        """Load the first layers alone."""
        if self.init_from:
            start_from(self._first(self.net), self.init_from)

    def _first(self, net: nn.Module) -> nn.Sequential:
        names = {f"{kind}{number}" for number in range(1, self.frozen + 1) for kind in ("conv", "norm")}
        return nn.Sequential(OrderedDict((name, layer) for name, layer in net.named_children() if name in names))

    def showcase(self, batch: Batch) -> dict[str, Any]:
        """Show nothing."""
        return {}


def low_layers(lab: Lab) -> Evidence:
    """Classify emoji by frozen layers that were trained to locate them, and by those trained to classify them."""

    def fit(seed: int, where: bool = False, frozen: int = 0, source: Path | str = "") -> tuple[float, Path]:
        options = [f"--data.where={where}", f"--model.frozen={frozen}", f"--model.init_from={source}"]
        data = "--data=dlplug_multimodal.claims.captions.OneEmoji"
        run = lab.fit("dlplug_multimodal.claims.captions.Frozen", data, *epochs(4), *options, seed=seed)
        images, labels = run.data.prepare_batch(run.data.splits["test"])  # type: ignore[attr-defined]
        with torch.no_grad():
            right = run.model(images).argmax(1) == labels
        return 100 * float(right.float().mean()), run.run.path

    lost: dict[str, list[list[float]]] = {"another task": [], "the same task": []}
    rows = []
    for seed in lab.seeds:
        _, other = fit(seed + 1000, where=True)
        whole, own = fit(seed + 1000)
        for name, source in (("another task", other), ("the same task", own)):
            lost[name].append([whole - fit(seed, False, frozen, source)[0] for frozen in LAYERS])
        rows.append((seed, whole, *(f"{cost:.1f}" for name in lost for cost in lost[name][-1])))
    deep = {name: [costs[-1] - costs[0] for costs in each] for name, each in lost.items()}
    low, high = (differences(*([costs[k] for costs in lost[name]] for name in lost)) for k in (0, -1))
    costs = {
        f"trained on {name}": [sum(each[k] for each in lost[name]) / len(lost[name]) for k in range(len(LAYERS))]
        for name in lost
    }
    name = "points that all six layers lose more than the first two"
    more = "points lost more than by layers of the same task"
    columns = ("seed", "accuracy", *(f"lost by {k} of {name}" for name in lost for k in LAYERS))
    return Evidence(
        [
            Measure(f"{more}, the first two", low, "<=", 3),
            Measure(f"{name}, trained on another task", deep["another task"], ">=", 5),
        ],
        [
            Measure(f"{more}, all six", high, "<=", 3),
            Measure(f"{name}, trained on the same task", deep["the same task"], ">=", 5),
        ],
        {
            "What frozen layers cost": Figure(
                plot_curves(LAYERS, costs, "layers transferred and frozen", "points of test accuracy lost")
            ),
            "By seed": Table(columns, rows),
        },
        note="Yosinski et al. (2014). The task: which of 20 emoji an image shows; the other one: where it is. The "
        "layers above the frozen ones are trained from random weights, as all are in the network they are compared to.",
    )
