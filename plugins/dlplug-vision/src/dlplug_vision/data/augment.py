"""Random augmentation of whole batches of images."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def random_affine(images: Tensor, strength: float = 1.0) -> Tensor:
    """Rotate, scale and translate each image by its own random amount.

    One resampling of the whole batch. The transforms of torchvision draw one amount for a batch, so that all its images
    would be rotated alike; looping over them costs more than a small network's step.

    Args:
        images: Shape (n, channels, height, width). What comes in at the edges is black in grey images and the mirrored
            image in colour ones.
        strength: 1 for up to 10 degrees, 10 % and 8 % of the side.

    Returns:
        The augmented images, same shape.
    """
    n, channels, height, width = images.shape
    u = torch.rand(4, n, device=images.device) * 2 - 1  # (4, n), from -1 to 1
    # Coordinates run from -1 to 1 along both sides: a shift of 0.16 is 8 % of a side, and a rotation must mind how long
    # the sides are.
    angle, scale, shift = u[0] * math.radians(10 * strength), 1 + 0.1 * strength * u[1], 0.16 * strength * u[2:]
    cos, sin = angle.cos() * scale, angle.sin() * scale  # (n,), (n,)
    theta = [cos, -sin * height / width, shift[0], sin * width / height, cos, shift[1]]
    grid = affine_grid(torch.stack(theta, 1).view(n, 2, 3), [n, channels, height, width], align_corners=False)
    return grid_sample(
        images, grid, padding_mode="zeros" if channels == 1 else "reflection", align_corners=False
    )  # (n, channels, height, width)


def random_horizontal_flip(images: Tensor) -> Tensor:
    """Flip a random half of the images left to right.

    Args:
        images: Shape (n, channels, height, width).

    Returns:
        The augmented images, same shape.
    """
    flipped = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(flipped, images.flip(-1), images)
