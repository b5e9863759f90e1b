"""What text classifiers share: how they are trained, their metrics and what they show."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassRecall

from dlplug.data import Batch, class_weights
from dlplug.files import asked_lines
from dlplug.media import Figure, Media, Table, Text
from dlplug.model import rank
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug.plots import plot_confusion_matrix
from dlplug_sequence.data.labelled_text import LabelledTextInfo
from dlplug_sequence.data.padded import PAD_ID, UNK_ID, Ragged, from_utf8
from dlplug_sequence.data.vocabulary import Vocabulary

WORST = 30  # mistakes shown
CHUNK = 256  # texts classified at once
# Embeddings start at so much of PyTorch's scale: words seen a few times then stay small instead of random.
EMBEDDING_SCALE = 0.1


class TextClassifier(WarmupCosine, ABC):
    """A classifier of texts, trained on the cross-entropy.

    Logs ``loss`` in nats and ``accuracy``, and in validation and test ``macro_recall``, the mean over classes.

    Args:
        word_dropout: Probability that a word is replaced by unknown in training, so that no single word decides.
        class_weights: ``balanced`` weights each class's loss in training by its share, so that rare classes count as
            much as frequent ones; None weights all texts alike.
    """

    monitor = ("val/loss", "min")
    betas = (0.9, 0.99)
    top = 1
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Cross-entropy in nats; guessing among k classes costs ln k. Healthy: both curves fall and stay together. "
            "Broken: val rises while train falls (overfitting).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Accuracy",
            "Share of texts classified correctly, and the mean recall of the classes. Healthy: both rise to a plateau. "
            "Broken: recall far below accuracy (rare classes are ignored).",
            curves=("accuracy", "macro_recall"),
            expect=("accuracy rises", "macro_recall rises"),
        ),
        Panel(
            "Predictions",
            "Confusion matrix",
            "Validation texts by true class (rows) and predicted class (columns). Healthy: a dark diagonal. Broken: a "
            "dark column (all are predicted to be that).",
            media="confusion",
        ),
        Panel(
            "Predictions",
            "Worst mistakes",
            "The misclassified validation texts of the highest loss. Healthy: you would hesitate too, or the label is "
            "wrong. Broken: obvious cases.",
            media="mistakes",
        ),
    )

    def __init__(self, word_dropout: float, class_weights: Literal["balanced"] | None = None) -> None:
        super().__init__()
        if not 0 <= word_dropout < 1:
            raise ValueError(f"word_dropout must be from 0 to below 1, not {word_dropout}")
        self.word_dropout, self.class_weights = word_dropout, class_weights
        self._mistakes: list[tuple[float, str, str, str, float]] = []  # loss, text, true and predicted, confidence
        self._confusion: Tensor | None = None
        self._class_weights: Tensor | None = None

    @abstractmethod
    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the network, from tokens (n, time), padded with 0, to logits (n, classes)."""

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
                "macro_recall": MulticlassRecall(average="macro", **options),
                "confusion": MulticlassConfusionMatrix(**options),
            }
        )

    def on_fit_start(self) -> None:
        """Weight the classes, and say how many texts each has."""
        super().on_fit_start()
        weights = class_weights(getattr(self.trainer, "datamodule", None), self.labels)
        self._class_weights = None if weights is None or not self.class_weights else weights.to(self.device)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (n, classes) of tokens (n, time), padded with 0."""
        logits: Tensor = self.net(tokens)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        tokens, labels = batch
        if self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped & (tokens != PAD_ID), UNK_ID)
        logits = self(tokens)
        loss = cross_entropy(logits, labels, self._class_weights)
        self.record(loss=loss, accuracy=(logits.detach().argmax(1) == labels).float().mean())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure, and keep the worst mistakes."""
        tokens, labels, *others = batch
        logits = self(tokens).float()
        losses = cross_entropy(logits, labels, reduction="none")
        self.record(loss=losses.mean())
        self.metrics.update(logits, labels)
        confidences, predicted = logits.softmax(1).max(1)
        wrong = (predicted != labels).nonzero().squeeze(1)
        for index in wrong[losses[wrong].argsort(descending=True)[:WORST]].tolist():
            known = self.vocabulary.decode([token_id for token_id in tokens[index].tolist() if token_id != PAD_ID])
            text = from_utf8(others[0][index : index + 1])[0] if others else known
            true, given = (self.labels[int(classes[index])] for classes in (labels, predicted))
            self._mistakes.append((losses[index].item(), text, true, given, confidences[index].item()))
        self._mistakes = sorted(self._mistakes, key=lambda mistake: -mistake[0])[:WORST]

    def on_validation_epoch_start(self) -> None:
        """Forget the mistakes of the last time."""
        self._mistakes = []

    def on_validation_epoch_end(self) -> None:
        """Log what was measured over all texts."""
        values: dict[str, Tensor] = self.metrics.compute()
        self.metrics.reset()
        self._confusion = values.pop("confusion")
        self.log_dict({f"{self.stage}/{name}": value for name, value in values.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, list[str] | Tensor]:
        """Return the names of each text's likeliest classes, and their probabilities, shapes (n,)."""
        return rank(self(batch[0]).float().softmax(1), self.labels, self.top)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the confusion matrix and the worst mistakes."""
        assert self._confusion is not None
        rows = [(predicted, f"{sure:.0%}", true, text) for _, text, true, predicted, sure in self._mistakes]
        return {
            "confusion": Figure(plot_confusion_matrix(self._confusion.cpu(), self.labels)),
            "mistakes": Table(("predicted", "confidence", "true", "text"), rows)
            if rows
            else Text("No mistakes any more."),
        }

    def generate(self, text: str = "", file: str = "") -> Text:
        """Classify texts, a line each: the class, its probability, the text.

        Args:
            text: A text.
            file: A UTF-8 file with a text a line, instead.
        """
        lines = asked_lines(text, file)
        answers = []
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            tokens = Ragged(self.vocabulary.encode_batch(chunk))
            confidences, classes = self(tokens[torch.arange(len(tokens))].to(self.device)).float().softmax(1).max(1)
            for label, sure, line in zip(classes.tolist(), confidences.tolist(), chunk, strict=True):
                answers.append(f"{self.labels[label]}\t{sure:.2f}\t{line}")
        return Text("\n".join(answers))
