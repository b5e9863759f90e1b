"""SoundNet: a sound model that is distilled from an image model."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div
from torchmetrics.functional.classification import multiclass_confusion_matrix

from dlplug import Panel
from dlplug.console import say
from dlplug.data import Batch, ImageInfo, Info
from dlplug.errors import InputError
from dlplug.media import Figure, Media, SoundFile, Table, Text
from dlplug.model import Parts, rank
from dlplug.plots import plot_confusion_matrix
from dlplug.trained import file_of, read_checkpoint, start_from
from dlplug_multimodal.data.audio_visual import AudioVisualInfo
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.wav import chunk, read_wav
from dlplug_multimodal.evaluation.linear_probe import linear_probe, log_spectrogram
from dlplug_multimodal.evaluation.retrieval import most_likely
from dlplug_multimodal.models.two_phase import TwoPhase
from dlplug_multimodal.nn.waveform_cnn import WaveformCNN
from dlplug_vision.models.cnn import CNN

# Of a sound, pooled apart for probes, since words differ by the order of their sounds: without them the accuracy on
# words fell from .97 to .93.
SEGMENTS = 4
TOP_CLASSES = 3  # that `generate` names


class SoundNet(TwoPhase):
    """A sound model, the student, learns from an image model, the teacher: what is seen is likely what is heard.

    Aytar, Vondrick and Torralba (2016), section 5.7 of the notes. The teacher is lecture 3's ``cnn``; the student is a
    stack of convolutions over the raw waveform. For a pair of image y and sound x the student minimises
    D_KL(g(y) ‖ f(x; θ)), where g is the frozen teacher and f the student with its weights θ. (The notes write the same
    loss but give g the waveform and f the images. That swaps the letters: θ is what learns.)

    The first epochs train the teacher on the training images and their labels, unless ``init_from`` gives one. No label
    of a sound is used: the student is trained on the teacher's probabilities only. Where images and sounds are paired
    by class, as in ``spoken-digits``, a confident teacher's probabilities are close to labels all the same. A
    temperature softens them, and the measure that counts is the probe of other words, which the student never heard.

    Logs ``loss``, the divergence in nats at the temperature; ``teacher_loss`` and ``teacher_accuracy`` while the
    teacher is trained; and for sounds not trained on, where they have labels, the student's ``accuracy``. A test adds
    linear probes, logistic regression on the student's features from training voices to new voices: ``digits`` and
    ``words``, beside the same of an untrained student (``…_untrained``) and of the log-spectrogram
    (``…_spectrogram``).

    Args:
        channels: Filters of the student's four convolutions.
        temperature: What teacher's and student's logits are divided by.
        teacher_epochs: Epochs in which the teacher is trained, before the student; 0 with ``init_from``.
        lr: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        init_from: Run folder or checkpoint of a ``cnn`` that is the teacher; it must fit the images' size.
    """

    monitor = ("val/loss", "min")
    top = 1
    panels = (
        Panel(
            "Student",
            "Divergence",
            "D_KL in nats of the student's probabilities given the sound from the teacher's given the image. Healthy: "
            "falls, validation (other voices) close. Broken: val rises (it memorises the training voices).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Student",
            "Accuracy",
            "Share of sounds that the student classifies correctly; labels serve to measure only. Healthy: rises "
            "towards the teacher's. Broken: stays at chance.",
            curves=("accuracy",),
            expect=("accuracy rises",),
        ),
        Panel(
            "Teacher",
            "Accuracy",
            "Share of training images that the teacher classifies correctly while it is trained. Healthy: above 0.95 "
            "before the student begins. Broken: lower, for the student can hardly be better.",
            curves=("teacher_accuracy",),
            expect=("teacher_accuracy > 0.95",),
        ),
        Panel(
            "Teacher",
            "Loss",
            "Its cross-entropy in nats. Healthy: falls, then ends where the student begins.",
            curves=("teacher_loss",),
            expect=("teacher_loss falls",),
        ),
        Panel(
            "What it hears",
            "Confusion",
            "Validation sounds by true class (rows) and predicted class (columns). Healthy: a dark diagonal. "
            "Broken: a dark column (all are predicted to be that).",
            media="confusion",
        ),
        Panel(
            "What it hears",
            "By voice",
            "Accuracy on each validation voice, and its most frequent mistake, hardest voice first. Healthy: no voice "
            "far below the others. Broken: an accent or a speaker that it does not understand.",
            media="voices",
        ),
        Panel(
            "What it hears",
            "First filters",
            "The first layer's filters over time and their spectra, sorted by frequency. Healthy: each passes some "
            "frequency, a diagonal on the right. Broken: grey all over on the right, or all at one frequency.",
            media="filters",
        ),
    )

    def __init__(
        self,
        channels: tuple[int, ...] = (24, 32, 48, 64),
        temperature: float = 4.0,  # 2 comes to the same
        teacher_epochs: int = 3,
        lr: float = 2e-3,
        weight_decay: float = 0.01,
        init_from: str = "",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "above 0", "lr", "temperature")
        require(self.hparams, "at least 0", "weight_decay", "teacher_epochs")
        self.channels, self.temperature, self.init_from = channels, temperature, init_from
        self.lr, self.weight_decay = lr, weight_decay
        self.first_epochs = 0 if init_from else teacher_epochs
        self._teacher: dict[str, Any] | None = None  # its options and the info of its images
        self._predictions: list[tuple[Tensor, Tensor, Tensor]] = []  # labels, predicted classes and voices

    def build(self, info: AudioVisualInfo) -> None:
        """Make teacher and student."""
        images = ImageInfo(info.channels, info.height, info.width, info.classes, info.labels)
        if self._teacher is None:
            own = {"options": {}, "info": images.to_dict()}
            self._teacher = _read_teacher(self.init_from) if self.init_from else own
        known = Info.from_dict(self._teacher["info"])
        assert isinstance(known, ImageInfo)
        if (known.channels, known.height, known.width) != (info.channels, info.height, info.width):
            raise ValueError(f"the teacher {self.init_from} fits {known}, but the data has {images}")
        if known.classes < 2:
            raise ValueError("the images have no labels to train a teacher on: give a trained one as init_from")
        self.teacher = CNN(**self._teacher["options"]).network(known)
        self.student = WaveformCNN(self.channels, known.classes)
        self.labels = known.labels or tuple(map(str, range(known.classes)))
        self.voices = info.voices
        self.sample_rate, self.samples = info.sample_rate, info.samples
        self.labelled = info.classes == known.classes

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the teacher is built from."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["teacher"] = self._teacher

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build the same teacher, whose run may be gone."""
        self._teacher = checkpoint["teacher"]
        super().on_load_checkpoint(checkpoint)

    def initialise(self) -> None:
        """Load the teacher's weights, and say which layers they are of."""
        if self.init_from:
            say(start_from(self.teacher, self.init_from))

    def forward(self, waves: Tensor) -> Tensor:
        """Return the student's logits (n, classes) of sounds (n, samples) from -1 to 1."""
        logits: Tensor = self.student(waves)
        return logits

    def export_parts(self, batch: Batch) -> Parts:
        """Return the student."""
        return {"student": (lambda waves: {"logits": self(waves)}, {"waves": batch[1]}, {})}

    def features(self, waves: Tensor) -> Tensor:
        """Return the student's features of sounds (n, samples): mean and maximum over each quarter."""
        return self.student.features(waves, SEGMENTS)

    def on_train_epoch_start(self) -> None:
        """Freeze the teacher's batch statistics once it is trained."""
        self.teacher.train(self.in_first_phase)

    def first_loss(self, batch: Batch) -> Tensor:
        """Return the teacher's cross-entropy on images."""
        images, _, labels, _ = batch
        logits = self.teacher(images)
        loss = cross_entropy(logits, labels)
        self.record(teacher_loss=loss, teacher_accuracy=(logits.detach().argmax(1) == labels).float().mean())
        return loss

    def second_loss(self, batch: Batch) -> Tensor:
        """Return the divergence of the student from the teacher."""
        # Exercise: how far the student's outputs of the sounds are from the teacher's of the images.
        loss = self.divergence(batch[0], self(batch[1]))
        self.record(loss=loss)
        return loss

    def divergence(self, images: Tensor, logits: Tensor) -> Tensor:
        """Return D_KL(teacher ‖ student) in nats, a mean over pairs, at the temperature.

        Args:
            images: Shape (n, channels, height, width).
            logits: The student's of their sounds, shape (n, classes).
        """
        # Exercise: the divergence of softened distributions; the teacher learns nothing from it.
        with torch.no_grad():
            teacher = (self.teacher(images).float() / self.temperature).log_softmax(1)
        student = (logits.float() / self.temperature).log_softmax(1)
        return kl_div(student, teacher, reduction="batchmean", log_target=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the student, once the teacher is trained: an untrained one is easily agreed with."""
        if self.in_first_phase:
            return
        images, waves, labels, voices = batch
        logits = self(waves)
        self.record(loss=self.divergence(images, logits))
        if self.labelled:
            self.record(accuracy=(logits.argmax(1) == labels).float().mean())
            self._predictions.append((labels, logits.argmax(1), voices))

    def on_validation_epoch_start(self) -> None:
        """Drop the predictions of the last validation."""
        self._predictions = []

    def on_test_epoch_end(self) -> None:
        """Probe the student's features and the baselines."""
        probes = getattr(self.trainer, "datamodule").probes("test")  # noqa: B009  (Lightning types it as missing)
        ways = {"": self.features, "_untrained": self.untrained(), "_spectrogram": log_spectrogram}
        for name, pair in probes.items():
            train, test = ((waves.to(self.device), labels) for waves, labels in pair)
            self.log_dict({f"test/{name}{way}": linear_probe(features, train, test) for way, features in ways.items()})

    def untrained(self, seed: int = 0) -> Callable[[Tensor], Tensor]:
        """Return the features of an untrained student, as a baseline."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            student = WaveformCNN(self.channels, len(self.labels)).to(self.device).eval()
        return lambda waves: student.features(waves, SEGMENTS)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the names of each sound's likeliest classes, and their probabilities, shapes (n,)."""
        if len(batch) > 4 and not batch[4][:, 1].all():
            raise InputError("soundnet hears: give WAV files, not images alone")
        return rank(self(batch[1]).float().softmax(1), self.labels, self.top)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the confusion matrix, the accuracy by voice, and the first filters."""
        first = next(module.weight for module in self.student.modules() if isinstance(module, nn.Conv1d)).detach()
        shown: dict[str, Media] = {"filters": Figure(plot_filters(first[:, 0].float().cpu(), self.sample_rate))}
        if self._predictions:
            labels, predicted, voices = (torch.cat(parts).cpu() for parts in zip(*self._predictions, strict=True))
            counts = multiclass_confusion_matrix(predicted, labels, len(self.labels))
            shown["confusion"] = Figure(plot_confusion_matrix(counts, self.labels))
            shown["voices"] = self._by_voice(labels, predicted, voices)
        return shown

    def generate(self, sound: SoundFile = "") -> Text:
        """Classify a sound, chunk by chunk, each as long as the training sounds.

        Args:
            sound: A WAV file.
        """
        if not sound:
            raise InputError("give a WAV file as --sound")
        chunks = chunk(read_wav(sound, self.sample_rate), self.samples)
        probabilities = self(chunks.to(self.device)).float().softmax(1)
        heard = (", ".join(most_likely(row, self.labels, TOP_CLASSES)) for row in probabilities)
        seconds = self.samples / self.sample_rate
        return Text("\n".join(f"{number * seconds:g} s: {classes}" for number, classes in enumerate(heard)))

    def _by_voice(self, labels: Tensor, predicted: Tensor, voices: Tensor) -> Table:
        rows = []
        for voice in torch.unique(voices).tolist():
            own = voices == voice
            wrong = own & (labels != predicted)
            mistakes = zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True)
            pairs = [f"{self.labels[label]} as {self.labels[other]}" for label, other in mistakes]
            most = max(sorted(set(pairs)), key=pairs.count, default="")
            rows.append((round(1 - len(pairs) / int(own.sum()), 3), int(own.sum()), self.voices[voice], most))
        return Table(("accuracy", "sounds", "voice", "most frequent mistake"), sorted(rows))


def plot_filters(weights: Tensor, sample_rate: int) -> Drawing:
    """Draw filters over time and their spectra, sorted by the frequency that each passes best.

    Args:
        weights: Shape (filters, samples).
        sample_rate: Samples a second.
    """
    spectra = torch.fft.rfft(weights).abs()  # (filters, frequencies)
    order = spectra.argmax(1).argsort()
    weights, spectra = weights[order], spectra[order]
    drawing = Drawing(figsize=(7, 3.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    largest, end = float(weights.abs().max()), 1000 * weights.shape[1] / sample_rate
    extent = (0, end, len(weights), 0)
    left.imshow(weights, aspect="auto", cmap="RdBu", vmin=-largest, vmax=largest, extent=extent, interpolation="none")
    left.set(xlabel="milliseconds", ylabel="filter, by frequency")
    shares = spectra / spectra.amax(1, keepdim=True).clamp_min(1e-12)
    right.imshow(
        shares, aspect="auto", cmap="Greys", extent=(0, sample_rate / 2, len(weights), 0), interpolation="none"
    )
    right.set(xlabel="hertz")
    return drawing


def _read_teacher(source: str) -> dict[str, Any]:
    """Return the options of the ``cnn`` in a run folder or checkpoint, and the info of its images."""
    checkpoint = read_checkpoint(file_of(source))
    saved = checkpoint.get("hyper_parameters", {}).items()
    options = {name: value for name, value in saved if name[0] != "_" and name != "init_from"}  # _: Lightning's own
    info = checkpoint.get("info", {})
    try:
        CNN(**options)
    except TypeError as error:
        raise InputError(f"{source} holds no cnn: teachers are runs of the model cnn") from error
    if info.get("type") != "dlplug.data:ImageInfo":
        raise InputError(f"{source} was not trained on images")
    return {"options": options, "info": dict(info)}
