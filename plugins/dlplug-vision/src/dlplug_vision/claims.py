"""The sentences of section 3.1, and of 5.3 where they are about images, measured."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import ImageInfo
from dlplug.media import Figure, Image, Table
from dlplug.plots import plot_curves
from dlplug_vision.data.images import FOLDS
from dlplug_vision.data.mnist5k import MNIST5k
from dlplug_vision.models.classifier import Classifier
from dlplug_vision.models.cnn import output_size

RATES = (1e-3, 3e-3, 1e-2)  # what a network that loses may choose from
SHORT = ("--trainer.max_epochs=8", "--data.fold=0", "--data.augment=0")


class Dense(Classifier):
    """A network of two fully connected layers with as many weights as ``cnn``: what CONV is measured against.

    Args:
        hidden: Units of its hidden layer.
        lr: Highest learning rate of AdamW.
    """

    def __init__(self, hidden: int = 148, lr: float = 3e-3) -> None:
        super().__init__(lr, weight_decay=0.01, init_from="")
        self.save_hyperparameters()
        self.hidden = hidden

    def network(self, info: ImageInfo) -> nn.Module:
        """Return the layers."""
        pixels = info.channels * info.height * info.width
        first, last = nn.Linear(pixels, self.hidden, bias=False), nn.Linear(self.hidden, info.classes)
        return nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(self.hidden), nn.ReLU(), last)

    def showcase(self, batch: Any) -> dict[str, Any]:
        """Show nothing: there are no filters."""
        return {}


class Scrambled(MNIST5k):
    """mnist5k with its pixels in another order, the same for all images: all is there but who is whose neighbour."""

    def read(self) -> tuple[Tensor, Tensor]:
        """Return the images, scrambled."""
        images, labels = super().read()
        return scramble(images), labels


class Some(MNIST5k):
    """The digits 0 to 5 or 6 to 9 of mnist5k.

    Args:
        upper: Whether 6 to 9.
        labels: Training images of each class; 0 for all. Those left out are tested on.
        shuffled: Whether the training labels are in random order, so that nothing can be learnt.
        augment: As in ``mnist5k``.
    """

    def __init__(self, upper: bool = False, labels: int = 0, shuffled: bool = False, augment: float = 0.0) -> None:
        super().__init__(batch_size=32, augment=augment)
        self.upper, self.labels, self.shuffled = upper, labels, shuffled

    def load(self) -> Any:
        """Return the classes asked for, counted from 0."""
        info, splits = super().load()
        parts = {}
        for split, (images, labels) in splits.items():
            rows = (labels >= 6) if self.upper else (labels < 6)
            parts[split] = (images[rows], labels[rows] % 6)
        images, labels = parts["train"]
        classes = 4 if self.upper else 6
        if self.labels:
            few = torch.zeros(len(labels), dtype=torch.bool)
            few[torch.cat([(labels == k).nonzero().flatten()[: self.labels] for k in range(classes)])] = True
            tested, answers = parts["test"]
            parts["test"] = (torch.cat([tested, images[~few]]), torch.cat([answers, labels[~few]]))
            images, labels = images[few], labels[few]
        if self.shuffled:
            labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
        return ImageInfo(info.channels, info.height, info.width, classes), {**parts, "train": (images, labels)}


def scramble(images: Tensor) -> Tensor:
    """Return images (n, channels, height, width) with their pixels in another, fixed order."""
    order = torch.randperm(images[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    return images.flatten(2)[:, :, order].view_as(images)


def local_regions(lab: Lab) -> Evidence:
    """Hold the region that a unit's gradient reaches against the formula, over a grid of networks."""
    info = ImageInfo(1, 49, 49, 10)  # wide enough for the widest region
    grid = list(itertools.product((1, 3, 5), (1, 2), ("none", "max"), (1, 2)))
    wrong, dense_wrong = [], []
    for seed in lab.seeds:
        misses = dense_misses = 0
        for kernel, stride, pooling, layers in grid:
            options: dict[str, Any] = {
                "channels": (8,) * layers,
                "kernel": kernel,
                "stride": stride,
                "padding": kernel // 2,
            }
            model = lab.model("cnn", info, seed, **options, pooling=pooling, pool_every=1, hidden=0, norm=False)
            expected = receptive_field(kernel, stride, pooling != "none", layers)
            misses += reach(model.net, info) != expected
            flat = nn.Sequential(nn.Flatten(), nn.Linear(49 * 49, 9), nn.Unflatten(1, (1, 3, 3)))
            mixed = nn.Sequential(flat)  # a layer of its own, so that it is not taken for the end of the CONVs
            dense_misses += reach(mixed, info) != expected
        wrong.append(float(misses))
        dense_wrong.append(float(dense_misses))
    name = f"networks of {len(grid)} whose units see another region than the formula says"
    return Evidence(
        [Measure(name, wrong, "<=", 0, "1 + sum of (kernel - 1) × strides before")],
        [Measure("the same of fully connected layers", dense_wrong, "<=", 0)],
        {"What one unit sees": Image(sight(lab.model("cnn", info, channels=(8, 8), hidden=0).net, info))},
        note="The picture: a unit in the middle after two CONVs of 3×3 and a POOL sees 6×6 of 49×49 pixels.",
    )


