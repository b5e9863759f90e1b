"""How well queries find what answers them, and texts and images each other."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

TOP_K = (1, 10)


# torchmetrics' retrieval metrics loop over the rows, leave the order of ties open and round in another way.
def average_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Return the average precision of each row.

    Args:
        scores: Shape (n, items).
        relevant: Whether an item is relevant, shape (n, items); at least one a row.

    Returns:
        Shape (n,): the mean, over the relevant items, of the precision among the items ranked no lower.
    """
    hits = _ranked(scores, relevant)
    precision = hits.cumsum(1) / torch.arange(1, hits.shape[1] + 1, device=hits.device)
    return (precision * hits).sum(1) / hits.sum(1)


def r_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Return the precision among the first R items of each row, where R is the number of its relevant items.

    Args:
        scores: Shape (n, items).
        relevant: Whether an item is relevant, shape (n, items); at least one a row.

    Returns:
        Shape (n,). Its expectation by chance is the share of relevant items.
    """
    hits, count = _ranked(scores, relevant), relevant.sum(1, keepdim=True)
    first = torch.arange(hits.shape[1], device=hits.device) < count
    return (hits * first).sum(1) / count[:, 0]


def _ranked(scores: Tensor, relevant: Tensor) -> Tensor:
    """Return 1 for relevant and 0 for other items, best score first; of equal scores in their order."""
    return relevant.float().gather(1, scores.argsort(dim=1, descending=True, stable=True))


def most_likely(probabilities: Tensor, names: Sequence[str], n: int) -> list[str]:
    """Return the n most likely names with their probabilities (names,), most likely first: ``"cat 93.1%"``."""
    best = probabilities.topk(min(n, len(names)))
    return [f"{names[i]} {p:.1%}" for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]


class CrossModalRecall(Metric):
    """Recall of images by text and of texts by image, where embeddings near each other belong together.

    Equal texts are one: an image's text is found if it is among the k texts nearest to the image; a text's image is
    found if any image with that text is among the k nearest.
    """

    images: list[Tensor]
    texts: list[Tensor]
    counts: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("images", "texts", "counts"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, images: Tensor, texts: Tensor, counts: Tensor) -> None:
        """Add pairs.

        Args:
            images: The images' embeddings, shape (n, dimension).
            texts: Their texts' embeddings, same shape.
            counts: How often each text has each word, shape (n, words): what makes texts equal.
        """
        self.images.append(images)
        self.texts.append(texts)
        self.counts.append(counts)

    def compute(self) -> dict[str, Tensor]:
        """Return recalls, each beside its chance level; see ``recalls``."""
        images, texts, counts = (dim_zero_cat(each) for each in (self.images, self.texts, self.counts))
        unique, which = torch.unique(counts, dim=0, return_inverse=True)  # (texts, words), (n,)
        first = torch.stack([(which == i).nonzero()[0, 0] for i in range(len(unique))])
        return recalls(images @ texts[first].T, which)


def recalls(similarity: Tensor, which: Tensor) -> dict[str, Tensor]:
    """Return recall at 1 and 10 in both directions, and what a random order would have.

    Args:
        similarity: Of each image and each different text, shape (images, texts).
        which: Each image's text, shape (images,).

    Returns:
        Scalars by name, such as ``image_to_text@10`` and ``text_to_image_chance@1``.
    """
    matches = which[:, None] == torch.arange(similarity.shape[1], device=which.device)  # (images, texts)
    values: dict[str, Tensor] = {}
    for name, scores, right in (("image_to_text", similarity, matches), ("text_to_image", similarity.T, matches.T)):
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        ranks = ((scores >= best) & ~right).sum(1)  # (queries,), 0 for the first
        for k in TOP_K:
            values[f"{name}@{k}"] = (ranks < k).float().mean()
            values[f"{name}_chance@{k}"] = _chance(right, k)
    return values


def _chance(right: Tensor, k: int) -> Tensor:
    """Return the probability that one of k random answers is right, the mean over rows of (queries, answers)."""
    total, wrong = right.shape[1], (~right).sum(1, keepdim=True).float()  # (queries, 1)
    k = min(k, total)
    drawn = torch.arange(k, device=right.device)
    return 1 - ((wrong - drawn).clamp_min(0) / (total - drawn)).prod(1).mean()
