"""Questions that a picture and a word ask together: the notes' sunset and "sea", as a scored set over emoji."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from dlplug_multimodal.data.emoji import kin, name_words
from dlplug_multimodal.data.tagged_images import split_groups
from dlplug_multimodal.data.twemoji import read_glyphs

PER_ANSWER = 5  # queries that have the same word and the same answers, so that no answer counts too much
LEARNT = 2  # training emoji whose names say a query's word: fewer teach nobody what it means
# Words that no picture shows.
EMPTY = {"with", "of", "in", "on", "and", "the", "to", "at", "behind", "not", "no", "o", "s", "for"}


@dataclass(frozen=True)
class DoubleQuery:
    """A picture and a word that ask for the picture that has what both say.

    Attributes:
        picture: Place of the emoji among ``read_glyphs()``.
        word: A word that the emoji's name does not say.
        answers: Places of the right emoji, all of them held out.
    """

    picture: int
    word: str
    answers: frozenset[int]


@dataclass(frozen=True)
class DoubleQueries:
    """Double queries and what is searched for their answers.

    Attributes:
        queries: The queries.
        gallery: Places among ``read_glyphs()`` of all held-out emoji, in ascending order, shape (pictures,).
    """

    queries: tuple[DoubleQuery, ...]
    gallery: Tensor

    def ranks(self, scores: Tensor) -> Tensor:
        """Return the rank of the best right answer to each query, from 1; the query's own picture is no answer.

        Args:
            scores: How well each picture of the gallery answers each query, shape (queries, pictures). Of equal
                scores the right answer comes last, so that a constant gains nothing.
        """
        scores = scores.float().masked_fill(self._where([query.picture] for query in self.queries), -torch.inf)
        right = self._where(query.answers for query in self.queries)
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)  # (queries, 1)
        return 1 + ((scores >= best) & ~right).sum(1)

    def score(self, scores: Tensor) -> dict[str, float]:
        """Return the mean reciprocal rank and recall@1 and recall@10 of the best right answers.

        Args:
            scores: As for ``ranks``.
        """
        ranks = self.ranks(scores).float()
        recalls = {f"recall@{k}": float((ranks <= k).float().mean()) for k in (1, 10)}
        return {"mrr": float((1 / ranks).mean()), **recalls}

    def _where(self, places: Iterable[Iterable[int]]) -> Tensor:
        """Return where the gallery holds the emoji of each query's ``places``, shape (queries, pictures)."""
        return torch.stack([torch.isin(self.gallery, torch.tensor(sorted(each))) for each in places])


@cache
def double_queries(split: Literal["val", "test"] = "test") -> DoubleQueries:
    """Return all that held-out emoji answer, by one rule over their names.

    A right answer's name is the picture's with one word more, the one asked for, which may take the place of another: a
    red heart and "blue" ask for the blue heart, a crying face and "cat" for the crying cat, a man who cooks and "woman"
    for a woman who does. Kept are queries that neither half can answer alone: other held-out emoji have the word, and
    others have a word of the picture's name. The word must be said of training emoji. The picture may be of any split.

    Args:
        split: The part of the ``emoji`` data that is searched; ``val`` to choose by, ``test`` to report.
    """
    glyphs = read_glyphs()
    said = [frozenset(name_words(glyph)) - EMPTY for glyph in glyphs]
    parts = split_groups([kin(glyph) for glyph in glyphs])
    often = Counter(word for i in parts["train"].tolist() for word in said[i])
    gallery = parts[split].tolist()
    groups: dict[tuple[str, frozenset[int]], list[int]] = defaultdict(list)
    for picture, own in enumerate(said):
        found = defaultdict(set)
        for place in gallery:
            new = said[place] - own
            if len(new) == 1 and said[place] & own and len(own - said[place]) <= 1:
                found[next(iter(new))].add(place)
        for word, answers in sorted(found.items()):
            others = [said[i] for i in gallery if i not in answers and i != picture]
            alone = any(word in other for other in others), any(other & own and word not in other for other in others)
            if often[word] >= LEARNT and all(alone):
                groups[word, frozenset(answers)].append(picture)
    queries = [DoubleQuery(picture, *key) for key, pictures in groups.items() for picture in pictures[:PER_ANSWER]]
    return DoubleQueries(tuple(queries), parts[split])
