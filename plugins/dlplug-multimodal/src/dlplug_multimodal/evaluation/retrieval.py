"""How well texts find their pictures, and pictures their texts."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

AT = (1, 10)  # how many answers are looked through


class Retrieval(Metric):
    """Recall of pictures by text and of texts by picture, where vectors near each other belong together.

    Equal texts are one: a picture's text is found where it is among the k texts nearest to the picture; a text's
    picture is found where any picture with that text is among the k nearest.
    """

    pictures: list[Tensor]
    texts: list[Tensor]
    counts: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("pictures", "texts", "counts"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, pictures: Tensor, texts: Tensor, counts: Tensor) -> None:
        """Take pairs in.

        Args:
            pictures: Their vectors, shape (n, dimension).
            texts: Their texts' vectors, same shape.
            counts: How often each text says each word, shape (n, words): what makes texts equal.
        """
        self.pictures.append(pictures)
        self.texts.append(texts)
        self.counts.append(counts)

    def compute(self) -> dict[str, Tensor]:
        """Return recalls, each with that of a random order as its ``chance``."""
        pictures, texts, counts = (_joined(each) for each in (self.pictures, self.texts, self.counts))
        said, which = torch.unique(counts, dim=0, return_inverse=True)  # (texts, words), (n,)
        first = torch.stack([(which == i).nonzero()[0, 0] for i in range(len(said))])
        return recalls(pictures @ texts[first].T, which)


def recalls(similar: Tensor, which: Tensor) -> dict[str, Tensor]:
    """Return recalls at 1 and 10 in both directions, and what a random order would have.

    Args:
        similar: How well each text suits each picture, shape (pictures, texts), texts that differ.
        which: Each picture's text, shape (pictures,).

    Returns:
        Scalars by name, such as ``image_to_text@10`` and ``text_to_image_chance@1``.
    """
    right = which[:, None] == torch.arange(similar.shape[1], device=which.device)  # (pictures, texts)
    found: dict[str, Tensor] = {}
    for name, scores, mine in (("image_to_text", similar, right), ("text_to_image", similar.T, right.T)):
        best = scores.masked_fill(~mine, -torch.inf).amax(1, keepdim=True)
        ranks = ((scores >= best) & ~mine).sum(1)  # (asked,), 0 for the first
        for k in AT:
            found[f"{name}@{k}"] = (ranks < k).float().mean()
            found[f"{name}_chance@{k}"] = _chance(mine, k)
    return found


def _chance(right: Tensor, k: int) -> Tensor:
    """Return the probability that one of k random answers is right, the mean over rows of (asked, answers)."""
    total, wrong = right.shape[1], (~right).sum(1, keepdim=True).float()  # (asked, 1)
    k = min(k, total)
    drawn = torch.arange(k, device=right.device)
    return 1 - ((wrong - drawn).clamp_min(0) / (total - drawn)).prod(1).mean()


def _joined(parts: Any) -> Tensor:
    return torch.cat(list(parts)) if isinstance(parts, list | tuple) else parts  # a process's share, or all
