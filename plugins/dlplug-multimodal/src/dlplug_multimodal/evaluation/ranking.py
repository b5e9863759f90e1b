"""How well scores rank what is right before what is wrong."""

import torch
from torch import Tensor


def average_precision(scores: Tensor, right: Tensor) -> Tensor:
    """Return the average precision of each row.

    Args:
        scores: Shape (n, items), higher for what is thought right.
        right: Whether it is, shape (n, items); at least one a row.

    Returns:
        Shape (n,): the mean, over the right items, of the share of right items among those ranked no lower.
    """
    hits = right.float().gather(1, scores.argsort(dim=1, descending=True, stable=True))
    precision = hits.cumsum(1) / torch.arange(1, hits.shape[1] + 1, device=hits.device)
    return (precision * hits).sum(1) / hits.sum(1)


def r_precision(scores: Tensor, right: Tensor) -> Tensor:
    """Return the share of right items among the first, of which as many are looked at as there are right ones.

    Args:
        scores: Shape (n, items).
        right: Whether an item is right, shape (n, items); at least one a row.

    Returns:
        Shape (n,). Of scores by chance it is the share of right items among all, on average.
    """
    hits = right.float().gather(1, scores.argsort(dim=1, descending=True, stable=True))
    count = right.sum(1, keepdim=True)
    looked_at = torch.arange(hits.shape[1], device=hits.device) < count
    return (hits * looked_at).sum(1) / count[:, 0]