def receptive_field(kernel: int, stride: int, pooled: bool, layers: int) -> int:
    """Return the side of the region that a unit sees after so many CONVs of one kind, each with a POOL of 2 if any."""
    side, step = 1, 1
    for _ in range(layers):
        side, step = side + (kernel - 1) * step, step * stride
        if pooled:
            side, step = side + step, step * 2
    return side


def reach(body: nn.Module, info: ImageInfo) -> int:
    """Return the side of the region of the input that the middle unit of a network's output depends on."""
    seen = sight(body, info)[0].any(0).nonzero()
    return int(seen.max() - seen.min()) + 1


def sight(network: nn.Module, info: ImageInfo) -> Tensor:
    """Return what the middle unit before any fully connected layer depends on: 1 or 0, shape (1, height, width)."""
    layers = network.children()
    body = nn.Sequential(*itertools.takewhile(lambda layer: not isinstance(layer, nn.Flatten), layers))
    images = torch.rand(64, info.channels, info.height, info.width, requires_grad=True)
    features = body(images)  # (64, depth, rows, columns)
    _, _, rows, columns = features.shape
    features[:, :, rows // 2, columns // 2].sum().backward()
    assert images.grad is not None
    return images.grad.abs().sum((0, 1)).gt(0).float()[None]


def layer_sizes(lab: Lab) -> Evidence:
    """Run an image of 32×32 through CONV with 12 filters, RELU, POOL and FC, and look at the sizes."""
    notes = {"conv1": (12, 32, 32), "relu1": (12, 32, 32), "pool1": (12, 16, 16), "scores": (10,)}

    def sizes(stride: int) -> dict[str, tuple[int, ...]]:
        options: dict[str, Any] = {"channels": (12,), "pool_every": 1, "hidden": 0, "stride": stride}
        model = lab.model("cnn", ImageInfo(3, 32, 32, 10), **options)
        found = {}
        x = torch.rand(1, 3, 32, 32)
        for name, layer in model.net.named_children():
            x = layer(x)
            found[name] = tuple(x.shape[1:])
        return found

    def misses(stride: int) -> float:
        found = sizes(stride)
        return float(sum(found[name] != size for name, size in notes.items()))

    rows = [(layer, "×".join(map(str, size))) for layer, size in sizes(stride=1).items()]
    name = "layers of 4 of another size than in the notes"
    return Evidence(
        [Measure(name, [misses(stride=1)], "<=", 0, "32×32×12, 32×32×12, 16×16×12, 10")],
        [Measure("the same with a stride of 2", [misses(stride=2)], "<=", 0)],
        {"Layers": Table(("layer", "depth × height × width"), rows)},
    )


def output_sizes(lab: Lab) -> Evidence:
    """Hold the size of what a CONV gives against the formula, over depth, kernel, stride and padding."""
    grid = list(itertools.product((1, 7), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (8, 13, 28)))

    def misses(formula: Callable[[int, int, int, int], int]) -> float:
        count = 0
        for depth, kernel, stride, padding, side in grid:
            options: dict[str, Any] = {"channels": (depth,), "kernel": kernel, "stride": stride, "padding": padding}
            model = lab.model("cnn", ImageInfo(1, side, side, 10), **options, pooling="none")
            size = formula(side, kernel, stride, padding)
            count += tuple(model.net.conv1(torch.rand(1, 1, side, side)).shape) != (1, depth, size, size)
        return float(count)

    name = f"CONVs of {len(grid)} whose output has another size"
    return Evidence(
        [Measure(name, [misses(output_size)], "<=", 0, "(n + 2 padding - kernel) / stride + 1, rounded down")],
        [Measure("the same, padding forgotten", [misses(lambda n, k, s, p: output_size(n, k, s, 0))], "<=", 0)],
    )


def descent(lab: Lab) -> Evidence:
    """Step along the negative gradient and along a random direction, equally far, and compare how the loss falls."""
    data = lab.data("mnist5k")
    images, labels = data.prepare_batch(tuple(part[:500] for part in data.splits["train"]))
    lengths = [0.01, 0.1, 0.2, 0.3, 0.4, 0.5]
    shares: dict[str, list[float]] = {"negative gradient": [], "random direction": []}
    curves: dict[str, list[float]] = {}
    for seed in lab.seeds:
        model = lab.model("cnn", data.info, seed)
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        start = cross_entropy(model(images), labels)
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(start, weights)])
        here = parameters_to_vector(weights).detach()
        for name, direction in (("negative gradient", -gradient), ("random direction", torch.randn_like(gradient))):
            losses = [float(start)]
            for length in lengths:
                vector_to_parameters(here + length * direction / direction.norm(), weights)
                with torch.no_grad():
                    losses.append(float(cross_entropy(model(images), labels)))
            vector_to_parameters(here, weights)
            shares[name].append((losses[0] - losses[1]) / (lengths[0] * float(gradient.norm())))
            curves[name] = losses
    what = "fall of the loss on a step of 0.01, as a share of what the gradient's length promises"
    return Evidence(
        [Measure(what, shares["negative gradient"], ">=", 0.5, "1 for an infinitely short step")],
        [Measure("the same along a random direction", shares["random direction"], ">=", 0.5)],
        {
            "The loss along both": Figure(
                plot_curves([0, *lengths], curves, "length of the step", "training loss in nats")
            )
        },
    )


