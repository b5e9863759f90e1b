"""Fusion: a model that sees and one that hears, combined at a higher level."""

from typing import Any, Literal

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlplug import Panel
from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.errors import InputError
from dlplug.media import Media, Table, Text
from dlplug.trained import read_weights, take
from dlplug_multimodal.data.audio_visual import SoundedInfo
from dlplug_multimodal.data.wav import cut, read_wav
from dlplug_multimodal.models.two_phase import Phased
from dlplug_multimodal.nn.waveform_cnn import WaveCNN
from dlplug_vision.data.image_files import read_image
from dlplug_vision.models.cnn import CNN

GIVEN = {"both": (True, True), "picture": (True, False), "sound": (False, True)}
RENAMED = {"net.scores.": "picture_scores.", "net.": "picture.", "student.": "sound."}  # cnn's and soundnet's weights
NAMED = 3  # classes that are told


class Fusion(Phased):
    """Tells what is both seen and heard, by models of one modality each that are combined at a higher level.

    Sections 5.1 and 5.2 of the notes; modality dropout as in Neverova et al. (2016). Lecture 3's ``cnn`` reads the
    picture, a stack of convolutions the raw waveform. In the first epochs each learns alone, with a classifier of its
    own; then the features of both go through a joint layer, and all is trained together, while one of the two
    modalities of a pair is left out at random. So either may be missing later: its features are 0.

    Logs ``loss`` in nats and ``accuracy`` with both; ``picture_loss`` and ``sound_loss`` while each learns alone; and
    for pairs not trained on ``picture_accuracy`` and ``sound_accuracy``, where only that one is given.

    Args:
        combine: Where picture and sound meet: ``late``, their features; ``early``, pixels and samples in one row, for a
            fully connected network. ``picture`` and ``sound`` use that one only. All but the first are to compare with.
        channels: Filters of the sound's four convolutions.
        hidden: Units of the joint layer, and of each of two layers with ``early``.
        modality_dropout: Share of the training pairs of which one modality, picture or sound, is left out.
        pretrain_epochs: Epochs in which each model learns alone; 0 for random initialisation. None with ``early``.
        lr: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        init_from: Run folders or files of weights to start from: of a ``cnn`` for what sees, of a ``soundnet`` for what
            hears, or of a ``fusion``; layers that do not match are left as initialised.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Both",
            "Loss",
            "Surprise at the right class with picture and sound, in nats. Healthy: falls, train and val close, though "
            "train, of which parts are missing, is above. Broken: val rises (overfitting).",
            curves=("loss",),
        ),
        Panel(
            "Both",
            "Accuracy with both, and with one alone",
            "Share of pairs told right. Healthy: both above either alone. Broken: one alone at chance, so that the "
            "model leans on the other.",
            curves=("accuracy", "picture_accuracy", "sound_accuracy"),
        ),
        Panel(
            "Each apart",
            "Loss of each alone",
            "Surprise at the right class while each model learns by itself, in nats. Healthy: both fall, each at its "
            "own pace; then they end, and the joint loss begins low.",
            curves=("picture_loss", "sound_loss"),
        ),
        Panel(
            "Each apart",
            "What is told of validation pairs",
            "Class given with both, with the picture and with the sound. Healthy: where these disagree, both together "
            "are mostly right.",
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
        if lr <= 0 or min(weight_decay, pretrain_epochs) < 0 or hidden < 1 or not 0 <= modality_dropout <= 1:
            raise ValueError(
                "lr must be above 0, hidden at least 1, weight_decay and pretrain_epochs at least 0, modality_dropout "
                f"from 0 to 1, not {lr}, {hidden}, {weight_decay}, {pretrain_epochs} and {modality_dropout}"
            )
        self.save_hyperparameters()
        self.combine, self.channels = combine, channels
        self.hidden, self.modality_dropout = hidden, modality_dropout
        self.lr, self.weight_decay = lr, weight_decay
        self.first_epochs = 0 if combine == "early" else pretrain_epochs
        self.init_from = init_from

    def build(self, info: SoundedInfo) -> None:
        """Make both models and what joins them."""
        if info.classes < 2:
            raise ValueError(f"learns to tell classes apart, but the pairs have {info.classes or 'no'} class labels")
        pictures = ImageInfo(info.channels, info.height, info.width, info.classes)
        self.labels = info.labels or tuple(map(str, range(info.classes)))
        self.shape, self.samples, self.rate = (info.channels, info.height, info.width), info.samples, info.rate
        if self.combine == "early":
            values = info.channels * info.height * info.width + info.samples
            self.joint = nn.Sequential(*_dense(values, self.hidden), *_dense(self.hidden, self.hidden))
            self.scores = nn.Linear(self.hidden, info.classes)
            return
        network = CNN().network(pictures)
        self.picture, self.picture_scores = network[:-1], network[-1]  # type: ignore[index]
        self.sound = WaveCNN(self.channels, info.classes)
        self.widths = (self.picture_scores.in_features, self.sound.width)
        self.joint = nn.Sequential(*_dense(sum(self.widths), self.hidden))
        self.scores = nn.Linear(self.hidden, info.classes)

    def initialise(self) -> None:
        """Take the weights that ``init_from`` names, and say which."""
        for source in self.init_from:
            weights = {}
            for name, value in read_weights(source).items():
                for theirs, ours in RENAMED.items():
                    name = ours + name.removeprefix(theirs) if name.startswith(theirs) else name
                weights[name] = value
            say(take(self, weights, source))

    def forward(self, pictures: Tensor, waves: Tensor, seen: Tensor, heard: Tensor) -> Tensor:
        """Return scores (n, classes).

        Args:
            pictures: Shape (n, channels, height, width), from 0 to 1.
            waves: Shape (n, samples), from -1 to 1.
            seen: Whether each picture is given, 1 or 0, shape (n, 1).
            heard: The same of the sounds.
        """
        if self.combine == "early":
            together = torch.cat([pictures.flatten(1) * seen, waves * heard], 1)  # (n, pixels + samples)
        else:
            sees, hears = self._used()  # what is never used costs nothing
            picture = self.picture(pictures) * seen if sees else pictures.new_zeros(len(pictures), self.widths[0])
            sound = self.sound.features(waves) * heard if hears else waves.new_zeros(len(waves), self.widths[1])
            together = torch.cat([picture, sound], 1)
        scores: Tensor = self.scores(self.joint(together))
        return scores

    def first_loss(self, batch: Batch) -> Tensor:
        """Return the sum of both models' own losses."""
        pictures, waves, labels, _ = batch
        sees, hears = self._used()
        losses = {}
        if sees:
            losses["picture_loss"] = cross_entropy(self.picture_scores(self.picture(pictures)), labels)
        if hears:
            losses["sound_loss"] = cross_entropy(self.sound(waves), labels)
        self.record(**losses)
        return torch.stack(list(losses.values())).sum()

    def second_loss(self, batch: Batch) -> Tensor:
        """Return the loss of both together, one left out at random."""
        pictures, waves, labels, _ = batch
        scores = self(pictures, waves, *self._given(len(labels)))
        loss = cross_entropy(scores, labels)
        self.record(loss=loss, accuracy=(scores.detach().argmax(1) == labels).float().mean())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure each alone while it learns alone, and then with both and with one missing."""
        pictures, waves, labels, _ = batch
        if self.trainer.state.fn == TrainerFn.FITTING and self.current_epoch < self.first_epochs:
            self.first_loss(batch)
            return
        scores = {name: self.tell(pictures, waves, name) for name in GIVEN}
        right = {name: (each.argmax(1) == labels).float().mean() for name, each in scores.items()}
        self.record(loss=cross_entropy(scores["both"].float(), labels), accuracy=right["both"])
        self.record(picture_accuracy=right["picture"], sound_accuracy=right["sound"])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the same on the test pairs."""
        self.validation_step(batch, batch_idx)

    def tell(self, pictures: Tensor, waves: Tensor, given: str) -> Tensor:
        """Return scores (n, classes) where ``both``, only the ``picture`` or only the ``sound`` is given."""
        pair = zip(GIVEN[given], self._used(), strict=True)
        seen, heard = (torch.full((len(waves), 1), float(there and used), device=waves.device) for there, used in pair)
        scores: Tensor = self(pictures, waves, seen, heard)
        return scores

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the name of the class given to each pair, and the class's probability of shape (n,)."""
        confidences, classes = self.tell(batch[0], batch[1], "both").float().softmax(1).max(1)
        return {"class": [self.labels[index] for index in classes.tolist()], "confidence": confidences}

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what is told of validation pairs, those first where picture and sound disagree."""
        told = {name: self.tell(batch[0], batch[1], name).argmax(1).tolist() for name in GIVEN}
        rows = [
            tuple(self.labels[index] for index in row) for row in zip(batch[2].tolist(), *told.values(), strict=True)
        ]
        return {"told": Table(("class", *GIVEN), sorted(rows, key=lambda row: row[2] == row[3]))}

    def generate(self, image: str = "", sound: str = "") -> Text:
        """Say what a picture, a sound, or both together are.

        Args:
            image: A picture file; for digits white on black, as they are trained on.
            sound: A WAV file, of which the first piece of the trained length counts.
        """
        if not image and not sound:
            raise InputError("give a picture as --image, a WAV file as --sound, or both")
        pictures = read_image(image, *self.shape)[None].float() / 255 if image else torch.zeros(1, *self.shape)
        waves = cut(read_wav(sound, self.rate), self.samples)[:1] if sound else torch.zeros(1, self.samples)
        given = "both" if image and sound else "picture" if image else "sound"
        shares = self.tell(pictures.to(self.device), waves.to(self.device), given)[0].float().softmax(0)
        best = shares.topk(min(NAMED, len(shares)))
        pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        return Text(", ".join(f"{self.labels[index]} {share:.1%}" for share, index in pairs))

    def _given(self, n: int) -> tuple[Tensor, Tensor]:
        """Return what is given of training pairs, 1 or 0, twice shape (n, 1)."""
        draw = torch.rand(n, 1, device=self.device)
        half = self.modality_dropout / 2 if self._used() == GIVEN["both"] else 0.0
        sees, hears = self._used()
        return (draw >= half).float() * sees, (draw < 1 - half).float() * hears

    def _used(self) -> tuple[bool, bool]:
        """Return whether the model looks at pictures at all, and listens at all."""
        return GIVEN.get(self.combine, GIVEN["both"])


def _dense(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()
