"""Random small changes to whole batches of images, that a model should not mind."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def jitter(images: Tensor, strength: float = 1.0) -> Tensor:
    """Turn, scale and move each image by its own random amount.

    One resampling of the whole batch. The transforms of torchvision draw one amount for a batch, so that all its images
    would be turned alike; looping over them costs more than a small network's step.

    Args:
        images: Shape (n, channels, height, width). What comes in at the edges is black in grey images and the mirrored
            picture in colour ones.
        strength: 1 for up to 10 degrees, 10 % and 8 % of the side.

    Returns:
        The changed images, same shape.
    """
    n, channels, height, width = images.shape
    u = torch.rand(4, n, device=images.device) * 2 - 1  # (4, n), from -1 to 1
    angle, scale, shift = u[0] * math.radians(10 * strength), 1 + 0.1 * strength * u[1], 0.16 * strength * u[2:]
    cos, sin = angle.cos() * scale, angle.sin() * scale  # (n,), (n,)
    # Coordinates run from -1 to 1 along both sides, so turning must mind how long these are.
    rows = [cos, -sin * height / width, shift[0], sin * width / height, cos, shift[1]]
    grid = affine_grid(torch.stack(rows, 1).view(n, 2, 3), [n, channels, height, width], align_corners=False)
    return grid_sample(
        images, grid, padding_mode="zeros" if channels == 1 else "reflection", align_corners=False
    )  # (n, channels, height, width)


def flip(images: Tensor) -> Tensor:
    """Mirror a random half of the images left to right.

    Args:
        images: Shape (n, channels, height, width).

    Returns:
        The changed images, same shape.
    """
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)
