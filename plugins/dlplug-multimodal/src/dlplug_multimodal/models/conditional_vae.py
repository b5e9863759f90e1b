"""Draws an image that shows what a picture shows and a word says: section 5.5 of the notes."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, softplus

from dlplug import Panel
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, ImageFile, Media
from dlplug.optim import WarmupCosine
from dlplug_generative.latent import mlp
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, count_query_words
from dlplug_vision.data.image_files import load_image
from dlplug_vision.models.cnn import CNN

SHOWN = 10
WORD_WEIGHT = 1000.0  # of naming the picture's words beside the nats of all pixels: without it pictures go unread


class ConditionalVAE(WarmupCosine):
    """A conditional variational autoencoder: images given a picture, a word, or both (Sohn et al., 2015).

    p(x | picture, word) is an integral over normal latent variables z, which say what neither tells, such as where
    things are; encoder q(z | x, picture, word) and decoder p(x | z, picture, word) are fully connected and learn by the
    ELBO, and a small CNN looks at the picture. Nothing in the data says which picture and word ask for an image, so
    each batch makes its own questions: of an image of "sunset" and "sea" one of its words is kept, and the picture is
    another image of the batch whose words come nearest to those that are left. Either is missing in a share of the
    questions, so that one network infers from both at once, and from each alone. What is kept of the picture also has
    to name its words, so that it lies where the words' own vectors do, to which it is added: otherwise the latents,
    which see the image itself, leave the picture unread.

    Fits tagged images from 8×8. Logs ``loss``, the negative ELBO in nats an image (of a density, so that it may be
    below 0), and its parts ``kl`` and ``reconstruction``, and ``naming``, the mean cross-entropy of whether a picture
    has a word.

    Args:
        latent_dim: Number of latent dimensions.
        hidden: Units of each hidden layer.
        embedding_dim: Dimension of the vectors of picture and words.
        beta: Weight of the KL term in training: above 1 the latents leave to picture and word what these can say.
        missing: Share of the questions without a picture, and of those without a word.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Learning",
            "Negative ELBO",
            "Nats an image. Healthy: falls, train and val close. Broken: val rises (overfitting).",
            curves=("loss", "reconstruction"),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "KL",
            "Nats that the latent variables carry: what picture and word leave open. Broken: 0, all that is drawn for "
            "a question is alike.",
            curves=("kl",),
            expect=("kl > 1",),
        ),
        Panel(
            "Learning",
            "Naming",
            "Nats a word, of whether the picture shows it. Healthy: falls. Broken: flat, the picture goes unread.",
            curves=("naming",),
            expect=("naming falls",),
        ),
        Panel(
            "Images",
            "Drawn",
            "By column: a picture; drawn from it and a word; from the picture alone; from the word alone. Healthy: the "
            "second row shows both. Broken: it shows the picture again, or nothing of it.",
            media="drawn",
        ),
    )

    def __init__(
        self,
        latent_dim: int = 8,
        hidden: int = 256,
        embedding_dim: int = 64,
        beta: float = 2.0,
        missing: float = 0.2,
        lr: float = 4e-3,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "at least 1", "latent_dim", "hidden", "embedding_dim")
        require(self.hparams, "from 0 to 1", "missing")
        require(self.hparams, "above 0", "beta", "lr")
        self.latent_dim, self.hidden, self.embedding_dim = latent_dim, hidden, embedding_dim
        self.beta, self.missing, self.lr = beta, missing, lr

    def build(self, info: TaggedImageInfo) -> None:
        """Make the networks."""
        self.shape, self.words = (info.channels, info.height, info.width), info.words
        pixels = math.prod(self.shape)
        features = ImageInfo(*self.shape, classes=self.embedding_dim)
        self.picture_encoder = CNN((16, 32, 64), stride=2, pooling="none", hidden=0).network(features)
        self.name_bias = nn.Parameter(torch.zeros(len(info.words)))
        self.word_embedding = nn.Linear(len(info.words), self.embedding_dim, bias=False)
        self.no_picture = nn.Parameter(torch.zeros(self.embedding_dim))
        self.no_words = nn.Parameter(torch.zeros(self.embedding_dim))
        self.encoder = mlp(pixels + self.embedding_dim, self.hidden, 2 * self.latent_dim)
        self.decoder = mlp(self.latent_dim + self.embedding_dim, self.hidden, self.hidden, pixels)
        self.log_std = nn.Parameter(torch.tensor(-1.5))

    def condition(self, pictures: Tensor, counts: Tensor, given: Tensor) -> Tensor:
        """Return what is known of the images, shape (n, embedding_dim).

        Args:
            pictures: What ``picture_encoder`` returns of the pictures, shape (n, embedding_dim).
            counts: Counts of words, shape (n, words).
            given: Whether the picture, and whether the words are given, shape (n, 2).
        """
        # Exercise: the picture's and the words' vectors, each where it is given, else the one that stands for none.
        picture = torch.where(given[:, :1], pictures, self.no_picture)
        words = torch.where(given[:, 1:], self.word_embedding(counts), self.no_words)
        return picture + words

    def decode(self, latents: Tensor, known: Tensor) -> Tensor:
        """Return the mean images, shape (n, channels, height, width), of latents and what ``condition`` returns."""
        images: Tensor = self.decoder(torch.cat([latents, known], 1)).sigmoid().view(-1, *self.shape)
        return images

    def forward(self, images: Tensor, counts: Tensor) -> Tensor:
        """Return the image of latent variables 0 given pictures and words, shape (n, channels, height, width)."""
        given = torch.ones_like(counts[:, :2], dtype=torch.bool)
        known = self.condition(self.picture_encoder(images), counts, given)
        return self.decode(counts.new_zeros(len(counts), self.latent_dim), known)

    def draw(self, pictures: Tensor | None, counts: Tensor | None) -> Tensor:
        """Return an image sampled for each question, shape (n, channels, height, width).

        Args:
            pictures: From 0 to 1, of shape (n, channels, height, width); None where only words ask.
            counts: Counts of words (n, words); None where only pictures ask.
        """
        n = len(counts if pictures is None else pictures)  # type: ignore[arg-type]
        given = torch.tensor([pictures is not None, counts is not None], device=self.device).expand(n, 2)
        seen = self.no_picture.expand(n, -1) if pictures is None else self.picture_encoder(pictures)
        counts = torch.zeros(n, len(self.words), device=self.device) if counts is None else counts
        return self.decode(torch.randn(n, self.latent_dim, device=self.device), self.condition(seen, counts, given))

    def _step(self, batch: Batch) -> Tensor:
        """Record the negative ELBO and its terms, and return what is minimised."""
        images, counts = batch
        pictures, words, found = ask(counts)
        chance = torch.rand(len(counts), device=counts.device)
        given = torch.stack([found & (chance > self.missing), (words.sum(1) > 0) & (chance < 1 - self.missing)], 1)
        seen, images = self.picture_encoder(images[pictures]), images.flatten(1)
        names = seen @ self.word_embedding.weight + self.name_bias
        naming = binary_cross_entropy_with_logits(names, (counts[pictures] > 0).to(seen.dtype))
        known = self.condition(seen, words, given)
        # Exercise: the KL divergence of q(z | image, known) from the prior, and -log p(image | z, known).
        mean, raw = self.encoder(torch.cat([images, known], 1)).chunk(2, 1)
        std = softplus(raw) + 1e-4
        kl = (0.5 * (mean.square() + std.square() - 1) - std.log()).sum(1).mean()
        distance = self.decode(mean + std * torch.randn_like(std), known).flatten(1) - images
        density = -0.5 * (distance / self.log_std.exp()).square() - self.log_std - 0.5 * math.log(2 * math.pi)
        reconstruction = -density.sum(1).mean()
        # end
        self.record(loss=kl + reconstruction, kl=kl, reconstruction=reconstruction, naming=naming)
        loss: Tensor = self.beta * kl + reconstruction + WORD_WEIGHT * naming
        return loss

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._step(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the bound."""
        self._step(batch)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what is drawn for the first images' questions."""
        images, counts = batch
        pictures, words, found = ask(counts)
        rows = found.nonzero()[:SHOWN, 0] if found.any() else torch.arange(min(SHOWN, len(images)))
        few, said = images[pictures[rows]], words[rows]
        drawn = [few, self.draw(few, said), self.draw(few, None), self.draw(None, said)]
        names = ", ".join(self.words[i] for i in said.argmax(1).tolist())
        return {"drawn": Image(torch.cat(drawn), columns=len(few), caption=f"words: {names}")}

    def generate(self, image: ImageFile = "", text: str = "", n: int = 10) -> Image:
        """Draw images that show what a picture shows and words say.

        Args:
            image: An image file.
            text: Words, with spaces between them.
            n: Number of images.
        """
        if n < 1 or not (image or text):
            raise ValueError("give an image, a text, or both; n at least 1")
        picture = load_image(image, self.shape).to(self.device).expand(n, -1, -1, -1) if image else None
        counts = count_query_words(text, self.words).to(self.device).expand(n, -1) if text else None
        return Image(self.draw(picture, counts))


def ask(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a question for each image of a batch.

    Args:
        counts: Counts of the images' words, shape (n, words).

    Returns:
        The place of the picture, shape (n,): of the images that lack the word, one whose words overlap most with the
        others of this image's and have least beside them; a word of the image, shape (n, words), all 0 where it has
        none; and whether the picture shares a word, shape (n,).
    """
    has = (counts > 0).to(counts.dtype)
    word = one_hot(torch.multinomial(has + 1e-9, 1)[:, 0], counts.shape[1]) * has
    overlap = (has - word) @ has.T  # (n, n)
    fit = (2 * overlap - has.sum(1)).masked_fill(word @ has.T > 0, -torch.inf)
    best = (fit + 0.5 * torch.rand_like(fit)).argmax(1)  # one of those that fit equally well
    return best, word, overlap.gather(1, best[:, None])[:, 0] > 0
