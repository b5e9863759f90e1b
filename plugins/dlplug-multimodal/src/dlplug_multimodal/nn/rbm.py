"""Restricted Boltzmann machines: visible units of three kinds, binary hidden units."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softplus

Gradient = tuple[Tensor, Tensor, Tensor]  # of the weights, the visible and the hidden biases


class RBM(nn.Module, ABC):
    """Visible units v and binary hidden units h of the energy E(v, h) = -log f(v) - (v W + length c) h.

    A kind of visible unit defines f, the weight that v has by itself, and how v is sampled given h. ``length`` is 1,
    except for word counts, where it is their number.

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
    def log_potential(self, visible: Tensor) -> Tensor:
        """Return log f, shape (n,), of visible units (n, visible)."""

    @abstractmethod
    def visible_mean(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the visible units' means, shape (n, visible).

        Args:
            inputs: h W + b, shape (n, visible).
            lengths: Words of each row, shape (n, 1); 1 where visible units are not counts.
        """

    @abstractmethod
    def sample_visible(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return visible units sampled given the arguments of ``visible_mean``."""

    @abstractmethod
    def log_visible_sum(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the log of the sum, or integral, over v of f(v) exp(v W h), shape (n,); see ``visible_mean``."""

    def lengths(self, visible: Tensor) -> Tensor:
        """Return how often the hidden biases count for each row, shape (n, 1)."""
        return torch.ones_like(visible[:, :1])

    def hidden_logits(self, visible: Tensor) -> Tensor:
        """Return the hidden units' log-odds, shape (n, hidden), given visible units (n, visible)."""
        return torch.addmm(self.hidden_bias, visible, self.weight)

    def visible_input(self, hidden: Tensor) -> Tensor:
        """Return the visible units' inputs h W + b, shape (n, visible), given hidden units (n, hidden)."""
        return torch.addmm(self.visible_bias, hidden, self.weight.T)

    def free_energy(self, visible: Tensor) -> Tensor:
        """Return F(v), shape (n,): p(v) is proportional to exp(-F(v))."""
        return -self.log_potential(visible) - softplus(self.hidden_logits(visible)).sum(1)

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return E(v, h), shape (n,)."""
        return -self.log_potential(visible) - (self.hidden_logits(visible) * hidden).sum(1)

    def gibbs(self, visible: Tensor, steps: int, up_scale: float = 1.0, down_scale: float = 1.0) -> Tensor:
        """Return visible units after so many times of sampling h given v, then v given h.

        Args:
            visible: The chains' start, shape (n, visible).
            steps: Gibbs steps.
            up_scale: Factor of the hidden units' log-odds; 2 when a layer is pretrained that will have another above
                it, whose input it lacks (Salakhutdinov and Hinton, 2009).
            down_scale: Likewise of the visible units' inputs, in a layer that will have another below.
        """
        lengths = self.lengths(visible)
        for _ in range(steps):
            hidden = bernoulli(up_scale * self.hidden_logits(visible))
            inputs = self.visible_input(hidden)
            visible = self.sample_visible(inputs * down_scale if down_scale != 1 else inputs, lengths)
        return visible

    def cd_gradient(self, data: Tensor, model: Tensor, up_scale: float = 1.0) -> Gradient:
        """Return the gradient of contrastive divergence: the model's statistics less the data's.

        It is the gradient of the data's mean free energy less the model's (Hinton, 2002), in two matrix products for
        data and model together: one for the hidden units and one for the weights.

        Args:
            data: Visible units (n, visible).
            model: Samples (m, visible) of Gibbs chains.
            up_scale: As in ``gibbs``.
        """
        rows = torch.cat([data, model])
        logits = self.hidden_logits(rows)
        return self._gradient(rows, torch.sigmoid(logits if up_scale == 1 else up_scale * logits), len(data))

    def state_gradient(self, data: tuple[Tensor, Tensor], model: tuple[Tensor, Tensor]) -> Gradient:
        """Return the statistics of the model's (visible, hidden) units less those of the data's.

        Statistics are means over rows of what each parameter multiplies in -E, in the order of ``parameters()``.
        """
        visible, hidden = (torch.cat(pair) for pair in zip(data, model, strict=True))
        return self._gradient(visible, hidden, len(data[0]))

    def _gradient(self, visible: Tensor, hidden: Tensor, data: int) -> Gradient:
        """Return the gradient from rows of which the first ``data`` are the data's."""
        share = visible.new_full((len(visible), 1), 1 / (len(visible) - data))  # of each row, (n, 1)
        share[:data] = -1 / data
        hidden = share * hidden
        return visible.T @ hidden, (share.T @ visible)[0], self._hidden_bias_sum(visible, hidden)

    def _hidden_bias_sum(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the sum over rows of what the hidden biases multiply."""
        return hidden.sum(0)


class BernoulliRBM(RBM):
    """Visible units that are 0 or 1: f(v) = exp(b v)."""

    def log_potential(self, visible: Tensor) -> Tensor:
        """Return b v."""
        return visible @ self.visible_bias

    def visible_mean(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the probabilities of 1."""
        return inputs.sigmoid()

    def sample_visible(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Sample each unit."""
        return bernoulli(inputs)

    def log_visible_sum(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the sum over units of log(1 + exp(input))."""
        return softplus(inputs).sum(1)


class GaussianBernoulliRBM(RBM):
    """Real-valued visible units of variance 1 given the hidden ones: f(v) = exp(-|v - b|² / 2).

    Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks" (2006).
    """

    def log_potential(self, visible: Tensor) -> Tensor:
        """Return -|v - b|² / 2."""
        return -(visible - self.visible_bias).square().sum(1) / 2

    def visible_mean(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the means, which are the inputs."""
        return inputs

    def sample_visible(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Add normal noise."""
        return inputs + torch.randn_like(inputs)

    def log_visible_sum(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the log of the Gaussian integral."""
        squares = inputs.square() - self.visible_bias.square()
        return (squares + math.log(2 * math.pi)).sum(1) / 2


class ReplicatedSoftmaxRBM(RBM):
    """Counts of words, each word from one softmax: f(v) = exp(b v), over texts of the same length.

    A text is a sequence here, so that p(v) is that of its words in one order; hidden biases count once a word.

    Source: Salakhutdinov and Hinton, "Replicated Softmax: an Undirected Topic Model" (2009).
    """

    def lengths(self, visible: Tensor) -> Tensor:
        """Return the number of words."""
        return visible.sum(1, keepdim=True)

    def hidden_logits(self, visible: Tensor) -> Tensor:
        """Return log-odds, the biases once for each word."""
        return visible @ self.weight + self.lengths(visible) * self.hidden_bias

    def _hidden_bias_sum(self, visible: Tensor, hidden: Tensor) -> Tensor:
        return (self.lengths(visible) * hidden).sum(0)

    def log_potential(self, visible: Tensor) -> Tensor:
        """Return b v."""
        return visible @ self.visible_bias

    def visible_mean(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the expected counts."""
        return lengths * inputs.softmax(1)

    def sample_visible(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Sample each row's words and count them."""
        longest = int(lengths.max())
        counts = torch.zeros_like(inputs, dtype=lengths.dtype)
        if longest:
            words = torch.multinomial(inputs.float().softmax(1), longest, replacement=True)  # (n, longest)
            within = torch.arange(longest, device=lengths.device) < lengths
            counts.scatter_add_(1, words, within.to(counts.dtype))
        return counts

    def log_visible_sum(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return the length times the log of the sum of exp(input)."""
        return lengths[:, 0] * inputs.logsumexp(1)

    def word_log_probs(self, hidden: Tensor) -> Tensor:
        """Return the log-probability that a word is the next one, shape (n, words), given hidden units."""
        return log_softmax(self.visible_input(hidden), 1)


def bernoulli(logits: Tensor) -> Tensor:
    """Return zeros and ones, each sampled with its own log-odds to be 1."""
    return (torch.rand_like(logits) < logits.sigmoid()).to(logits.dtype)
