"""Checks of lecture 3's lab."""

from math import prod

import torch
from torch import nn
from torch.nn.functional import conv2d, max_pool2d

from checks import check, equal, expect


@check
def descend(answer):
    """Step along the gradient of a quadratic bowl, whose gradient is known."""
    weights = torch.tensor([3.0, -1.0])
    scale = torch.tensor([1.0, 10.0])
    new = answer(lambda w: (scale * w**2).sum(), weights, 0.05)
    gradient = 2 * scale * weights
    equal(
        new,
        weights - 0.05 * gradient,
        "the step from (3, -1) in the bowl w₁² + 10 w₂²",
        "The gradient there is (6, -20): take lr times it away from the weights.",
        {
            "this goes uphill: the parameters shift in the opposite direction of the gradient": weights
            + 0.05 * gradient,
            "this returns the gradient: take lr times it away from the weights": gradient,
            "the weights did not move: return the new ones": weights,
        },
    )
    expect(not new.requires_grad, "the new weights still hang on the graph of the old ones: `detach()` them")
    return "one step of gradient descent, downhill in both directions."


@check
def convolve(answer):
    """Compare with torch's convolution."""
    image, kernel = torch.randn(6, 7), torch.randn(3, 2)
    wanted = conv2d(image[None, None], kernel[None, None])[0, 0]
    turned = conv2d(image[None, None], kernel.flip(0, 1)[None, None])[0, 0]
    equal(
        answer(image, kernel),
        wanted,
        "a kernel of 3×2 over an image of 6×7",
        "At place (i, j) it is the sum over the region image[i : i + 3, j : j + 2], each pixel times its weight.",
        {
            "the kernel is turned round: that is the convolution of mathematics; a CONV leaves it as it is": turned,
            "all rows and columns were added up: rows of the region go with i, columns with j": wanted.sum(),
        },
    )
    return "each number looks at a 3×2 region only, and all regions share one kernel."


@check
def output_size(answer):
    """Compare with torch's sizes, over a grid."""
    for side, kernel, stride, padding in [(32, 5, 1, 0), (32, 5, 1, 2), (32, 2, 2, 0), (28, 3, 2, 1), (9, 4, 3, 1)]:
        layer = nn.Conv2d(1, 1, kernel, stride, padding)
        wanted = layer(torch.zeros(1, 1, side, side)).shape[-1]
        got = answer(side, kernel, stride, padding)
        expect(isinstance(got, int), f"a size is an int, not {got!r}: `//` divides whole numbers and rounds down")
        known = {
            "the padding is on both sides: it counts twice": (side + padding - kernel) // stride + 1,
            "one is missing: a kernel as wide as the image has one place, not none": wanted - 1,
        }
        of = f"the output of a CONV with kernel {kernel}, stride {stride}, padding {padding} on {side} pixels"
        equal(got, wanted, of, "How many steps fit between the first place of the filter and the last?", known)
    return "(n + 2 padding - kernel) / stride + 1, rounded down."


@check
def max_pool(answer):
    """Compare with torch's pooling."""
    images = torch.randn(2, 3, 6, 4)
    blocks = images.view(2, 3, 3, 2, 2, 2)
    equal(
        answer(images),
        max_pool2d(images, 2),
        "the pooling of 2×3 images of 6×4 pixels",
        "Look at one image of numbers 0 … 23: the first output is the largest of 0, 1, 4 and 5.",
        {
            "this is the mean of each block: take the largest": blocks.mean((3, 5)),
            "height and width are mixed up: rows of a block are dimension 3 of the view, columns 5": images.view(
                2, 3, 2, 3, 2, 2
            ).amax((3, 5)),
        },
    )
    return "32×32×12 becomes 16×16×12: every 2×2 block leaves its largest number."


@check
def count_weights(answer):
    """Compare with torch's layers."""
    for channels, side, filters, kernel in [(3, 32, 12, 3), (1, 8, 4, 5)]:
        conv = sum(w.numel() for w in nn.Conv2d(channels, filters, kernel, padding=kernel // 2).parameters())
        dense = (channels * side**2 + 1) * filters * side**2
        got = answer(channels, side, filters, kernel)
        of = f"a CONV of {filters} filters of {kernel}×{kernel} and an FC, from {side}×{side}×{channels} to the same"
        expect(isinstance(got, tuple) and len(got) == 2, f"give two numbers, the CONV's and the FC's, not {got!r}")
        wrong = (conv - filters, dense - filters * side**2)
        known = {"the biases are missing: one a filter in a CONV, one an output in an FC": wrong}
        look = "A filter sees kernel × kernel × channels numbers; an FC's output sees all of the input."
        equal(got, (conv, dense), of, look, known)
    return "336 weights do what takes an FC 37.8 million: the filters are shared by all places."


@check
def receptive_field(answer):
    """Compare with the formula, over stacks of layers."""
    stacks = [[(3, 1)], [(3, 1), (3, 1)], [(3, 1), (3, 1), (2, 2)], [(3, 1), (2, 2), (3, 1)], [(5, 2), (3, 2), (3, 1)]]
    for layers, wanted in zip(stacks, (3, 5, 6, 8, 17), strict=True):
        plain = 1 + sum(kernel - 1 for kernel, _ in layers)
        known = {
            "strides are left out: after a POOL, a step of one is a step of two in the image": plain,
            "a layer's own stride counts for the layers after it, not for itself": 1
            + sum((k - 1) * prod(s for _, s in layers[: n + 1]) for n, (k, _) in enumerate(layers)),
        }
        if wanted in known.values():
            known = {}
        of = f"what one unit sees after layers (kernel, stride) = {layers}"
        equal(answer(layers), wanted, of, "Each layer adds (kernel - 1) × the product of the strides before it.", known)
    return "two CONVs of 3×3 see 5×5, and with a POOL between them 8×8."


@check
def saliency(answer):
    """Compare with the gradient of a linear classifier, which is known."""
    weight = torch.randn(4, 2 * 3 * 3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(18, 4))
    network[1].weight.data = weight
    image = torch.randn(2, 3, 3)
    best = int(network(image[None]).argmax())
    wanted = weight[best].view(2, 3, 3)
    equal(
        answer(network, image),
        wanted.abs().amax(0),
        "the saliency of a linear classifier of images of 2×3×3",
        "It is the gradient of the largest score, one number a pixel: the largest size over the channels.",
        {
            "the sign counts: a pixel matters as much if it lowers the score, so take `abs()`": wanted.amax(0),
            "channels are added up: take the largest": wanted.abs().sum(0),
            "this is the gradient of all scores added up: take the largest score alone": weight.sum(0)
            .view(2, 3, 3)
            .abs()
            .amax(0),
        },
    )
    expect(all(w.grad is None for w in network.parameters()), "the network's weights got gradients: use autograd.grad")
    return "of a linear classifier it is the size of its weights; a CNN's depends on the image."
