"""A deep Boltzmann machine with two kinds of visible units: images and words under one joint layer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlplug_multimodal.nn.rbm import BernoulliRBM, GaussianBernoulliRBM, Gradient, ReplicatedSoftmaxRBM, bernoulli

INIT_STD = 0.2  # of the first weights of words and joint layer: from 0.01 hardly anything passes from image to words


@dataclass(frozen=True)
class DBMState:
    """All units, sampled or expected.

    Attributes:
        image: Visible units, shape (n, visible).
        text: Counts of words, shape (n, words).
        hidden: The image's hidden units, then the text's, shape (n, hidden).
        joint: Units of the layer above both, shape (n, joint).
    """

    image: Tensor
    text: Tensor
    hidden: Tensor
    joint: Tensor


class DeepBoltzmann(nn.Module):
    """Three machines that share units: one of images, one of words, and a layer above the hidden units of both.

    Source: Srivastava and Salakhutdinov, "Multimodal Learning with Deep Boltzmann Machines" (2012).

    Args:
        visible: Real-valued units of an image.
        words: Number of words.
        image_hidden: Hidden units of the image.
        text_hidden: Hidden units of the words.
        joint: Units above both.
    """

    def __init__(self, visible: int, words: int, image_hidden: int, text_hidden: int, joint: int) -> None:
        super().__init__()
        self.image = GaussianBernoulliRBM(visible, image_hidden)
        self.text = ReplicatedSoftmaxRBM(words, text_hidden)
        self.joint = BernoulliRBM(image_hidden + text_hidden, joint)
        for rbm in (self.text, self.joint):
            nn.init.normal_(rbm.weight, std=INIT_STD)

    def mean_field(self, image: Tensor | None, text: Tensor | None, lengths: Tensor, steps: int) -> DBMState:
        """Return the expected units by mean-field inference.

        A missing modality starts from its biases and is inferred with the hidden units, and so are words of a text
        that is known in part.

        Args:
            image: Visible units (n, visible); None where missing.
            text: Counts of the words that are known (n, words); None where none are.
            lengths: Words a row, known or not, shape (n, 1).
            steps: Updates of each layer.
        """
        n = lengths.shape[0]  # an export fixes what len returns
        known = 0.0 if text is None else text
        hidden_words = lengths if text is None else lengths - text.sum(1, keepdim=True)
        complete = text is not None and not bool((hidden_words > 0).any())
        v = self.image.visible_bias.expand(n, -1) if image is None else image
        w = known + self.text.visible_mean(self.text.visible_bias.expand(n, -1), hidden_words)
        j = self.joint.hidden_bias.sigmoid().expand(n, -1)
        from_image, from_text = self.image.hidden_logits(v), self.text.hidden_logits(w)
        for _ in range(steps):
            hidden = (torch.cat([from_image, from_text], 1) + self.joint.visible_input(j)).sigmoid()
            j = self.joint.hidden_logits(hidden).sigmoid()
            if image is None:
                v = self.image.visible_mean(self._image_input(hidden), lengths)
                from_image = self.image.hidden_logits(v)
            if not complete:
                w = known + self.text.visible_mean(self._text_input(hidden), hidden_words)
                from_text = self.text.hidden_logits(w)
        return DBMState(v, w, hidden, j)

    def gibbs_mean(self, image: Tensor | None, text: Tensor | None, lengths: Tensor, steps: int) -> DBMState:
        """Return the units' means over the second half of a Gibbs chain; arguments as for ``mean_field``.

        A text is known whole or not at all here. Visible units count with their means given the hidden ones.
        """
        start = self.mean_field(image, text, lengths, 1)
        hidden, kept = bernoulli(torch.logit(start.hidden, 1e-6)), []
        for step in range(steps):
            state = self._sample(hidden, lengths, image, text)
            hidden = bernoulli(self._hidden_logits(state.image, state.text, state.joint))
            if step >= steps // 2:
                v = self.image.visible_mean(self._image_input(hidden), lengths) if image is None else image
                w = self.text.visible_mean(self._text_input(hidden), lengths) if text is None else text
                kept.append((v, w, hidden, self.joint.hidden_logits(hidden).sigmoid()))
        return DBMState(*(torch.stack(parts).mean(0) for parts in zip(*kept, strict=True)))

    def advance(self, hidden: Tensor, lengths: Tensor, steps: int) -> tuple[DBMState, Tensor]:
        """Run Gibbs chains for some more steps.

        Args:
            hidden: The chains' hidden units (n, hidden).
            lengths: Words of each chain, shape (n, 1).
            steps: Times that all units are sampled.

        Returns:
            Their units, hidden ones as probabilities, and the sampled hidden units, from which to continue.
        """
        for _ in range(steps):
            state = self._sample(hidden, lengths, None, None)
            logits = self._hidden_logits(state.image, state.text, state.joint)
            hidden = bernoulli(logits)
        return DBMState(state.image, state.text, logits.sigmoid(), state.joint), hidden

    def cd_gradient(self, data: DBMState, model: DBMState) -> list[tuple[nn.Module, Gradient]]:
        """Return each machine with its gradient: the statistics of the model less those of the data."""
        cut = self.image.weight.shape[1]
        (d, e), (m, n) = ((state.hidden[:, :cut], state.hidden[:, cut:]) for state in (data, model))
        return [
            (self.image, self.image.state_gradient((data.image, d), (model.image, m))),
            (self.text, self.text.state_gradient((data.text, e), (model.text, n))),
            (self.joint, self.joint.state_gradient((data.hidden, data.joint), (model.hidden, model.joint))),
        ]

    def word_log_probs(self, state: DBMState) -> Tensor:
        """Return each word's log-probability, shape (n, words), given the hidden units."""
        return self._text_input(state.hidden).log_softmax(1)

    def _hidden_logits(self, image: Tensor, text: Tensor, joint: Tensor) -> Tensor:
        """Return the log-odds of the hidden units given what is below and above them."""
        below = torch.cat([self.image.hidden_logits(image), self.text.hidden_logits(text)], 1)
        return below + self.joint.visible_input(joint)

    def _image_input(self, hidden: Tensor) -> Tensor:
        return self.image.visible_input(hidden[:, : self.image.weight.shape[1]])

    def _text_input(self, hidden: Tensor) -> Tensor:
        return self.text.visible_input(hidden[:, self.image.weight.shape[1] :])

    def _sample(self, hidden: Tensor, lengths: Tensor, image: Tensor | None, text: Tensor | None) -> DBMState:
        v = self.image.sample_visible(self._image_input(hidden), lengths) if image is None else image
        w = self.text.sample_visible(self._text_input(hidden), lengths) if text is None else text
        return DBMState(v, w, hidden, bernoulli(self.joint.hidden_logits(hidden)))
