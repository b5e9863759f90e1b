"""Sections 5.3 and 5.6: captions, and what of a network that sees serves another task."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Table
from dlplug.plots import plot_curves
from dlplug.trained import start_from
from dlplug_multimodal.data.emoji_scenes import KINDS, read_atlas
from dlplug_multimodal.models.captioner import Captioner
from dlplug_sequence.data.padded import EOS_ID
from dlplug_vision.data.images import ImageData
from dlplug_vision.models.cnn import CNN

SMALL = (
    *("--data.kinds=12", "--data.side=24", "--data.size=3200", "--model.hidden=64", "--model.embedding=32"),
    *("--trainer.max_epochs=10", "--trainer.check_val_every_n_epoch=10"),
)
SEEN = 500  # new scenes of pairs trained on
NEAREST = 25_600  # training scenes that the nearest is sought in
LAYERS = (2, 4, 6)  # first layers that are taken and do not learn
CHANNELS = (16, 16, 32, 32, 64, 64)


def need_pictures(lab: Lab) -> Evidence:
    """Write captions of scenes of pairs held out, of their pictures and of other ones."""
    held, seen, blind, near, rows = [], [], [], [], []
    for seed in lab.seeds:
        run = lab.fit("captioner", *SMALL, seed=seed)
        pictures, captions = scenes(run, "test")
        fresh = new_scenes(run)
        held.append(exact(run, pictures, captions))
        seen.append(exact(run, *fresh))
        blind.append(exact(run, pictures.roll(len(pictures) // 2, 0), captions))
        near.append(nearest(run, *fresh))
        rows.append((seed, held[-1], seen[-1], blind[-1], near[-1], chance(12)))
    columns = ("seed", "held-out pairs", "seen pairs", "held-out, pictures shuffled", "nearest picture", "chance")
    name = "exact captions of new scenes above the nearest training picture's"
    return Evidence(
        [
            Measure(f"{name}, pairs trained on", less(seen, near), ">=", 0.25),
            Measure(f"{name}, pairs held out", less(held, near), ">=", 0.1, "the nearest has 0 of these"),
        ],
        [Measure("the same of shuffled pictures, pairs held out", less(blind, near), ">=", 0.1)],
        {"Exact captions": Table(columns, rows)},
        note="12 kinds on canvases of 24×24 pixels, 2,000 updates. The nearest picture is looked for among 25,600 "
        "scenes, more than are trained on, and judged on pairs that it holds, since it can never be right on others.",
    )


def quality(lab: Lab) -> Evidence:
    """Train the default recipe and test it on pairs held out; the same of pictures of other scenes."""
    held, beams, blind, near = [], [], [], []
    for seed in lab.seeds:
        run = lab.fit("captioner", seed=seed)
        pictures, captions = scenes(run, "test")
        held.append(exact(run, pictures, captions))
        beams.append(exact(run, pictures, captions, beam=5))
        blind.append(exact(run, pictures.roll(len(pictures) // 2, 0), captions))
        near.append(nearest(run, *new_scenes(run)))
    name = "exact captions of pairs held out"
    rows = [(seed, *found) for seed, found in zip(lab.seeds, zip(held, beams, blind, near, strict=True), strict=True)]
    columns = ("seed", "greedy", "beam of 5", "pictures shuffled", "nearest picture, seen pairs")
    return Evidence(
        [Measure(name, held, ">=", 0.9, f"chance {chance(30):.4f}")],
        [Measure(f"{name}, pictures shuffled", blind, ">=", 0.9), Measure("the nearest picture's", near, ">=", 0.9)],
        {"Exact captions": Table(columns, rows)},
    )


def scenes(run: Trained, split: str) -> tuple[Tensor, Tensor]:
    """Return all pictures, from 0 to 1, and captions of a split."""
    data: Any = run.data
    drawn, said = data.splits[split]
    places = torch.arange(len(drawn))
    return drawn[places].float() / 255, said[places]


def new_scenes(run: Trained) -> tuple[Tensor, Tensor]:
    """Return pictures and captions of pairs that were trained on, of an epoch that no run gets to."""
    data: Any = run.data
    drawn, said = data.splits["train"]
    places = torch.arange(SEEN) + 1_000_000 * len(drawn)
    return drawn[places].float() / 255, said[places]


@torch.no_grad()
def exact(run: Trained, pictures: Tensor, captions: Tensor, beam: int = 1) -> float:
    """Return the share of pictures whose caption is one of the true ones."""
    rows = []
    for images, true in zip(torch.split(pictures, 250), torch.split(captions, 250), strict=True):
        outputs = run.model.words.decode_batch(run.model.caption(images, beam).rows(EOS_ID))
        rows += [
            (run.model.words.decode_batch(codes), text) for codes, text in zip(true.tolist(), outputs, strict=True)
        ]
    return Captioner.score(rows)["exact"]


def nearest(run: Trained, pictures: Tensor, captions: Tensor) -> float:
    """Return the share of pictures for which the caption of the nearest training picture, by pixels, is true."""
    data: Any = run.data
    drawn, said = data.splits["train"]
    best, found = torch.full((len(pictures),), torch.inf), torch.zeros_like(captions[:, 0])
    for places in torch.split(torch.arange(NEAREST), len(drawn)):
        distances, index = torch.cdist(pictures.flatten(1), drawn[places].flatten(1).float() / 255).min(1)
        closer = distances < best
        best = torch.where(closer, distances, best)
        found[closer] = said[places][index[closer], 0]
    return float((found[:, None] == captions).all(2).any(1).float().mean())


def chance(kinds: int) -> float:
    """Return the share of captions that are true of a picture: 2 of all that the grammar allows."""
    return 2 / (kinds * (kinds - 1) * 4)


def less(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return the differences."""
    return [a - b for a, b in zip(one, other, strict=True)]


