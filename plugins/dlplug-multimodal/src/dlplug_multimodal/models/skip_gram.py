"""Word embeddings by skip-gram with negative sampling."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize
from torchmetrics import MeanMetric

from dlplug.data import Batch
from dlplug.media import Figure, Media, OutputFile, Table, Text
from dlplug.model import Parts
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.word_vectors import principal_coordinates, write_vectors
from dlplug_multimodal.evaluation.odd_one_out import odd_items
from dlplug_sequence.data.token_stream import TextInfo
from dlplug_sequence.data.vocabulary import Vocabulary

SHOWN, NEIGHBOURS = 30, 8  # words whose neighbours are shown, and how many
MAPPED = 150  # words on the map
STOP_WORDS = 60  # most frequent words, which are left out there: "the", "and", "of"


class SkipGram(WarmupCosine):
    """Word embeddings: each word's vector learns to predict the words near it (Mikolov et al., 2013; notes 5.4).

    A word and one within its window are a pair; the sigmoid of the product of their two vectors is the probability that
    the pair is true, against pairs with noise words sampled by frequency^0.75 (negative sampling). The width of each
    window is a random number up to ``window``, and words that are a share f of the text are skipped with probability
    1 - sqrt(subsample / f). Unlike in the paper the pairs of a batch share their noise words, so that one matrix
    product compares them.

    Words are the data's tokens in lower case, without the spaces before them; punctuation and digits are skipped. Logs
    ``loss`` in nats a pair, and where the words of the odd-one-out items of this package are known, the accuracy on the
    items as ``odd_one_out``.

    Args:
        embedding_dim: Embedding dimension.
        window: Most words to either side that are predicted.
        negatives: Weight of noise words: as if so many were sampled for each pair.
        num_noise_words: Noise words sampled for each batch.
        subsample: Share of the text above which a word is often skipped; 0 to skip none.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Learning",
            "Loss",
            "Nats a pair; (1 + negatives) ln 2 before training. Healthy: falls steeply, then slowly, val close "
            "to train. Broken: val rises (too many epochs for so little text).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Odd one out",
            "Accuracy on items where one of five words is of another category; 0.2 is chance. Healthy: rises with the "
            "epochs above 0.8.",
            curves=("odd_one_out",),
            expect=("odd_one_out > 0.8",),
        ),
        Panel(
            "Words",
            "Neighbours",
            "Words with the nearest vectors, by cosine. Healthy: words of the same category. Broken: the same "
            "frequent words beside each.",
            media="neighbours",
        ),
        Panel(
            "Words",
            "Map",
            "Frequent words on the two principal directions of their vectors. Healthy: words of a category lie "
            "together. Broken: one cloud without order.",
            media="map",
        ),
    )

    def __init__(
        self,
        embedding_dim: int = 100,
        window: int = 5,
        negatives: int = 5,
        num_noise_words: int = 64,
        subsample: float = 1e-3,
        lr: float = 0.01,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "at least 1", "embedding_dim", "window", "negatives", "num_noise_words")
        require(self.hparams, "at least 0", "subsample")
        require(self.hparams, "above 0", "lr")
        self.embedding_dim, self.window, self.negatives = embedding_dim, window, negatives
        self.num_noise_words, self.subsample, self.lr = num_noise_words, subsample, lr

    def build(self, info: TextInfo) -> None:
        """Make two embeddings a word: as the centre of a window and as its context."""
        if not isinstance(info, TextInfo):
            raise ValueError(f"reads a text of tokens, not {info}")
        vocabulary = Vocabulary.from_json(info.vocabulary)
        if vocabulary.level != "word":
            raise ValueError(f"learns vectors of words, not of {vocabulary.level} tokens: --data.level word")
        tokens = [vocabulary.id_to_token(code).strip().lower() for code in range(len(vocabulary))]
        tokens[: len(vocabulary.specials)] = [""] * len(vocabulary.specials)
        self.words = sorted({token for token in tokens if token.isalpha()})
        if len(self.words) < 2:
            raise ValueError("the text holds fewer than two words")
        self.places = {word: place for place, word in enumerate(self.words)}
        self.word_of = nn.Buffer(torch.tensor([self.places.get(token, -1) for token in tokens]))
        self.counts = nn.Buffer(torch.zeros(len(self.words)))  # of each word in the training text
        self.centre = nn.Embedding(len(self.words), self.embedding_dim)
        self.context = nn.Embedding(len(self.words), self.embedding_dim)
        nn.init.uniform_(self.centre.weight, -0.5 / self.embedding_dim, 0.5 / self.embedding_dim)
        nn.init.zeros_(self.context.weight)
        self.mean_loss = MeanMetric()
        self.pairs_trained = 0

    def initialise(self) -> None:
        """Count the training text's words."""
        for tokens, _ in self.trainer.datamodule.train_dataloader():  # type: ignore[attr-defined]
            found = self.word_of[tokens.to(self.device)]
            self.counts.add_(found[found >= 0].bincount(minlength=len(self.words)))
        self.counts.copy_(self.trainer.strategy.reduce(self.counts, reduce_op="sum"))

    def pairs(self, tokens: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return the indices of words and of the words near them, both of shape (pairs,).

        Args:
            tokens: Rows of running text, shape (n, time).
            generator: For skipped words and narrower windows; the global one unless given.
        """
        words = self.word_of[tokens]
        kept = words >= 0
        if self.subsample:
            share = self.counts / self.counts.sum()
            keep = (self.subsample / share.clamp_min(1e-12)).sqrt()  # (words,), above 1 for rare ones
            kept &= torch.rand(words.shape, device=self.device, generator=generator) < keep[words.clamp_min(0)]
        rows = kept.nonzero()[:, 0]
        words = words[kept]  # (kept,): what is left of all rows, one after the other
        widths = 1 + (torch.rand(words.shape, device=self.device, generator=generator) * self.window).long()
        # Exercise: pair each word with those of its row that are within its width, on either side.
        centres, contexts = [], []
        for distance in range(1, min(self.window, len(words) - 1) + 1):
            left, right, one_row = words[:-distance], words[distance:], rows[:-distance] == rows[distance:]
            for near, here, width in ((right, left, widths[:-distance]), (left, right, widths[distance:])):
                inside = one_row & (width >= distance)
                centres.append(here[inside])
                contexts.append(near[inside])
        return torch.cat([words[:0], *centres]), torch.cat([words[:0], *contexts])

    def losses(self, centres: Tensor, contexts: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the nats of each pair, shape (pairs,), against noise words.

        Args:
            centres: Shape (pairs,).
            contexts: Shape (pairs,).
            generator: For the noise words; the global one unless given.
        """
        # Exercise: draw noise by frequency^0.75; true pairs are to score high, those with noise low.
        noise = self.counts.pow(0.75).multinomial(self.num_noise_words, replacement=True, generator=generator)
        vectors = self.centre(centres)  # (pairs, embedding_dim)
        true = (vectors * self.context(contexts)).sum(1)  # (pairs,)
        false = vectors @ self.context(noise).T  # (pairs, num_noise_words)
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

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and the accuracy on the odd-one-out items of the split."""
        values = {"loss": self.mean_loss.compute()}
        self.mean_loss.reset()
        items = odd_items("test" if self.stage == "test" else "val")
        right = [self.odd(words) == odd for words, odd in items if all(word in self.places for word in words)]
        if right:
            values["odd_one_out"] = torch.tensor(right).float().mean()
        self.log_dict({f"{self.stage}/{name}": value for name, value in values.items()})

    def odd(self, words: Sequence[str]) -> int:
        """Return the index of the word that is least like the others: furthest from their mean direction."""
        vectors = self.vectors([self.places[word] for word in words])
        return int((vectors @ vectors.sum(0)).argmin())

    def export_parts(self, batch: Batch) -> Parts:
        """Return the table of words' vectors."""
        places = torch.arange(len(self.words))
        return {"embedding": (lambda words: {"vectors": self.centre(words)}, {"words": places}, {})}

    def vectors(self, places: Sequence[int] | slice = slice(None)) -> Tensor:
        """Return words' vectors at length 1, shape (words, embedding_dim)."""
        return normalize(self.centre.weight.detach()[places].float(), dim=1)

    def nearest(self, vector: Tensor, count: int, without: Sequence[str] = ()) -> list[tuple[str, float]]:
        """Return the words nearest to a vector (embedding_dim,) and their cosines with it, nearest first.

        Args:
            vector: Of any length.
            count: How many words.
            without: Words to leave out, such as those of the query.
        """
        cosines = self.vectors() @ normalize(vector, dim=0)
        cosines[[self.places[word] for word in without]] = -torch.inf
        best = cosines.topk(min(count, len(self.words) - len(without)))
        return [(self.words[place], float(cosine)) for place, cosine in zip(best.indices, best.values, strict=True)]

    def generate(self, text: str = "", analogy: str = "", export: OutputFile = "", n: int = 10) -> Text:
        """Find nearest words, or write all vectors to a file.

        Args:
            text: A word, or words whose mean counts, for its nearest words.
            analogy: Three words: "man king woman" asks what is to woman as king is to man.
            export: File to write all vectors to, in word2vec's text format.
            n: How many words.
        """
        if n < 1 or not (text or analogy or export):
            raise ValueError("give a word as text, three as analogy or a file as export; n at least 1")
        if analogy and len(analogy.split()) != 3:
            raise ValueError(f'an analogy is three words, such as "man king woman", not {analogy!r}')
        queries = [(text, [1.0] * len(text.split())), (analogy, [-1.0, 1.0, 1.0])]
        lines = []
        for query, weights in filter(all, queries):
            near = self._nearest_to(query, weights, n)
            lines.append(f"{query}: " + ", ".join(f"{word} {cosine:.2f}" for word, cosine in near))
        if export:
            write_vectors(Path(export), self.words, self.centre.weight.detach().float().cpu())
            lines.append(f"{len(self.words)} vectors of dimension {self.embedding_dim} are in {export}")
        return Text("\n".join(lines))

    def _nearest_to(self, text: str, weights: Sequence[float], count: int) -> list[tuple[str, float]]:
        words = text.lower().split()
        if unknown := [word for word in words if word not in self.places]:
            raise ValueError(f"no vector was learned for {', '.join(unknown)}")
        vectors = self.vectors([self.places[word] for word in words])
        return self.nearest(torch.tensor(weights, device=self.device) @ vectors, count, words)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show neighbours of frequent words, and a map of them."""
        order = self.counts.argsort(descending=True, stable=True).tolist()
        frequent = order[STOP_WORDS:] if len(order) > 2 * STOP_WORDS else order
        rows = []
        for place in frequent[: 10 * SHOWN : 10] if len(frequent) > 10 * SHOWN else frequent[:SHOWN]:
            near = self.nearest(self.vectors()[place], NEIGHBOURS, [self.words[place]])
            rows.append((self.words[place], " ".join(word for word, _ in near)))
        return {"neighbours": Table(("word", "nearest"), rows), "map": Figure(self._plot_map(frequent[:MAPPED]))}

    def _plot_map(self, places: Sequence[int]) -> Drawing:
        drawing = Drawing(figsize=(7, 6), layout="constrained")
        axes = drawing.add_subplot(xlabel="first principal direction", ylabel="second")
        x, y = principal_coordinates(self.vectors(places).cpu()).T
        axes.scatter(x, y, s=0)
        for place, across, up in zip(places, x.tolist(), y.tolist(), strict=True):
            axes.text(across, up, self.words[place], size=6, ha="center")
        return drawing
