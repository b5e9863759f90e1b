"""What models of latent variables or labels share: fully connected layers, interpolation, labels, a scatter plot."""

from collections.abc import Callable
from itertools import pairwise

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from dlplug.data import ImageInfo
from dlplug.media import Image, ImageFile

Demo = Callable[..., Image]
Reader = Callable[[str], Tensor]


def mlp(*sizes: int) -> nn.Sequential:
    """Return fully connected layers of these sizes with SiLUs between them.

    Layers before a SiLU are initialised as in He et al. (2015): from PyTorch's own, smaller initialisation they take
    twice as many updates to get as far.
    """
    layers: list[nn.Module] = []
    for in_features, out_features in pairwise(sizes[:-1]):
        layer = nn.Linear(in_features, out_features)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def slerp(points: Tensor, steps: int = 10) -> Tensor:
    """Interpolate between each two points along the great circle (Shoemake, 1985), where all points keep the norm.

    Args:
        points: Shape (2 rows, latent_dim).
        steps: Points of a row, its ends among them.

    Returns:
        Shape (rows, steps, latent_dim).
    """
    first, last = points.view(-1, 2, points.shape[1]).unbind(1)  # (rows, latent_dim) each
    # Clamped, since equal or opposite points have a sine of 0.
    angle = cosine_similarity(first, last, dim=1).clamp(-0.999, 0.999).acos()[:, None, None]
    t = torch.linspace(0, 1, steps, device=points.device)[None, :, None]
    weights = torch.sin((1 - t) * angle) / angle.sin(), torch.sin(t * angle) / angle.sin()
    return weights[0] * first[:, None] + weights[1] * last[:, None]


def check_small_images(info: ImageInfo, conditional: bool) -> None:
    """Refuse images that networks of a few halvings do not fit, and a conditional model of images without labels.

    Raises:
        ValueError: They are not of 8×8 to 64×64 with 1 or 3 channels, or labels lack.
    """
    if not 8 <= min(info.height, info.width) <= max(info.height, info.width) <= 64 or info.channels not in (1, 3):
        raise ValueError(f"fits 8×8 to 64×64 images of 1 or 3 channels, not {info}")
    if conditional and not info.classes:
        raise ValueError("conditional needs labelled images")


def labels_to_sample(n: int, label: int, classes: int, device: torch.device) -> Tensor | None:
    """Return the class of each image to sample, shape (n,); None for a model that is not conditional.

    Args:
        n: Number of images.
        label: The class of all of them; -1 for all classes in turn.
        classes: Number of classes that the model is conditioned on; 0 for none.
        device: Where the labels are needed.

    Raises:
        ValueError: There is no such class.
    """
    if label != -1 and not 0 <= label < classes:
        known = f"from 0 to {classes - 1}, or -1 for all" if classes else "-1: this model is not conditional"
        raise ValueError(f"label must be {known}, not {label}")
    if not classes:
        return None
    return torch.arange(n, device=device) % classes if label == -1 else torch.full((n,), label, device=device)


def plot_latent(points: Tensor, labels: Tensor, xlabel: str, ylabel: str) -> Drawing:
    """Plot two latent dimensions (n, 2) coloured by label (n,), both on the CPU."""
    drawing = Drawing(figsize=(5, 4.5), layout="constrained")
    axes = drawing.add_subplot(xlabel=xlabel, ylabel=ylabel)
    dots = axes.scatter(points[:, 0], points[:, 1], c=labels, s=8, cmap="tab10")
    drawing.colorbar(dots, label="label")
    return drawing


@torch.no_grad()
def explore_demo(decode: Callable[[Tensor], Tensor], start: Tensor) -> Demo:
    """Return a demo that decodes a point of a latent space, those dimensions first that change the picture most.

    Args:
        decode: From latents (n, latent_dim) to images (n, channels, height, width).
        start: Where it begins, shape (latent_dim,).
    """
    moved = start + 2 * torch.eye(len(start), device=start.device)  # (latent_dim, latent_dim)
    order = (decode(moved) - decode(start[None])).flatten(1).norm(dim=1).argsort(descending=True)

    def explore(latent: tuple[float, ...] = tuple(start[order].tolist())) -> Image:
        """Move in the latent space; the first dimensions change the picture most."""
        point = torch.empty_like(start)
        point[order] = torch.tensor(latent).to(start)
        return Image(decode(point[None])[0])

    return explore


def interpolate_demo(encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor], read: Reader) -> Demo:
    """Return a demo that goes from one picture to another by their latents.

    Args:
        encode: From images (n, channels, height, width) to latents (n, latent_dim).
        decode: From those to images.
        read: From an image's file to an image (1, channels, height, width).
    """

    def interpolate(first: ImageFile, second: ImageFile, steps: int = 8) -> Image:
        """Go from one picture to another through the latent space.

        Args:
            first: A picture.
            second: Another.
            steps: Pictures on the way, both ends' reconstructions among them.
        """
        if steps < 2:
            raise ValueError(f"steps must be at least 2, not {steps}")
        ends = encode(torch.cat([read(first), read(second)]))  # (2, latent_dim)
        t = torch.linspace(0, 1, steps, device=ends.device)[:, None]
        return Image(decode(torch.lerp(ends[:1], ends[1:], t)), columns=steps)

    return interpolate
