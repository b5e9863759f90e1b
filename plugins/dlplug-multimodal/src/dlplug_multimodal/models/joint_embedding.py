"""Images and words in one embedding space."""

import math
from pathlib import Path
from typing import Any, Literal

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, relu

from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, ImageFile, Media, Text
from dlplug.model import Parts
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, count_query_words, to_float
from dlplug_multimodal.data.word_vectors import principal_coordinates, read_vectors
from dlplug_multimodal.evaluation.retrieval import CrossModalRecall
from dlplug_vision.data.image_files import load_image
from dlplug_vision.models.cnn import CNN

GALLERY = 2000  # images that a checkpoint keeps to answer from
QUERIES, ANSWERS = 8, 8  # words queried in the showcase, and images shown for each
TEXT_WEIGHT = 0.5  # of a text beside an image: 0.4 to 0.8 did equally well on validation's double queries
MAPPED = 60  # words on the map
TEMPERATURE = 0.07  # before training, as in CLIP
MAX_SCALE = 100  # of cosines, as in CLIP


class JointEmbedding(WarmupCosine):
    """Two encoders, one space: an image and a text that belong together are neighbours in it (notes 5.4).

    The image encoder is a convolutional network; the text encoder takes the mean of a text's word vectors through a
    hidden layer. Both end in vectors of length 1, and their cosines, divided by a learned temperature, are the logits
    of which text of a batch belongs to which image (``contrastive``: CLIP, Radford et al., 2021). With ``rank``, texts
    stay where a file of word vectors puts them, and images learn to be nearer to their own words than to others by a
    margin (DeViSE: Frome et al., 2013). Unlike in the papers, a text that fits another image of the batch as well is no
    negative of it: equal texts, and those with words dropped.

    Logs ``loss`` in nats, or in cosines with ``rank``, and for images not trained on, recall at 1 and 10 in both
    directions beside its chance level, and ``recall``, the mean of the four. On several devices each compares its own
    batch, and the first keeps its share of the images as the gallery to answer from.

    Args:
        loss: The training loss.
        word_vectors: File of word vectors in word2vec's text format, such as skip-gram exports; its words stay fixed,
            and others are ignored. Words are learned from the data where empty.
        channels: Filters of each CONV of the image encoder; a POOL follows each.
        hidden: Units of both encoders' hidden layers.
        embedding_dim: Dimension of the space; with ``rank`` that of the word vectors.
        dropout: Dropout probability of the hidden units.
        word_dropout: Highest probability that a word of a text is dropped while training; each text has its own, and
            one word always stays, so that single words find images.
        margin: Margin of ``rank``.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    monitor = ("val/recall", "max")
    warmup_fraction = 0.05
    top = 5
    panels = (
        Panel(
            "Learning",
            "Loss",
            "Nats to match a batch's texts and images, both ways; ln(batch size) is chance. Healthy: train falls; val "
            "turns up early, since the logit scale makes mistakes dear, while recall rises. Broken: both rise, or "
            "recall falls (overfitting).",
            curves=("loss",),
            expect=("train/loss falls",),
        ),
        Panel(
            "Learning",
            "Recall",
            "Share of images whose text is among the nearest one or ten, and the reverse. Healthy: far above chance.",
            curves=("image_to_text@1", "image_to_text@10", "text_to_image@1", "text_to_image@10", "recall"),
            expect=(
                "recall rises",
                "image_to_text@1 > image_to_text_chance@1",
                "text_to_image@1 > text_to_image_chance@1",
            ),
        ),
        Panel(
            "Learning",
            "Recall by chance",
            "Recalls of a random order, which depend on how many texts there are.",
            curves=tuple(f"{way}_chance@{k}" for way in ("image_to_text", "text_to_image") for k in (1, 10)),
        ),
        Panel(
            "Learning",
            "Logit scale",
            "What cosines are multiplied by: 1 / temperature. Healthy: rises, then settles below 100.",
            curves=("logit_scale",),
            expect=("logit_scale rises", "logit_scale < 100"),
        ),
        Panel(
            "The space",
            "Words to images",
            "The validation images nearest to some of their words, a word a row, nearest first. Healthy: they show "
            "it. Broken: the same images in each row.",
            media="retrieval",
        ),
        Panel(
            "The space",
            "Map",
            "Words and the means of their validation images, on the two principal directions. Healthy: each cross "
            "lies near its word. Broken: words on one side, images on the other.",
            media="map",
        ),
    )

    def __init__(
        self,
        loss: Literal["contrastive", "rank"] = "contrastive",
        word_vectors: str = "",
        channels: tuple[int, ...] = (32, 64, 128, 128),
        hidden: int = 128,
        embedding_dim: int = 64,
        dropout: float = 0.2,
        word_dropout: float = 0.5,
        margin: float = 0.1,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "at least 1", "hidden", "embedding_dim")
        require(self.hparams, "from 0 to below 1", "dropout")
        require(self.hparams, "from 0 to 1", "word_dropout")
        require(self.hparams, "above 0", "margin", "lr")
        if loss == "rank" and not word_vectors:
            raise ValueError("loss rank needs word_vectors")
        self.loss, self.word_vectors, self.channels, self.hidden = loss, word_vectors, channels, hidden
        self.embedding_dim, self.dropout, self.word_dropout = embedding_dim, dropout, word_dropout
        self.margin, self.lr = margin, lr
        self.fixed: Tensor | None = None  # words' vectors, where a checkpoint or a file gives them
        self.gallery: tuple[Tensor, ...] = ()  # images to answer from, and their counts of words

    def build(self, info: TaggedImageInfo) -> None:
        """Make both encoders."""
        if not isinstance(info, TaggedImageInfo) or not info.words:
            raise ValueError(f"learns from images with words, not from {info}")
        if self.word_vectors and self.fixed is None:
            self.fixed = _vectors_of(info.words, Path(self.word_vectors).expanduser())
        width = self.embedding_dim if self.fixed is None else self.fixed.shape[1]
        space = width if self.loss == "rank" else self.embedding_dim
        self.words, self.shape = info.words, (info.channels, info.height, info.width)
        self.word_embedding = nn.Parameter(torch.randn(len(info.words), width) if self.fixed is None else self.fixed)
        self.word_embedding.requires_grad_(not self.word_vectors)
        images = ImageInfo(info.channels, info.height, info.width, space)
        self.image_encoder = CNN(self.channels, pool_every=1, hidden=self.hidden, dropout=self.dropout).network(images)
        self.text_encoder = nn.Identity() if self.loss == "rank" else self._perceptron(width, space)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)), requires_grad=self.loss != "rank")
        self.recall = CrossModalRecall()

    def _perceptron(self, inputs: int, outputs: int) -> nn.Module:
        hidden = nn.Linear(inputs, self.hidden), nn.ReLU(), nn.Dropout(self.dropout)
        return nn.Sequential(*hidden, nn.Linear(self.hidden, outputs))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take word vectors and the gallery from the checkpoint: the file of vectors may be gone."""
        self.fixed = checkpoint["state_dict"]["word_embedding"].clone() if self.word_vectors else None
        super().on_load_checkpoint(checkpoint)
        self.gallery = tuple(checkpoint["gallery"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the gallery."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["gallery"] = list(self.gallery)

    def initialise(self) -> None:
        """Keep training images to answer from, as they are in the data: in bytes, not augmented."""
        kept: list[Batch] = []
        for batch in self.trainer.datamodule.train_dataloader():  # type: ignore[attr-defined]
            kept.append(batch)
            if sum(len(images) for images, _ in kept) >= GALLERY:
                break
        self.gallery = tuple(torch.cat(parts)[:GALLERY].cpu() for parts in zip(*kept, strict=True))

    def encode_images(self, images: Tensor) -> Tensor:
        """Return embeddings of length 1, shape (n, embedding_dim), of images (n, channels, height, width), 0 to 1."""
        return normalize(self.image_encoder(images).float(), dim=1)

    def encode_texts(self, counts: Tensor) -> Tensor:
        """Return embeddings of length 1, shape (n, embedding_dim), of texts, given as counts of words (n, words)."""
        # Exercise: the mean of the words' vectors, through the encoder, at length 1.
        means = counts @ self.word_embedding / counts.sum(1, keepdim=True).clamp_min(1)  # (n, dimension of words)
        return normalize(self.text_encoder(means).float(), dim=1)

    def export_parts(self, batch: Batch) -> Parts:
        """Return both encoders: the nearer two embeddings, the better image and text fit."""
        images, counts = batch
        return {
            "image_encoder": (lambda images: {"embeddings": self.encode_images(images)}, {"images": images}, {}),
            "text_encoder": (lambda counts: {"embeddings": self.encode_texts(counts)}, {"counts": counts}, {}),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch, with words of its texts dropped at random."""
        images, counts = batch
        kept = self._drop_words(counts)
        loss = self._loss(self.encode_images(images), self.encode_texts(kept), kept, counts)
        self.record(loss=loss, logit_scale=self.log_scale.detach().exp())
        return loss

    def _drop_words(self, counts: Tensor) -> Tensor:
        """Return counts (n, words) with words dropped, in each text with its own probability; one word stays."""
        chances = torch.rand_like(counts) * (counts > 0)  # (n, words)
        rates = self.word_dropout * torch.rand_like(counts[:, :1])  # (n, 1)
        return counts * ((chances >= rates) | (chances == chances.amax(1, keepdim=True)))

    def _loss(self, images: Tensor, texts: Tensor, kept: Tensor, counts: Tensor) -> Tensor:
        """Return the loss of images and texts (n, embedding_dim) that have the words ``kept`` of ``counts``."""
        # Exercise: the rank loss, or the cross-entropy of matching both ways.
        cosines = texts @ images.T  # (texts, images)
        # A text fits an image that has all its words: it is not a negative there.
        fits = (kept > 0).float() @ (counts == 0).float().T == 0  # (texts, images)
        own = torch.eye(len(images), dtype=torch.bool, device=self.device)
        if self.loss == "rank":
            costs = relu(self.margin - cosines.diagonal() + cosines)  # (texts, images)
            return costs.masked_fill(fits | own, 0).sum(0).mean()
        logits = (cosines * self.log_scale.exp().clamp(max=MAX_SCALE)).masked_fill(fits & ~own, -torch.inf)
        worded = counts.sum(1) > 0  # others have no text
        if not worded.any():
            return 0 * logits.diagonal().sum()
        logits, right = logits[worded][:, worded], torch.arange(int(worded.sum()), device=self.device)
        return (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the loss, and add to the recalls."""
        images, counts = batch
        image_embeddings, text_embeddings = self.encode_images(images), self.encode_texts(counts)
        self.record(loss=self._loss(image_embeddings, text_embeddings, counts, counts))
        worded = counts.sum(1) > 0
        self.recall.update(image_embeddings[worded], text_embeddings[worded], counts[worded])

    def on_validation_epoch_end(self) -> None:
        """Log recalls over all images."""
        values = self.recall.compute()
        self.recall.reset()
        values["recall"] = torch.stack([value for name, value in values.items() if "chance" not in name]).mean()
        self.log_dict({f"{self.stage}/{name}": value for name, value in values.items()})

    def search(self, gallery: Tensor, images: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
        """Return how well each image of a gallery answers each query, an image, a text or both.

        Each gives log-probabilities of the gallery's images; those of both are added, a text's at ``TEXT_WEIGHT``.

        Args:
            gallery: The embeddings of its images, shape (gallery, embedding_dim).
            images: The queries' images, from 0 to 1, shape (queries, channels, height, width).
            counts: The queries' counts of words, shape (queries, words).

        Returns:
            Scores, shape (queries, gallery).
        """
        queries = [] if images is None else [(1.0, self.encode_images(images))]
        queries += [] if counts is None else [(TEXT_WEIGHT, self.encode_texts(counts))]
        scale = self.log_scale.exp()
        return torch.stack([weight * (scale * each @ gallery.T).log_softmax(1) for weight, each in queries]).sum(0)

    def _word_cosines(self, images: Tensor) -> Tensor:
        """Return how near each word is to each image, shape (n, words)."""
        words = self.encode_texts(torch.eye(len(self.words), device=self.device))
        return self.encode_images(images) @ words.T

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the words nearest to each image, nearest first."""
        best = self._word_cosines(batch[0]).topk(min(self.top, len(self.words)), 1).indices.tolist()
        return {"words": [" ".join(self.words[word] for word in row) for row in best]}

    def generate(self, image: ImageFile = "", text: str = "", n: int = 16) -> Media:
        """Find the words of an image, or training images.

        Args:
            image: A file. Alone: the words nearest to it. With text: the images nearest to both.
            text: Words: the images nearest to them.
            n: How many words or images.
        """
        if n < 1 or not (image or text):
            raise ValueError("give a file with --image, words with --text, or both; n at least 1")
        images = load_image(image, self.shape).to(self.device) if image else None
        if images is not None and not text:
            best = self._word_cosines(images)[0].topk(min(n, len(self.words)))
            return Text(", ".join(f"{self.words[i]} {c:.2f}" for i, c in zip(best.indices, best.values, strict=True)))
        gallery = to_float(self.gallery[0]).to(self.device)
        embeddings = torch.cat([self.encode_images(part) for part in torch.split(gallery, 256)])
        scores = self.search(embeddings, images, count_query_words(text, self.words).to(self.device))[0]  # (gallery,)
        nearest = scores.topk(min(n, len(gallery))).indices
        return Image(gallery[nearest], caption=f"nearest to {' and '.join(filter(None, (image, text)))}")

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the images nearest to words, and a map of both."""
        images, counts = batch
        embeddings = self.encode_images(images)
        frequent = (counts > 0).sum(0).argsort(descending=True, stable=True)
        frequent = frequent[(counts[:, frequent] > 0).any(0)][:MAPPED]  # (words,)
        words = self.encode_texts(torch.eye(len(self.words), device=self.device)[frequent])
        nearest = (words[:QUERIES] @ embeddings.T).topk(min(ANSWERS, len(images)), dim=1).indices  # (queries, answers)
        caption = "by row: " + ", ".join(self.words[i] for i in frequent[:QUERIES].tolist())
        grid = Image(images[nearest.flatten()], columns=nearest.shape[1], caption=caption)
        means = torch.stack([embeddings[counts[:, word] > 0].mean(0) for word in frequent.tolist()])
        return {"retrieval": grid, "map": Figure(self._plot_map(words, means, frequent.tolist()))}

    def _plot_map(self, words: Tensor, images: Tensor, places: list[int]) -> Drawing:
        x, y = principal_coordinates(torch.cat([words, images]).cpu()).T
        drawing = Drawing(figsize=(7, 6), layout="constrained")
        axes = drawing.add_subplot(xlabel="first principal direction", ylabel="second")
        count = len(places)
        axes.scatter(x[:count], y[:count], s=8, label="words")
        axes.scatter(x[count:], y[count:], s=16, marker="x", linewidth=0.8, label="means of their images")
        for k, place in enumerate(places):
            axes.text(float(x[k]), float(y[k]), self.words[place], size=6)
        axes.legend()
        return drawing


def _vectors_of(words: tuple[str, ...], path: Path) -> Tensor:
    """Return the vectors of words, shape (words, dimension) and length 1, zero for those that the file lacks."""
    listed, vectors = read_vectors(path)
    places = {word: i for i, word in enumerate(listed)}
    known = [(i, places[word]) for i, word in enumerate(words) if word in places]
    if not known:
        raise ValueError(f"{path} has none of the data's {len(words)} words")
    say(f"{path} has {len(known)} of {len(words)} words")
    chosen = torch.zeros(len(words), vectors.shape[1])
    for i, place in known:
        chosen[i] = normalize(vectors[place], dim=0)
    return chosen
