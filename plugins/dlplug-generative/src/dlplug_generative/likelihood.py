"""Probabilities of pixel values, so that all models here are measured in the same nats."""

import math

import torch
from torch import Tensor

LEVELS = 256  # grey levels of a pixel


def binarise(images: Tensor) -> Tensor:
    """Return 1 where an image is above 0.5 and 0 elsewhere, as floats."""
    return (images > 0.5).to(images.dtype)


def discretised_normal(x: Tensor, mean: Tensor, log_spread: Tensor) -> Tensor:
    """Return the log-probability of grey levels: what a normal density has between each and its neighbours.

    All that lies below 0 counts to black and all above 1 to white, so that the probabilities of the 256 levels sum to 1
    and compare with those of discrete outputs.

    Args:
        x: Grey levels, multiples of 1/255 from 0 to 1.
        mean: The density's means, of a shape that ``x`` broadcasts to.
        log_spread: The logarithm of its standard deviations, likewise.

    Returns:
        Nats, of the shape that the three broadcast to.
    """
    half, spread = 0.5 / (LEVELS - 1), log_spread.exp()
    distance = x - mean
    upper = torch.where(x > 1 - half, torch.inf, (distance + half) / spread)
    lower = torch.where(x < half, -torch.inf, (distance - half) / spread)
    between = torch.special.ndtr(upper) - torch.special.ndtr(lower)
    # Far from the mean the difference underflows: there the density times the width is exact enough.
    density = -0.5 * (distance / spread).square() - log_spread - 0.5 * math.log(2 * math.pi)
    return torch.where(between > 1e-6, between.clamp_min(1e-6).log(), density + math.log(2 * half))
