"""What models that tell texts apart share: how they learn, what is measured and what is shown."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassRecall

from dlplug.data import Batch
from dlplug.files import asked_lines
from dlplug.media import Figure, Media, Table, Text
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug.plots import plot_confusion_matrix
from dlplug_sequence.data.labelled_text import LabelledTextInfo
from dlplug_sequence.data.padded import PAD_CODE, UNKNOWN_CODE, Ragged
from dlplug_sequence.data.vocabulary import Vocabulary

WORST = 30  # mistakes shown
CHUNK = 256  # texts classified at once
# Embeddings start at so much of PyTorch's scale: words seen a few times then stay small instead of random.
EMBEDDING_SCALE = 0.1


class TextClassifier(WarmupCosine, ABC):
    """A model that gives a text's class, trained on the cross-entropy.

    Logs ``loss`` in nats and ``accuracy``, and for texts not trained on ``recall``, the mean over classes.

    Args:
        word_dropout: Probability that a word is unknown while training, so that no single word decides.
    """

    monitor = ("val/loss", "min")
    betas = (0.9, 0.99)
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Mean surprise at the right class, in nats; guessing among k classes costs ln k. Healthy: both curves fall "
            "and stay together. Broken: val rises while train falls (overfitting).",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Accuracy",
            "Share of texts told right, and the mean recall of the classes. Healthy: both rise to a plateau. Broken: "
            "recall far below accuracy (rare classes are ignored).",
            curves=("accuracy", "recall"),
        ),
        Panel(
            "What it reads",
            "Confusion",
            "Validation texts by true class (rows) and given class (columns). Healthy: a dark diagonal. Broken: a dark "
            "column (all are called that).",
            media="confusion",
        ),
        Panel(
            "What it reads",
            "Worst mistakes",
            "The wrongly told validation texts that surprised it most. Healthy: you would hesitate too, or the label "
            "is wrong. Broken: plain cases.",
            media="mistakes",
        ),
    )

    def __init__(self, word_dropout: float) -> None:
        super().__init__()
        if not 0 <= word_dropout < 1:
            raise ValueError(f"word_dropout must be from 0 to below 1, not {word_dropout}")
        self.word_dropout = word_dropout
        self._mistakes: list[tuple[float, str, str, str, float]] = []  # loss, text, true and given class, confidence
        self._confusion: Tensor | None = None

    @abstractmethod
    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the network, from tokens (n, time), padded with 0, to scores (n, classes)."""

    def build(self, info: LabelledTextInfo) -> None:
        """Make the layers and the metrics."""
        if not isinstance(info, LabelledTextInfo):
            raise ValueError(f"learns from texts with a class each, not {info}")
        self.vocabulary, self.labels = Vocabulary.from_json(info.vocabulary), tuple(info.labels)
        self.net = self.network(len(self.vocabulary), len(self.labels))
        with torch.no_grad():
            for module in self.net.modules():
                if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                    module.weight *= EMBEDDING_SCALE
        options: dict[str, Any] = {"num_classes": len(self.labels), "validate_args": False}
        self.metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(average="micro", **options),
                "recall": MulticlassRecall(average="macro", **options),
                "confusion": MulticlassConfusionMatrix(**options),
            }
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores (n, classes) of tokens (n, time), padded with 0."""
        scores: Tensor = self.net(tokens)
        return scores

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        tokens, labels = batch
        if self.word_dropout:
            lost = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(lost & (tokens != PAD_CODE), UNKNOWN_CODE)
        scores = self(tokens)
        loss = cross_entropy(scores, labels)
        self.record(loss=loss, accuracy=(scores.detach().argmax(1) == labels).float().mean())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure, and keep the worst mistakes."""
        tokens, labels = batch
        scores = self(tokens).float()
        losses = cross_entropy(scores, labels, reduction="none")
        self.record(loss=losses.mean())
        self.metrics.update(scores, labels)
        confidences, guesses = scores.softmax(1).max(1)
        wrong = guesses != labels
        found = tuple(part[wrong] for part in (losses, labels, guesses, confidences))
        self._keep(found, tokens[wrong])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test texts."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Forget the last time's mistakes."""
        self._mistakes = []

    def on_test_epoch_start(self) -> None:
        """The same before a test."""
        self.on_validation_epoch_start()

    def on_validation_epoch_end(self) -> None:
        """Log what was measured over all texts."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """The same for the test texts."""
        self._log_metrics("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, list[str] | Tensor]:
        """Return the name of the class given to each text and its probability, shapes (n,)."""
        confidences, classes = self(batch[0]).float().softmax(1).max(1)
        return {"class": [self.labels[index] for index in classes.tolist()], "confidence": confidences}

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what it mixes up, and its worst mistakes."""
        assert self._confusion is not None
        rows = [(given, f"{sure:.0%}", true, text) for _, text, true, given, sure in self._mistakes]
        return {
            "confusion": Figure(plot_confusion_matrix(self._confusion.cpu(), self.labels)),
            "mistakes": Table(("given", "confidence", "true", "text"), rows),
        }

    def generate(self, text: str = "", file: str = "") -> Text:
        """Give the class of texts, a line each: the class, its probability, the text.

        Args:
            text: A text.
            file: A UTF-8 file with a text a line, instead.
        """
        lines = asked_lines(text, file)
        told: list[tuple[int, float]] = []
        for start in range(0, len(lines), CHUNK):
            tokens = Ragged(self.vocabulary.encode_batch(lines[start : start + CHUNK]))
            scores = self(tokens[torch.arange(len(tokens))].to(self.device)).float().softmax(1)
            sure, classes = scores.max(1)
            told += zip(classes.tolist(), sure.tolist(), strict=True)
        return Text("\n".join(f"{self.labels[c]}\t{p:.2f}\t{line}" for (c, p), line in zip(told, lines, strict=True)))

    def _keep(self, found: tuple[Tensor, ...], tokens: Tensor) -> None:
        for place in found[0].argsort(descending=True)[:WORST].tolist():
            loss, label, guess, sure = (part[place].item() for part in found)
            text = self.vocabulary.decode([code for code in tokens[place].tolist() if code != PAD_CODE])
            self._mistakes.append((loss, text, self.labels[int(label)], self.labels[int(guess)], sure))
        self._mistakes = sorted(self._mistakes, key=lambda mistake: -mistake[0])[:WORST]

    def _log_metrics(self, stage: str) -> None:
        values: dict[str, Tensor] = self.metrics.compute()
        self.metrics.reset()
        self._confusion = values.pop("confusion")
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})
