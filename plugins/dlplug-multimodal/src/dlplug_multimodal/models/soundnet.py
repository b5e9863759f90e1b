"""SoundNet: a network that learns to hear from one that sees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from dlplug import Panel
from dlplug.console import say
from dlplug.data import Batch, ImageInfo, Info
from dlplug.errors import InputError
from dlplug.media import Figure, Media, Table, Text
from dlplug.plots import plot_confusion_matrix
from dlplug.runs import Run
from dlplug.trained import read_checkpoint, start_from
from dlplug_multimodal.data.audio_visual import SoundedInfo
from dlplug_multimodal.data.wav import cut, read_wav
from dlplug_multimodal.evaluation.linear_probe import log_spectrogram, probe
from dlplug_multimodal.models.two_phase import Phased
from dlplug_multimodal.nn.waveform_cnn import WaveCNN
from dlplug_vision.models.cnn import CNN

PARTS = 4  # of a sound that a probe tells apart, since words differ by the order of their sounds
NAMED = 3  # classes that are told of a sound


class SoundNet(Phased):
    """A student that hears learns from a teacher that sees: what is in the picture is likely what makes the sound.

    Aytar, Vondrick and Torralba (2016), section 5.7 of the notes. The teacher is lecture 3's ``cnn``; the student is a
    stack of convolutions over the raw waveform. For a pair of picture y and sound x the student minimises
    D_KL(g(y) ‖ f(x; θ)), where g is the teacher, which stays as it is, and f the student with its weights θ. (The notes
    write the same loss but give g the waveform and f the pictures. That swaps the letters: θ is what learns to hear.)

    The first epochs train the teacher on the training pictures and their labels, unless ``init_from`` gives one. No
    label of a sound is used: the student sees the teacher's probabilities only. Where pictures and sounds are paired by
    class, as in ``spoken-digits``, a confident teacher's probabilities are close to labels all the same. A temperature
    softens them, and the measure that counts is the other one, words that are no digits and that the student has never
    heard.

    Logs ``loss``, the divergence in nats at the temperature; ``teacher_loss`` and ``teacher_accuracy`` while the
    teacher learns; and for sounds not trained on, where they have labels, ``accuracy``, how often the student's first
    choice is right. A test adds linear probes, logistic regression on the student's features from training voices to
    voices never heard: ``digits`` and ``words``, beside the same of an untrained student (``…_untrained``) and of the
    log-spectrogram (``…_spectrogram``).

    Args:
        channels: Filters of the student's four convolutions.
        temperature: What teacher's and student's scores are divided by before they are compared.
        teacher_epochs: Epochs in which the teacher learns, before the student does; 0 with ``init_from``.
        lr: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        init_from: Run folder or checkpoint of a ``cnn`` that is the teacher; it must fit the pictures' size.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel(
            "Student",
            "Divergence",
            "Nats from the teacher's view of the picture to the student's of the sound. Healthy: falls, validation "
            "(other voices) close. Broken: val rises (it learns the training voices by heart).",
            curves=("loss",),
        ),
        Panel(
            "Student",
            "Accuracy",
            "Share of sounds whose class is the student's first choice; labels serve to measure only. Healthy: rises "
            "towards the teacher's. Broken: stays at chance.",
            curves=("accuracy",),
        ),
        Panel(
            "Teacher",
            "Accuracy",
            "Share of training pictures that the teacher tells right while it learns. Healthy: above 0.95 before the "
            "student begins. Broken: lower, for the student can hardly be better.",
            curves=("teacher_accuracy",),
        ),
        Panel(
            "Teacher",
            "Loss",
            "Its cross-entropy in nats. Healthy: falls, then ends where the student begins.",
            curves=("teacher_loss",),
        ),
        Panel(
            "What it hears",
            "Confusion",
            "Validation sounds by true class (rows) and the student's choice (columns). Healthy: a dark diagonal. "
            "Broken: a dark column (all are called that).",
            media="confusion",
        ),
        Panel(
            "What it hears",
            "By voice",
            "Share of each validation voice's sounds told right, and what is mistaken most often, hardest voice first. "
            "Healthy: no voice far below the others. Broken: an accent or a speaker that it does not understand.",
            media="voices",
        ),
        Panel(
            "What it hears",
            "First filters",
            "The first layer's filters over time and their spectra, sorted by pitch. Healthy: each lets some pitch "
            "through, a diagonal on the right. Broken: grey all over on the right, or all at one pitch.",
            media="filters",
        ),
    )

    def __init__(
        self,
        channels: tuple[int, ...] = (24, 32, 48, 64),
        temperature: float = 4.0,
        teacher_epochs: int = 3,
        lr: float = 2e-3,
        weight_decay: float = 0.01,
        init_from: str = "",
    ) -> None:
        super().__init__()
        if lr <= 0 or temperature <= 0 or weight_decay < 0 or teacher_epochs < 0:
            raise ValueError(
                "lr and temperature must be above 0, weight_decay and teacher_epochs at least 0, not "
                f"{lr}, {temperature}, {weight_decay} and {teacher_epochs}"
            )
        self.save_hyperparameters()
        self.channels, self.temperature, self.init_from = channels, temperature, init_from
        self.lr, self.weight_decay = lr, weight_decay
        self.first_epochs = 0 if init_from else teacher_epochs
        self._plan: dict[str, Any] | None = None  # the teacher's options and what its pictures are like
        self._heard: list[tuple[Tensor, Tensor, Tensor]] = []  # classes, choices and voices

    def build(self, info: SoundedInfo) -> None:
        """Make teacher and student."""
        pictures = ImageInfo(info.channels, info.height, info.width, info.classes, info.labels)
        if self._plan is None:
            self._plan = _read_plan(self.init_from) if self.init_from else {"options": {}, "info": pictures.to_dict()}
        seen = Info.from_dict(self._plan["info"])
        assert isinstance(seen, ImageInfo)
        if (seen.channels, seen.height, seen.width) != (info.channels, info.height, info.width):
            raise ValueError(f"the teacher {self.init_from} sees {seen}, but the data's are {pictures}")
        if seen.classes < 2:
            raise ValueError("the pictures have no labels for a teacher to learn from: give a trained one as init_from")
        self.teacher = CNN(**self._plan["options"]).network(seen)
        self.student = WaveCNN(self.channels, seen.classes)
        self.labels = seen.labels or tuple(map(str, range(seen.classes)))
        self.voices = info.voices
        self.rate, self.samples = info.rate, info.samples
        self.labelled = info.classes == seen.classes

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the teacher is like besides."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["teacher"] = self._plan

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build the same teacher, whose run may be gone."""
        self._plan = checkpoint["teacher"]
        super().on_load_checkpoint(checkpoint)

    def initialise(self) -> None:
        """Take the teacher's weights, and say which."""
        if self.init_from:
            say(start_from(self.teacher, self.init_from))

    def forward(self, waves: Tensor) -> Tensor:
        """Return the student's scores (n, classes) of sounds (n, samples) from -1 to 1."""
        scores: Tensor = self.student(waves)
        return scores

    def features(self, waves: Tensor) -> Tensor:
        """Return what the student makes of sounds (n, samples), before its scores: mean and maximum of each quarter."""
        return self.student.features(waves, PARTS)

    def on_train_epoch_start(self) -> None:
        """Let the teacher's batch statistics rest once it has learned."""
        self.teacher.train(self.in_first_phase)

    def first_loss(self, batch: Batch) -> Tensor:
        """Return the teacher's cross-entropy on pictures."""
        pictures, _, labels, _ = batch
        scores = self.teacher(pictures)
        loss = cross_entropy(scores, labels)
        self.record(teacher_loss=loss, teacher_accuracy=(scores.detach().argmax(1) == labels).float().mean())
        return loss

    def second_loss(self, batch: Batch) -> Tensor:
        """Return the divergence from the teacher, who sees, to the student, who hears."""
        loss = self.divergence(batch[0], self(batch[1]))
        self.record(loss=loss)
        return loss

    def divergence(self, pictures: Tensor, scores: Tensor) -> Tensor:
        """Return D_KL(teacher ‖ student) in nats, a mean over pairs, at the temperature.

        Args:
            pictures: Shape (n, channels, height, width).
            scores: The student's of their sounds, shape (n, classes).
        """
        with torch.no_grad():
            seen = (self.teacher(pictures).float() / self.temperature).log_softmax(1)
        heard = (scores.float() / self.temperature).log_softmax(1)
        return kl_div(heard, seen, reduction="batchmean", log_target=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the student, once the teacher is done."""
        pictures, waves, labels, voices = batch
        scores = self(waves)
        if self.trainer.state.fn == TrainerFn.FITTING and self.current_epoch < self.first_epochs:
            return  # an untrained teacher is easily agreed with
        self.record(loss=self.divergence(pictures, scores))
        if self.labelled:
            self.record(accuracy=(scores.argmax(1) == labels).float().mean())
            self._heard.append((labels, scores.argmax(1), voices))

    def on_validation_epoch_start(self) -> None:
        """Forget what was heard before."""
        self._heard = []

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the same on voices never heard."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Probe the student's features, and what they have to be better than."""
        probes = getattr(self.trainer, "datamodule").probes("test")  # noqa: B009  (Lightning types it as missing)
        ways = {"": self.features, "_untrained": self.untrained(), "_spectrogram": log_spectrogram}
        for name, pair in probes.items():
            seen, heard = ((waves.to(self.device), labels) for waves, labels in pair)
            self.log_dict({f"test/{name}{way}": probe(represent, seen, heard) for way, represent in ways.items()})

    def untrained(self, seed: int = 0) -> Callable[[Tensor], Tensor]:
        """Return the features of a student that has learned nothing."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            student = WaveCNN(self.channels, len(self.labels)).to(self.device).eval()
        return lambda waves: student.features(waves, PARTS)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the name of the class that the student hears in each sound, and its probability of shape (n,)."""
        confidences, classes = self(batch[1]).float().softmax(1).max(1)
        return {"class": [self.labels[index] for index in classes.tolist()], "confidence": confidences}

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show what the student mixes up, whom it understands, and its first filters."""
        first = next(module.weight for module in self.student.modules() if isinstance(module, nn.Conv1d))
        shown: dict[str, Media] = {"filters": Figure(plot_filters(first[:, 0].detach().float().cpu(), self.rate))}
        if self._heard:
            labels, choices, voices = (torch.cat(parts).cpu() for parts in zip(*self._heard, strict=True))
            counts = torch.zeros(len(self.labels), len(self.labels), dtype=torch.long)
            counts.index_put_((labels, choices), torch.ones_like(labels), accumulate=True)
            shown["confusion"] = Figure(plot_confusion_matrix(counts, self.labels))
            shown["voices"] = self._by_voice(labels, choices, voices)
        return shown

    def generate(self, sound: str = "") -> Text:
        """Say what is heard in a sound, piece by piece, each as long as those that it learned from.

        Args:
            sound: A WAV file.
        """
        if not sound:
            raise InputError("give a WAV file to listen to as --sound")
        pieces = cut(read_wav(sound, self.rate), self.samples)
        shares = self(pieces.to(self.device)).float().softmax(1)
        lines = []
        for number, row in enumerate(shares):
            best = row.topk(min(NAMED, len(row)))
            told = zip(best.values.tolist(), best.indices.tolist(), strict=True)
            heard = ", ".join(f"{self.labels[index]} {share:.1%}" for share, index in told)
            lines.append(f"{number * self.samples / self.rate:g} s: {heard}")
        return Text("\n".join(lines))

    def _by_voice(self, labels: Tensor, choices: Tensor, voices: Tensor) -> Table:
        rows = []
        for voice in torch.unique(voices).tolist():
            own = voices == voice
            wrong = own & (labels != choices)
            mistakes = zip(labels[wrong].tolist(), choices[wrong].tolist(), strict=True)
            pairs = [f"{self.labels[label]} as {self.labels[choice]}" for label, choice in mistakes]
            most = max(sorted(set(pairs)), key=pairs.count, default="")
            rows.append((round(1 - len(pairs) / int(own.sum()), 3), int(own.sum()), self.voices[voice], most))
        return Table(("accuracy", "sounds", "voice", "most often mistaken"), sorted(rows))


def plot_filters(weights: Tensor, rate: int) -> Drawing:
    """Draw filters over time and their spectra, sorted by the frequency that each lets through best.

    Args:
        weights: Shape (filters, samples).
        rate: Samples a second.
    """
    spectra = torch.fft.rfft(weights).abs()  # (filters, frequencies)
    order = spectra.argmax(1).argsort()
    weights, spectra = weights[order], spectra[order]
    drawing = Drawing(figsize=(7, 3.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    reach, end = float(weights.abs().max()), 1000 * weights.shape[1] / rate
    extent = (0, end, len(weights), 0)
    left.imshow(weights, aspect="auto", cmap="RdBu", vmin=-reach, vmax=reach, extent=extent, interpolation="none")
    left.set(xlabel="milliseconds", ylabel="filter, by pitch")
    shares = spectra / spectra.amax(1, keepdim=True).clamp_min(1e-12)
    right.imshow(shares, aspect="auto", cmap="Greys", extent=(0, rate / 2, len(weights), 0), interpolation="none")
    right.set(xlabel="hertz")
    return drawing


def _read_plan(source: str) -> dict[str, Any]:
    """Return the options of the ``cnn`` in a run folder or checkpoint, and what its pictures are like."""
    path = Path(source).expanduser()
    found = read_checkpoint(Run.open(str(path)).trained if path.is_dir() else path)
    given = found.get("hyper_parameters", {}).items()
    options = {name: value for name, value in given if name[0] != "_" and name != "init_from"}  # _: Lightning's notes
    info = found.get("info", {})
    try:
        CNN(**options)
    except TypeError as error:
        raise InputError(f"{source} holds no cnn: teachers are runs of the model cnn") from error
    if info.get("type") != "ImageInfo":
        raise InputError(f"{source} was trained on no pictures")
    return {"options": options, "info": dict(info)}
