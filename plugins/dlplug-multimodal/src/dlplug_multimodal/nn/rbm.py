"""Restricted Boltzmann machines: visible units of three kinds, hidden units that are 0 or 1."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softplus

Statistics = tuple[Tensor, Tensor, Tensor]


class RBM(nn.Module, ABC):
    """Visible units v and binary hidden units h of the energy E(v, h) = -log f(v) - (v W + size c) h.

    What a kind of visible unit adds is f, the weight that v has by itself, and how v is drawn given h. ``size`` is 1
    but for counts, where it is how many there are.

    Args:
        visible: Number of visible units.
        hidden: Number of hidden units.
    """

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.01 * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    @abstractmethod
    def log_factor(self, visible: Tensor) -> Tensor:
        """Return log f, shape (n,), of visible units (n, visible)."""

    @abstractmethod
    def expect(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return the visible units' means.

        Args:
            scores: h W + b, shape (n, visible).
            size: How many counts there are in each row, shape (n, 1); 1 where v is no count.
        """

    @abstractmethod
    def draw(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return visible units drawn at random, given as to ``expect``."""

    @abstractmethod
    def log_volume(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return the log of the sum, or integral, over v of f(v) exp(v W h), shape (n,), given as to ``expect``."""

    def size(self, visible: Tensor) -> Tensor:
        """Return how often the hidden biases count for each row, shape (n, 1)."""
        return torch.ones_like(visible[:, :1])

    def up(self, visible: Tensor) -> Tensor:
        """Return what visible units (n, visible) say to the hidden ones: log-odds, shape (n, hidden)."""
        return torch.addmm(self.hidden_bias, visible, self.weight)

    def down(self, hidden: Tensor) -> Tensor:
        """Return what hidden units (n, hidden) say to the visible ones, shape (n, visible)."""
        return torch.addmm(self.visible_bias, hidden, self.weight.T)

    def free_energy(self, visible: Tensor) -> Tensor:
        """Return F(v), shape (n,): p(v) is proportional to exp(-F(v))."""
        return -self.log_factor(visible) - softplus(self.up(visible)).sum(1)

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return E(v, h), shape (n,)."""
        return -self.log_factor(visible) - (self.up(visible) * hidden).sum(1)

    def gibbs(self, visible: Tensor, steps: int, up: float = 1.0, down: float = 1.0) -> Tensor:
        """Return visible units after so many times of drawing h given v, then v given h.

        Args:
            visible: Where to start, shape (n, visible).
            steps: How often.
            up: How many times over the visible units count for the hidden ones; 2 in a layer whose hidden units will
                have another layer above them (Salakhutdinov and Hinton, 2009).
            down: Likewise for the visible units, in a layer that will have another below.
        """
        size = self.size(visible)
        for _ in range(steps):
            hidden = flip(up * self.up(visible))
            visible = self.draw(self.down(hidden) * down if down != 1 else self.down(hidden), size)
        return visible

    def contrast(self, data: Tensor, model: Tensor, up: float = 1.0) -> Statistics:
        """Return the gradient that contrastive divergence descends: statistics of the model less those of the data.

        It is the gradient of the data's mean free energy less the model's (Hinton, 2002), in two matrix products: one
        for the hidden units of all rows and one for the weights.

        Args:
            data: Visible units (n, visible).
            model: What Gibbs sampling made of them, or of other rows.
            up: As in ``gibbs``.
        """
        rows = torch.cat([data, model])
        log_odds = self.up(rows)
        return self._statistics(rows, torch.sigmoid(log_odds if up == 1 else up * log_odds), len(data))

    def differ(self, data: tuple[Tensor, Tensor], model: tuple[Tensor, Tensor]) -> Statistics:
        """Return the statistics of the model's (visible, hidden) less those of the data's.

        Statistics are the means over rows of what weights and biases multiply in -E, in the order of ``parameters()``.
        """
        (v, h), (w, k) = data, model
        return self._statistics(torch.cat([v, w]), torch.cat([h, k]), len(v))

    def _statistics(self, visible: Tensor, hidden: Tensor, data: int) -> Statistics:
        """Return what ``differ`` does, of rows of which the first ``data`` are the data's."""
        share = visible.new_full((len(visible), 1), 1 / (len(visible) - data))  # of each row, (n, 1)
        share[:data] = -1 / data
        hidden = share * hidden
        return visible.T @ hidden, (share.T @ visible)[0], self._told(visible, hidden)

    def _told(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the sum of what the hidden biases multiply."""
        return hidden.sum(0)


class Binary(RBM):
    """Visible units that are 0 or 1: f(v) = exp(b v)."""

    def log_factor(self, visible: Tensor) -> Tensor:
        """Return b v."""
        return visible @ self.visible_bias

    def expect(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return the probabilities of 1."""
        return scores.sigmoid()

    def draw(self, scores: Tensor, size: Tensor) -> Tensor:
        """Draw each."""
        return flip(scores)

    def log_volume(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return the sum over units of log(1 + exp(score))."""
        return softplus(scores).sum(1)


class Gaussian(RBM):
    """Real-valued visible units of variance 1 given the hidden ones: f(v) = exp(-|v - b|² / 2).

    Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks" (2006).
    """

    def log_factor(self, visible: Tensor) -> Tensor:
        """Return -|v - b|² / 2."""
        return -(visible - self.visible_bias).square().sum(1) / 2

    def expect(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return the means, which are the scores."""
        return scores

    def draw(self, scores: Tensor, size: Tensor) -> Tensor:
        """Add normal noise."""
        return scores + torch.randn_like(scores)

    def log_volume(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return the log of the Gaussian integral."""
        squares = scores.square() - self.visible_bias.square()
        return (squares + math.log(2 * math.pi)).sum(1) / 2


class ReplicatedSoftmax(RBM):
    """Counts of words, each word drawn from one softmax: f(v) = exp(b v), over texts of as many words.

    A text is a sequence here, so that p(v) is that of its words in one order; hidden biases count once a word.

    Source: Salakhutdinov and Hinton, "Replicated Softmax: an Undirected Topic Model" (2009).
    """

    def size(self, visible: Tensor) -> Tensor:
        """Return the number of words."""
        return visible.sum(1, keepdim=True)

    def up(self, visible: Tensor) -> Tensor:
        """Return log-odds, the biases once for each word."""
        return visible @ self.weight + self.size(visible) * self.hidden_bias

    def _told(self, visible: Tensor, hidden: Tensor) -> Tensor:
        return (self.size(visible) * hidden).sum(0)

    def log_factor(self, visible: Tensor) -> Tensor:
        """Return b v."""
        return visible @ self.visible_bias

    def expect(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return how often each word is said on average."""
        return size * scores.softmax(1)

    def draw(self, scores: Tensor, size: Tensor) -> Tensor:
        """Draw so many words for each row and count them."""
        longest = int(size.max())
        counts = torch.zeros_like(scores, dtype=size.dtype)
        if longest:
            words = torch.multinomial(scores.float().softmax(1), longest, replacement=True)  # (n, longest)
            said = torch.arange(longest, device=size.device) < size
            counts.scatter_add_(1, words, said.to(counts.dtype))
        return counts

    def log_volume(self, scores: Tensor, size: Tensor) -> Tensor:
        """Return size times the log of the sum of exp(score)."""
        return size[:, 0] * scores.logsumexp(1)

    def log_words(self, hidden: Tensor) -> Tensor:
        """Return each word's log-probability to be the next one said, shape (n, words), given hidden units."""
        return log_softmax(self.down(hidden), 1)


def flip(log_odds: Tensor) -> Tensor:
    """Return zeros and ones, each drawn with its own log-odds to be 1."""
    return (torch.rand_like(log_odds) < log_odds.sigmoid()).to(log_odds.dtype)
