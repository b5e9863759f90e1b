"""Pictures and words in one space."""

import math
from pathlib import Path
from typing import Any, Literal

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, relu

from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, Media, Text
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug_multimodal.data.tagged_images import TaggedInfo, count_asked
from dlplug_multimodal.data.word_vectors import read_vectors
from dlplug_multimodal.evaluation.retrieval import Retrieval
from dlplug_vision.data.image_files import read_image
from dlplug_vision.models.cnn import CNN

GALLERY = 2000  # pictures that a checkpoint keeps to answer from
ASKED, ANSWERS = 8, 8  # words asked in the showcase, and pictures shown for each
TEXT_WEIGHT = 0.5  # of a text beside a picture: 0.4 to 0.8 did equally well on validation's double queries
MAPPED = 60  # words on the map
TEMPERATURE = 0.07  # before training


class JointEmbedding(WarmupCosine):
    """Two encoders, one space: a picture and a text that belong together are neighbours in it (notes 5.4).

    A convolutional network sees pictures; the mean of a text's word vectors goes through a hidden layer. Both end in
    vectors of length 1, and their cosines, divided by a temperature that is learned, say which of a batch's texts
    belongs to which picture (``contrastive``: Radford et al., 2021). With ``rank``, words are where a file of vectors
    puts them, and pictures learn to be nearer to their own words than to others by a margin (DeViSE: Frome et al.,
    2013). A text that suits another picture of the batch as well is not counted as wrong for it: equal texts, and those
    of which words were left out.

    Logs ``loss`` in nats, or in cosines with ``rank``, and for pictures not trained on, recall at 1 and 10 in both
    directions beside that of chance, and ``recall``, the mean of the four. On several devices each compares its own
    batch, and the first keeps its share of the pictures to answer from.

    Args:
        loss: How it learns.
        vectors: File of word vectors in word2vec's text format, such as skip-gram exports; its words stay where they
            are, and others are not heard. Words are learned from the data where empty.
        channels: Filters of each CONV of the network that sees; a POOL follows each.
        hidden: Units of both encoders' hidden layers.
        dimension: Numbers of a vector in the space; with ``rank`` the file says it.
        dropout: Share of the hidden units left out at random while training.
        word_dropout: Highest probability that a word of a text is left out while training, where each text has its own
            and one word always stays: so single words find pictures.
        margin: By how much a picture should be nearer to its own words; of ``rank``.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    monitor = ("val/recall", "max")
    warmup_fraction = 0.05
    panels = (
        Panel(
            "Learning",
            "Loss",
            "Nats to tell a batch's texts apart by the picture and back; ln(batch size) is chance. Healthy: falls. "
            "Broken: train falls to 0 while val rises (it knows the training pictures by heart).",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Recall",
            "Share of pictures whose text is among the nearest one or ten, and the reverse. Healthy: far above chance.",
            curves=("image_to_text@1", "image_to_text@10", "text_to_image@1", "text_to_image@10", "recall"),
        ),
        Panel(
            "Learning",
            "Recall of a random order",
            "What the recalls would be by chance, which depends on how many texts there are.",
            curves=(
                "image_to_text_chance@1",
                "image_to_text_chance@10",
                "text_to_image_chance@1",
                "text_to_image_chance@10",
            ),
        ),
        Panel(
            "Learning",
            "Scale",
            "What cosines are multiplied by: 1 / temperature. Healthy: rises, then settles below 100.",
            curves=("scale",),
        ),
        Panel(
            "The space",
            "Words to pictures",
            "The validation pictures nearest to some of their words, a word a row, nearest first. Healthy: they show "
            "it. Broken: the same pictures in each row.",
            media="retrieval",
        ),
        Panel(
            "The space",
            "Map",
            "Words and the means of their validation pictures, on the two main directions. Healthy: each cross lies "
            "near its word. Broken: words on one side, pictures on the other.",
            media="map",
        ),
    )

    def __init__(
        self,
        loss: Literal["contrastive", "rank"] = "contrastive",
        vectors: str = "",
        channels: tuple[int, ...] = (32, 64, 128, 128),
        hidden: int = 128,
        dimension: int = 64,
        dropout: float = 0.2,
        word_dropout: float = 0.5,
        margin: float = 0.1,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        if min(hidden, dimension) < 1 or not 0 <= dropout < 1 or not 0 <= word_dropout <= 1:
            raise ValueError(
                "hidden and dimension must be at least 1, dropout from 0 to below 1 and word_dropout from 0 to 1, not "
                f"{hidden}, {dimension}, {dropout} and {word_dropout}"
            )
        if min(margin, lr) <= 0 or (loss == "rank" and not vectors):
            raise ValueError(f"margin and lr must be above 0, not {margin} and {lr}, and rank needs a file of vectors")
        self.save_hyperparameters()
        self.loss, self.vectors, self.channels, self.hidden = loss, vectors, channels, hidden
        self.dimension, self.dropout, self.word_dropout = dimension, dropout, word_dropout
        self.margin, self.lr = margin, lr
        self.known: Tensor | None = None  # words' vectors, where a checkpoint or a file gives them
        self.gallery: tuple[Tensor, ...] = ()  # pictures to answer from, and their counts of words

    def build(self, info: TaggedInfo) -> None:
        """Make both encoders."""
        if not isinstance(info, TaggedInfo) or not info.words:
            raise ValueError(f"learns from pictures with words, not from {info}")
        if self.vectors and self.known is None:
            self.known = _known(Path(self.vectors).expanduser(), info.words)
        width = self.dimension if self.known is None else self.known.shape[1]
        space = width if self.loss == "rank" else self.dimension
        self.words = info.words
        self.embed = nn.Parameter(torch.randn(len(info.words), width) if self.known is None else self.known)
        self.embed.requires_grad_(not self.vectors)
        seen = ImageInfo(info.channels, info.height, info.width, space)
        self.see = CNN(self.channels, pool_every=1, hidden=self.hidden, dropout=self.dropout).network(seen)
        self.read = nn.Identity() if self.loss == "rank" else _perceptron(width, self.hidden, space, self.dropout)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)), requires_grad=self.loss != "rank")
        self.retrieval = Retrieval()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take words' places and the gallery from the checkpoint: the file of vectors may be gone."""
        self.known = checkpoint["state_dict"]["embed"].clone() if self.vectors else None
        super().on_load_checkpoint(checkpoint)
        self.gallery = tuple(checkpoint["gallery"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the gallery."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["gallery"] = list(self.gallery)

    def initialise(self) -> None:
        """Keep training pictures to answer from, as they are in the data: in bytes, not changed at random."""
        kept: list[Batch] = []
        for batch in self.trainer.datamodule.train_dataloader():  # type: ignore[attr-defined]
            kept.append(batch)
            if sum(len(images) for images, _ in kept) >= GALLERY:
                break
        self.gallery = tuple(torch.cat(parts)[:GALLERY].cpu() for parts in zip(*kept, strict=True))

    def place_images(self, images: Tensor) -> Tensor:
        """Return where pictures are, at length 1.

        Args:
            images: From 0 to 1, shape (n, channels, height, width).

        Returns:
            Shape (n, dimension).
        """
        return normalize(self.see(images).float(), dim=1)

    def place_texts(self, counts: Tensor) -> Tensor:
        """Return where texts are, at length 1.

        Args:
            counts: How often each word is said, shape (n, words).

        Returns:
            Shape (n, dimension).
        """
        means = counts @ self.embed / counts.sum(1, keepdim=True).clamp_min(1)  # (n, word dimension)
        return normalize(self.read(means).float(), dim=1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch, of whose texts words are left out at random."""
        images, counts = batch
        kept = self._shorten(counts)
        loss = self._loss(self.place_images(images), self.place_texts(kept), kept, counts)
        self.record(loss=loss, scale=self.log_scale.detach().exp())
        return loss

    def _shorten(self, counts: Tensor) -> Tensor:
        """Return counts (n, words) with words left out, in each text with its own probability; one word stays."""
        chances = torch.rand_like(counts) * (counts > 0)  # (n, words)
        rates = self.word_dropout * torch.rand_like(counts[:, :1])  # (n, 1)
        return counts * ((chances >= rates) | (chances == chances.amax(1, keepdim=True)))

    def _loss(self, images: Tensor, texts: Tensor, said: Tensor, counts: Tensor) -> Tensor:
        """Return the loss of pictures (n, dimension) and texts that say ``said`` (n, words) of ``counts``."""
        cosines = texts @ images.T  # (texts, images)
        # A text suits a picture of which all its words are said: it is not wrong there.
        suits = (said > 0).float() @ (counts == 0).float().T == 0  # (texts, images)
        own = torch.eye(len(images), dtype=torch.bool, device=self.device)
        if self.loss == "rank":
            costs = relu(self.margin - cosines.diagonal() + cosines)  # (texts, images)
            return costs.masked_fill(suits | own, 0).sum(0).mean()
        scores = (cosines * self.log_scale.exp().clamp(max=100)).masked_fill(suits & ~own, -torch.inf)
        heard = counts.sum(1) > 0  # others have no text
        if not heard.any():
            return 0 * scores.diagonal().sum()
        scores, right = scores[heard][:, heard], torch.arange(int(heard.sum()), device=self.device)
        return (cross_entropy(scores, right) + cross_entropy(scores.T, right)) / 2

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure."""
        images, counts = batch
        seen, heard = self.place_images(images), self.place_texts(counts)
        self.record(loss=self._loss(seen, heard, counts, counts))
        told = counts.sum(1) > 0
        self.retrieval.update(seen[told], heard[told], counts[told])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test pictures."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log recalls over all pictures."""
        self._log_recalls("val")

    def on_test_epoch_end(self) -> None:
        """The same on the test pictures."""
        self._log_recalls("test")

    def _log_recalls(self, stage: str) -> None:
        found = self.retrieval.compute()
        self.retrieval.reset()
        found["recall"] = torch.stack([value for name, value in found.items() if "chance" not in name]).mean()
        self.log_dict({f"{stage}/{name}": value for name, value in found.items()})

    def answer(self, gallery: Tensor, images: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
        """Return how well each picture of a gallery answers each query, a picture, a text or both at once.

        Both are asked for log-probabilities of the gallery's pictures, which are added, a text's at ``TEXT_WEIGHT``.

        Args:
            gallery: Where its pictures are, shape (pictures, dimension).
            images: The queries' pictures, from 0 to 1, shape (queries, channels, height, width).
            counts: The queries' counts of words, shape (queries, words).

        Returns:
            Scores, shape (queries, pictures).
        """
        asked = [] if images is None else [(1.0, self.place_images(images))]
        asked += [] if counts is None else [(TEXT_WEIGHT, self.place_texts(counts))]
        scale = self.log_scale.exp()
        return torch.stack([weight * (scale * each @ gallery.T).log_softmax(1) for weight, each in asked]).sum(0)

    def generate(self, image: str = "", text: str = "", n: int = 16) -> Media:
        """Name what a picture shows, or find pictures among those it was trained on.

        Args:
            image: A file. Alone: the words nearest to it. With text: the pictures nearest to both.
            text: Words: the pictures nearest to them.
            n: How many words or pictures.
        """
        if n < 1 or not (image or text):
            raise ValueError("give a file with --image, words with --text, or both; n at least 1")
        info = self.info
        assert isinstance(info, TaggedInfo)
        shape = info.channels, info.height, info.width
        images = _floats(read_image(image, *shape)[None].to(self.device)) if image else None
        if images is not None and not text:
            words = self.place_texts(torch.eye(len(self.words), device=self.device))
            best = (words @ self.place_images(images)[0]).topk(min(n, len(words)))
            return Text(", ".join(f"{self.words[i]} {c:.2f}" for i, c in zip(best.indices, best.values, strict=True)))
        pictures = _floats(self.gallery[0]).to(self.device)
        placed = torch.cat([self.place_images(part) for part in torch.split(pictures, 256)])
        scores = self.answer(placed, images, count_asked(text, self.words).to(self.device))[0]  # (pictures,)
        nearest = scores.topk(min(n, len(pictures))).indices
        return Image(pictures[nearest], caption=f"nearest to {' and '.join(filter(None, (image, text)))}")

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the pictures nearest to words, and a map of both."""
        images, counts = batch
        seen = self.place_images(images)
        often = (counts > 0).sum(0).argsort(descending=True, stable=True)
        often = often[(counts[:, often] > 0).any(0)][:MAPPED]  # (words,)
        heard = self.place_texts(torch.eye(len(self.words), device=self.device)[often])
        asked = often[:ASKED]
        nearest = (heard[:ASKED] @ seen.T).topk(min(ANSWERS, len(images)), dim=1).indices  # (asked, answers)
        caption = "by row: " + ", ".join(self.words[i] for i in asked.tolist())
        grid = Image(images[nearest.flatten()], columns=nearest.shape[1], caption=caption)
        means = torch.stack([seen[counts[:, word] > 0].mean(0) for word in often.tolist()])
        return {"retrieval": grid, "map": Figure(self._draw(heard, means, often.tolist()))}

    def _draw(self, heard: Tensor, seen: Tensor, places: list[int]) -> Drawing:
        both = torch.cat([heard, seen]).cpu()
        centred = both - both.mean(0)
        x, y = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T).unbind(1)
        drawing = Drawing(figsize=(7, 6), layout="constrained")
        axes = drawing.add_subplot(xlabel="first principal direction", ylabel="second")
        count = len(places)
        axes.scatter(x[:count], y[:count], s=8, label="words")
        axes.scatter(x[count:], y[count:], s=16, marker="x", linewidth=0.8, label="means of their pictures")
        for k, place in enumerate(places):
            axes.text(float(x[k]), float(y[k]), self.words[place], size=6)
        axes.legend()
        return drawing


def _perceptron(before: int, hidden: int, after: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Linear(before, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, after))


def _known(path: Path, words: tuple[str, ...]) -> Tensor:
    """Return the vectors of words, shape (words, dimension) and length 1, zero for those that the file lacks."""
    listed, vectors = read_vectors(path)
    places = {word: i for i, word in enumerate(listed)}
    found = [word for word in words if word in places]
    if not found:
        raise ValueError(f"{path} knows none of the data's {len(words)} words")
    say(f"{path} knows {len(found)} of {len(words)} words")
    known = torch.zeros(len(words), vectors.shape[1])
    for i, word in enumerate(words):
        if word in places:
            known[i] = normalize(vectors[places[word]], dim=0)
    return known


def _floats(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images
