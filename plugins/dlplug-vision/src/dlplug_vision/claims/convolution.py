"""Section 3.1: what a CONV sees, and the sizes of what the layers give."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import ImageInfo
from dlplug.media import Figure, Image, Table
from dlplug.plots import plot_curves
from dlplug_vision.models.cnn import output_size


def local_regions(lab: Lab) -> Evidence:
    """Compare the receptive field that a unit's gradient shows with the formula, over a grid of networks."""
    info = ImageInfo(1, 49, 49, 10)  # wide enough for the widest receptive field
    grid = list(itertools.product((1, 3, 5), (1, 2), ("none", "max"), (1, 2)))
    wrong, dense_wrong = [], []
    for seed in lab.seeds:
        misses = dense_misses = 0
        for kernel, stride, pooling, depth in grid:
            options: dict[str, Any] = {"channels": (8,) * depth, "kernel": kernel, "stride": stride, "pool_every": 1}
            options |= {"padding": kernel // 2, "pooling": pooling, "hidden": 0, "norm": False}
            expected = receptive_field(kernel, stride, pooling != "none", depth)
            misses += measured_field(lab.model("cnn", info, seed, **options).net, info) != expected
            dense = nn.Sequential(nn.Flatten(), nn.Linear(49 * 49, 9), nn.Unflatten(1, (1, 3, 3)))
            # In a layer of its own, so that its Flatten is not taken for the end of the CONVs.
            dense_misses += measured_field(nn.Sequential(dense), info) != expected
        wrong.append(float(misses))
        dense_wrong.append(float(dense_misses))
    name = f"networks of {len(grid)} whose receptive field is not the formula's"
    return Evidence(
        [Measure(name, wrong, "<=", 0, "1 + sum of (kernel - 1) × strides before")],
        [Measure("the same of fully connected layers", dense_wrong, "<=", 0)],
        {"What one unit sees": Image(dependence(lab.model("cnn", info, channels=(8, 8), hidden=0).net, info))},
        note="The picture: a unit in the middle after two CONVs of 3×3 and a POOL sees 6×6 of 49×49 pixels.",
    )


def receptive_field(kernel: int, stride: int, pooled: bool, depth: int) -> int:
    """Return the side of the receptive field after that many CONVs of one kind, each with a POOL of 2 if any."""
    side, jump = 1, 1
    for _ in range(depth):
        side, jump = side + (kernel - 1) * jump, jump * stride
        if pooled:
            side, jump = side + jump, jump * 2
    return side


def measured_field(network: nn.Module, info: ImageInfo) -> int:
    """Return the side of the region of the input that the middle unit of a network's features depends on."""
    columns = dependence(network, info)[0].any(0).nonzero()
    return int(columns.max() - columns.min()) + 1


def dependence(network: nn.Module, info: ImageInfo) -> Tensor:
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
    """Run an image of 32×32 through CONV with 12 filters, RELU, POOL and FC, and compare the sizes with the notes'."""
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
    return Evidence(
        [
            Measure(
                "layers of 4 of another size than in the notes",
                [misses(stride=1)],
                "<=",
                0,
                "32×32×12, 32×32×12, 16×16×12, 10",
                exact=True,
            )
        ],
        [Measure("the same with a stride of 2", [misses(stride=2)], "<=", 0, exact=True)],
        {"Layers": Table(("layer", "depth × height × width"), rows)},
    )


def output_sizes(lab: Lab) -> Evidence:
    """Compare the output size of a CONV with the formula, over depth, kernel, stride and padding."""
    grid = list(itertools.product((1, 7), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (8, 13, 28)))

    def shape(side: int, depth: int, kernel: int, stride: int, padding: int) -> tuple[int, ...]:
        options: dict[str, Any] = {"channels": (depth,), "kernel": kernel, "stride": stride, "padding": padding}
        model = lab.model("cnn", ImageInfo(1, side, side, 10), **options, pooling="none")
        return tuple(model.net.conv1(torch.rand(1, 1, side, side)).shape)

    measured = {case: shape(case[-1], *case[:-1]) for case in grid}

    def misses(formula: Callable[[int, int, int, int], int]) -> float:
        wanted = {case: formula(case[-1], *case[1:-1]) for case in grid}
        return float(sum(found != (1, case[0], *[wanted[case]] * 2) for case, found in measured.items()))

    name, told = (
        f"CONVs of {len(grid)} whose output has another size",
        "(n + 2 padding - kernel) / stride + 1, rounded down",
    )
    curves = {
        f"stride {stride}": [measured[7, 3, stride, padding, 28][-1] for padding in (0, 1, 2)] for stride in (1, 2, 3)
    }
    return Evidence(
        [Measure(name, [misses(output_size)], "<=", 0, told, exact=True)],
        [
            Measure(
                f"{name}, padding forgotten", [misses(lambda n, k, s, p: output_size(n, k, s, 0))], "<=", 0, exact=True
            ),
            Measure(
                f"{name}, stride forgotten", [misses(lambda n, k, s, p: output_size(n, k, 1, p))], "<=", 0, exact=True
            ),
        ],
        {"Output of 28×28": Figure(plot_curves((0, 1, 2), curves, "padding", "side of the output, kernel 3×3"))},
    )