def structure(lab: Lab) -> Evidence:
    """Compare ``cnn`` with a fully connected network of as many weights, on images as they are and scrambled."""
    found: dict[str, list[tuple[float, float]]] = {"mnist5k": [], "dlplug_vision.claims.Scrambled": []}
    rates = {data: best_rate(lab, data) for data in found}
    sizes, curves = "", {}
    for data, seed in itertools.product(found, lab.seeds):
        cnn = lab.fit("cnn", f"--data={data}", *SHORT, seed=seed)
        dense = lab.fit("dlplug_vision.claims.Dense", f"--data={data}", *SHORT, f"--model.lr={rates[data]}", seed=seed)
        still, dense_still = accuracy(cnn, shift=0), accuracy(dense, shift=0)
        cost, dense_cost = still - accuracy(cnn, shift=3), dense_still - accuracy(dense, shift=3)
        found[data].append((100 * (still - dense_still), cost / dense_cost))
        sizes = " and ".join(f"{sum(p.numel() for p in t.model.parameters()):,}" for t in (cnn, dense))
        if data == "mnist5k":
            curves = {
                name: [accuracy(t, shift) for shift in range(6)]
                for name, t in (("cnn", cnn), ("fully connected", dense))
            }
    (gains, shares), (scrambled_gains, scrambled_shares) = (zip(*pairs, strict=True) for pairs in found.values())
    points, share = (
        "points of test accuracy above the fully connected net's",
        "cost of a shift of 3 pixels over that net's",
    )
    return Evidence(
        [Measure(points, gains, ">=", 2), Measure(share, shares, "<=", 0.5)],
        [
            Measure(f"{points}, pixels scrambled", scrambled_gains, ">=", 2),
            Measure(f"{share}, pixels scrambled", scrambled_shares, "<=", 0.5),
        ],
        {"Shifted images": Figure(plot_curves(range(6), curves, "shift in pixels", "test accuracy"))},
        note=f"{sizes} weights, 8 epochs each without augmentation, 1,000 test images. The fully connected net has the "
        f"best of learning rates {RATES} on validation images: {' and '.join(map(str, rates.values()))}.",
    )


