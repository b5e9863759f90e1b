"""A language model that counts n-grams."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.model import Parts
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import GradientFreeLM, State

Smoothing = Literal["kneser-ney", "witten-bell"]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
DISCOUNTS = (0.5, 1.0, 1.5)  # where counts of counts do not determine them: as in KenLM (Heafield, 2011)


class Markov(GradientFreeLM):
    """The next token depends on the few before it alone, and how, is counted: an n-gram model.

    The Markov assumption of section 2.1, for any number of tokens. Training is one pass that counts; there is nothing
    to optimise. N-grams of all lengths up to ``order`` are interpolated, since most long contexts were never seen.

    It runs on one process, and refuses several devices.

    Args:
        order: Tokens of the longest n-gram: it predicts a token from the ``order`` - 1 before it. 2 is a Markov chain.
        smoothing: ``kneser-ney``, modified and interpolated (Chen and Goodman, 1998); ``witten-bell`` (Bell, Cleary and
            Witten, 1990).
    """

    def __init__(self, order: int = 8, smoothing: Smoothing = "kneser-ney") -> None:
        super().__init__()
        if order < 1:
            raise ValueError(f"order must be at least 1, not {order}")
        self.save_hyperparameters()
        self.order, self.smoothing = order, smoothing

    def build_layers(self, vocabulary: Vocabulary) -> None:
        """Start with no counts: all tokens are equally likely."""
        self.ngrams = NGrams(len(vocabulary), [])
        self._read: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the tokens; count after the epoch's last batch."""
        tokens, targets = (part.to(torch.int32) for part in batch)
        self._read.append(tokens)
        if self.trainer.is_last_batch:
            # A row continues in the next batch, and the next row starts where a row ends: they are one text.
            rows = torch.cat(self._read, dim=1).flatten()
            self.count(torch.cat([rows, targets[-1, -1:]]))
            self._read = []

    def count(self, tokens: Tensor) -> None:
        """Count a text, shape (tokens,)."""
        if len(tokens) < self.order:
            raise InputError(f"a text of {len(tokens)} tokens has no n-gram of order {self.order}")
        self.ngrams = NGrams.count(tokens.cpu().numpy(), len(self.vocabulary), self.order, self.smoothing)

    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return nats (n, time); the state is the last tokens."""
        past = torch.cat([*state, tokens], dim=1)
        rows = torch.cat([past, targets[:, -1:]], dim=1)
        found = self.ngrams.probabilities(rows.cpu().numpy())[:, -targets.shape[1] :]
        return -torch.from_numpy(found).log().float().to(targets.device), (self._context(past),)

    def next_logits(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return log-probabilities of what follows the last token."""
        context = self._context(torch.cat([*state, tokens], dim=1))
        found = np.stack([self.ngrams.distribution(row) for row in context.cpu().numpy()])
        return torch.from_numpy(found).log().to(tokens.device), (context,)

    def export_parts(self, batch: Batch) -> Parts:
        """Refuse."""
        raise InputError("markov has no network to export: its n-grams are counted, and looked up in sorted arrays")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the counts beside the weights, of which there are none."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["ngrams"] = [
            [torch.from_numpy(part) for part in (grams.keys, grams.probability, grams.backoff)]
            for grams in self.ngrams.levels
        ]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts."""
        super().on_load_checkpoint(checkpoint)
        self.ngrams.levels = [Grams(*(part.numpy() for part in parts)) for parts in checkpoint["ngrams"]]

    def _context(self, tokens: Tensor) -> Tensor:
        return tokens[:, max(0, tokens.shape[1] - self.order + 1) :]


@dataclass
class Grams:
    """All n-grams of one length k in a text, sorted. A gram's number is its index here.

    Attributes:
        keys: Number of its first k - 1 tokens' gram, times the vocabulary, plus its last token.
        probability: Of its last token given the others, interpolated with shorter contexts.
        backoff: Of a context of k - 1 tokens, by its number: the weight of shorter contexts.
    """

    keys: Integers
    probability: Floats
    backoff: Floats


class NGrams:
    """Interpolated n-gram probabilities, as sorted arrays.

    ``witten-bell``: Bell, Cleary and Witten (1990); ``kneser-ney``: modified, with three discounts a length (Chen and
    Goodman, 1998): a shorter gram counts the contexts that it was seen in, not its occurrences.

    Args:
        vocabulary: Number of tokens.
        levels: Its grams by length, from 1.
    """

    def __init__(self, vocabulary: int, levels: list[Grams]) -> None:
        self.vocabulary, self.levels = vocabulary, levels

    @classmethod
    def count(cls, tokens: Integers, vocabulary: int, order: int, smoothing: Smoothing) -> "NGrams":
        """Count a text once for each length, from 1 to ``order``.

        Args:
            tokens: Shape (tokens,), at least ``order`` of them.
            vocabulary: Number of tokens.
            order: Length of the longest gram.
            smoothing: How lengths are interpolated.
        """
        keys, counts, suffixes = [], [], []
        numbers = np.zeros(len(tokens) + 1, dtype=np.int32)  # of the gram of k - 1 tokens that starts at each position
        for k in range(1, order + 1):
            starts = len(tokens) - k + 1
            found = numbers[:starts].astype(np.int64) * vocabulary + tokens[k - 1 :]
            distinct, first, new, count = np.unique(found, return_index=True, return_inverse=True, return_counts=True)
            keys.append(distinct)
            counts.append(count)
            suffixes.append(numbers[first + 1])  # its last k - 1 tokens, one length shorter
            numbers = np.append(new.astype(np.int32), np.int32(0))
        levels: list[Grams] = []
        shorter: Floats = np.full(1, 1 / vocabulary)  # of the empty gram: all tokens are equally likely
        for k in range(order):
            seen = counts[k]
            if smoothing == "kneser-ney" and k + 1 < order:
                # Contexts to the left; the text's first gram has none, and counts as if it had one.
                seen = np.maximum(np.bincount(suffixes[k + 1], minlength=len(seen)), 1)
            contexts = len(keys[k - 1]) if k else 1
            context = keys[k] // vocabulary
            own, backoff = _weights(seen, context, contexts, smoothing)
            probability = own + backoff[context] * shorter[suffixes[k]] if k else own + backoff[0] / vocabulary
            levels.append(Grams(keys[k], probability, backoff))
            shorter = probability
        return cls(vocabulary, levels)

    def probabilities(self, tokens: Integers) -> Floats:
        """Return the probability of each token after those before it in its row, as many as the order allows.

        Args:
            tokens: Shape (n, time).

        Returns:
            Shape (n, time).
        """
        # Exercise: look each gram up, one length after the other; back off where it was never seen.
        probability = np.full(tokens.shape, 1 / self.vocabulary)
        context = np.zeros(tokens.shape, dtype=np.int64)  # number of the gram before each position; -1 for unseen
        for grams in self.levels:
            known = context >= 0
            numbers = _find(grams.keys, np.where(known, context * self.vocabulary + tokens, -1))
            mixed = np.where(known, grams.backoff[context] * probability, probability)
            probability = np.where(numbers >= 0, grams.probability[numbers], mixed)
            context = np.full(tokens.shape, -1)
            context[:, 1:] = numbers[:, :-1]
        return probability

    def distribution(self, context: Integers) -> Floats:
        """Return the probabilities of all tokens after a context, shape (vocabulary,)."""
        probability = np.full(self.vocabulary, 1 / self.vocabulary)
        for k, grams in enumerate(self.levels):
            if k > len(context):
                break
            number = self._number(context[len(context) - k :])
            if number < 0:
                break
            first, last = np.searchsorted(grams.keys, [number * self.vocabulary, (number + 1) * self.vocabulary])
            probability *= grams.backoff[number]
            probability[grams.keys[first:last] % self.vocabulary] = grams.probability[first:last]
        return probability

    def _number(self, gram: Integers) -> int:
        number = 0
        for grams, token in zip(self.levels, gram, strict=False):
            number = int(_find(grams.keys, np.array(number * self.vocabulary + int(token))))
            if number < 0:
                break
        return number


def _find(keys: Integers, wanted: Integers) -> Integers:
    """Return the indices of numbers in a sorted array, -1 where they are not in it."""
    indices = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Integers = np.where(keys[indices] == wanted, indices, -1)
    return found


def _weights(counts: Integers, context: Integers, contexts: int, smoothing: Smoothing) -> tuple[Floats, Floats]:
    """Return each gram's own share of its context, and the share that each context leaves to shorter ones."""
    # Exercise: counts over their contexts' totals: discounted, or with the number of types added (Witten and Bell).
    total = np.bincount(context, counts, contexts)
    if smoothing == "witten-bell":
        types = np.bincount(context, minlength=contexts)
        whole = np.maximum(total + types, 1)
        return counts / whole[context], np.where(types > 0, types / whole, 1.0)
    discounts = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
    taken = np.bincount(context, discounts, contexts)
    return (counts - discounts) / total[context], np.where(total > 0, taken / np.maximum(total, 1), 1.0)


def _discounts(counts: Integers) -> tuple[float, ...]:
    ones, twos, threes, fours = (int((counts == n).sum()) for n in (1, 2, 3, 4))
    if not min(ones, twos, threes):
        return DISCOUNTS
    share = ones / (ones + 2 * twos)
    found = (1 - 2 * share * twos / ones, 2 - 3 * share * threes / twos, 3 - 4 * share * fours / threes)
    return found if all(0 < d <= n for n, d in enumerate(found, start=1)) else DISCOUNTS
