"""Pictures and words in one deep Boltzmann machine: section 5.5 of the notes."""

import math
from typing import Any, Literal, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.functional import normalize

from dlplug import Panel
from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, Media, Table, Text
from dlplug.optim import set_lr
from dlplug.trained import read_weights, take
from dlplug_multimodal.data.tagged_images import TaggedInfo, count_asked
from dlplug_multimodal.evaluation.ranking import average_precision, r_precision
from dlplug_multimodal.models.boltzmann import Boltzmann
from dlplug_multimodal.models.gaussian_rbm import Standardised, moments
from dlplug_multimodal.nn.deep_boltzmann import DeepBoltzmann, State
from dlplug_multimodal.nn.rbm import flip
from dlplug_vision.data.image_files import read_image
from dlplug_vision.models.cnn import CNN

Phase = Literal["look", "apart", "above", "together"]
TOLD = 5  # words that are shown of a picture
SHOWN = 8
FEATURES = 128  # of the network that looks
PICTURE_EVERY = 4  # batches of which one also fills in pictures from words, which costs more than the other way
LIKENESS = 5.0  # nats that pictures which are the same count for, beside words' log-probabilities
GALLERY = 2000  # training pictures that are kept to be found again


class MultimodalDBM(Boltzmann):
    """One model of pictures and words, either of which may be missing: a multimodal deep Boltzmann machine.

    Gaussian units see the picture, a replicated softmax the words; each kind has hidden units of its own, and joint
    units above both bind them. Section 5.5 of the notes; Srivastava and Salakhutdinov, "Multimodal Learning with Deep
    Boltzmann Machines" (2012). Within one fit it learns in phases: with ``path`` cnn, first a convolutional network
    learns to tell the training words from the picture, and its last hidden layer is the picture from then on; then
    both kinds apart, by contrastive divergence; then the layer above; then all together, by mean-field inference and
    Gibbs chains that persist. In this last phase each batch is also asked to fill in the words from the picture and
    the picture from the words, by gradient descent through mean-field inference (Goodfellow et al., "Multi-Prediction
    Deep Boltzmann Machines", 2013), with weight ``fill``.

    Fits tagged images of any size (with ``path`` cnn from 8×8), of 1 or 3 channels. Logs ``loss``, nats a word of the
    words given the picture; for images not trained on ``map``, the mean average precision of all words given the
    picture; ``found``, the mean over all different sets of words of the share of right pictures among the first that
    these words find, where right are those with exactly these words and as many are looked at as there are; ``chance``,
    what chance would find; and ``cnn_map``, the average precision of the cnn by itself.

    Args:
        path: What the picture is to the machine: its ``pixels``, or features of a ``cnn``.
        init_from: Run folder or file of weights that the cnn starts from; it then skips its own learning.
        hidden: Hidden units of the picture.
        word_hidden: Hidden units of the words.
        joint: Units above both.
        noise: Standard deviation that a pixel has left once the hidden units are known, as a share of its own.
        look: Epochs in which the cnn learns.
        apart: Epochs in which both kinds learn apart.
        above: Epochs in which the layer above them learns; they all learn together in those that are left.
        lr_picture: Learning rate of the picture's machine, divided by its number of visible units.
        lr_words: Learning rate of the words' machine.
        lr_joint: Learning rate of the layer above.
        together: Share of these rates with which all learn together; 0 leaves that to filling in.
        fill: Weight of filling in; 0 for none.
        lr: Highest learning rate of the Adam that fills in and that the cnn learns with.
        steps: Mean-field updates.
        chains: Gibbs chains.
        momentum: Share of the last step that the next one keeps, where statistics are descended.
        weight_decay: Decay of the weights.
    """

    monitor = ("val/map", "max")
    panels = (
        Panel(
            "Learning",
            "Words from pictures",
            "Nats a word. Healthy: both fall. Broken: val rises while train falls (learnt by heart).",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Average precision",
            "Of words ranked given a picture, and of pictures found given words beside what chance finds. Healthy: far "
            "above what the words' frequencies alone give. Broken: flat.",
            curves=("map", "found", "chance"),
        ),
        Panel(
            "Pictures",
            "Filled in",
            "Above, validation pictures; below, what the model sees when told their words alone (with the cnn, the "
            "nearest training pictures). Healthy: the colour and shape that such things have. Broken: all alike.",
            media="filled",
        ),
        Panel(
            "Words",
            "Told",
            "Validation pictures' words, and those that the model gives them from the picture alone.",
            media="told",
        ),
    )

    def __init__(
        self,
        path: Literal["pixels", "cnn"] = "pixels",
        init_from: str = "",
        hidden: int = 256,
        word_hidden: int = 256,
        joint: int = 256,
        noise: float = 1.0,
        look: int = 40,
        apart: int = 8,
        above: int = 2,
        lr_picture: float = 0.8,
        lr_words: float = 0.05,
        lr_joint: float = 0.02,
        together: float = 0.01,
        fill: float = 1.0,
        lr: float = 3e-3,
        steps: int = 5,
        chains: int = 64,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
    ) -> None:
        super().__init__()
        if min(hidden, word_hidden, joint, steps, chains) < 1 or min(look, apart, above) < 0:
            raise ValueError(
                "hidden, word_hidden, joint, steps and chains must be at least 1, look, apart and above at least 0, "
                f"not {hidden}, {word_hidden}, {joint}, {steps}, {chains}, {look}, {apart} and {above}"
            )
        if min(noise, lr_picture, lr_words, lr_joint, lr) <= 0 or min(together, fill, weight_decay) < 0:
            raise ValueError(
                "noise and learning rates must be above 0, together, fill and weight_decay at least 0, not "
                f"{noise}, {lr_picture}, {lr_words}, {lr_joint}, {lr}, {together}, {fill} and {weight_decay}"
            )
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {momentum}")
        if init_from and path != "cnn":
            raise ValueError("init_from is for --model.path cnn")
        self.save_hyperparameters()
        self.path, self.init_from = path, init_from
        self.hidden, self.word_hidden, self.joint, self.noise = hidden, word_hidden, joint, noise
        self.look = look if path == "cnn" and not init_from else 0
        self.apart, self.above = apart, above
        self.lr_picture, self.lr_words, self.lr_joint, self.together = lr_picture, lr_words, lr_joint, together
        self.fill, self.lr, self.steps, self.chains = fill, lr, steps, chains
        self.momentum, self.weight_decay = momentum, weight_decay
        self._fantasies: tuple[Tensor, Tensor] | None = None  # hidden units and words of each chain
        self._gallery = torch.empty(0)
        self._seen: list[tuple[Tensor, Tensor]] = []

    def build(self, info: TaggedInfo) -> None:
        """Make the machine, and the network that looks where there is one."""
        if info.channels not in (1, 3):
            raise ValueError(f"fits images of 1 or 3 channels, not {info}")
        self.shape, self.words = (info.channels, info.height, info.width), info.words
        units: tuple[int, ...] = self.shape
        if self.path == "cnn":
            self.cnn, units = looker(info), (FEATURES,)
        self.eye = Standardised(units, self.noise)
        self.machine = DeepBoltzmann(math.prod(units), len(info.words), self.hidden, self.word_hidden, self.joint)
        self.register_buffer("length", torch.ones(()))  # mean number of words of a picture that has some
        self.length: Tensor

    # What it knows.

    def see(self, images: Tensor) -> Tensor:
        """Return the visible units (n, visible) of images from 0 to 1, of shape (n, channels, height, width)."""
        units: Tensor = self.eye(self._features(images) if self.path == "cnn" else images)
        return units

    def infer(self, images: Tensor | None, counts: Tensor | None, sampled: int = 0) -> State:
        """Return what the machine makes of pictures, of words, or of both.

        Args:
            images: From 0 to 1, of shape (n, channels, height, width); None where missing.
            counts: Counts of words (n, words); None where missing.
            sampled: Gibbs steps that fill in what is missing; 0 for mean-field inference.
        """
        picture = None if images is None else self.see(images)
        given = picture if counts is None else counts
        assert given is not None
        size = self.length.expand(len(given), 1) if counts is None else counts.sum(1, keepdim=True)
        if sampled:
            return self.machine.sample(picture, counts, size, sampled)
        return self.machine.expect(picture, counts, size, self.steps)

    def forward(self, images: Tensor) -> Tensor:
        """Return each word's log-probability to be said of a picture, shape (n, words)."""
        return self.machine.log_words(self.infer(images, None))

    def find(self, pool: Tensor, images: Tensor | None, counts: Tensor | None) -> Tensor:
        """Return how well each picture of a pool answers pictures, words, or both at once.

        A picture is compared by the cosine of visible units, ``LIKENESS`` times, words by the log-probability that they
        are said of each of the pool's pictures; both are added.

        Args:
            pool: Images from 0 to 1, of shape (pool, channels, height, width).
            images: Likewise, shape (n, …); None where words alone ask.
            counts: Counts of words (n, words); None where pictures alone ask.

        Returns:
            Shape (n, pool).
        """
        scores = torch.zeros(len(pool), device=pool.device)
        if images is not None:
            scores = scores + LIKENESS * normalize(self.see(images)) @ normalize(self.see(pool)).T
        return scores if counts is None else scores + counts @ self(pool).T

    def _features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer of the network that looks, before its rectifier."""
        for name, layer in self.cnn.named_children():
            if name == "hidden_relu":
                break
            images = layer(images)
        return images

    # How it learns.

    def initialise(self) -> None:
        """Measure words and pixels; keep pictures to be found again; take the weights that the cnn starts from."""
        images, counts = (list(column) for column in zip(*self.train_batches(), strict=True))
        said = torch.cat(counts)
        frequency, length = self.share([said.mean(0), said.sum() / (said.sum(1) > 0).sum().clamp_min(1)])
        self.length.copy_(length)
        self.machine.words.visible_bias.data.copy_((frequency + 1 / len(said)).log())
        if self.init_from:
            found = read_weights(self.init_from).items()  # of a model `cnn`, or of one like this
            weights = {name.removeprefix("net.").removeprefix("cnn."): value for name, value in found}
            say(take(self.cnn, weights, self.init_from))
        self._measure_pictures(images)
        kept = cast(Any, self.trainer).datamodule.splits["train"][0][:GALLERY]
        self._gallery = kept if kept.dtype == torch.uint8 else (kept * 255).round().byte()

    @torch.no_grad()
    def _measure_pictures(self, images: list[Tensor]) -> None:
        if self.path == "cnn":
            self.cnn.eval()
            images = [self._features(each) for each in images]
            self.cnn.train()
        self.eye.set(*self.share(moments(images)))

    @property
    def phase(self) -> Phase:
        """What is learnt in this epoch."""
        epoch = self.trainer.current_epoch - self.look
        if epoch < 0:
            return "look"
        return "apart" if epoch < self.apart else "above" if epoch < self.apart + self.above else "together"

    def on_train_epoch_start(self) -> None:
        """Measure the cnn's features once it has learnt, and set the learning rates; each phase has its own fall."""
        epoch = self.trainer.current_epoch
        if self.path == "cnn" and self.look and epoch == self.look:
            self._measure_pictures([images for images, _ in self.train_batches()])
        bounds = [
            0,
            self.look,
            self.look + self.apart,
            self.look + self.apart + self.above,
            self.trainer.max_epochs or -1,
        ]
        at = ("look", "apart", "above", "together").index(self.phase)
        start, end = bounds[at], bounds[at + 1]
        left = 1 - (epoch - start) / max(1, end - start) if self.trainer.max_epochs != -1 else 1.0
        descent, adam = self._optimizers()
        share = self.together if self.phase == "together" else 1.0
        rates = (self.lr_picture / len(self.eye.mean), self.lr_words, self.lr_joint)
        set_lr(descent, [max(0.0, share * left * rate) for rate in rates for _ in range(2)])  # weights and biases
        set_lr(adam, self.lr * (1 - math.cos(math.pi * min(1.0, max(0.0, left)))) / 2)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Learn what the phase is about from a batch."""
        images, counts = batch
        if self.phase == "look":
            self.minimise(_nats(self.cnn(images).log_softmax(1), counts), self._optimizers()[1])
            return
        with torch.no_grad():
            if self.path == "cnn":
                self.cnn.eval()
            picture = self.see(images)
            if self.phase == "apart":
                self._learn_apart(picture, counts)
            elif self.phase == "above":
                self._learn_above(picture, counts)
            elif self.together:
                self._learn_together(picture, counts)
        if self.phase == "together" and self.fill:
            self._fill(picture, counts, both=batch_idx % PICTURE_EVERY == 0)

    def _learn_apart(self, picture: Tensor, counts: Tensor) -> None:
        """Take a step of contrastive divergence in each kind's machine.

        Their hidden units will hear from above as much as from below, so that what is below counts twice for now.
        """
        pairs = ((self.machine.picture, picture), (self.machine.words, counts))
        self.descend([(rbm, rbm.contrast(rows, rbm.gibbs(rows, 1, up=2.0), up=2.0)) for rbm, rows in pairs])

    def _learn_above(self, picture: Tensor, counts: Tensor) -> None:
        """Take a step of contrastive divergence in the layer above, whose own visible units count twice."""
        below = torch.cat([2 * self.machine.picture.up(picture), 2 * self.machine.words.up(counts)], 1)
        rows, rbm = flip(below), self.machine.joint
        self.descend([(rbm, rbm.contrast(rows, rbm.gibbs(rows, 1, down=2.0)))])

    def _learn_together(self, picture: Tensor, counts: Tensor) -> None:
        """Take a step of all machines: statistics of persistent chains less those of mean-field inference."""
        size = counts.sum(1, keepdim=True)
        data = self.machine.expect(picture, counts, size, self.steps)
        if self._fantasies is None:
            rows = torch.randint(len(size), (self.chains,), device=size.device)
            self._fantasies = flip(torch.logit(data.hidden[rows], 1e-6)), size[rows]
        hidden, sizes = (part.to(size.device) for part in self._fantasies)
        model, hidden = self.machine.advance(hidden, sizes, 1)
        self._fantasies = hidden, sizes
        self.descend(self.machine.contrast(data, model))

    def _fill(self, picture: Tensor, counts: Tensor, both: bool) -> None:
        """Take a step of filling in the words from the picture and, for ``both``, the picture from the words."""
        size = counts.sum(1, keepdim=True)
        from_picture = self.machine.expect(picture, None, self.length.expand(len(size), 1), self.steps)
        loss = words = _nats(self.machine.log_words(from_picture), counts)
        if both:
            from_words = self.machine.expect(None, counts, size, self.steps)
            loss = words + (from_words.picture - picture).square().mean() / 2
        self.minimise(self.fill * loss, self._optimizers()[1])
        self.record(loss=words)

    def _optimizers(self) -> tuple[LightningOptimizer, LightningOptimizer]:
        descent, adam = cast(list[LightningOptimizer], self.optimizers())
        return descent, adam

    def descent(self) -> LightningOptimizer:
        """Return what descends statistics."""
        return self._optimizers()[0]

    def configure_optimizers(self) -> Any:
        """Return gradient descent for statistics, weights and biases of each machine, and Adam for what has a loss."""
        groups: list[dict[str, Any]] = []
        for machine in (self.machine.picture, self.machine.words, self.machine.joint):
            groups += [
                {"params": [machine.weight], "weight_decay": self.weight_decay},
                {"params": [machine.visible_bias, machine.hidden_bias]},
            ]
        descent = torch.optim.SGD(groups, 1.0, self.momentum, fused=True)
        return [descent, torch.optim.AdamW(self.parameters(), self.lr, weight_decay=0.01, foreach=True)]

    # How it is measured.

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Say the words of pictures that were not trained on."""
        said = batch[1].sum(1) > 0
        images, counts = batch[0][said], batch[1][said]
        if self.path == "cnn" and len(images):
            scores = self.cnn(images).float()
            self.record(cnn_map=average_precision(scores, counts > 0).mean())
        if len(images):
            log_words = self(images).float()
            self.record(loss=_nats(log_words, counts))
            self._seen.append((log_words, counts))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test pictures."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log what ranks all pictures."""
        self._rank("val")

    def on_test_epoch_end(self) -> None:
        """The same on the test pictures."""
        self._rank("test")

    def _rank(self, stage: str) -> None:
        """Log how words and pictures are ranked; of several processes the mean, each over its own pictures."""
        log_words, counts = (torch.cat(column) for column in zip(*self._seen, strict=True))
        self._seen = []
        asked = torch.unique(counts, dim=0)
        alike = (asked[:, None] == counts[None]).all(2)  # (queries, pictures)
        values = {
            "map": average_precision(log_words, counts > 0).mean(),
            "found": r_precision(asked @ log_words.T, alike).mean(),
            "chance": alike.float().mean(),
        }
        self.log_dict({f"{stage}/{k}": v for k, v in values.items()}, sync_dist=self.trainer.world_size > 1)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return each picture's likeliest words."""
        best = self(batch[0]).topk(min(TOLD, len(self.words)), 1).indices.tolist()
        return {"words": [" ".join(self.words[word] for word in row) for row in best]}

    # What a person sees.

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show pictures that words alone ask for, and words that pictures do."""
        said = batch[1].sum(1) > 0
        images, counts = batch[0][said][:SHOWN], batch[1][said][:SHOWN]
        rows = [
            [" ".join(self.words[i] for i in row.nonzero().flatten().tolist()), told]
            for row, told in zip(counts, self.predict_step((images, counts), 0)["words"], strict=True)
        ]
        shown: dict[str, Media] = {"told": Table(["its words", "words told"], rows)}
        drawn = self._draw(counts, 50)
        shown["filled"] = Image(torch.cat([images, drawn]), columns=len(images))
        return shown

    def generate(self, image: str = "", text: str = "", n: int = 10, gibbs: int = 0, draw: bool = False) -> Media:
        """Answer a picture with words, words with pictures, or both with pictures that both fit.

        Pictures are searched among the training pictures, the first 2,000 of them.

        Args:
            image: A picture's file.
            text: Words, with spaces between them.
            n: How many words or pictures to give, best first.
            gibbs: Gibbs steps that fill in what is missing; 0 for mean-field inference.
            draw: Whether words are answered with pictures drawn by Gibbs sampling, where ``path`` is pixels, instead of
                the nearest.
        """
        if n < 1 or gibbs < 0:
            raise ValueError(f"n must be at least 1 and gibbs at least 0, not {n} and {gibbs}")
        pictures = read_image(image, *self.shape)[None].to(self.device) / 255 if image else None
        counts = count_asked(text, self.words).to(self.device) if text else None
        if pictures is None and counts is None:
            raise ValueError("give --image FILE, --text WORDS, or both")
        if counts is None:
            likely = self.machine.log_words(self.infer(pictures, None, gibbs))[0].exp()
            best = likely.topk(min(n, len(self.words)))
            found = zip(best.values.tolist(), best.indices.tolist(), strict=True)
            return Text("\n".join(f"{self.words[word]} {chance:.1%}" for chance, word in found))
        if draw and pictures is None:
            return Image(self._draw(counts.expand(n, -1), gibbs or 200))
        pool = self._pool()
        order = self.find(pool, pictures, counts)[0].argsort(descending=True)[:n]
        shown = pool[order] if pictures is None else torch.cat([pictures, pool[order]])
        return Image(shown, columns=len(shown))

    def _draw(self, counts: Tensor, steps: int) -> Tensor:
        """Return pictures filled in from words by Gibbs sampling; with the cnn, the nearest training pictures."""
        state = self.infer(None, counts, steps)
        if self.path == "pixels":
            return self.eye.back(state.picture)
        pool = self._pool()
        return pool[torch.cdist(state.picture, self.see(pool)).argmin(1)]

    def _pool(self) -> Tensor:
        if not len(self._gallery):
            raise ValueError("this checkpoint holds no pictures to search")
        return self._gallery.to(self.device) / 255

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the chains, those of the first process, and the pictures."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["gallery"] = self._gallery
        if self._fantasies is not None:
            checkpoint["fantasies"] = self._fantasies

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        super().on_load_checkpoint(checkpoint)
        self._gallery = checkpoint["gallery"]
        self._fantasies = checkpoint.get("fantasies")


def _nats(log_words: Tensor, counts: Tensor) -> Tensor:
    """Return the nats a word of counts (n, words), the mean over rows that say some, given words' log-probabilities."""
    size = counts.sum(1)
    return -((counts * log_words).sum(1) / size.clamp_min(1)).sum() / (size > 0).sum().clamp_min(1)


def looker(info: TaggedInfo) -> nn.Module:
    """Return the network that looks: four CONVs, each halving the picture, and a hidden layer of features."""
    images = ImageInfo(info.channels, info.height, info.width, classes=len(info.words))
    return CNN(channels=(24, 48, 96, 96), pool_every=1, hidden=FEATURES).network(images)