def best_rate(lab: Lab, data: str) -> float:
    """Return the learning rate that suits the fully connected network best, by validation loss."""

    def loss(rate: float) -> float:
        trained = lab.fit("dlplug_vision.claims.Dense", f"--data={data}", *SHORT, f"--model.lr={rate}")
        return min(trained.history("val/loss"))

    return min(RATES, key=loss)


@torch.no_grad()
def accuracy(trained: Trained, shift: int) -> float:
    """Return the mean test accuracy on images moved so many pixels left, right, up and down."""
    images, labels = trained.data.prepare_batch(trained.data.splits["test"])  # type: ignore[attr-defined]
    if shift:
        still = unscramble(images) if isinstance(trained.data, Scrambled) else images
        moved = pad(still, [shift] * 4)
        side = images.shape[-1]
        starts = ((0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift))
        parts = [moved[:, :, top : top + side, left : left + side] for top, left in starts]
        parts = [scramble(part) for part in parts] if isinstance(trained.data, Scrambled) else parts
    else:
        parts = [images]
    return sum(float((trained.model(part).argmax(1) == labels).float().mean()) for part in parts) / len(parts)


def unscramble(images: Tensor) -> Tensor:
    """Undo ``scramble``."""
    places = scramble(torch.arange(images[0, 0].numel()).view(1, 1, *images.shape[2:])).flatten()
    plain = torch.empty_like(images.flatten(2))
    plain[:, :, places] = images.flatten(2)
    return plain.view_as(images)


def pretraining(lab: Lab) -> Evidence:
    """Learn the digits 6 to 9 from 3 images each, from random weights and from a network's that knows 0 to 5."""
    some = "--data=dlplug_vision.claims.Some"
    few = [some, "--data.upper=true", "--data.labels=3", "--trainer.max_epochs=120"]
    few += ["--trainer.check_val_every_n_epoch=120", "--trainer.enable_checkpointing=false"]
    other = (some, "--data.augment=1", "--trainer.max_epochs=10")
    rates = (*RATES, 3e-2)

    def score(seed: int, rate: float, start: Path | None = None) -> float:
        options = [f"--model.lr={rate}", *([f"--model.init_from={start}"] if start else [])]
        return 100 * accuracy(lab.fit("cnn", *few, *options, seed=seed), shift=0)

    rows = []
    for seed in lab.seeds:
        known = lab.fit("cnn", *other, seed=seed).run.path
        nonsense = lab.fit("cnn", *other, "--data.shuffled=true", seed=seed).run.path
        random = max(score(seed, rate) for rate in rates)
        rows.append((seed, random, score(seed, 3e-3, known), score(seed, 3e-3, nonsense)))
    name = "points of test accuracy gained over random weights"
    return Evidence(
        [Measure(name, [known - random for _, random, known, _ in rows], ">=", 5)],
        [Measure(f"{name}, from shuffled labels", [shuffled - random for _, random, _, shuffled in rows], ">=", 5)],
        {"Test accuracy": Table(("seed", "random weights", "digits 0 to 5", "shuffled labels"), rows)},
        note="120 updates each on 12 images; the last layer starts at random in all. Random weights have the best of "
        f"learning rates {rates} on the test images, which flatters them. With 20 images a class the gain is 1 to 3.",
    )


def quality(lab: Lab) -> Evidence:
    """Train the default recipe on each fifth of mnist5k's images left out in turn, and test on that fifth."""
    folds = range(FOLDS)
    measured = [lab.test(lab.fit("cnn", f"--data.fold={fold}"))["test/accuracy"] for fold in folds]
    baseline = []
    for fold in folds:
        data = lab.data("mnist5k", fold=fold)
        (images, labels), (tested, answers) = (data.prepare_batch(data.splits[part]) for part in ("train", "test"))
        regression = LogisticRegression(max_iter=1000).fit(images.flatten(1).numpy(), labels.numpy())
        baseline.append(float(regression.score(tested.flatten(1).numpy(), answers.numpy())))
    return Evidence(
        [Measure("test accuracy of five folds", measured, ">=", 0.985, "RBF SVM about 0.95")],
        [Measure("the same of logistic regression", baseline, ">=", 0.985)],
    )
