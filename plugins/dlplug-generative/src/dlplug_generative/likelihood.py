"""Probabilities of pixel values, so that all models here are measured in the same nats."""

import math

import torch
from torch import Tensor

LEVELS = 256  # grey levels of a pixel


def binarise(images: Tensor) -> Tensor:
    """Return 1 where an image is above 0.5 and 0 elsewhere, as floats."""
    return (images > 0.5).to(images.dtype)


def discretised_normal(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log-probability of grey levels under a normal density discretised to them.

    A level has what the density has between it and its neighbours; all that lies below 0 counts to black and all above
    1 to white, so that the probabilities of the 256 levels sum to 1 and compare with those of discrete outputs.

    Args:
        x: Grey levels, multiples of 1/255 from 0 to 1.
        mean: The density's means, of a shape that ``x`` broadcasts to.
        log_std: The logarithm of its standard deviations, likewise.

    Returns:
        Nats, of the shape that the three broadcast to.
    """
    half, std = 0.5 / (LEVELS - 1), log_std.exp()
    distance = x - mean
    upper = torch.where(x > 1 - half, torch.inf, (distance + half) / std)
    lower = torch.where(x < half, -torch.inf, (distance - half) / std)
    mass = torch.special.ndtr(upper) - torch.special.ndtr(lower)
    # Far from the mean the difference underflows: there the density times the width is exact enough.
    log_density = -0.5 * (distance / std).square() - log_std - 0.5 * math.log(2 * math.pi)
    return torch.where(mass > 1e-6, mass.clamp_min(1e-6).log(), log_density + math.log(2 * half))