class OneEmoji(ImageData):
    """One of twenty emoji on a coloured canvas of 24×24 pixels, at a random place and of a random size.

    Args:
        where: Whether it is to be told in which ninth of the canvas it is, instead of which it is.
    """

    def __init__(self, where: bool = False) -> None:
        super().__init__(batch_size=32)
        self.where = where

    def load(self) -> tuple[ImageInfo, Mapping[str, Batch]]:
        """Draw all pictures."""
        generator = torch.Generator().manual_seed(int(self.where))
        atlas = read_atlas(KINDS[:20], 36)  # emoji of 12 to 16 pixels
        splits = {}
        for split, count in (("train", 1000), ("val", 300), ("test", 1000)):
            labels = torch.randint(20, (count,), generator=generator)
            canvas = torch.randint(64, 256, (count, 1, 1, 3), generator=generator).expand(-1, 40, 40, -1).float()
            canvas = canvas.clone()
            steps = torch.randint(len(atlas), (count,), generator=generator)
            corners = torch.randint(9, (2, count, 1, 1), generator=generator)
            span = torch.arange(atlas.shape[2])
            where = torch.arange(count)[:, None, None], corners[0] + span[:, None], corners[1] + span
            cut = atlas[steps, labels]
            canvas[where] = cut[..., :3] + canvas[where] * (1 - cut[..., 3:])
            splits[split] = (canvas[:, :24, :24].permute(0, 3, 1, 2).byte().contiguous(), labels)
            if self.where:
                splits[split] = splits[split][0], (corners[0] // 3 * 3 + corners[1] // 3).flatten()
        return ImageInfo(3, 24, 24, 9 if self.where else 20), splits


class Frozen(CNN):
    """A ``cnn`` of six CONVs without a hidden layer, the first of which come from another network and do not learn.

    Args:
        frozen: How many.
        init_from: Run folder of the other network; those layers stay as initialised where empty.
    """

    def __init__(self, frozen: int = 0, init_from: str = "") -> None:
        super().__init__(channels=CHANNELS, hidden=0, init_from=init_from)
        self.save_hyperparameters()
        self.frozen = frozen

    def network(self, info: ImageInfo) -> nn.Module:
        """Return the layers, the first of which do not learn."""
        net = super().network(info)
        self._first(net).requires_grad_(False).eval()
        return net

    def train(self, mode: bool = True) -> "Frozen":
        """Switch between training and evaluation; the normalisation of layers that do not learn stays as it is."""
        super().train(mode)
        if hasattr(self, "net"):
            self._first(self.net).eval()
        return self

    def initialise(self) -> None:
        """Take the first layers alone."""
        if self.init_from:
            start_from(self._first(self.net), self.init_from)

    def _first(self, net: nn.Module) -> nn.Sequential:
        names = {f"{kind}{number}" for number in range(1, self.frozen + 1) for kind in ("conv", "norm")}
        return nn.Sequential(OrderedDict((name, layer) for name, layer in net.named_children() if name in names))

    def showcase(self, batch: Batch) -> dict[str, Any]:
        """Show nothing."""
        return {}


def low_layers(lab: Lab) -> Evidence:
    """Tell emoji apart by layers that learned to tell where they are, and by layers that learned to tell them apart."""

    def fit(seed: int, where: bool = False, frozen: int = 0, source: Path | str = "") -> tuple[float, Path]:
        options = [f"--data.where={where}", f"--model.frozen={frozen}", f"--model.init_from={source}"]
        data = "--data=dlplug_multimodal.claims.captions.OneEmoji"
        short = ("--trainer.max_epochs=4", "--trainer.check_val_every_n_epoch=4")
        run = lab.fit("dlplug_multimodal.claims.captions.Frozen", data, *short, *options, seed=seed)
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
    low, high = (less(*([costs[k] for costs in lost[name]] for name in lost)) for k in (0, -1))
    costs = {
        f"learned on {name}": [sum(each[k] for each in lost[name]) / len(lost[name]) for k in range(len(LAYERS))]
        for name in lost
    }
    name = "points that all six layers lose more than the first two"
    more = "points lost more than by layers of the same task"
    columns = ("seed", "accuracy", *(f"lost by {k} of {name}" for name in lost for k in LAYERS))
    return Evidence(
        [
            Measure(f"{more}, the first two", low, "<=", 3),
            Measure(f"{name}, learned on another task", deep["another task"], ">=", 5),
        ],
        [
            Measure(f"{more}, all six", high, "<=", 3),
            Measure(f"{name}, learned on the same task", deep["the same task"], ">=", 5),
        ],
        {
            "What frozen layers cost": Figure(
                plot_curves(LAYERS, costs, "layers taken and frozen", "points of test accuracy lost")
            ),
            "By seed": Table(columns, rows),
        },
        note="Yosinski et al. (2014). The task: which of 20 emoji a picture shows; the other one: where it is. The "
        "layers above those that are taken start at random and learn, as all do in the network they are held against.",
    )
