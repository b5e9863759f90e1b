"""A deep Boltzmann machine with two kinds of visible units: pictures and words under one joint layer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlplug_multimodal.nn.rbm import Binary, Gaussian, ReplicatedSoftmax, Statistics, flip

SPREAD = 0.2  # standard deviation of the first weights, except the picture's
Gradients = list[tuple[nn.Module, Statistics]]


@dataclass(frozen=True)
class State:
    """All units of rows, drawn or expected.

    Attributes:
        picture: Shape (n, visible).
        words: Counts, shape (n, words).
        hidden: The picture's hidden units, then the words', shape (n, hidden).
        joint: Units above both, shape (n, joint).
    """

    picture: Tensor
    words: Tensor
    hidden: Tensor
    joint: Tensor


class DeepBoltzmann(nn.Module):
    """Three machines that share units: pictures and their hidden units, words and theirs, and a layer above both.

    Source: Srivastava and Salakhutdinov, "Multimodal Learning with Deep Boltzmann Machines" (2012).

    Args:
        visible: Units of a picture, real-valued.
        words: How many words there are.
        picture_hidden: Hidden units of the picture.
        word_hidden: Hidden units of the words.
        joint: Units above both.
    """

    def __init__(self, visible: int, words: int, picture_hidden: int, word_hidden: int, joint: int) -> None:
        super().__init__()
        self.picture = Gaussian(visible, picture_hidden)
        self.words = ReplicatedSoftmax(words, word_hidden)
        self.joint = Binary(picture_hidden + word_hidden, joint)
        for rbm in (self.words, self.joint):  # from weights near 0 hardly anything would pass from picture to words
            nn.init.normal_(rbm.weight, std=SPREAD)

    def expect(self, picture: Tensor | None, words: Tensor | None, size: Tensor, steps: int) -> State:
        """Return what mean-field inference expects of all units.

        A missing kind starts from what its biases say, and is inferred with the hidden units.

        Args:
            picture: Visible units (n, visible); None where missing.
            words: Counts (n, words); None where missing.
            size: Words a row, shape (n, 1).
            steps: Updates of each layer.
        """
        v = self.picture.visible_bias.expand(len(size), -1) if picture is None else picture
        w = self.words.expect(self.words.visible_bias.expand(len(size), -1), size) if words is None else words
        j = self.joint.hidden_bias.sigmoid().expand(len(size), -1)
        from_picture, from_words = self.picture.up(v), self.words.up(w)
        for _ in range(steps):
            hidden = (torch.cat([from_picture, from_words], 1) + self.joint.down(j)).sigmoid()
            j = self.joint.up(hidden).sigmoid()
            if picture is None:
                v = self.picture.expect(self._down_picture(hidden), size)
                from_picture = self.picture.up(v)
            if words is None:
                w = self.words.expect(self._down_words(hidden), size)
                from_words = self.words.up(w)
        return State(v, w, hidden, j)

    def sample(self, picture: Tensor | None, words: Tensor | None, size: Tensor, steps: int) -> State:
        """Fill in what is missing by Gibbs sampling: as ``expect``, but the means over the second half of the steps.

        Visible units count with their means given the hidden ones.
        """
        start = self.expect(picture, words, size, 1)
        hidden, kept = flip(torch.logit(start.hidden, 1e-6)), []
        for step in range(steps):
            drawn = self._draw(hidden, size, picture, words)
            hidden = flip(self._hidden(drawn.picture, drawn.words, drawn.joint))
            if step >= steps // 2:
                v = self.picture.expect(self._down_picture(hidden), size) if picture is None else picture
                w = self.words.expect(self._down_words(hidden), size) if words is None else words
                kept.append((v, w, hidden, self.joint.up(hidden).sigmoid()))
        return State(*(torch.stack(parts).mean(0) for parts in zip(*kept, strict=True)))

    def advance(self, hidden: Tensor, size: Tensor, steps: int) -> tuple[State, Tensor]:
        """Let Gibbs chains go on.

        Args:
            hidden: The chains' hidden units (n, hidden).
            size: Words of each chain, shape (n, 1).
            steps: Times that all units are drawn.

        Returns:
            Their units, hidden ones as probabilities, and the hidden units drawn, from which to go on.
        """
        for _ in range(steps):
            drawn = self._draw(hidden, size, None, None)
            log_odds = self._hidden(drawn.picture, drawn.words, drawn.joint)
            hidden = flip(log_odds)
        return State(drawn.picture, drawn.words, log_odds.sigmoid(), drawn.joint), hidden

    def contrast(self, data: State, model: State) -> Gradients:
        """Return each machine with the statistics of the model less those of the data: what learning descends."""
        cut = self.picture.weight.shape[1]
        (d, e), (m, n) = ((state.hidden[:, :cut], state.hidden[:, cut:]) for state in (data, model))
        return [
            (self.picture, self.picture.differ((data.picture, d), (model.picture, m))),
            (self.words, self.words.differ((data.words, e), (model.words, n))),
            (self.joint, self.joint.differ((data.hidden, data.joint), (model.hidden, model.joint))),
        ]

    def log_words(self, state: State) -> Tensor:
        """Return each word's log-probability to be said, shape (n, words), given the hidden units."""
        return self._down_words(state.hidden).log_softmax(1)

    def _hidden(self, picture: Tensor, words: Tensor, joint: Tensor) -> Tensor:
        """Return the log-odds of the hidden units given what is below and above them."""
        return torch.cat([self.picture.up(picture), self.words.up(words)], 1) + self.joint.down(joint)

    def _down_picture(self, hidden: Tensor) -> Tensor:
        return self.picture.down(hidden[:, : self.picture.weight.shape[1]])

    def _down_words(self, hidden: Tensor) -> Tensor:
        return self.words.down(hidden[:, self.picture.weight.shape[1] :])

    def _draw(self, hidden: Tensor, size: Tensor, picture: Tensor | None, words: Tensor | None) -> State:
        v = self.picture.draw(self._down_picture(hidden), size) if picture is None else picture
        w = self.words.draw(self._down_words(hidden), size) if words is None else words
        return State(v, w, hidden, flip(self.joint.up(hidden)))
