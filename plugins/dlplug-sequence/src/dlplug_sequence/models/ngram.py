"""Counted n-grams and their interpolated probabilities, as sorted arrays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Smoothing = Literal["kneser-ney", "witten-bell"]
Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
DISCOUNTS = (0.5, 1.0, 1.5)  # where counts of counts say nothing: as KenLM (Heafield, 2011) does


@dataclass
class Grams:
    """All n-grams of one length k in a text, sorted. A gram's number is its place here.

    Attributes:
        keys: Number of its first k - 1 tokens' gram, times the vocabulary, plus its last token.
        probability: Of its last token after the others, shorter contexts mixed in.
        rest: Of a context of k - 1 tokens, by its number: what weight is left for shorter contexts.
    """

    keys: Numbers
    probability: Floats
    rest: Floats


class NGrams:
    """Interpolated n-gram probabilities.

    ``witten-bell``: Bell, Cleary and Witten (1990); ``kneser-ney``: modified, with three discounts a length (Chen and
    Goodman, 1998): a shorter gram counts in how many contexts it was seen, not how often.

    Args:
        vocabulary: Number of tokens that there are.
        levels: Its grams by length, from 1.
    """

    def __init__(self, vocabulary: int, levels: list[Grams]) -> None:
        self.vocabulary, self.levels = vocabulary, levels

    @classmethod
    def count(cls, tokens: Numbers, vocabulary: int, order: int, smoothing: Smoothing) -> "NGrams":
        """Count a text once for each length, from 1 to ``order``.

        Args:
            tokens: Shape (tokens,), at least ``order`` of them.
            vocabulary: Number of tokens that there are.
            order: Length of the longest gram.
            smoothing: How lengths are mixed.
        """
        keys, counts, suffixes = [], [], []
        numbers = np.zeros(len(tokens) + 1, dtype=np.int32)  # of the gram of k - 1 tokens that starts at each place
        for k in range(1, order + 1):
            places = len(tokens) - k + 1
            found = numbers[:places].astype(np.int64) * vocabulary + tokens[k - 1 :]
            distinct, first, new, count = np.unique(found, return_index=True, return_inverse=True, return_counts=True)
            keys.append(distinct)
            counts.append(count)
            suffixes.append(numbers[first + 1])  # its last k - 1 tokens, one length shorter
            numbers = np.append(new.astype(np.int32), np.int32(0))
        levels: list[Grams] = []
        shorter: Floats = np.full(1, 1 / vocabulary)  # of the empty gram: each token is as likely
        for k in range(order):
            seen = counts[k]
            if smoothing == "kneser-ney" and k + 1 < order:
                # Contexts to the left; the text's first gram has none, and counts as if it had one.
                seen = np.maximum(np.bincount(suffixes[k + 1], minlength=len(seen)), 1)
            contexts = len(keys[k - 1]) if k else 1
            context = keys[k] // vocabulary
            own, rest = _weights(seen, context, contexts, smoothing)
            probability = own + rest[context] * shorter[suffixes[k]] if k else own + rest[0] / vocabulary
            levels.append(Grams(keys[k], probability, rest))
            shorter = probability
        return cls(vocabulary, levels)

    def probabilities(self, tokens: Numbers) -> Floats:
        """Return the probability of each token after those before it in its row, as many as the order allows.

        Args:
            tokens: Shape (n, time).

        Returns:
            Shape (n, time).
        """
        probability = np.full(tokens.shape, 1 / self.vocabulary)
        context = np.zeros(tokens.shape, dtype=np.int64)  # number of the gram just before each place; -1 for unseen
        for grams in self.levels:
            known = context >= 0
            numbers = _find(grams.keys, np.where(known, context * self.vocabulary + tokens, -1))
            mixed = np.where(known, grams.rest[context] * probability, probability)
            probability = np.where(numbers >= 0, grams.probability[numbers], mixed)
            context = np.full(tokens.shape, -1)
            context[:, 1:] = numbers[:, :-1]
        return probability

    def distribution(self, context: Numbers) -> Floats:
        """Return the probabilities of all tokens after a context, shape (vocabulary,)."""
        probability = np.full(self.vocabulary, 1 / self.vocabulary)
        for k, grams in enumerate(self.levels):
            if k > len(context):
                break
            number = self._number(context[len(context) - k :])
            if number < 0:
                break
            first, last = np.searchsorted(grams.keys, [number * self.vocabulary, (number + 1) * self.vocabulary])
            probability *= grams.rest[number]
            probability[grams.keys[first:last] % self.vocabulary] = grams.probability[first:last]
        return probability

    def _number(self, gram: Numbers) -> int:
        number = 0
        for grams, token in zip(self.levels, gram, strict=False):
            key = number * self.vocabulary + int(token)
            place = int(np.searchsorted(grams.keys, key))
            if place == len(grams.keys) or grams.keys[place] != key:
                return -1
            number = place
        return number


def _find(keys: Numbers, wanted: Numbers) -> Numbers:
    """Return the places of numbers in a sorted array, -1 where they are not in it."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Numbers = np.where(keys[places] == wanted, places, -1)
    return found


def _weights(counts: Numbers, context: Numbers, contexts: int, smoothing: Smoothing) -> tuple[Floats, Floats]:
    """Return each gram's own share of its context, and the share that each context leaves to shorter ones."""
    total = np.bincount(context, counts, contexts)
    if smoothing == "witten-bell":
        kinds = np.bincount(context, minlength=contexts)
        whole = np.maximum(total + kinds, 1)
        return counts / whole[context], np.where(kinds > 0, kinds / whole, 1.0)
    discounts = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
    taken = np.bincount(context, discounts, contexts)
    return (counts - discounts) / total[context], np.where(total > 0, taken / np.maximum(total, 1), 1.0)


def _discounts(counts: Numbers) -> tuple[float, ...]:
    ones, twos, threes, fours = (int((counts == n).sum()) for n in (1, 2, 3, 4))
    if not min(ones, twos, threes):
        return DISCOUNTS
    share = ones / (ones + 2 * twos)
    found = (1 - 2 * share * twos / ones, 2 - 3 * share * threes / twos, 3 - 4 * share * fours / threes)
    return found if all(0 < d <= n for n, d in enumerate(found, start=1)) else DISCOUNTS
