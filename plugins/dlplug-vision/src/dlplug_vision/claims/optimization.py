"""Section 3: learning is optimisation of a function."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves

STEPS, LENGTH = 60, 0.3  # of a step: the distance that the weights move
WAYS = ("negative gradient", "random direction", "labels shuffled")


def gradient_descent(lab: Lab) -> Evidence:
    """Take steps along the negative gradient, as long ones in random directions, and along that of shuffled labels."""
    data = lab.data("digits")
    images, labels = data.prepare_batch(tuple(part[:500] for part in data.splits["train"]))
    unseen = data.prepare_batch(data.splits["test"])
    falls: dict[str, list[float]] = {way: [] for way in WAYS}
    right: dict[str, list[float]] = {way: [] for way in WAYS}
    curves: dict[str, list[float]] = {}
    for seed in lab.seeds:
        for way in WAYS:
            model = lab.model("cnn", data.info, seed)
            targets = labels[torch.randperm(len(labels))] if way == "labels shuffled" else labels
            losses = descend(model, images, targets, way == "random direction")
            falls[way].append((losses[0] - losses[-1]) / losses[0])
            right[way].append(accuracy(model, *unseen))
            curves[way] = losses
    share = f"share of the training loss that {STEPS} steps take away"
    name = "accuracy on images that were not trained on"
    figure = plot_curves(range(STEPS + 1), curves, "steps", "training loss in nats")
    return Evidence(
        [
            Measure(share, falls["negative gradient"], ">=", 0.5),
            Measure(name, right["negative gradient"], ">=", 0.6, "chance 0.1"),
        ],
        [
            Measure(f"{share}, in random directions", falls["random direction"], ">=", 0.5),
            Measure(f"{name}, after steps in random directions", right["random direction"], ">=", 0.6),
            Measure(f"{name}, labels shuffled", right["labels shuffled"], ">=", 0.6),
        ],
        {"The loss by step": Figure(figure)},
        note=f"{len(images)} images at once, every step {LENGTH} long, whatever its direction.",
    )


def descend(model: Any, images: Tensor, labels: Tensor, at_random: bool) -> list[float]:
    """Take steps of one length along the negative gradient, or at random; return the loss before each and after all."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    losses = []
    for _ in range(STEPS):
        loss = cross_entropy(model(images), labels)
        losses.append(loss.item())
        at = parameters_to_vector(weights).detach()
        if at_random:
            direction = torch.randn_like(at)
        else:
            direction = -torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])
        vector_to_parameters(at + LENGTH * direction / direction.norm(), weights)
    with torch.no_grad():
        losses.append(float(cross_entropy(model(images), labels)))
    return losses


@torch.no_grad()
def accuracy(model: Any, images: Tensor, labels: Tensor) -> float:
    """Return the share of images classified correctly."""
    return float((model(images).argmax(1) == labels).float().mean())
