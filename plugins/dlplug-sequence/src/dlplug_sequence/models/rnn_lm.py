"""A recurrent language model."""

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlplug.data import Batch
from dlplug.media import Figure, Media
from dlplug.model import Parts
from dlplug.panels import Panel
from dlplug.plots import plot_curves
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import LanguageModel, NeuralLM
from dlplug_sequence.nn.recurrent import Activation, Cell, Init, Recurrent, State


class RNNLM(NeuralLM):
    """Recurrent cells read a text token by token; their state predicts the next token.

    Sections 2.2 to 2.8 of the notes; Mikolov et al. (2010). A loss at every time step (2.6). Gradients flow back
    through one batch's length; the state is carried over from batch to batch (truncated backpropagation through time).

    Args:
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        activation: Activation function of an rnn.
        init: Initialisation of recurrent weights.
        hidden_size: Hidden units of a layer.
        num_layers: Number of layers.
        embedding_dim: Embedding dimension.
        tie_embeddings: Whether input and output share their embeddings (Press and Wolf, 2017).
        dropout: Dropout probability between layers.
        stateful: Whether the state is carried over to the next batch, or starts from zero.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    panels = (
        *LanguageModel.panels,
        Panel(
            "Memory",
            "Gradient by lag",
            "Norm of the gradient of the loss at the last step by the state so many steps before, relative to lag 0. "
            "Healthy: falls slowly. Broken: to nothing within ten steps (vanishing) or rises (exploding).",
            media="gradient by lag",
        ),
    )

    def __init__(
        self,
        cell: Cell = "lstm",
        activation: Activation = "tanh",
        init: Init = "default",
        hidden_size: int = 320,
        num_layers: int = 1,
        embedding_dim: int = 64,
        tie_embeddings: bool = False,
        dropout: float = 0.0,
        stateful: bool = True,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        if embedding_dim < 1 or lr <= 0:
            raise ValueError(f"embedding_dim must be at least 1 and lr above 0, not {embedding_dim} and {lr}")
        self.save_hyperparameters()
        self.cell, self.activation, self.init, self.hidden_size = cell, activation, init, hidden_size
        self.num_layers, self.embedding_dim, self.tie_embeddings = num_layers, embedding_dim, tie_embeddings
        self.dropout, self.stateful, self.lr = dropout, stateful, lr

    def build_layers(self, vocabulary: Vocabulary) -> None:
        """Make the layers."""
        self.embed = nn.Embedding(len(vocabulary), self.embedding_dim)
        sizes = (self.embedding_dim, self.hidden_size, self.num_layers, self.dropout)
        self.recurrent = Recurrent(self.cell, *sizes, activation=self.activation, init=self.init)
        self.drop = nn.Dropout(self.dropout)
        self.project = nn.Linear(self.hidden_size, self.embedding_dim) if self.tie_embeddings else nn.Identity()
        self.out = nn.Linear(self.embedding_dim if self.tie_embeddings else self.hidden_size, len(vocabulary))
        if self.tie_embeddings:
            nn.init.normal_(self.embed.weight, std=self.embedding_dim**-0.5)  # small, as weights of a last layer
            self.out.weight = self.embed.weight

    def forward(self, tokens: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Return logits of what follows tokens (n, time), shape (n, time, vocabulary), and the state."""
        # Exercise: embed the tokens, read them from the state on, and compute the logits.
        x = self.drop(self.embed(tokens))  # (n, time, embedding_dim)
        h, state = self.recurrent(x, state or None)  # (n, time, hidden_size)
        logits: Tensor = self.out(self.project(self.drop(h)))  # (n, time, vocabulary)
        return logits, state

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network: tokens, and the state before them, to logits, and the state after them."""
        state = self(batch[0])[1]
        names = ("h", "c")[: len(state)]

        def network(tokens: Tensor, *state: Tensor) -> dict[str, Tensor]:
            logits, after = self(tokens, state)
            return {"logits": logits, **{f"next_{name}": part for name, part in zip(names, after, strict=True)}}

        inputs = {"tokens": batch[0], **dict(zip(names, state, strict=True))}
        return {"network": (network, inputs, {"tokens": {1: "time"}, **{key: {1: "batch"} for key in names}})}

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show also how the gradient falls with the lag."""
        tokens, targets = batch
        norms = self.gradient_by_lag(tokens[:8], targets[:8])
        return {**super().showcase(batch), "gradient by lag": Figure(plot_lags(norms))}

    def gradient_by_lag(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the mean norm of the gradient of the last loss by the last layer's state, by lag, shape (time,).

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
            logits = self.out(self.project(states[-1][0][-1]))  # (n, vocabulary), from the last h itself
            loss = cross_entropy(logits.float(), targets[:, -1], reduction="sum")
            # The last c of an lstm is not used.
            gradients = torch.autograd.grad(loss, [part for state in states for part in state], allow_unused=True)
        norms = [torch.zeros(len(tokens)) if g is None else g[-1].float().norm(dim=1).cpu() for g in gradients]
        return torch.stack(norms).view(len(states), -1, len(tokens)).square().sum(1).sqrt().mean(1).flip(0)


def plot_lags(norms: Tensor) -> Drawing:
    """Draw norms of gradients by lag."""
    norms = (norms / norms[0]).clamp_min(1e-30)
    up = "norm of the gradient, lag 0 = 1"
    return plot_curves(range(len(norms)), {"validation text": norms.tolist()}, "lag", up, log=True)
