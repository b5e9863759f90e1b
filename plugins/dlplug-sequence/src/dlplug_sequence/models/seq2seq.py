"""Translation by two recurrent networks: one reads, one writes."""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlplug.data import Batch
from dlplug.media import Figure, Media
from dlplug.panels import Panel
from dlplug_sequence.data.padded import PAD_CODE
from dlplug_sequence.models.translator import MAPS, Translator, plot_alignment
from dlplug_sequence.nn.attention import Score
from dlplug_sequence.nn.beam_search import State
from dlplug_sequence.nn.decoder import Decoder, Memory
from dlplug_sequence.nn.recurrent import Cell, Recurrent


class Seq2Seq(Translator):
    """An encoder reads a text; a decoder starts from its last state and writes the translation (section 2.4).

    With attention the decoder also gets part of the encoder's states at each step (2.9). Sutskever et al. (2014);
    Bahdanau et al. (2015); Luong et al. (2015). The encoder reads in both directions, each with half of ``hidden``.

    Args:
        attention: What the decoder gets besides the last state: ``none``, or the encoder's states weighted by ``dot``,
            ``bahdanau`` or ``luong-general``.
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        hidden: Units of a layer of the decoder; even.
        layers: Layers of the encoder, and of the decoder.
        embedding: Numbers that stand for a token.
        dropout: Probability that a number between layers is dropped while training.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    panels = (
        *Translator.panels,
        *(
            Panel(
                "Attention",
                f"Alignment {number}",
                "Where the decoder looked (columns) when it wrote each token (rows). Healthy: each row has one dark "
                "cell, at the word that it translates; the order may change. Broken: one column for all rows.",
                media=f"alignment {number}",
            )
            for number in range(1, MAPS + 1)
        ),
    )

    def __init__(
        self,
        attention: Score = "dot",
        cell: Cell = "gru",
        hidden: int = 192,
        layers: int = 1,
        embedding: int = 64,
        dropout: float = 0.0,
        lr: float = 2e-3,
    ) -> None:
        super().__init__()
        if embedding < 1 or hidden < 2 or hidden % 2 or lr <= 0:
            raise ValueError(
                f"embedding must be at least 1, hidden even and lr above 0, not {embedding}, {hidden} and {lr}"
            )
        self.save_hyperparameters()
        self.attention, self.cell, self.hidden, self.layers = attention, cell, hidden, layers
        self.embedding, self.dropout, self.lr = embedding, dropout, lr

    def prepare(self, source: int, target: int) -> None:
        """Make the layers."""
        self.embed = nn.Embedding(source, self.embedding, padding_idx=PAD_CODE)
        half = self.hidden // 2
        self.encoder = Recurrent(self.cell, self.embedding, half, self.layers, self.dropout, bidirectional=True)
        self.drop = nn.Dropout(self.dropout)
        sizes = (self.embedding, self.hidden, self.layers)
        self.decoder = Decoder(self.attention, self.cell, target, *sizes, self.dropout)

    def read(self, source: Tensor) -> tuple[Memory, State]:
        """Return the encoder's states, their keys and where there is padding, and the decoder's first state."""
        lengths = (source != PAD_CODE).sum(1).cpu()
        x = self.drop(self.embed(source))  # (n, time, embedding)
        packed, state = self.encoder(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        # The two directions' last states side by side are a layer's first state of the decoder.
        first = tuple(part.unflatten(0, (-1, 2)).permute(2, 0, 1, 3).flatten(2)[:, None] for part in state)
        states, _ = pad_packed_sequence(packed, batch_first=True, total_length=source.shape[1])  # (n, time, hidden)
        return self.decoder.remember(states, source == PAD_CODE), first  # states (n, 1, layers, hidden)

    def write(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Take a step of the decoder for all hypotheses."""
        return self.decoder.write(memory, state, tokens)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return scores (n, time, vocabulary) of what follows each token of ``target``, the true ones before it."""
        return self._teach(source, target)[0]

    def align(self, source: Tensor, target: Tensor) -> Tensor:
        """Return where the decoder looks when it writes each token after the first of ``target``.

        Args:
            source: Shape (n, time read).
            target: Shape (n, time written), with the begin token.

        Returns:
            Weights that add up to 1, shape (n, time written - 1, time read).

        Raises:
            ValueError: There is no attention.
        """
        weights = self._teach(source, target[:, :-1])[1]
        if weights is None:
            raise ValueError("without attention the decoder looks nowhere")
        return weights

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show also where it looked."""
        shown = super().showcase(batch)
        if self.attention == "none":
            return shown
        longest = (batch[0] != PAD_CODE).sum(1).argsort(descending=True)[:MAPS]
        source, target = batch[0][longest], batch[1][longest]
        for number, (weights, read, written) in enumerate(
            zip(self.align(source, target), source, target[:, 1:], strict=True), start=1
        ):
            texts = [self.source.token(code) for code in read[read != PAD_CODE].tolist()]
            outputs = [self.target.token(code) for code in written[written != PAD_CODE].tolist()]
            drawing = plot_alignment(weights[: len(outputs), : len(texts)], texts, outputs)
            shown[f"alignment {number}"] = Figure(drawing)
        return shown

    def _teach(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        scores, weights, _ = self.decoder(target[:, None], *self.read(source))
        return scores[:, 0], None if weights is None else weights[:, 0]
