"""Images and words in one deep Boltzmann machine: section 5.5 of the notes."""

import math
from bisect import bisect_right
from itertools import accumulate
from typing import Any, Literal, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.functional import normalize

from dlplug import Panel
from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Image, ImageFile, Media, Table, Text
from dlplug.model import mean_over_processes
from dlplug.optim import set_lr
from dlplug.trained import read_weights, take
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, count_query_words
from dlplug_multimodal.evaluation.retrieval import average_precision, most_likely, r_precision
from dlplug_multimodal.models.boltzmann import Boltzmann
from dlplug_multimodal.nn.deep_boltzmann import DBMState, DeepBoltzmann
from dlplug_multimodal.nn.rbm import bernoulli
from dlplug_multimodal.nn.standardizer import Standardizer
from dlplug_vision.data.image_files import load_image
from dlplug_vision.models.cnn import CNN

PHASES = ("cnn", "pretrain", "joint_layer", "generative", "joint")  # in this order
SHOWN = 8
FEATURES = 128  # of the cnn
IMAGE_EVERY = 4  # batches of which one also predicts images from words, which costs more than the other way
# Nats that equal images count for, beside words' log-probabilities: on double queries of the validation split 5 had a
# mean reciprocal rank of .702, 2.5 and 10 had .592 and .659.
IMAGE_WEIGHT = 5.0
GALLERY = 2000  # training images that are kept to be found again


