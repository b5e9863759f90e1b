"""What models of language share: what is measured, what is shown, and how they write."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor
from torchmetrics import MeanMetric

from dlplug.data import Batch
from dlplug.media import Figure, Media, Text
from dlplug.model import Model
from dlplug.panels import Panel
from dlplug.plots import plot_curves
from dlplug_sequence.data.token_stream import TextInfo
from dlplug_sequence.data.vocabulary import Vocabulary

SHOWN = 400  # tokens of the sample that is shown
PANELS = (
    Panel(
        "Learning",
        "Loss",
        "Nats a token. Healthy: train and val fall together. Broken: val rises while train falls (overfitting), or "
        "jumps (too high a learning rate).",
        curves=("loss",),
    ),
    Panel(
        "Learning",
        "Bits a character",
        "What a character would cost if the text were compressed by the model. English takes about 8 uncompressed, 2.3 "
        "with xz, and 1.7 with the best models of this size. Healthy: falls.",
        curves=("bits",),
    ),
    Panel(
        "Learning",
        "Perplexity",
        "Among how many tokens, equally likely, it might as well choose. Healthy: falls.",
        curves=("perplexity",),
    ),
    Panel(
        "Learning",
        "Loss by position",
        "How surprised it is after so many tokens from a blank state. Healthy: falls steeply, then slowly. Broken: "
        "flat: it uses the last token only.",
        media="loss by position",
    ),
    Panel(
        "Writing",
        "Sampled text",
        "Written by the model from the start of the validation text, the same random numbers each time. Healthy: "
        "letters, then words, then phrases. Broken: one token again and again.",
        media="sample",
    ),
)


State = tuple[Any, ...]  # whatever a model remembers of what it read, () before the first token


class LanguageModel(Model, ABC):
    """A model that says how likely each token is to come next.

    Logs ``loss`` in nats a token, and for text not trained on ``bits`` a character and ``perplexity``, exp(loss).
    """

    monitor = ("val/loss", "min")
    panels: ClassVar[tuple[Panel, ...]] = PANELS

    @abstractmethod
    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Read on, and return how much each target surprised.

        Args:
            tokens: Shape (n, time).
            targets: The tokens that follow them, shape (n, time).
            state: What to remember of the text before.

        Returns:
            Nats, shape (n, time), and the state after the last token.
        """

    @abstractmethod
    def read_on(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Read on, and say what may follow the last token.

        Args:
            tokens: Shape (n, time).
            state: What to remember of the text before.

        Returns:
            Log-probabilities, not always normalised, shape (n, vocabulary), and the state after the last token.
        """

    @abstractmethod
    def prepare(self, vocabulary: Vocabulary) -> None:
        """Make what is learnt, for a vocabulary."""

    def build(self, info: TextInfo) -> None:
        """Make the layers and the metrics."""
        if not isinstance(info, TextInfo):
            raise ValueError(f"reads a text of tokens, not {info}")
        self.vocabulary = Vocabulary.from_json(info.vocabulary)
        self.register_buffer("lengths", self.vocabulary.lengths())
        self.lengths: Tensor
        self.mean_loss, self.mean_bits = MeanMetric(), MeanMetric()
        self._evaluated: State = ()
        self.prepare(self.vocabulary)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure."""
        self._measure(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test text."""
        self._measure(batch, batch_idx)

    def _measure(self, batch: Batch, batch_idx: int) -> None:
        """Read on: a row goes on where it stopped in the batch before."""
        tokens, targets = batch
        losses, self._evaluated = self.losses(tokens, targets, self._evaluated if batch_idx else ())
        characters = self.lengths[targets].sum()
        self.mean_loss.update(losses.mean(), weight=losses.numel())
        self.mean_bits.update(losses.sum() / characters / math.log(2), weight=characters)

    def on_validation_epoch_end(self) -> None:
        """Log what was measured over the whole text."""
        self._log_measured("val")

    def on_test_epoch_end(self) -> None:
        """The same for the test text."""
        self._log_measured("test")

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show text that it writes, and how its surprise falls as it has read more."""
        tokens, targets = batch
        prompt = tokens[:1, :20]
        written = self.write(prompt, SHOWN, 1.0, 0)[0]
        sample = f"{self.vocabulary.decode(prompt[0].tolist())} …\n\n{self.vocabulary.decode(written)}\n"
        losses, _ = self.losses(tokens, targets, ())
        return {"sample": Text(sample), "loss by position": Figure(plot_positions(losses.float().cpu()))}

    def generate(self, prompt: str = "", length: int = 500, temperature: float = 1.0, top_k: int = 0) -> Text:
        """Write text.

        Args:
            prompt: What it starts from; the model then knows what came before.
            length: Tokens to write.
            temperature: Below 1 likely tokens become likelier; 0 for always the likeliest.
            top_k: Choose among so many of the likeliest; 0 for all.
        """
        if length < 1 or temperature < 0 or top_k < 0:
            raise ValueError(
                f"length must be at least 1, temperature and top_k at least 0, not {length}, {temperature} and {top_k}"
            )
        codes = self.vocabulary.encode(prompt)
        start = torch.tensor([codes or self.vocabulary.encode("\n") or [0]], device=self.device)
        return Text(prompt + self.vocabulary.decode(self.write(start, length, temperature, top_k)[0]))

    def write(self, prompts: Tensor, length: int, temperature: float, top_k: int) -> list[list[int]]:
        """Return tokens written after prompts of shape (n, time), a token a step with the state carried over."""
        scores, state = self.read_on(prompts, ())
        written = []
        for _ in range(length):
            scores[:, : len(self.vocabulary.specials)] = -torch.inf
            tokens = choose(scores.float(), temperature, top_k)  # (n, 1)
            written.append(tokens)
            scores, state = self.read_on(tokens, state)
        return torch.cat(written, dim=1).tolist()

    def _log_measured(self, stage: str) -> None:
        loss, bits = self.mean_loss.compute(), self.mean_bits.compute()
        self.log_dict({f"{stage}/loss": loss, f"{stage}/bits": bits, f"{stage}/perplexity": loss.exp()})
        self.mean_loss.reset()
        self.mean_bits.reset()


def choose(scores: Tensor, temperature: float, top_k: int) -> Tensor:
    """Return a token for each row of log-probabilities (n, vocabulary): shape (n, 1)."""
    if temperature == 0:
        return scores.argmax(1, keepdim=True)
    if top_k:
        least = scores.topk(min(top_k, scores.shape[1])).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    return (scores / temperature).softmax(1).multinomial(1)


def plot_positions(losses: Tensor) -> Drawing:
    """Draw the mean of losses (n, time) at each position."""
    bits = (losses.mean(0) / math.log(2)).tolist()
    return plot_curves(range(len(bits)), {"validation text": bits}, "tokens read before", "bits a token")
