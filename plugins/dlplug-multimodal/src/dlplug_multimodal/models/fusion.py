"""Fusion: an image model and a sound model, combined at a higher level."""

import re
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlplug import Panel
from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.errors import InputError
from dlplug.media import ImageFile, Media, SoundFile, Table, Text
from dlplug.model import Parts, rank
from dlplug.trained import read_weights, take
from dlplug_multimodal.data.audio_visual import AudioVisualInfo
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.wav import chunk, read_wav
from dlplug_multimodal.evaluation.retrieval import most_likely
from dlplug_multimodal.models.two_phase import TwoPhase
from dlplug_multimodal.nn.waveform_cnn import WaveformCNN
from dlplug_vision.data.image_files import load_image
from dlplug_vision.models.cnn import CNN

GIVEN = {"both": (True, True), "picture": (True, False), "sound": (False, True)}
# What the weights of cnn and soundnet are called here.
RENAMED = {"net.scores.": "image_classifier.", "net.": "image.", "student.": "sound."}
PREFIX = re.compile(f"^({'|'.join(map(re.escape, RENAMED))})")
TOP_CLASSES = 3  # that `generate` names


class Fusion(TwoPhase):
    """Classifies pairs of image and sound, by models of one modality each that are combined at a higher level.

    Sections 5.1 and 5.2 of the notes; modality dropout as in Neverova et al. (2016). Lecture 3's ``cnn`` encodes the
    image, a stack of convolutions the raw waveform. In the first epochs each is pretrained with a classifier of its
    own; then the features of both go through a joint layer, and all is trained together, while one of the two
    modalities of a pair is dropped at random. So either may be missing later: its features are 0.

    Logs ``loss`` in nats and ``accuracy`` with both; ``image_loss`` and ``sound_loss`` while each is pretrained; and
    for pairs not trained on ``image_accuracy`` and ``sound_accuracy``, where only that one is given.

    Args:
        combine: Where image and sound meet: ``late``, their features; ``early``, pixels and samples in one row, for a
            fully connected network. ``picture`` and ``sound`` use that one only. All but the first are baselines.
        channels: Filters of the sound's four convolutions.
        hidden: Units of the joint layer, and of each of two layers with ``early``.
        modality_dropout: Share of the training pairs of which one modality, image or sound, is dropped.
        pretrain_epochs: Epochs in which each model is pretrained; 0 for random initialisation. None with ``early``.
        lr: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        init_from: Run folders or files of weights to start from: of a ``cnn`` for the image, of a ``soundnet`` for the
            sound, or of a ``fusion``; layers that do not match are left as initialised.
    """

    monitor = ("val/loss", "min")
    top = 1
    panels = (
        Panel(
            "Both",
            "Loss",
            "Cross-entropy with image and sound, in nats. Healthy: falls, train and val close, though train, of which "
            "parts are dropped, is above. Broken: val rises (overfitting).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Both",
            "Accuracy with both, and with one alone",
            "Share of pairs classified correctly. Healthy: both above either alone. Broken: one alone at chance: the "
            "model relies on the other.",
            curves=("accuracy", "image_accuracy", "sound_accuracy"),
            expect=("accuracy > image_accuracy", "accuracy > sound_accuracy"),
        ),
        Panel(
            "Each apart",
            "Loss of each alone",
            "Cross-entropy while each model is pretrained, in nats. Healthy: both fall, each at its own pace, and "
            "end where the joint loss begins.",
            curves=("image_loss", "sound_loss"),
            expect=("image_loss falls", "sound_loss falls"),
        ),
        Panel(
            "Each apart",
            "Predictions",
            "Class predicted with both, with the image and with the sound of validation pairs. Healthy: where these "
            "disagree, both together are mostly right.",
            media="told",
        ),
    )

    def __init__(
        self,
        combine: Literal["late", "early", "picture", "sound"] = "late",
        channels: tuple[int, ...] = (24, 32, 48, 64),
        hidden: int = 64,
        modality_dropout: float = 0.5,
        pretrain_epochs: int = 4,
        lr: float = 4e-3,
        weight_decay: float = 0.01,
        init_from: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "above 0", "lr")
        require(self.hparams, "at least 1", "hidden")
        require(self.hparams, "at least 0", "weight_decay", "pretrain_epochs")
        require(self.hparams, "from 0 to 1", "modality_dropout")
        self.combine, self.channels = combine, channels
        self.used = GIVEN.get(combine, GIVEN["both"])  # image, sound
        self.hidden, self.modality_dropout = hidden, modality_dropout
        self.lr, self.weight_decay = lr, weight_decay
        self.first_epochs = 0 if combine == "early" else pretrain_epochs
        self.init_from = init_from

    def build(self, info: AudioVisualInfo) -> None:
        """Make both models and what joins them."""
        if info.classes < 2:
            raise ValueError(f"needs at least 2 classes, but these pairs have {info.classes or 'no'} class labels")
        images = ImageInfo(info.channels, info.height, info.width, info.classes)
        self.labels = info.labels or tuple(map(str, range(info.classes)))
        self.shape = info.channels, info.height, info.width
        self.samples, self.sample_rate = info.samples, info.sample_rate
        if self.combine == "early":
            values = info.channels * info.height * info.width + info.samples
            self.joint = nn.Sequential(*_dense(values, self.hidden), *_dense(self.hidden, self.hidden))
        else:
            network = CNN().network(images)
            self.image, self.image_classifier = network[:-1], network[-1]  # type: ignore[index]
            self.sound = WaveformCNN(self.channels, info.classes)
            self.widths = (self.image_classifier.in_features, self.sound.width)
            self.joint = nn.Sequential(*_dense(sum(self.widths), self.hidden))
        self.classifier = nn.Linear(self.hidden, info.classes)

    def initialise(self) -> None:
        """Load the weights that ``init_from`` names, and say which layers they are of."""
        for source in self.init_from:
            saved = read_weights(source).items()
            weights = {PREFIX.sub(lambda found: RENAMED[found[0]], name): value for name, value in saved}
            say(take(self, weights, source))

    def forward(self, images: Tensor, waves: Tensor, image_given: Tensor, sound_given: Tensor) -> Tensor:
        """Return logits (n, classes).

        Args:
            images: Shape (n, channels, height, width), from 0 to 1.
            waves: Shape (n, samples), from -1 to 1.
            image_given: Whether each image is given, 1 or 0, shape (n, 1).
            sound_given: The same of the sounds.
        """
        # Exercise: what is not given counts 0; early joins what came in, late the features.
        if self.combine == "early":
            together = torch.cat([images.flatten(1) * image_given, waves * sound_given], 1)  # (n, pixels + samples)
        else:
            image_used, sound_used = self.used  # what is never used costs nothing
            n = images.shape[0]  # an export fixes what len returns
            image = self.image(images) * image_given if image_used else images.new_zeros(n, self.widths[0])
            sound = waves.new_zeros(n, self.widths[1])
            sound = self.sound.features(waves) * sound_given if sound_used else sound
            together = torch.cat([image, sound], 1)
        logits: Tensor = self.classifier(self.joint(together))
        return logits

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network, which is told which of image and sound are given."""
        given = torch.ones(len(batch[0]), 1)
        inputs = {"images": batch[0], "waves": batch[1], "image_given": given, "sound_given": given}
        return {"network": (lambda *inputs: {"logits": self(*inputs)}, inputs, {})}

    def first_loss(self, batch: Batch) -> Tensor:
        """Return the sum of both models' own losses."""
        images, waves, labels, _ = batch
        image_used, sound_used = self.used
        losses = {}
        if image_used:
            losses["image_loss"] = cross_entropy(self.image_classifier(self.image(images)), labels)
        if sound_used:
            losses["sound_loss"] = cross_entropy(self.sound(waves), labels)
        self.record(**losses)
        return torch.stack(list(losses.values())).sum()

    def second_loss(self, batch: Batch) -> Tensor:
        """Return the loss of both together, one dropped at random."""
        # Exercise: drop one of both at random; the cross-entropy and the accuracy.
        images, waves, labels, _ = batch
        logits = self(images, waves, *self._modality_dropout(len(labels)))
        loss = cross_entropy(logits, labels)
        self.record(loss=loss, accuracy=(logits.detach().argmax(1) == labels).float().mean())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure each model by itself in the first phase, and then with both modalities and with one missing."""
        images, waves, labels, _ = batch
        if self.in_first_phase:
            self.first_loss(batch)
            return
        logits = {given: self.classify(images, waves, given) for given in GIVEN}
        accuracy = {given: (each.argmax(1) == labels).float().mean() for given, each in logits.items()}
        self.record(loss=cross_entropy(logits["both"].float(), labels), accuracy=accuracy["both"])
        self.record(image_accuracy=accuracy["picture"], sound_accuracy=accuracy["sound"])

    def classify(self, images: Tensor, waves: Tensor, given: str) -> Tensor:
        """Return logits (n, classes) where ``both``, only the ``picture`` or only the ``sound`` is given."""
        used = (float(there and use) for there, use in zip(GIVEN[given], self.used, strict=True))
        logits: Tensor = self(images, waves, *(torch.full((len(waves), 1), use, device=waves.device) for use in used))
        return logits

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the names of each pair's likeliest classes, and their probabilities, shapes (n,)."""
        given = batch[4] if len(batch) > 4 else torch.ones(len(batch[0]), 2, device=self.device)
        used = given * torch.tensor(self.used, device=self.device)
        return rank(self(batch[0], batch[1], used[:, :1], used[:, 1:]).float().softmax(1), self.labels, self.top)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the predictions of validation pairs, those first where image and sound disagree."""
        predicted = [self.classify(batch[0], batch[1], given).argmax(1).tolist() for given in GIVEN]
        rows = [tuple(self.labels[index] for index in row) for row in zip(batch[2].tolist(), *predicted, strict=True)]
        return {"told": Table(("class", *GIVEN), sorted(rows, key=lambda row: row[2] == row[3]))}

    def generate(self, image: ImageFile = "", sound: SoundFile = "") -> Text:
        """Classify an image, a sound, or both together.

        Args:
            image: An image file; for digits white on black, as they are trained on.
            sound: A WAV file, of which the first chunk of the trained length counts.
        """
        if not image and not sound:
            raise InputError("give an image as --image, a WAV file as --sound, or both")
        images = load_image(image, self.shape) if image else torch.zeros(1, *self.shape)
        waves = chunk(read_wav(sound, self.sample_rate), self.samples)[:1] if sound else torch.zeros(1, self.samples)
        given = "both" if image and sound else "picture" if image else "sound"
        probabilities = self.classify(images.to(self.device), waves.to(self.device), given)[0].float().softmax(0)
        return Text(", ".join(most_likely(probabilities, self.labels, TOP_CLASSES)))

    def _modality_dropout(self, n: int) -> tuple[Tensor, Tensor]:
        """Return whether image and sound of n training pairs are given, 1 or 0, each of shape (n, 1)."""
        uniform = torch.rand(n, 1, device=self.device)
        image_used, sound_used = self.used
        half = self.modality_dropout / 2 if image_used and sound_used else 0.0
        return (uniform >= half).float() * image_used, (uniform < 1 - half).float() * sound_used


def _dense(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()
