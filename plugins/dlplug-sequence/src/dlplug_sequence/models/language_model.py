"""What language models share: their metrics, what they show, and how they generate text."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric

from dlplug.console import say
from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.media import Figure, Media, Table, Text
from dlplug.model import Model
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug.plots import plot_curves
from dlplug_sequence.data.token_stream import TextInfo
from dlplug_sequence.data.vocabulary import Vocabulary

RANKED = 10  # tokens that may come next
SHOWN = 400  # tokens of the sample that is shown
State = tuple[Any, ...]  # whatever a model keeps of the text before, () before the first token


class LanguageModel(Model, ABC):
    """A model of the probability of the next token.

    Logs ``loss`` in nats a token, and in validation and test ``bits_per_char`` and ``perplexity``, exp(loss).

    Attributes:
        context_length: How many tokens it attends to; 0 where a state holds all of the text before.
    """

    context_length = 0

    monitor = ("val/loss", "min")
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Nats a token. Healthy: train and val fall together. Broken: val rises while train falls (overfitting), "
            "or jumps (the learning rate is too high).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Bits per character",
            "The loss by character, in bits (nats / ln 2): what a character would take if the model compressed the "
            "text. English takes about 8 uncompressed, 2.3 with xz, and 1.7 with the best models of this size. "
            "Healthy: falls.",
            curves=("bits_per_char",),
            expect=("bits_per_char falls",),
        ),
        Panel(
            "Learning",
            "Perplexity",
            "The number of equally likely tokens that would be as hard to predict. Healthy: falls.",
            curves=("perplexity",),
            expect=("perplexity falls",),
        ),
        Panel(
            "Learning",
            "Loss by position",
            "The loss in bits (nats / ln 2) after so many tokens from an empty state. Healthy: falls steeply over the "
            "first few, then slowly, under the noise of the texts. Broken: flat: it uses the last token only.",
            media="loss by position",
        ),
        Panel(
            "Generation",
            "Sampled text",
            "Generated from the start of the validation text, with the same random numbers each time. Healthy: "
            "letters, then words, then phrases. Broken: one token again and again.",
            media="sample",
        ),
    )

    @abstractmethod
    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the loss of each target.

        Args:
            tokens: Shape (n, time).
            targets: The tokens that follow them, shape (n, time).
            state: The state after the text before.

        Returns:
            Nats, shape (n, time), and the state after the last token.
        """

    @abstractmethod
    def next_logits(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict what follows the last token.

        Args:
            tokens: Shape (n, time).
            state: The state after the text before.

        Returns:
            Logits, shape (n, vocabulary), and the state after the last token.
        """

    @abstractmethod
    def build_layers(self, vocabulary: Vocabulary) -> None:
        """Make what is learned, for a vocabulary."""

    def build(self, info: TextInfo) -> None:
        """Make the layers and the metrics."""
        if not isinstance(info, TextInfo):
            raise ValueError(f"reads a text of tokens, not {info}")
        self.vocabulary = Vocabulary.from_json(info.vocabulary)
        self.register_buffer("lengths", self.vocabulary.lengths())
        self.lengths: Tensor
        self.mean_loss, self.mean_bits = MeanMetric(), MeanMetric()
        self._eval_state: State = ()
        self.build_layers(self.vocabulary)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure; a row continues that of the batch before."""
        tokens, targets = batch
        losses, self._eval_state = self.losses(tokens, targets, self._eval_state if batch_idx else ())
        characters = self.lengths[targets].sum()
        self.mean_loss.update(losses.mean(), weight=losses.numel())
        self.mean_bits.update(losses.sum() / characters / math.log(2), weight=characters)

    def on_validation_epoch_end(self) -> None:
        """Log what was measured over the whole text."""
        loss, bits = self.mean_loss.compute(), self.mean_bits.compute()
        metrics = {"loss": loss, "bits_per_char": bits, "perplexity": loss.exp()}
        self.log_dict({f"{self.stage}/{name}": value for name, value in metrics.items()})
        self.mean_loss.reset()
        self.mean_bits.reset()

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the perplexity of each text and its bits per character, shapes (n,)."""
        tokens, targets, counts = batch
        read = torch.arange(targets.shape[1], device=targets.device) < counts  # (n, time)
        nats = self.losses(tokens, targets, ())[0].mul(read).sum(1)
        characters = self.lengths[targets].mul(read).sum(1).clamp_min(1)
        return {"perplexity": (nats / counts[:, 0]).exp(), "bits_per_char": nats / characters / math.log(2)}

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show generated text, and the loss by the number of tokens read before."""
        tokens, targets = batch
        prompt = tokens[:1, :20]
        generated = self.sample(prompt, SHOWN, 1.0, 0)[0]
        sample = f"{self.vocabulary.decode(prompt[0].tolist())} …\n\n{self.vocabulary.decode(generated)}\n"
        losses, _ = self.losses(tokens, targets, ())
        return {"sample": Text(sample), "loss by position": Figure(plot_positions(losses.float().cpu()))}

    def generate(self, prompt: str = "", length: int = 500, temperature: float = 1.0, top_k: int = 0) -> Text:
        """Generate text.

        Args:
            prompt: The text to continue.
            length: Tokens to generate.
            temperature: Below 1 likely tokens become likelier; 0 always takes the likeliest.
            top_k: Sample from so many of the likeliest tokens; 0 for all.
        """
        if length < 1 or temperature < 0 or top_k < 0:
            raise ValueError(
                f"length must be at least 1, temperature and top_k at least 0, not {length}, {temperature} and {top_k}"
            )
        start = self._start(prompt)
        if 0 < self.context_length < start.shape[1] + length:
            say(f"beyond {self.context_length} tokens, its context, each takes longer: the last are encoded again")
        return Text(prompt + self.vocabulary.decode(self.sample(start, length, temperature, top_k)[0]))

    def demos(self) -> dict[str, Callable[..., Any]]:
        """Tell what may follow a text."""
        return {"Next token": self.rank_next}

    def rank_next(self, text: str = "") -> Table:
        """Rank what may follow a text.

        Args:
            text: What there is so far.
        """
        logits = self.next_logits(self._start(text), ())[0][0].float()  # (vocabulary,)
        logits[: len(self.vocabulary.specials)] = -torch.inf
        best = logits.softmax(0).topk(min(RANKED, len(logits)))
        tokens = [self.vocabulary.id_to_token(token) for token in best.indices.tolist()]
        shown = [token.replace(" ", "␣").replace("\n", "⏎") for token in tokens]
        return Table(("token", "probability"), list(zip(shown, best.values.tolist(), strict=True)))

    def _start(self, prompt: str) -> Tensor:
        """Return the tokens (1, time) that a prompt begins with, the end of a line where it is empty."""
        ids = self.vocabulary.encode(prompt) or self.vocabulary.encode("\n") or [0]
        return torch.tensor([ids], device=self.device)

    def sample(self, prompts: Tensor, length: int, temperature: float, top_k: int) -> list[list[int]]:
        """Return tokens sampled after prompts of shape (n, time), one a step with the state carried over."""
        logits, state = self.next_logits(prompts, ())
        sampled = []
        for _ in range(length):
            logits[:, : len(self.vocabulary.specials)] = -torch.inf
            tokens = sample_token(logits.float(), temperature, top_k)  # (n, 1)
            sampled.append(tokens)
            logits, state = self.next_logits(tokens, state)
        return torch.cat(sampled, dim=1).tolist()


class GradientFreeLM(LanguageModel):
    """A language model that no gradient trains, on one process."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def setup(self, stage: str) -> None:
        """Refuse several processes."""
        if self.trainer.world_size > 1:
            name = type(self).__name__
            raise InputError(f"{name} runs on one process, and has no gradients to share: --trainer.devices 1")

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return none."""
        return []

    def within_epoch(self) -> None:
        """Refuse: what was counted so far is in no checkpoint."""


class NeuralLM(WarmupCosine, LanguageModel):
    """A network that predicts what follows each token, trained on the loss at every time step (section 2.6).

    Attributes:
        stateful: Whether a training batch continues from the state after the batch before.
    """

    betas = (0.9, 0.99)
    stateful: bool = False
    _train_state: State = ()

    @abstractmethod
    def forward(self, tokens: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Predict what follows each token.

        Args:
            tokens: Shape (n, time).
            state: The state after the text before; () for none.

        Returns:
            Logits of what follows each token, shape (n, time, vocabulary), and the state after the last.
        """

    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return nats (n, time), and the state after the last token."""
        # Exercise: the cross-entropy of each target, in nats.
        logits, state = self(tokens, state)
        nats = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        return nats.view_as(targets), state

    def next_logits(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return logits of what follows the last token."""
        logits, state = self(tokens, state)
        return logits[:, -1], state

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        # Exercise: the mean loss; keep the state for the next batch, without its gradient.
        tokens, targets = batch
        losses, state = self.losses(tokens, targets, self._train_state if self.stateful and batch_idx else ())
        self._train_state = tuple(part.detach() for part in state)  # gradients stop at the batch's start
        loss = losses.mean()
        self.record(loss=loss)
        return loss

    def within_epoch(self) -> dict[str, Any]:
        """Return the state after the last batch too."""
        return {"state": self._train_state, **(super().within_epoch() or {})}

    def resume_within_epoch(self, carried: Mapping[str, Any]) -> None:
        """Take the state back."""
        super().resume_within_epoch(carried)
        self._train_state = carried["state"]


def sample_token(logits: Tensor, temperature: float, top_k: int) -> Tensor:
    """Return a token for each row of logits (n, vocabulary): shape (n, 1)."""
    if temperature == 0:
        return logits.argmax(1, keepdim=True)
    if top_k:
        least = logits.topk(min(top_k, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return (logits / temperature).softmax(1).multinomial(1)


def plot_positions(losses: Tensor) -> Drawing:
    """Draw the mean of losses (n, time) at each position."""
    bits = (losses.mean(0) / math.log(2)).tolist()
    return plot_curves(range(len(bits)), {"validation text": bits}, "tokens read before", "bits a token")
