"""Queries of an image and a word together, the notes' sunset and "sea", as a benchmark over emoji (section 5.5)."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from dlplug_multimodal.data.emoji import group_name, name_words
from dlplug_multimodal.data.tagged_images import group_split
from dlplug_multimodal.data.twemoji import read_glyphs

MAX_PER_ANSWER = 5  # queries that have the same word and answers, so that no answer counts too much
MIN_TRAINED = 2  # training emoji whose names have a query's word: with fewer nobody can learn what it means
# Words that no image shows.
STOP_WORDS = {"with", "of", "in", "on", "and", "the", "to", "at", "behind", "not", "no", "o", "s", "for"}


@dataclass(frozen=True)
class DoubleQuery:
    """An image and a word that ask for the image that shows both.

    Attributes:
        image: Index of the emoji in ``read_glyphs()``.
        word: A word that the emoji's name does not have.
        answers: Indices of the right emoji, all of them held out.
    """

    image: int
    word: str
    answers: frozenset[int]


@dataclass(frozen=True)
class DoubleQueries:
    """Double queries and what is searched for their answers.

    Attributes:
        queries: The queries.
        gallery: Indices in ``read_glyphs()`` of all held-out emoji, in ascending order, shape (images,).
    """

    queries: tuple[DoubleQuery, ...]
    gallery: Tensor

    def ranks(self, scores: Tensor) -> Tensor:
        """Return the rank of the best right answer to each query, from 1; the query's own image is not an answer.

        Args:
            scores: How well each image of the gallery answers each query, shape (queries, images). Of equal scores
                the right answer comes last, so that a constant gains nothing.
        """
        scores = scores.float().masked_fill(self._where([query.image] for query in self.queries), -torch.inf)
        right = self._where(query.answers for query in self.queries)
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)  # (queries, 1)
        return 1 + ((scores >= best) & ~right).sum(1)

    def metrics(self, scores: Tensor) -> dict[str, float]:
        """Return the mean reciprocal rank and recall@1 and recall@10 of the best right answers.

        Args:
            scores: As for ``ranks``.
        """
        ranks = self.ranks(scores).float()
        recalls = {f"recall@{k}": float((ranks <= k).float().mean()) for k in (1, 10)}
        return {"mrr": float((1 / ranks).mean()), **recalls}

    def _where(self, places: Iterable[Iterable[int]]) -> Tensor:
        """Return where the gallery holds the emoji of each query's ``places``, shape (queries, images)."""
        return torch.stack([torch.isin(self.gallery, torch.tensor(sorted(each))) for each in places])


@cache
def double_queries(split: Literal["val", "test"] = "test") -> DoubleQueries:
    """Return all queries that held-out emoji answer, by one rule over their names.

    A right answer's name is the image's with one more word, the query's, which may replace another: a red heart and
    "blue" ask for the blue heart, a crying face and "cat" for the crying cat, a man who cooks and "woman" for a woman
    who does. Kept are queries that neither half can answer alone: other held-out emoji have the word, and others have a
    word of the image's name. Training emoji must have the word. The image may be of any split.

    Args:
        split: The split of the ``emoji`` data that is searched; ``val`` to choose by, ``test`` to report.
    """
    glyphs = read_glyphs()
    names = [frozenset(name_words(glyph)) - STOP_WORDS for glyph in glyphs]
    parts = group_split([group_name(glyph) for glyph in glyphs])
    trained = Counter(word for i in parts["train"].tolist() for word in names[i])
    gallery = parts[split].tolist()
    groups: dict[tuple[str, frozenset[int]], list[int]] = defaultdict(list)
    for image, own in enumerate(names):
        answered = defaultdict(set)
        for i in gallery:
            new = names[i] - own
            if len(new) == 1 and names[i] & own and len(own - names[i]) <= 1:
                answered[next(iter(new))].add(i)
        for word, answers in sorted(answered.items()):
            others = [names[i] for i in gallery if i not in answers and i != image]
            alone = any(word in other for other in others), any(other & own and word not in other for other in others)
            if trained[word] >= MIN_TRAINED and all(alone):
                groups[word, frozenset(answers)].append(image)
    queries = [DoubleQuery(image, *key) for key, images in groups.items() for image in images[:MAX_PER_ANSWER]]
    return DoubleQueries(tuple(queries), parts[split])
