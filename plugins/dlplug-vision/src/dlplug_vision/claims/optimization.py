"""Section 3: learning is optimisation of a function."""

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves


def gradient_descent(lab: Lab) -> Evidence:
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
        initial = parameters_to_vector(weights).detach()
        for name, direction in (("negative gradient", -gradient), ("random direction", torch.randn_like(gradient))):
            losses = [float(start)]
            for length in lengths:
                vector_to_parameters(initial + length * direction / direction.norm(), weights)
                with torch.no_grad():
                    losses.append(float(cross_entropy(model(images), labels)))
            vector_to_parameters(initial, weights)
            shares[name].append((losses[0] - losses[1]) / (lengths[0] * float(gradient.norm())))
            curves[name] = losses
    name = "fall of the loss on a step of 0.01, as a share of what the gradient's norm promises"
    figure = plot_curves([0, *lengths], curves, "length of the step", "training loss in nats")
    return Evidence(
        [Measure(name, shares["negative gradient"], ">=", 0.5, "1 for an infinitely short step")],
        [Measure("the same along a random direction", shares["random direction"], ">=", 0.5)],
        {"The loss along both": Figure(figure)},
    )
