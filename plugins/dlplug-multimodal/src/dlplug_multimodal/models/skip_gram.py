"""Word vectors from the company that words keep."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize
from torchmetrics import MeanMetric

from dlplug.data import Batch
from dlplug.media import Figure, Media, Table, Text
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug_multimodal.data.word_vectors import write_vectors
from dlplug_multimodal.evaluation.odd_one_out import odd_items
from dlplug_sequence.data.token_stream import TextInfo
from dlplug_sequence.data.vocabulary import Vocabulary

SHOWN = 30  # words whose neighbours are shown
MAPPED = 150  # words on the map
COMMON = 60  # the most frequent words, which are left out there: "the", "and", "of"
NEIGHBOURS = 8


class SkipGram(WarmupCosine):
    """Word embeddings: each word's vector learns to tell which words stand near it (Mikolov et al., 2013; notes 5.4).

    A word and one within the window are a pair; the sigmoid of the product of their two vectors says how likely they
    are one, against pairs with words drawn by frequency^0.75 (negative sampling). The window of each word is as wide as
    a random number up to ``window``, and words that are a share f of the text are skipped with probability
    1 - sqrt(sample / f). The drawn words are shared by the pairs of a batch, so that a matrix product compares them.

    Words are the data's tokens in small letters, without the spaces before them; marks and digits are skipped. Logs
    ``loss`` in nats a pair, and where the words of the odd-one-out items of this package are known, the share of items
    answered right as ``odd_one_out``.

    Args:
        dimension: Numbers that stand for a word.
        window: Words to either side that it may have to tell.
        negatives: Weight of drawn words against true ones: as if so many were drawn for each pair.
        drawn: Words drawn for each batch.
        sample: Share of the text above which a word is often skipped; 0 to skip none.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Learning",
            "Loss",
            "Nats a pair; ln 2 times (1 + negatives) before training. Healthy: falls steeply, then slowly, val close "
            "to train. Broken: val rises (too many epochs for so little text).",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Odd one out",
            "Share of items right where one of five words is of another kind; 0.2 is chance. Healthy: rises with the "
            "epochs above 0.8.",
            curves=("odd_one_out",),
        ),
        Panel(
            "Words",
            "Neighbours",
            "Words with the nearest vectors, by cosine. Healthy: words of the same kind. Broken: the same frequent "
            "words beside each.",
            media="neighbours",
        ),
        Panel(
            "Words",
            "Map",
            "Frequent words on the two directions in which their vectors differ most. Healthy: kinds of words lie "
            "together. Broken: one cloud without order.",
            media="map",
        ),
    )

    def __init__(
        self,
        dimension: int = 100,
        window: int = 5,
        negatives: int = 5,
        drawn: int = 64,
        sample: float = 1e-3,
        lr: float = 0.01,
    ) -> None:
        super().__init__()
        if min(dimension, window, negatives, drawn) < 1 or sample < 0 or lr <= 0:
            raise ValueError(
                "dimension, window, negatives and drawn must be at least 1, sample at least 0 and lr above 0, not "
                f"{dimension}, {window}, {negatives}, {drawn}, {sample} and {lr}"
            )
        self.save_hyperparameters()
        self.dimension, self.window, self.negatives, self.drawn = dimension, window, negatives, drawn
        self.sample, self.lr = sample, lr

    def build(self, info: TextInfo) -> None:
        """Make two vectors a word."""
        if not isinstance(info, TextInfo):
            raise ValueError(f"reads a text of tokens, not {info}")
        vocabulary = Vocabulary.from_json(info.vocabulary)
        if vocabulary.level != "word":
            raise ValueError(f"learns vectors of words, not of tokens of {vocabulary.level} level: --data.level word")
        tokens = [vocabulary.id_to_token(code).strip().lower() for code in range(len(vocabulary))]
        tokens[: len(vocabulary.specials)] = [""] * len(vocabulary.specials)
        self.words = sorted({token for token in tokens if token.isalpha()})
        if len(self.words) < 2:
            raise ValueError("the text holds fewer than two words")
        self.places = {word: place for place, word in enumerate(self.words)}
        self.word_of: Tensor
        self.register_buffer("word_of", torch.tensor([self.places.get(token, -1) for token in tokens]))
        self.counts: Tensor  # of each word in the training text
        self.register_buffer("counts", torch.zeros(len(self.words)))
        self.centre = nn.Embedding(len(self.words), self.dimension)
        self.context = nn.Embedding(len(self.words), self.dimension)
        nn.init.uniform_(self.centre.weight, -0.5 / self.dimension, 0.5 / self.dimension)
        nn.init.zeros_(self.context.weight)
        self.mean_loss = MeanMetric()
        self.pairs_trained = 0

    def initialise(self) -> None:
        """Count the training text's words."""
        for tokens, _ in self.trainer.datamodule.train_dataloader():  # type: ignore[attr-defined]
            found = self.word_of[tokens.to(self.device)]
            self.counts += found[found >= 0].bincount(minlength=len(self.words))
        self.counts.copy_(self.trainer.strategy.reduce(self.counts, reduce_op="sum"))

    def pairs(self, tokens: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return the places of words and of the words near them, both of shape (pairs,).

        Args:
            tokens: Rows of running text, shape (n, time).
            generator: What skips words and narrows windows at random; the global one unless given.
        """
        words = self.word_of[tokens]
        kept = words >= 0
        if self.sample:
            share = self.counts / self.counts.sum()
            stays = (self.sample / share.clamp_min(1e-12)).sqrt()  # (words,), above 1 for rare ones
            kept &= self._uniform(words.shape, generator) < stays[words.clamp_min(0)]
        rows = kept.nonzero()[:, 0]
        words = words[kept]  # (kept,): what is left of all rows, one after the other
        reach = 1 + (self._uniform(words.shape, generator) * self.window).long()
        centres, contexts = [], []
        for distance in range(1, min(self.window, len(words) - 1) + 1):
            left, right, one_row = words[:-distance], words[distance:], rows[:-distance] == rows[distance:]
            for near, here, width in ((right, left, reach[:-distance]), (left, right, reach[distance:])):
                inside = one_row & (width >= distance)
                centres.append(here[inside])
                contexts.append(near[inside])
        return torch.cat([words[:0], *centres]), torch.cat([words[:0], *contexts])

    def losses(self, centres: Tensor, contexts: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the nats of each pair, shape (pairs,), against words drawn at random.

        Args:
            centres: Shape (pairs,).
            contexts: Shape (pairs,).
            generator: What draws; the global one unless given.
        """
        drawn = self.counts.pow(0.75).multinomial(self.drawn, replacement=True, generator=generator)
        vectors = self.centre(centres)  # (pairs, dimension)
        true = (vectors * self.context(contexts)).sum(1)  # (pairs,)
        false = vectors @ self.context(drawn).T  # (pairs, drawn)
        return -logsigmoid(true.float()) - self.negatives * logsigmoid(-false.float()).mean(1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean loss of a batch's pairs."""
        centres, contexts = self.pairs(batch[0])
        if not len(centres):  # a short text of which all words were skipped
            return 0 * (self.centre.weight.sum() + self.context.weight.sum())
        loss = self.losses(centres, contexts).mean()
        self.pairs_trained += len(centres)
        self.record(loss=loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure, with the same random numbers each time."""
        generator = torch.Generator(self.device).manual_seed(batch_idx)
        centres, contexts = self.pairs(batch[0], generator)
        if len(centres):
            self.mean_loss.update(self.losses(centres, contexts, generator).mean(), weight=len(centres))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test text."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and the odd words found among items to choose by."""
        self._log_measured("val")

    def on_test_epoch_end(self) -> None:
        """The same for the test text and the items to report."""
        self._log_measured("test")

    def _log_measured(self, stage: Any) -> None:
        found = {f"{stage}/loss": self.mean_loss.compute()}
        self.mean_loss.reset()
        items = [(words, odd) for words, odd in odd_items(stage) if all(word in self.places for word in words)]
        if items:
            found[f"{stage}/odd_one_out"] = (
                torch.tensor([self.odd(words) == odd for words, odd in items]).float().mean()
            )
        self.log_dict(found)

    def odd(self, words: Sequence[str]) -> int:
        """Return the place of the word that is least like the others: furthest from their mean direction."""
        vectors = self.vectors([self.places[word] for word in words])
        return int((vectors @ vectors.sum(0)).argmin())

    def vectors(self, places: Sequence[int] | slice = slice(None)) -> Tensor:
        """Return words' vectors at length 1, shape (words, dimension)."""
        return normalize(self.centre.weight.detach()[places].float(), dim=1)

    def nearest(self, vector: Tensor, count: int, without: Sequence[str] = ()) -> list[tuple[str, float]]:
        """Return the words nearest to a vector (dimension,) and their cosines with it, nearest first.

        Args:
            vector: Of any length.
            count: How many words.
            without: Words to leave out, such as those that were asked with.
        """
        cosines = self.vectors() @ normalize(vector, dim=0)
        cosines[[self.places[word] for word in without]] = -torch.inf
        best = cosines.topk(min(count, len(self.words) - len(without)))
        return [(self.words[place], float(cosine)) for place, cosine in zip(best.indices, best.values, strict=True)]

    def generate(self, text: str = "", analogy: str = "", export: str = "", n: int = 10) -> Text:
        """Find near words, or write all vectors to a file.

        Args:
            text: A word, or words whose mean counts: gives its neighbours.
            analogy: Three words: "man king woman" asks what is to woman as king is to man.
            export: File to write all vectors to, in word2vec's text format.
            n: How many words to give.
        """
        if n < 1 or not (text or analogy or export):
            raise ValueError("give a word with --text, three with --analogy or a file with --export; n at least 1")
        said = []
        if text:
            said.append((text, self._nearest_to(text, [1.0] * len(text.split()), n)))
        if analogy:
            if len(analogy.split()) != 3:
                raise ValueError(f'an analogy is three words, such as "man king woman", not {analogy!r}')
            said.append((analogy, self._nearest_to(analogy, [-1.0, 1.0, 1.0], n)))
        lines = [f"{asked}: " + ", ".join(f"{word} {cosine:.2f}" for word, cosine in near) for asked, near in said]
        if export:
            write_vectors(Path(export), self.words, self.centre.weight.detach().float().cpu())
            lines.append(f"{len(self.words)} vectors of {self.dimension} numbers are in {export}")
        return Text("\n".join(lines))

    def _nearest_to(self, text: str, weights: Sequence[float], count: int) -> list[tuple[str, float]]:
        words = text.lower().split()
        if unknown := [word for word in words if word not in self.places]:
            raise ValueError(f"no vector was learnt for {', '.join(unknown)}")
        vectors = self.vectors([self.places[word] for word in words])
        return self.nearest(torch.tensor(weights, device=self.device) @ vectors, count, words)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show neighbours of frequent words, and a map of them."""
        order = self.counts.argsort(descending=True, stable=True).tolist()
        frequent = order[COMMON:] if len(order) > 2 * COMMON else order
        rows = []
        for place in frequent[: 10 * SHOWN : 10] if len(frequent) > 10 * SHOWN else frequent[:SHOWN]:
            near = self.nearest(self.vectors()[place], NEIGHBOURS, [self.words[place]])
            rows.append((self.words[place], " ".join(word for word, _ in near)))
        return {"neighbours": Table(("word", "nearest"), rows), "map": Figure(self._draw(frequent[:MAPPED]))}

    def _draw(self, places: Sequence[int]) -> Drawing:
        vectors = self.vectors(places).cpu()
        centred = vectors - vectors.mean(0)
        across, up = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T).unbind(1)
        drawing = Drawing(figsize=(7, 6), layout="constrained")
        axes = drawing.add_subplot(xlabel="first principal direction", ylabel="second")
        axes.scatter(across, up, s=0)
        for place, x, y in zip(places, across.tolist(), up.tolist(), strict=True):
            axes.text(x, y, self.words[place], size=6, ha="center")
        return drawing

    def _uniform(self, shape: torch.Size, generator: torch.Generator | None) -> Tensor:
        return torch.rand(shape, device=self.device, generator=generator)