class MultimodalDBM(Boltzmann):
    """One model of images and words, either of which may be missing: a multimodal deep Boltzmann machine.

    Gaussian units model the image, a replicated softmax the words; each modality has hidden units of its own, and joint
    units above both connect them. Section 5.5 of the notes; Srivastava and Salakhutdinov, "Multimodal Learning with
    Deep Boltzmann Machines" (2012). One fit has these phases: with ``image_encoder`` cnn, a convolutional network
    learns to predict the words from the image, and its last hidden layer is the image from then on; then both
    modalities are pretrained apart, by contrastive divergence; then the joint layer; then all is trained jointly, by
    mean-field inference and persistent Gibbs chains. That far the training is generative. In the last epochs each batch
    predicts a random part of the words from the rest and the image, and the image from the words, by gradient descent
    through mean-field inference (Goodfellow et al., "Multi-Prediction Deep Boltzmann Machines", 2013).

    Fits tagged images of any size (with ``image_encoder`` cnn from 8×8), of 1 or 3 channels. Logs ``loss``, nats a word
    of the words given the image; for images not trained on ``map``, the mean average precision of all words given the
    image; ``r_precision``, the mean over all different sets of words of the precision among the first R images that
    these words find, where the R relevant ones have exactly these words; ``r_precision_chance``, that of a random
    order; and ``cnn_map``, the mean average precision of the cnn by itself.

    Args:
        image_encoder: What represents the image in the machine: its ``pixels``, or features of a ``cnn``.
        init_from: Run folder or file of weights that the cnn starts from; it then skips its own phase.
        hidden: Hidden units of the image.
        text_hidden: Hidden units of the words.
        joint_hidden: Units above both.
        visible_std: Standard deviation of a pixel given the hidden units, as a share of its own.
        cnn_epochs: Epochs in which the cnn learns.
        pretrain_epochs: Epochs in which both modalities are pretrained apart.
        joint_layer_epochs: Epochs in which the joint layer is pretrained.
        generative_epochs: Epochs in which all is trained by Boltzmann learning alone; those that are left predict too.
        lr_image: Learning rate of the image's machine, divided by its number of visible units.
        lr_text: Learning rate of the words' machine.
        lr_joint: Learning rate of the joint layer.
        joint_lr_scale: Factor of these rates while all is trained jointly; 0 leaves that to multi-prediction.
        multi_prediction_weight: Weight of the multi-prediction loss; 0 for none.
        partial_texts: Share of the texts that multi-prediction knows in part, each word with a probability of one half;
            of the others it predicts all words.
        lr: Highest learning rate of AdamW, which minimises that loss and the cnn's.
        mean_field_steps: Mean-field updates.
        chains: Persistent Gibbs chains.
        momentum: Momentum of gradient descent on statistics.
        weight_decay: Decay of the machines' weights.
    """

    monitor = ("val/map", "max")
    top = 5
    panels = (
        Panel(
            "Learning",
            "Words from images",
            "Nats a word. Healthy: both fall. Broken: val rises while train falls (overfitting).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Average precision",
            "Of words ranked given an image, and R-precision of images ranked given words beside its chance level. "
            "Healthy: far above what the words' frequencies alone give. Broken: flat.",
            curves=("map", "r_precision", "r_precision_chance"),
            expect=("map rises", "r_precision > r_precision_chance"),
        ),
        Panel(
            "Images",
            "Filled in",
            "Above, validation images; below, what the model infers from their words alone (with the cnn, the "
            "nearest training images). Healthy: the colour and shape that such things have. Broken: all alike.",
            media="filled",
        ),
        Panel(
            "Words",
            "Predicted",
            "Validation images' words, and those that the model predicts from the image alone.",
            media="told",
        ),
    )

    def __init__(
        self,
        image_encoder: Literal["pixels", "cnn"] = "pixels",
        init_from: str = "",
        hidden: int = 256,
        text_hidden: int = 256,  # 64 were part of what held the cnn path back at .679 mean average precision
        joint_hidden: int = 256,
        visible_std: float = 1.0,
        cnn_epochs: int = 40,
        pretrain_epochs: int = 8,
        joint_layer_epochs: int = 2,
        generative_epochs: int = 0,
        lr_image: float = 0.8,
        lr_text: float = 0.05,
        lr_joint: float = 0.02,
        # Chains at a tenth of the rates undo what passes from image to words: see the README.
        joint_lr_scale: float = 0.01,
        multi_prediction_weight: float = 1.0,
        partial_texts: float = 0.0,
        lr: float = 3e-3,
        mean_field_steps: int = 5,
        chains: int = 64,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "at least 1", "hidden", "text_hidden", "joint_hidden", "mean_field_steps", "chains")
        require(self.hparams, "at least 0", "cnn_epochs", "pretrain_epochs", "joint_layer_epochs", "generative_epochs")
        require(self.hparams, "at least 0", "joint_lr_scale", "multi_prediction_weight", "weight_decay")
        require(self.hparams, "above 0", "visible_std", "lr_image", "lr_text", "lr_joint", "lr")
        require(self.hparams, "from 0 to below 1", "momentum")
        require(self.hparams, "from 0 to 1", "partial_texts")
        if init_from and image_encoder != "cnn":
            raise ValueError("init_from is for --model.image_encoder cnn")
        self.image_encoder, self.init_from = image_encoder, init_from
        self.hidden, self.text_hidden, self.joint_hidden = hidden, text_hidden, joint_hidden
        self.visible_std = visible_std
        cnn_epochs = cnn_epochs if image_encoder == "cnn" and not init_from else 0
        self.starts = (0, *accumulate((cnn_epochs, pretrain_epochs, joint_layer_epochs, generative_epochs)))
        self.rates, self.joint_lr_scale = (lr_image, lr_text, lr_joint), joint_lr_scale
        self.multi_prediction_weight, self.partial_texts, self.lr = multi_prediction_weight, partial_texts, lr
        self.mean_field_steps, self.chains = mean_field_steps, chains
        self.momentum, self.weight_decay = momentum, weight_decay
        self._gallery = torch.empty(0)
        self._predictions: list[tuple[Tensor, Tensor]] = []  # words' log-probabilities and counts

    def build(self, info: TaggedImageInfo) -> None:
        """Make the machine, and the cnn where there is one."""
        if info.channels not in (1, 3):
            raise ValueError(f"fits images of 1 or 3 channels, not {info}")
        self.shape, self.words = (info.channels, info.height, info.width), info.words
        units: tuple[int, ...] = self.shape
        if self.image_encoder == "cnn":
            self.cnn, units = word_classifier(info), (FEATURES,)
        self.standardizer = Standardizer(units, self.visible_std)
        visible, words = math.prod(units), len(info.words)
        self.machine = DeepBoltzmann(visible, words, self.hidden, self.text_hidden, self.joint_hidden)
        self.length = nn.Buffer(torch.ones(()))  # mean number of words of an image that has some

    # Inference.

    def encode_image(self, images: Tensor) -> Tensor:
        """Return the visible units (n, visible) of images from 0 to 1, of shape (n, channels, height, width)."""
        units: Tensor = self.standardizer(self._features(images) if self.image_encoder == "cnn" else images)
        return units

    def infer(self, images: Tensor | None, counts: Tensor | None, gibbs_steps: int = 0) -> DBMState:
        """Return the machine's units given images, words, or both.

        Args:
            images: From 0 to 1, of shape (n, channels, height, width); None where missing.
            counts: Counts of words (n, words); None where missing.
            gibbs_steps: Gibbs steps that infer what is missing; 0 for mean-field inference.
        """
        visible = None if images is None else self.encode_image(images)
        given = visible if counts is None else counts
        assert given is not None
        lengths = self.length.expand(given.shape[0], 1) if counts is None else counts.sum(1, keepdim=True)
        if gibbs_steps:
            return self.machine.gibbs_mean(visible, counts, lengths, gibbs_steps)
        return self.machine.mean_field(visible, counts, lengths, self.mean_field_steps)

    def forward(self, images: Tensor) -> Tensor:
        """Return each word's log-probability given an image, shape (n, words)."""
        return self.machine.word_log_probs(self.infer(images, None))

    def search(self, gallery: Tensor, images: Tensor | None, counts: Tensor | None) -> Tensor:
        """Return how well each image of a gallery answers queries of images, words, or both.

        An image counts with the cosine of visible units times ``IMAGE_WEIGHT``, words with their log-probability given
        each of the gallery's images; both are added.

        Args:
            gallery: Images from 0 to 1, of shape (gallery, channels, height, width).
            images: Likewise, shape (n, …); None where only words ask.
            counts: Counts of words (n, words); None where only images ask.

        Returns:
            Shape (n, gallery).
        """
        scores = torch.zeros(len(gallery), device=gallery.device)
        if images is not None:
            cosines = normalize(self.encode_image(images)) @ normalize(self.encode_image(gallery)).T
            scores = scores + IMAGE_WEIGHT * cosines
        return scores if counts is None else scores + counts @ self(gallery).T

    def _features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer of the cnn, before its ReLU: Gaussian units are real-valued."""
        for name, layer in self.cnn.named_children():
            if name == "hidden_relu":
                break
            images = layer(images)
        return images

    # Training.

    def initialise(self) -> None:
        """Measure words and pixels; keep a gallery; load the weights that the cnn starts from."""
        images, counts = (list(column) for column in zip(*self.train_batches(), strict=True))
        words = torch.cat(counts)
        frequency, length = mean_over_processes([words.mean(0), words.sum() / (words.sum(1) > 0).sum().clamp_min(1)])
        self.length.copy_(length)
        self.machine.text.visible_bias.data.copy_((frequency + 1 / len(words)).log())
        if self.init_from:
            saved = read_weights(self.init_from).items()  # of a model `cnn`, or of one like this
            weights = {name.removeprefix("net.").removeprefix("cnn."): value for name, value in saved}
            say(take(self.cnn, weights, self.init_from))
        self._fit_standardizer(images)
        kept = cast(Any, self.trainer).datamodule.splits["train"][0][:GALLERY]
        self._gallery = kept if kept.dtype == torch.uint8 else (kept * 255).round().byte()

    @torch.no_grad()
    def _fit_standardizer(self, images: list[Tensor]) -> None:
        if self.image_encoder == "cnn":
            self.cnn.eval()
            images = [self._features(each) for each in images]
            self.cnn.train()
        self.standardizer.fit(images, mean_over_processes)

    @property
    def phase(self) -> str:
        """The phase of this epoch, one of ``PHASES``."""
        return PHASES[bisect_right(self.starts, self.trainer.current_epoch) - 1]

    def on_train_epoch_start(self) -> None:
        """Measure the cnn's features once it has learned, and set the learning rates; each phase has its own decay."""
        epoch = self.trainer.current_epoch
        if 0 < epoch == self.starts[1]:
            self._fit_standardizer([images for images, _ in self.train_batches()])
        start, end = (*self.starts, self.trainer.max_epochs or -1)[PHASES.index(self.phase) :][:2]
        left = 1 - (epoch - start) / max(1, end - start) if self.trainer.max_epochs != -1 else 1.0
        sgd, adam = self._optimizers()
        scale = self.joint_lr_scale if self.phase in ("generative", "joint") else 1.0
        rates = (self.rates[0] / len(self.standardizer.mean), *self.rates[1:])
        set_lr(sgd, [max(0.0, scale * left * rate) for rate in rates for _ in range(2)])  # weights and biases
        set_lr(adam, self.lr * (1 - math.cos(math.pi * min(1.0, max(0.0, left)))) / 2)
        # What a phase leaves alone need not be averaged over processes.
        self.machine.requires_grad_(self.phase != "cnn")
        if self.image_encoder == "cnn":
            self.cnn.requires_grad_(self.phase == "cnn")

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take the steps of the phase on a batch."""
        images, counts = batch
        if self.phase == "cnn":
            self.minimise(_nats(self.cnn(images).log_softmax(1), counts), self._optimizers()[1])
            return
        with torch.no_grad():
            if self.image_encoder == "cnn":
                self.cnn.eval()
            visible = self.encode_image(images)
            if self.phase == "pretrain":
                self._pretrain(visible, counts)
            elif self.phase == "joint_layer":
                self._pretrain_joint_layer(visible, counts)
            elif self.joint_lr_scale:
                self._train_jointly(visible, counts)
        if self.phase == "joint" and self.multi_prediction_weight:
            self._multi_prediction(visible, counts, predict_image=batch_idx % IMAGE_EVERY == 0)

    def _pretrain(self, visible: Tensor, counts: Tensor) -> None:
        """Take a step of contrastive divergence in each modality's machine.

        Its hidden units will have input from above too, so what is below counts twice for now.
        """
        # Exercise: a step of contrastive divergence a modality, its input from below counted twice.
        pairs = ((self.machine.image, visible), (self.machine.text, counts))
        self.apply_gradients(
            [(rbm, rbm.cd_gradient(rows, rbm.gibbs(rows, 1, up_scale=2.0), up_scale=2.0)) for rbm, rows in pairs]
        )

    def _pretrain_joint_layer(self, visible: Tensor, counts: Tensor) -> None:
        """Take a step of contrastive divergence in the joint layer, whose own visible units count twice."""
        logits = [2 * self.machine.image.hidden_logits(visible), 2 * self.machine.text.hidden_logits(counts)]
        rows, rbm = bernoulli(torch.cat(logits, 1)), self.machine.joint
        self.apply_gradients([(rbm, rbm.cd_gradient(rows, rbm.gibbs(rows, 1, down_scale=2.0)))])

    def _train_jointly(self, visible: Tensor, counts: Tensor) -> None:
        """Take a step of all machines: statistics of persistent chains less those of mean-field inference."""
        lengths = counts.sum(1, keepdim=True)
        data = self.machine.mean_field(visible, counts, lengths, self.mean_field_steps)
        if self._fantasies is None:
            rows = torch.randint(len(lengths), (self.chains,), device=lengths.device)
            self._fantasies = bernoulli(torch.logit(data.hidden[rows], 1e-6)), lengths[rows]
        hidden, chain_lengths = (part.to(lengths.device) for part in self._fantasies)
        model, hidden = self.machine.advance(hidden, chain_lengths, 1)
        self._fantasies = hidden, chain_lengths
        self.apply_gradients(self.machine.cd_gradient(data, model))

    def _multi_prediction(self, visible: Tensor, counts: Tensor, predict_image: bool) -> None:
        """Take a step of predicting the words that are hidden and, if asked for, the image from those that are not.

        As in the paper a random part of what is visible is hidden: of some texts each word with a probability of one
        half, of the others all words, as many as an image has on average.
        """
        # Exercise: the nats of the hidden words inferred from the rest and, if asked for, the image's error.
        lengths = counts.sum(1, keepdim=True)
        known, of = None, self.length.expand(len(lengths), 1)
        if self.partial_texts:
            partly = torch.rand_like(lengths) < self.partial_texts
            known = torch.where(partly, counts * bernoulli(torch.zeros_like(counts)), 0)
            of = torch.where(partly, lengths, of)
        state = self.machine.mean_field(visible, known, of, self.mean_field_steps)
        hidden = counts if known is None else counts - known
        loss = word_loss = _nats(self.machine.word_log_probs(state), hidden)
        if predict_image:
            from_words = self.machine.mean_field(None, counts, lengths, self.mean_field_steps)
            loss = word_loss + (from_words.image - visible).square().mean() / 2
        self.minimise(self.multi_prediction_weight * loss, self._optimizers()[1])
        self.record(loss=word_loss)

    def _optimizers(self) -> tuple[LightningOptimizer, LightningOptimizer]:
        sgd, adam = cast(list[LightningOptimizer], self.optimizers())
        return sgd, adam

    def optimizer(self) -> LightningOptimizer:
        """Return gradient descent on statistics."""
        return self._optimizers()[0]

    def configure_optimizers(self) -> Any:
        """Return gradient descent for statistics, weights and biases of each machine, and AdamW for what has a loss."""
        groups: list[dict[str, Any]] = []
        for machine in (self.machine.image, self.machine.text, self.machine.joint):
            groups += [
                {"params": [machine.weight], "weight_decay": self.weight_decay},
                {"params": [machine.visible_bias, machine.hidden_bias]},
            ]
        sgd = torch.optim.SGD(groups, 1.0, self.momentum, fused=True)
        return [sgd, torch.optim.AdamW(self.parameters(), self.lr, weight_decay=0.01, foreach=True)]

    # Evaluation.

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Predict the words of images that have some."""
        images, counts = (column[batch[1].sum(1) > 0] for column in batch)
        if not len(images):
            return
        if self.image_encoder == "cnn":
            self.record(cnn_map=average_precision(self.cnn(images).float(), counts > 0).mean())
        log_probs = self(images).float()
        self.record(loss=_nats(log_probs, counts))
        self._predictions.append((log_probs, counts))

    def on_validation_epoch_end(self) -> None:
        """Log how words and images are ranked; of several processes the mean, each over its own images."""
        log_probs, counts = (torch.cat(column) for column in zip(*self._predictions, strict=True))
        self._predictions = []
        queries = torch.unique(counts, dim=0)
        relevant = (queries[:, None] == counts[None]).all(2)  # (queries, images)
        values = {
            "map": average_precision(log_probs, counts > 0).mean(),
            "r_precision": r_precision(queries @ log_probs.T, relevant).mean(),
            "r_precision_chance": relevant.float().mean(),
        }
        self.log_dict({f"{self.stage}/{k}": v for k, v in values.items()}, sync_dist=self.trainer.world_size > 1)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return each image's most likely words."""
        best = self(batch[0]).topk(min(self.top, len(self.words)), 1).indices.tolist()
        return {"words": [" ".join(self.words[word] for word in row) for row in best]}

    # Media.

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show images inferred from words, and words predicted from images."""
        images, counts = (column[batch[1].sum(1) > 0][:SHOWN] for column in batch)
        rows = [
            [" ".join(self.words[i] for i in row.nonzero().flatten().tolist()), predicted]
            for row, predicted in zip(counts, self.predict_step((images, counts), 0)["words"], strict=True)
        ]
        inferred = Image(torch.cat([images, self._infer_images(counts, 50)]), columns=len(images))
        return {"told": Table(["its words", "words predicted"], rows), "filled": inferred}

    def generate(
        self, image: ImageFile = "", text: str = "", n: int = 10, gibbs_steps: int = 0, sample: bool = False
    ) -> Media:
        """Answer an image with words, words with images, or both with images that fit both.

        The gallery is the training images, the first 2,000 of them.

        Args:
            image: An image file.
            text: Words, with spaces between them.
            n: How many words or images, best first.
            gibbs_steps: Gibbs steps that infer what is missing; 0 for mean-field inference.
            sample: Whether words are answered with images sampled by Gibbs steps, where ``image_encoder`` is pixels,
                instead of the nearest.
        """
        if n < 1 or gibbs_steps < 0:
            raise ValueError(f"n must be at least 1 and gibbs_steps at least 0, not {n} and {gibbs_steps}")
        images = load_image(image, self.shape).to(self.device) if image else None
        counts = count_query_words(text, self.words).to(self.device) if text else None
        if images is None and counts is None:
            raise ValueError("give an image, a text, or both")
        if counts is None:
            log_probs = self.machine.word_log_probs(self.infer(images, None, gibbs_steps))[0]
            return Text("\n".join(most_likely(log_probs.exp(), self.words, n)))
        if sample and images is None:
            return Image(self._infer_images(counts.expand(n, -1), gibbs_steps or 200))
        gallery = self._floats()
        order = self.search(gallery, images, counts)[0].argsort(descending=True)[:n]
        shown = gallery[order] if images is None else torch.cat([images, gallery[order]])
        return Image(shown, columns=len(shown))

    def _infer_images(self, counts: Tensor, steps: int) -> Tensor:
        """Return images inferred from words by Gibbs sampling; with the cnn, the nearest training images."""
        state = self.infer(None, counts, steps)
        if self.image_encoder == "pixels":
            return self.standardizer.inverse(state.image)
        gallery = self._floats()
        return gallery[torch.cdist(state.image, self.encode_image(gallery)).argmin(1)]

    def _floats(self) -> Tensor:
        """Return the gallery from 0 to 1."""
        if not len(self._gallery):
            raise ValueError("this checkpoint holds no images to search")
        return self._gallery.to(self.device) / 255

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the gallery too."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["gallery"] = self._gallery

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        super().on_load_checkpoint(checkpoint)
        self._gallery = checkpoint["gallery"]


def _nats(log_probs: Tensor, counts: Tensor) -> Tensor:
    """Return the nats a word, the mean over rows that have words, given log-probabilities and counts (n, words)."""
    lengths = counts.sum(1)
    return -((counts * log_probs).sum(1) / lengths.clamp_min(1)).sum() / (lengths > 0).sum().clamp_min(1)


def word_classifier(info: TaggedImageInfo) -> nn.Module:
    """Return the cnn: four CONVs, each of which halves the image, and a hidden layer of features."""
    images = ImageInfo(info.channels, info.height, info.width, classes=len(info.words))
    return CNN(channels=(24, 48, 96, 96), pool_every=1, hidden=FEATURES).network(images)
