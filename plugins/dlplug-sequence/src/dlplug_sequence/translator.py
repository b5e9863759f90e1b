"""What models that translate share: how they learn, how they write, what is measured and what is shown."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import sacrebleu
import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor
from torch.nn.functional import cross_entropy

from dlplug.annealed import Annealed
from dlplug.data import Batch
from dlplug.media import Media, Table, Text
from dlplug.panels import Panel
from dlplug_sequence.decoder import Memory, search_texts
from dlplug_sequence.pairs import PairInfo
from dlplug_sequence.search import Found, State
from dlplug_sequence.sentences import END_CODE, PAD_CODE, Ragged
from dlplug_sequence.text_classifier import asked_lines
from dlplug_sequence.vocabulary import Vocabulary

SHOWN = 30  # translations shown
MAPS = 4  # alignments shown
CHUNK = 64  # texts translated at once
Row = TypeVar("Row")


class Translator(Annealed, ABC):
    """A model that reads a text and writes another, trained to predict each token after the true ones before it.

    Logs ``loss`` in nats a token, and for texts not trained on, translated greedily, the share that is ``exact``,
    ``bleu`` and ``chrf`` from 0 to 100 (by sacrebleu; BLEU on tokens split at spaces and marks, ``13a``).
    """

    monitor = ("val/loss", "min")
    betas = (0.9, 0.99)
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

    def __init__(self) -> None:
        super().__init__()
        self._translated: list[tuple[str, str, str]] = []  # text, reference, output

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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        loss = self._loss(batch)
        self.record(loss=loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the loss, and translate."""
        self.record(loss=self._loss(batch))
        texts = self.source.decode_batch(batch[0].tolist())
        references = self.target.decode_batch(batch[1].tolist())
        outputs = self.target.decode_batch(self.translate(batch[0]).rows(END_CODE))
        self._translated += zip(texts, references, outputs, strict=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test texts."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Forget the last time's translations."""
        self._translated = []

    def on_test_epoch_start(self) -> None:
        """The same before a test."""
        self._translated = []

    def on_validation_epoch_end(self) -> None:
        """Log how good the translations are."""
        self._log_quality("val")

    def on_test_epoch_end(self) -> None:
        """The same for the test texts."""
        self._log_quality("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return whether each translation is exact and its score, shapes (n,)."""
        found = self.translate(batch[0])
        references = self.target.decode_batch(batch[1].tolist())
        pairs = zip(self.target.decode_batch(found.rows(END_CODE)), references, strict=True)
        return {"exact": torch.tensor([int(a == b) for a, b in pairs]), "score": found.scores}

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
            for text, reference, output in self._translated
            if output != reference
        )
        return {
            "translations": Table(columns, self._translated[:SHOWN]),
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

    def _loss(self, batch: Batch) -> Tensor:
        source, target = batch
        scores = self(source, target[:, :-1])
        return cross_entropy(scores.float().flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD_CODE)

    def _log_quality(self, stage: str) -> None:
        rows = gather(self._translated, self.trainer.world_size)
        self.log_dict({f"{stage}/{name}": value for name, value in quality(rows).items()})


def gather(rows: list[Row], processes: int) -> list[Row]:
    """Return the rows of all processes, each of which calls this."""
    if processes == 1:
        return rows
    parts: list[Any] = [None] * processes
    torch.distributed.all_gather_object(parts, rows)
    return [row for part in parts for row in part]


def quality(rows: Sequence[tuple[str, str, str]]) -> dict[str, float]:
    """Return the share of exact translations, BLEU and chrF of (text, reference, output)."""
    references, outputs = [row[1] for row in rows], [row[2] for row in rows]
    return {
        "exact": sum(a == b for a, b in zip(references, outputs, strict=True)) / len(rows),
        "bleu": sacrebleu.corpus_bleu(outputs, [references]).score,
        "chrf": sacrebleu.corpus_chrf(outputs, [references]).score,
    }


def chrf(output: str, reference: str) -> float:
    """Return how like two texts are, from 0 to 100."""
    return float(sacrebleu.sentence_chrf(output, [reference]).score)


def draw_alignment(weights: Tensor, source: Sequence[str], target: Sequence[str]) -> Drawing:
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
