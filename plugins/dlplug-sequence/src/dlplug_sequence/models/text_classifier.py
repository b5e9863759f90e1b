"""What text classifiers share: how they are trained, their metrics and what they show."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall

from dlplug.data import Batch
from dlplug.files import asked_lines
from dlplug.media import Media, Table, Text, TextFile
from dlplug.model import Parts
from dlplug.panels import Panel
from dlplug.supervised import Supervised
from dlplug_sequence.data.labelled_text import LabelledTextInfo
from dlplug_sequence.data.padded import PAD_ID, UNK_ID, Ragged, from_utf8
from dlplug_sequence.data.vocabulary import Vocabulary

CHUNK = 256  # texts classified at once
# Embeddings start at so much of PyTorch's scale: words seen a few times then stay small instead of random.
EMBEDDING_SCALE = 0.1


class TextClassifier(Supervised):
    """A classifier of texts, or a regressor where their targets are numbers.

    Of classes, logs ``loss`` in nats and ``accuracy``, and in validation and test ``macro_recall``, the mean over
    classes; of labels and of numbers what their objective measures (``dlplug.supervised``).

    Args:
        word_dropout: Probability that a word is replaced by unknown in training, so that no single word decides.
    """

    betas = (0.9, 0.99)
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Cross-entropy in nats; guessing among k classes costs ln k. Healthy: train falls; val falls, then is flat "
            "or rises slowly while accuracy holds. Broken: val rises above ln k (overfitting), or neither falls.",
            curves=("loss",),
            expect=("train/loss falls",),
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

    scores: ClassVar[dict[str, Callable[..., Metric]]] = {
        "accuracy": partial(MulticlassAccuracy, average="micro"),
        "macro_recall": partial(MulticlassRecall, average="macro"),
    }
    most_mistakes = 30

    def __init__(self, word_dropout: float, class_weights: Literal["balanced"] | None = None) -> None:
        super().__init__(class_weights)
        if not 0 <= word_dropout < 1:
            raise ValueError(f"word_dropout must be from 0 to below 1, not {word_dropout}")
        self.word_dropout = word_dropout

    @abstractmethod
    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the network, from tokens (n, time), padded with 0, to logits (n, classes)."""

    def build(self, info: LabelledTextInfo) -> None:
        """Make the layers and the metrics."""
        if not isinstance(info, LabelledTextInfo):
            raise ValueError(f"learns from texts with a target each, not {info}")
        self.vocabulary = Vocabulary.from_json(info.vocabulary)
        self.net = self.network(len(self.vocabulary), len(info.labels))
        with torch.no_grad():
            for module in self.net.modules():
                if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                    module.weight *= EMBEDDING_SCALE
        self.learn(info.target, info.labels)

    def corrupt(self, inputs: Tensor) -> Tensor:
        """Return tokens (n, time), some of them replaced by unknown."""
        if not self.word_dropout:
            return inputs
        dropped = torch.rand(inputs.shape, device=inputs.device) < self.word_dropout
        return inputs.masked_fill(dropped & (inputs != PAD_ID), UNK_ID)

    def shown(self, batch: Batch, index: int) -> str:
        """Return the text, as it was where the data have it, and else what is known of it."""
        if len(batch) > 2:
            return from_utf8(batch[2][index : index + 1])[0]
        return self.vocabulary.decode([token_id for token_id in batch[0][index].tolist() if token_id != PAD_ID])

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what was measured and the worst mistakes."""
        tokens, targets, *_ = batch
        rows = [(predicted, sure, true, text) for text, true, predicted, sure in self.mistakes()]
        columns = ("predicted", "confidence", "true", "text")
        mistakes = Table(columns, rows) if rows else Text("No mistakes any more.")
        return {**self.objective.show(self(tokens), targets), "mistakes": mistakes}

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network, from tokens to what ``named_outputs`` says."""
        return {"network": (self.named_outputs, {"tokens": batch[0]}, {"tokens": {1: "time"}})}

    def generate(self, text: str = "", file: TextFile = "") -> Text:
        """Predict texts, a line each: class or labels with their probabilities, or numbers; and the text.

        Args:
            text: A text.
            file: A UTF-8 file with a text a line, instead.
        """
        lines = asked_lines(text, file)
        answers = []
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            tokens = Ragged(self.vocabulary.encode_batch(chunk))
            outputs = self(tokens[torch.arange(len(tokens))].to(self.device))
            for output, line in zip(outputs, chunk, strict=True):
                said, sure = self.objective.say(output)
                answers.append("\t".join([said or "none", sure, line]))
        return Text("\n".join(answers))
