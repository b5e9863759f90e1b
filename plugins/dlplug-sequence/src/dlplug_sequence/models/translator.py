"""What translation models share: how they are trained, how they translate, their metrics and what they show."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import sacrebleu
import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor
from torch.nn.functional import cross_entropy

from dlplug.data import Batch
from dlplug.files import asked_lines
from dlplug.media import Figure, Media, Table, Text, TextFile
from dlplug.panels import Panel
from dlplug_sequence.data.padded import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Ragged, from_utf8
from dlplug_sequence.data.text_pairs import PairInfo
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.text_generator import TextGenerator
from dlplug_sequence.nn.beam_search import BeamResult, State
from dlplug_sequence.nn.decoder import Memory, search_texts

SHOWN = 30  # translations shown
MAPS = 4  # alignments shown
CHUNK = 64  # texts translated at once
Row = tuple[str, str, str]  # text, reference, output


class Translator(TextGenerator[Row]):
    """A model that encodes a text and decodes another, trained to predict each token after the true ones before it.

    Logs ``loss`` in nats a token, and in validation and test, of greedy translations, ``exact_match``, the share equal
    to the reference, and ``bleu`` and ``chrf`` from 0 to 100 (by sacrebleu; BLEU on tokens split at spaces and
    punctuation, ``13a``).
    """

    monitor = ("val/loss", "min")
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Nats a token. Healthy: train and val fall together. Broken: val rises while train falls (overfitting).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Exact match",
            "Share that equals the reference to the letter. Healthy: rises, later than BLEU and chrF.",
            curves=("exact_match",),
            expect=("exact_match rises",),
        ),
        Panel(
            "Learning",
            "BLEU and chrF",
            "Word and character n-grams shared with the reference, from 0 to 100. Healthy: rise before exact match "
            "does. Broken: BLEU high, exact match near 0: fluent, but each with a mistake.",
            curves=("bleu", "chrf"),
            expect=("bleu rises", "chrf rises"),
        ),
        Panel(
            "Generation",
            "Translations",
            "Validation texts, the reference, and the output. Healthy: the wrong ones differ by a digit or a word. "
            "Broken: the same for all texts, or repeats without end.",
            media="translations",
        ),
        Panel(
            "Generation",
            "Worst mistakes",
            "The validation texts whose translation is furthest from the reference (chrF). Healthy: rare words, long "
            "texts.",
            media="mistakes",
        ),
    )

    @abstractmethod
    def build_layers(self, source: int, target: int) -> None:
        """Make the layers, for vocabularies of such sizes."""

    @abstractmethod
    def encode(self, source: Tensor) -> tuple[Memory, State]:
        """Encode texts (n, time), padded with 0; return the memory and the decoder's first state, tensors (n, 1, …)."""

    @abstractmethod
    def decode_step(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Predict the next token.

        Args:
            memory: What ``encode`` returned of the texts.
            state: One entry a hypothesis, shapes (n, num_beams, …).
            tokens: The last tokens, shape (n, num_beams).

        Returns:
            Logits of the next token, shape (n, num_beams, vocabulary), and the state after ``tokens``.
        """

    @abstractmethod
    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return logits (n, time, vocabulary) of what follows each token of ``target`` (n, time), with teacher forcing.

        ``source`` (n, time) holds the texts.
        """

    @abstractmethod
    def align(self, source: Tensor, target: Tensor) -> Tensor:
        """Return where the decoder looks for each token after the first of ``target``.

        Args:
            source: Shape (n, source time).
            target: Shape (n, target time), with the begin token.

        Returns:
            Weights that add up to 1, shape (n, target time - 1, source time).
        """

    def build(self, info: PairInfo) -> None:
        """Make the layers."""
        if not isinstance(info, PairInfo):
            raise ValueError(f"learns from texts with a translation each, not {info}")
        self.source: Vocabulary = Vocabulary.from_json(info.source)
        self.target: Vocabulary = Vocabulary.from_json(info.target)
        self.build_layers(len(self.source), len(self.target))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over the translations' tokens."""
        # Exercise: predict each token of the target from those before it; padding costs nothing.
        source, target = batch[:2]
        logits = self(source, target[:, :-1])
        return cross_entropy(logits.float().flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD_ID)

    def decode_batch(self, batch: Batch) -> list[Row]:
        """Translate the texts of a batch."""
        return self._with_references(batch, self.translate(batch[0]))

    @staticmethod
    def score(rows: Sequence[Row]) -> dict[str, float]:
        """Return exact match, BLEU and chrF of (text, reference, output)."""
        references, outputs = [row[1] for row in rows], [row[2] for row in rows]
        return {
            "exact_match": sum(a == b for a, b in zip(references, outputs, strict=True)) / len(rows),
            "bleu": sacrebleu.corpus_bleu(outputs, [references]).score,
            "chrf": sacrebleu.corpus_chrf(outputs, [references]).score,
        }

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor | list[str]]:
        """Return the translation of each text, whether it is exact where that is known, and its score, shapes (n,)."""
        result = self.translate(batch[0])
        predicted: dict[str, Tensor | list[str]] = {"translation": self.target.decode_batch(result.rows(EOS_ID))}
        if len(batch) > 1:
            rows = self._with_references(batch, result)
            predicted["exact"] = torch.tensor([int(reference == output) for _, reference, output in rows])
        return {**predicted, "score": result.scores}

    def translate(
        self, source: Tensor, num_beams: int = 1, length_penalty: float = 0.6, max_length: int = 0
    ) -> BeamResult:
        """Translate texts (n, time), padded with 0.

        Args:
            source: The texts.
            num_beams: Hypotheses kept; 1 is greedy.
            length_penalty: See ``beam_search``.
            max_length: Maximum number of tokens; 0 for twice those of the longest text and ten.
        """
        memory, state = self.encode(source)
        max_length = max_length or 2 * source.shape[1] + 10
        return search_texts(self.decode_step, memory, state, num_beams, length_penalty, max_length)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show translations and the worst of them."""
        columns = ("text", "reference", "output")
        worst = sorted(
            (round(float(sacrebleu.sentence_chrf(output, [reference]).score), 1), text, reference, output)
            for text, reference, output in self.generated
            if output != reference
        )
        return {
            "translations": Table(columns, self.generated[:SHOWN]),
            "mistakes": Table(("chrF", *columns), worst[:SHOWN]) if worst else Text("No mistakes any more."),
        }

    def generate(self, text: str = "", file: TextFile = "", num_beams: int = 5, length_penalty: float = 0.6) -> Text:
        """Translate texts, a line each.

        Args:
            text: A text.
            file: A UTF-8 file with a text a line, instead.
            num_beams: Hypotheses of the beam search; 1 is greedy.
            length_penalty: 0 favours short translations.
        """
        return Text("\n".join(self.translate_texts(asked_lines(text, file), num_beams, length_penalty)))

    def demos(self) -> dict[str, Callable[..., Any]]:
        """Translate with the alignment beside it."""
        return {"Alignment": self.translate_and_align}

    def translate_and_align(self, text: str) -> dict[str, Media]:
        """Translate a text, and show where the decoder looks for each token.

        Args:
            text: A text.
        """
        source = torch.tensor([self.source.encode(text) or [UNK_ID]], device=self.device)
        tokens = self.translate(source).rows(EOS_ID)[0]
        target = torch.tensor([[BOS_ID, *tokens, EOS_ID]], device=self.device)
        names = token_texts(self.source, source[0]), [self.target.id_to_token(token) for token in tokens]
        alignment = Figure(plot_alignment(self.align(source, target)[0], *names))
        return {"translation": Text(self.target.decode(tokens)), "alignment": alignment}

    def translate_texts(self, texts: Sequence[str], num_beams: int = 1, length_penalty: float = 0.6) -> list[str]:
        """Return the translation of each text."""
        outputs: list[str] = []
        for start in range(0, len(texts), CHUNK):
            source = Ragged(self.source.encode_batch(texts[start : start + CHUNK]))
            result = self.translate(source[torch.arange(len(source))].to(self.device), num_beams, length_penalty)
            outputs += self.target.decode_batch(result.rows(EOS_ID))
        return outputs

    def _with_references(self, batch: Batch, result: BeamResult) -> list[Row]:
        """Return the texts of a batch, their references and the outputs."""
        texts = from_utf8(batch[3]) if len(batch) > 3 else self.source.decode_batch(batch[0].tolist())
        references = from_utf8(batch[2]) if len(batch) > 2 else self.target.decode_batch(batch[1].tolist())
        return list(zip(texts, references, self.target.decode_batch(result.rows(EOS_ID)), strict=True))


def token_texts(vocabulary: Vocabulary, ids: Tensor) -> list[str]:
    """Return the text of each token of ids (time,), without padding."""
    return [vocabulary.id_to_token(token_id) for token_id in ids[ids != PAD_ID].tolist()]


def plot_alignment(weights: Tensor, source: Sequence[str], target: Sequence[str]) -> Drawing:
    """Draw the attention weights of each output token (rows) over the source tokens (columns), padding left out."""
    drawing = Drawing(figsize=(1.5 + 0.28 * len(source), 1 + 0.28 * len(target)), layout="constrained")
    axes = drawing.add_subplot()
    weights = weights[: len(target), : len(source)].float().cpu()
    axes.imshow(weights.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ticks, labels = ([token.strip() or "␣" for token in tokens] for tokens in (source, target))
    axes.set_xticks(range(len(source)), ticks, rotation=60, ha="left", size=8)
    axes.set_yticks(range(len(target)), labels, size=8)
    axes.xaxis.tick_top()
    return drawing
