"""A classifier that is blind to the order of words."""

from torch import nn

from dlplug_sequence.data.padded import PAD_CODE
from dlplug_sequence.models.text_classifier import TextClassifier


class BagOfWords(TextClassifier):
    """The mean of a text's words decides its class: whatever their order, the answer is the same (section 2.1).

    Each word stands for a vector; their mean goes through a softmax layer. (A deep averaging network without hidden
    layers: Iyyer et al., 2015.)

    Args:
        embedding: Numbers that stand for a word.
        dropout: Probability that a number of the mean is dropped while training.
        word_dropout: Probability that a word is unknown while training, so that no single word decides.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    def __init__(self, embedding: int = 64, dropout: float = 0.5, word_dropout: float = 0.1, lr: float = 2e-2) -> None:
        super().__init__(word_dropout)
        if embedding < 1 or not 0 <= dropout < 1 or lr <= 0:
            raise ValueError(
                f"embedding must be at least 1, dropout from 0 to below 1 and lr above 0, not {embedding}, {dropout} "
                f"and {lr}"
            )
        self.save_hyperparameters()
        self.embedding, self.dropout, self.lr = embedding, dropout, lr

    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the layers."""
        return nn.Sequential(
            nn.EmbeddingBag(vocabulary, self.embedding, mode="mean", padding_idx=PAD_CODE),  # (n, embedding)
            nn.Dropout(self.dropout),
            nn.Linear(self.embedding, classes),
        )
