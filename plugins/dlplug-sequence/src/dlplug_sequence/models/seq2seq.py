"""Translation by two recurrent networks: an encoder and a decoder."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from dlplug.data import Batch
from dlplug.media import Figure, Media
from dlplug.model import Parts
from dlplug.panels import Panel
from dlplug_sequence.data.padded import PAD_ID
from dlplug_sequence.models.translator import MAPS, Translator, plot_alignment, token_texts
from dlplug_sequence.nn.attention import Score
from dlplug_sequence.nn.beam_search import State
from dlplug_sequence.nn.decoder import Decoder, Memory
from dlplug_sequence.nn.recurrent import Cell, Recurrent


class Seq2Seq(Translator):
    """An encoder reads a text; a decoder starts from its last state and generates the translation (section 2.4).

    With attention the decoder also gets part of the encoder's states at each step (2.9). Sutskever et al. (2014);
    Bahdanau et al. (2015); Luong et al. (2015). The encoder reads in both directions, each with half of
    ``hidden_size``.

    Args:
        attention: What the decoder gets besides the last state: ``none``, or the encoder's states weighted by ``dot``,
            ``bahdanau`` or ``luong-general``.
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        hidden_size: Hidden units of a layer of the decoder; even.
        num_layers: Layers of the encoder, and of the decoder.
        embedding_dim: Embedding dimension.
        dropout: Dropout probability between layers.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    panels = (
        *Translator.panels,
        *(
            Panel(
                "Attention",
                f"Alignment {number}",
                "Attention weights of each output token (rows) over the source tokens (columns). Healthy: each row has "
                "one dark cell, at the word that it translates; the order may change. Broken: one column for all rows.",
                media=f"alignment {number}",
            )
            for number in range(1, MAPS + 1)
        ),
    )

    def __init__(
        self,
        attention: Score = "dot",
        cell: Cell = "gru",
        hidden_size: int = 192,
        num_layers: int = 1,
        embedding_dim: int = 64,
        dropout: float = 0.0,
        lr: float = 2e-3,
    ) -> None:
        super().__init__()
        if embedding_dim < 1 or hidden_size < 2 or hidden_size % 2 or lr <= 0:
            raise ValueError(
                "embedding_dim must be at least 1, hidden_size even and lr above 0, not "
                f"{embedding_dim}, {hidden_size} and {lr}"
            )
        self.save_hyperparameters()
        self.attention, self.cell, self.hidden_size, self.num_layers = attention, cell, hidden_size, num_layers
        self.embedding_dim, self.dropout, self.lr = embedding_dim, dropout, lr

    def build_layers(self, source: int, target: int) -> None:
        """Make the layers."""
        self.embed = nn.Embedding(source, self.embedding_dim, padding_idx=PAD_ID)
        sizes = (self.embedding_dim, self.hidden_size // 2, self.num_layers)
        self.encoder = Recurrent(self.cell, *sizes, self.dropout, bidirectional=True)
        self.drop = nn.Dropout(self.dropout)
        sizes = (self.embedding_dim, self.hidden_size, self.num_layers)
        self.decoder = Decoder(self.attention, self.cell, target, *sizes, self.dropout)

    def encode(self, source: Tensor) -> tuple[Memory, State]:
        """Return the encoder's states, their keys and where there is padding, and the decoder's first state."""
        # Exercise: read the texts; the last states of both directions are the decoder's first.
        x = self.drop(self.embed(source))  # (n, time, embedding_dim)
        states, state = self.encoder.read_padded(x, source != PAD_ID)  # (n, time, hidden_size)
        # The last states of the two directions side by side are the first state of a layer of the decoder.
        first = tuple(part.view(-1, 2, *part.shape[1:]).permute(2, 0, 1, 3).flatten(2)[:, None] for part in state)
        return self.decoder.precompute_keys(states, source == PAD_ID), first  # (n, 1, num_layers, hidden_size)

    def decode_step(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Take a step of the decoder for all hypotheses."""
        return self.decoder.decode_step(memory, state, tokens)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return logits (n, time, vocabulary) of what follows each token of ``target``, with teacher forcing."""
        return self._teacher_forcing(source, target)[0]

    def export_parts(self, batch: Batch) -> Parts:
        """Return the encoder, and the decoder, which goes on from a state."""
        memory, state = self.encode(batch[0])
        decoder = self.decoder.export_part(batch[1], memory, state)
        names = [name for name in decoder[1] if name != "tokens"]

        def encode(tokens: Tensor) -> dict[str, Tensor]:
            memory, state = self.encode(tokens)
            return dict(zip(names, (*memory, *state), strict=True))

        return {"encoder": (encode, {"tokens": batch[0]}, {"tokens": {1: "positions"}}), "decoder": decoder}

    def align(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the attention weights of each token after the first of ``target``.

        Raises:
            ValueError: There is no attention.
        """
        weights = self._teacher_forcing(source, target[:, :-1])[1]
        if weights is None:
            raise ValueError("without attention the decoder has no attention weights")
        return weights

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show also the alignments of the longest texts."""
        shown = super().showcase(batch)
        if self.attention == "none":
            return shown
        longest = (batch[0] != PAD_ID).sum(1).argsort(descending=True)[:MAPS]
        source, target = batch[0][longest], batch[1][longest]
        for number, weights in enumerate(self.align(source, target)):
            tokens = token_texts(self.source, source[number]), token_texts(self.target, target[number, 1:])
            shown[f"alignment {number + 1}"] = Figure(plot_alignment(weights, *tokens))
        return shown

    def demos(self) -> dict[str, Callable[..., Any]]:
        """Translate with the alignment beside it where there is attention."""
        return {} if self.attention == "none" else super().demos()

    def _teacher_forcing(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        logits, weights, _ = self.decoder(target[:, None], *self.encode(source))
        return logits[:, 0], None if weights is None else weights[:, 0]
