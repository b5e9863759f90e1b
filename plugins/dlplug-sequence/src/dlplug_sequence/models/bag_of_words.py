"""A classifier that ignores the order of words."""

from typing import Any

from torch import nn

from dlplug_sequence.data.padded import PAD_ID
from dlplug_sequence.models.text_classifier import TextClassifier


class BagOfWords(TextClassifier):
    """The mean of a text's word embeddings decides its class, whatever the order of the words (section 2.1).

    The mean goes through a softmax layer. (A deep averaging network without hidden layers: Iyyer et al., 2015.)

    Args:
        embedding_dim: Embedding dimension.
        dropout: Dropout probability of the mean.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    def __init__(
        self, embedding_dim: int = 64, dropout: float = 0.5, word_dropout: float = 0.1, lr: float = 2e-2, **kwargs: Any
    ) -> None:
        super().__init__(word_dropout, **kwargs)
        if embedding_dim < 1 or not 0 <= dropout < 1 or lr <= 0:
            raise ValueError(
                "embedding_dim must be at least 1, dropout from 0 to below 1 and lr above 0, not "
                f"{embedding_dim}, {dropout} and {lr}"
            )
        self.save_hyperparameters()
        self.embedding_dim, self.dropout, self.lr = embedding_dim, dropout, lr

    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the layers."""
        # Exercise: the mean of embeddings, dropout and a linear layer.
        return nn.Sequential(
            nn.EmbeddingBag(vocabulary, self.embedding_dim, mode="mean", padding_idx=PAD_ID),  # (n, embedding_dim)
            nn.Dropout(self.dropout),
            nn.Linear(self.embedding_dim, classes),
        )
