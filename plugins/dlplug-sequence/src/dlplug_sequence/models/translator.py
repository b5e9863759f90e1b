"""What models that translate share: how they learn, how they write, what is measured and what is shown."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import sacrebleu
import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor
from torch.nn.functional import cross_entropy

from dlplug.data import Batch
from dlplug.files import asked_lines
from dlplug.media import Media, Table, Text
from dlplug.panels import Panel
from dlplug_sequence.data.padded import END_CODE, PAD_CODE, Ragged
from dlplug_sequence.data.text_pairs import PairInfo
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.text_generator import Writer
from dlplug_sequence.nn.beam_search import Found, State
from dlplug_sequence.nn.decoder import Memory, search_texts

SHOWN = 30  # translations shown
MAPS = 4  # alignments shown
CHUNK = 64  # texts translated at once
Row = tuple[str, str, str]  # text, reference, output


class Translator(Writer[Row]):
    """A model that reads a text and writes another, trained to predict each token after the true ones before it.

    Logs ``loss`` in nats a token, and for texts not trained on, translated greedily, the share that is ``exact``,
    ``bleu`` and ``chrf`` from 0 to 100 (by sacrebleu; BLEU on tokens split at spaces and marks, ``13a``).
    """

    monitor = ("val/loss", "min")
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "Learning",
            "Loss",
            "Nats a token. Healthy: train and val fall together. Broken: val rises while train falls (overfitting).",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Exact translations",
            "Share that equals the reference to the letter. Healthy: nothing for long, then it rises steeply.",
            curves=("exact",),
        ),
        Panel(
            "Learning",
            "BLEU and chrF",
            "Word and character n-grams shared with the reference, from 0 to 100. Healthy: rise before exact "
            "translations do. Broken: BLEU high, exact near 0: fluent, but wrong in each.",
            curves=("bleu", "chrf"),
        ),
        Panel(
            "Writing",
            "Translations",
            "Validation texts, the reference, and what it wrote. Healthy: the wrong ones differ by a digit or a word. "
            "Broken: the same for all texts, or repeats without end.",
            media="translations",
        ),
        Panel(
            "Writing",
            "Worst mistakes",
            "The validation texts whose translation is furthest from the reference (chrF). Healthy: rare words, long "
            "texts.",
            media="mistakes",
        ),
    )

    @abstractmethod
    def prepare(self, source: int, target: int) -> None:
        """Make the layers, for vocabularies of such sizes."""

    @abstractmethod
    def read(self, source: Tensor) -> tuple[Memory, State]:
        """Read texts (n, time), padded with 0; return what to keep of them and the first state, tensors (n, 1, …)."""

    @abstractmethod
    def write(self, memory: Memory, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """Write on.

        Args:
            memory: What was kept of the texts.
            state: One entry a hypothesis, shapes (n, width, …).
            tokens: The last tokens, shape (n, width).

        Returns:
            Scores of what follows, shape (n, width, vocabulary), and the state after it.
        """

    @abstractmethod
    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return scores of what follows each token of ``target`` (n, time) given the texts: (n, time, vocabulary)."""

    def build(self, info: PairInfo) -> None:
        """Make the layers."""
        if not isinstance(info, PairInfo):
            raise ValueError(f"learns from texts with a translation each, not {info}")
        self.source: Vocabulary = Vocabulary.from_json(info.source)
        self.target: Vocabulary = Vocabulary.from_json(info.target)
        self.prepare(len(self.source), len(self.target))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over the translations' tokens."""
        source, target = batch
        scores = self(source, target[:, :-1])
        return cross_entropy(scores.float().flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD_CODE)

    def rows(self, batch: Batch) -> list[Row]:
        """Translate the texts of a batch."""
        return self._beside(batch, self.translate(batch[0]))

    @staticmethod
    def judge(rows: Sequence[Row]) -> dict[str, float]:
        """Return the share of exact translations, BLEU and chrF of (text, reference, output)."""
        references, outputs = [row[1] for row in rows], [row[2] for row in rows]
        return {
            "exact": sum(a == b for a, b in zip(references, outputs, strict=True)) / len(rows),
            "bleu": sacrebleu.corpus_bleu(outputs, [references]).score,
            "chrf": sacrebleu.corpus_chrf(outputs, [references]).score,
        }

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor | list[str]]:
        """Return the translation of each text, whether it is exact, and its score, shapes (n,)."""
        found = self.translate(batch[0])
        rows = self._beside(batch, found)
        exact = torch.tensor([int(reference == output) for _, reference, output in rows])
        return {"translation": [output for _, _, output in rows], "exact": exact, "score": found.scores}

    def translate(self, source: Tensor, beam: int = 1, length_penalty: float = 0.6, longest: int = 0) -> Found:
        """Translate texts (n, time), padded with 0.

        Args:
            source: The texts.
            beam: Hypotheses kept; 1 is greedy.
            length_penalty: See ``beam_search``.
            longest: Most tokens; 0 for twice those of the longest text and ten.
        """
        memory, state = self.read(source)
        longest = longest or 2 * source.shape[1] + 10
        return search_texts(self.write, memory, state, beam, length_penalty, longest)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show translations and the worst of them."""
        columns = ("text", "reference", "output")
        worst = sorted(
            (round(chrf(output, reference), 1), text, reference, output)
            for text, reference, output in self.written
            if output != reference
        )
        return {
            "translations": Table(columns, self.written[:SHOWN]),
            "mistakes": Table(("chrF", *columns), worst[:SHOWN]),
        }

    def generate(self, text: str = "", file: str = "", beam: int = 5, length_penalty: float = 0.6) -> Text:
        """Translate texts, a line each.

        Args:
            text: A text.
            file: A UTF-8 file with a text a line, instead.
            beam: Hypotheses kept while searching; 1 is greedy.
            length_penalty: 0 favours short translations.
        """
        return Text("\n".join(self.outputs(asked_lines(text, file), beam, length_penalty)))

    def outputs(self, lines: Sequence[str], beam: int = 1, length_penalty: float = 0.6) -> list[str]:
        """Return the translation of each text."""
        outputs: list[str] = []
        for start in range(0, len(lines), CHUNK):
            source = Ragged(self.source.encode_batch(lines[start : start + CHUNK]))
            found = self.translate(source[torch.arange(len(source))].to(self.device), beam, length_penalty)
            outputs += self.target.decode_batch(found.rows(END_CODE))
        return outputs

    def _beside(self, batch: Batch, found: Found) -> list[Row]:
        """Return the texts of a batch, their references and what was found."""
        texts = self.source.decode_batch(batch[0].tolist())
        references = self.target.decode_batch(batch[1].tolist())
        return list(zip(texts, references, self.target.decode_batch(found.rows(END_CODE)), strict=True))


def chrf(output: str, reference: str) -> float:
    """Return how like two texts are, from 0 to 100."""
    return float(sacrebleu.sentence_chrf(output, [reference]).score)


def plot_alignment(weights: Tensor, source: Sequence[str], target: Sequence[str]) -> Drawing:
    """Draw how strongly each token written (rows) looked at each token read (columns)."""
    drawing = Drawing(figsize=(1.5 + 0.28 * len(source), 1 + 0.28 * len(target)), layout="constrained")
    axes = drawing.add_subplot()
    axes.imshow(weights.float().cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), [show(token) for token in source], rotation=60, ha="left", size=8)
    axes.set_yticks(range(len(target)), [show(token) for token in target], size=8)
    axes.xaxis.tick_top()
    return drawing


def show(token: str) -> str:
    """Return a token so that spaces of its own are seen."""
    return token.strip() or "␣"
