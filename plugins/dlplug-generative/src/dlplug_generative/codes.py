"""What models that draw from codes or labels share: fully connected layers, lines between codes, their map."""

from itertools import pairwise

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity


def mlp(*widths: int) -> nn.Sequential:
    """Return fully connected layers with SiLUs between them; those before a SiLU start as He et al. (2015) say.

    From PyTorch's own, smaller start the same layers take twice as many updates to get as far.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layer = nn.Linear(before, after)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def great_circles(points: Tensor, steps: int = 10) -> Tensor:
    """Return what lies between each two points, along the great circle where all normal noise of that length lies.

    Args:
        points: Shape (2 rows, latent_dim).
        steps: Points of a row, its ends among them.

    Returns:
        Shape (rows, steps, latent_dim).
    """
    first, last = points.view(-1, 2, points.shape[1]).unbind(1)  # (rows, latent_dim) each
    angle = cosine_similarity(first, last, dim=1).clamp(-0.999, 0.999).acos()[:, None, None]
    along = torch.linspace(0, 1, steps, device=points.device)[None, :, None]
    weights = torch.sin((1 - along) * angle) / angle.sin(), torch.sin(along * angle) / angle.sin()
    return weights[0] * first[:, None] + weights[1] * last[:, None]


def wanted_labels(n: int, label: int, classes: int, device: torch.device) -> Tensor | None:
    """Return the classes to draw, shape (n,); None for a model of none.

    Args:
        n: How many.
        label: The class of all of them; -1 for all classes in turn.
        classes: That the model is conditioned on; 0 for none.
        device: Where they are needed.

    Raises:
        ValueError: There is no such class.
    """
    if label != -1 and not 0 <= label < classes:
        known = f"from 0 to {classes - 1}, or -1 for all" if classes else "-1: this model is not conditional"
        raise ValueError(f"label must be {known}, not {label}")
    if not classes:
        return None
    return torch.arange(n, device=device) % classes if label == -1 else torch.full((n,), label, device=device)


def plot_latent(points: Tensor, labels: Tensor, across: str, up: str) -> Drawing:
    """Draw codes (n, 2) coloured by label (n,), both on the CPU."""
    drawing = Drawing(figsize=(5, 4.5), layout="constrained")
    axes = drawing.add_subplot(xlabel=across, ylabel=up)
    dots = axes.scatter(points[:, 0], points[:, 1], c=labels, s=8, cmap="tab10")
    drawing.colorbar(dots, label="label")
    return drawing
