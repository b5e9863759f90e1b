"""A language model that reads with recurrent cells."""

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlplug.data import Batch
from dlplug.media import Figure, Media
from dlplug.panels import Panel
from dlplug.plots import plot_curves
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import PANELS
from dlplug_sequence.models.neural_lm import NeuralLM
from dlplug_sequence.nn.recurrent import Activation, Cell, Init, Recurrent, State


class RNNLM(NeuralLM):
    """Recurrent cells read a text a token at a time; their state says what may come next.

    Sections 2.2 to 2.8 of the notes; Mikolov et al. (2010). A loss at every time step (2.6). Gradients flow back
    through one batch's length; the state is carried over from batch to batch (truncated backpropagation through time).

    Args:
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        activation: Of an rnn.
        init: Recurrent weights before training.
        hidden: Units of a layer.
        layers: Number of layers.
        embedding: Numbers that stand for a token.
        tied: Whether what goes in and what comes out share their embeddings (Press and Wolf, 2017).
        dropout: Probability that a number between layers is dropped.
        carry: Whether the state is carried over to the next batch, or starts from zero.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    panels = (
        *PANELS,
        Panel(
            "Memory",
            "Gradient by lag",
            "How far the loss at the last step pulls at the state so many steps before, relative to lag 0. Healthy: "
            "falls slowly. Broken: to nothing within ten steps (vanishing) or rises (exploding).",
            media="gradient by lag",
        ),
    )

    def __init__(
        self,
        cell: Cell = "lstm",
        activation: Activation = "tanh",
        init: Init = "default",
        hidden: int = 320,
        layers: int = 1,
        embedding: int = 64,
        tied: bool = False,
        dropout: float = 0.0,
        carry: bool = True,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        if embedding < 1 or lr <= 0:
            raise ValueError(f"embedding must be at least 1 and lr above 0, not {embedding} and {lr}")
        self.save_hyperparameters()
        self.embedding, self.tied, self.carry, self.lr, self.dropout = embedding, tied, carry, lr, dropout
        self.cell, self.activation, self.init, self.hidden, self.layers = cell, activation, init, hidden, layers

    def prepare(self, vocabulary: Vocabulary) -> None:
        """Make the layers."""
        self.embed = nn.Embedding(len(vocabulary), self.embedding)
        self.recurrent = Recurrent(
            self.cell,
            self.embedding,
            self.hidden,
            self.layers,
            self.dropout,
            activation=self.activation,
            init=self.init,
        )
        self.drop = nn.Dropout(self.dropout)
        self.project = nn.Linear(self.hidden, self.embedding) if self.tied else nn.Identity()
        self.out = nn.Linear(self.embedding if self.tied else self.hidden, len(vocabulary))
        if self.tied:
            nn.init.normal_(self.embed.weight, std=self.embedding**-0.5)  # as weights of a last layer, small
            self.out.weight = self.embed.weight

    def forward(self, tokens: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Read tokens (n, time) on from a state; return scores of what follows (n, time, vocabulary) and the state."""
        x = self.drop(self.embed(tokens))  # (n, time, embedding)
        h, state = self.recurrent(x, state or None)  # (n, time, hidden)
        scores: Tensor = self.out(self.project(self.drop(h)))  # (n, time, vocabulary)
        return scores, state

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show also how the gradient falls with the lag."""
        tokens, targets = batch
        norms = self.gradient_by_lag(tokens[:8], targets[:8])
        return {**super().showcase(batch), "gradient by lag": Figure(plot_lags(norms))}

    def gradient_by_lag(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the mean length of the gradient of the last loss by the last layer's state, by lag, shape (time,).

        Args:
            tokens: Shape (n, time).
            targets: Shape (n, time).
        """
        state: State = ()
        states: list[State] = []
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN has no backward in evaluation mode
            for token in tokens.T.unsqueeze(2):  # (n, 1), a step a call: only so is each step's state a tensor
                _, state = self(token, state)
                states.append(state)
            scores = self.out(self.project(states[-1][0][-1]))  # (n, vocabulary), from the last h itself
            loss = cross_entropy(scores.float(), targets[:, -1], reduction="sum")
            # The last c of an lstm is not used.
            pulls = torch.autograd.grad(loss, [part for state in states for part in state], allow_unused=True)
        lengths = [torch.zeros(len(tokens)) if pull is None else pull[-1].float().norm(dim=1).cpu() for pull in pulls]
        return torch.stack(lengths).view(len(states), -1, len(tokens)).square().sum(1).sqrt().mean(1).flip(0)


def plot_lags(norms: Tensor) -> Drawing:
    """Draw gradients' lengths by lag."""
    lengths = (norms / norms[0]).clamp_min(1e-30).tolist()
    return plot_curves(
        range(len(lengths)), {"validation text": lengths}, "lag", "length of the gradient, lag 0 = 1", log=True
    )
