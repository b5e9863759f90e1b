"""An autoregressive model of sound, frame by frame."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dlplug import Panel
from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.media import Audio, Image, Media
from dlplug.model import Parts, rank
from dlplug.optim import WarmupCosine
from dlplug_multimodal.data.audio_visual import AudioVisualInfo
from dlplug_multimodal.data.ranges import require
from dlplug_multimodal.data.tagged_images import to_float
from dlplug_multimodal.evaluation.linear_probe import understood
from dlplug_multimodal.nn.spectrogram import BANDS, HOP_LENGTH, griffin_lim, log_mel

DITHER = 0.1  # standard deviation of the noise in log magnitudes, 0.9 dB: less is not heard
LOG_STD = (-4.0, 1.0)  # bounds, of standardised log magnitudes: well below the dither, and more than all there is
PEAK = 0.5  # of a generated sound, as in spoken-digits
EACH = 20  # sounds of each class that a test has recognised
SHOWN = (-7.0, 3.0)  # log magnitudes that are black and white

Mixture = tuple[Tensor, Tensor, Tensor]  # logits (…, k), means and log standard deviations (…, k, BANDS)


class FrameRNN(WarmupCosine):
    """Speaks: an RNN that predicts the next frame of a spectrogram from those before it, as a density.

    Section 4.2 of the notes: if x is continuous, the network outputs the parameters of a simple distribution. Here x is
    the log magnitude of 40 frequency bands in 32 ms of sound, one such frame every 12.5 ms, and the distribution a
    mixture of normal densities (Graves, 2013), each with a mean and a variance for every band. It is conditioned on the
    class, the spoken word. A sound is sampled frame by frame, and Griffin and Lim's algorithm (1984) finds phases that
    go with its magnitudes.

    The silence around a word is always the same, and would have an infinite density; so all frames, those of validation
    too, get a little noise, less than can be heard. By Bayes' rule the model also says which class a sound is of.

    Logs ``nll``, nats a frame, and ``nll_bands``, those of one normal density a band, fitted to the training sounds. A
    test adds ``accuracy``, by Bayes' rule, and ``understood``: the share of its generated sounds that a recogniser
    understands which has learned the test's voices alone, none of which the model has heard; and ``real_understood``,
    the same of the training voices' own clips.

    Args:
        hidden_size: Units of each GRU layer.
        num_layers: GRU layers.
        components: Normal densities of the mixture; 1 is the notes' single mean and variance.
        dropout: Share of a frame's bands that the network does not see, so that it learns not to rely on any.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    monitor = ("val/nll", "min")
    top = 1
    panels = (
        Panel(
            "Density",
            "Nats a frame",
            "Negative log-likelihood of a frame given those before it. Healthy: falls, and ends far below one normal "
            "density a band; val (other voices) follows. Broken: val rises (it memorises the training voices).",
            curves=("nll",),
            expect=("nll falls",),
        ),
        Panel(
            "Density",
            "One normal density a band",
            "The same nats where each band has one normal density, whatever came before. Healthy: hardly changes.",
            curves=("nll_bands",),
        ),
        Panel(
            "Speech",
            "What it says",
            "A sound of each class, one after the other. Healthy: words, in voices that differ. Broken: hiss, a hum, "
            "or the same sound ten times (the class is not heeded).",
            media="speech",
        ),
        Panel(
            "Speech",
            "Spectrograms",
            "Above sounds of the validation, below generated ones of the same classes; time to the right, pitch "
            "upwards. Healthy: dark, with bright bands that move. Broken: noise, stripes, or nothing.",
            media="spectrograms",
        ),
    )

    def __init__(
        self,
        hidden_size: int = 256,
        num_layers: int = 1,
        components: int = 4,
        dropout: float = 0.3,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hidden_size, self.num_layers, self.components = hidden_size, num_layers, components
        self.dropout, self.lr = dropout, lr
        require(vars(self), "at least 1", "hidden_size", "num_layers", "components")
        require(vars(self), "from 0 to below 1", "dropout")
        require(vars(self), "above 0", "lr")

    def build(self, info: AudioVisualInfo) -> None:
        """Make the layers."""
        self.samples, self.sample_rate = info.samples, info.sample_rate
        self.labels = info.labels or tuple(map(str, range(info.classes or 1)))
        self.frames = info.samples // HOP_LENGTH + 1
        self.embedding = nn.Embedding(len(self.labels), self.hidden_size)
        self.time_embedding = nn.Embedding(self.frames, self.hidden_size)
        self.drop = nn.Dropout(self.dropout)
        self.inputs = nn.Linear(BANDS, self.hidden_size)
        self.rnn = nn.GRU(self.hidden_size, self.hidden_size, self.num_layers, batch_first=True)
        self.head = nn.Linear(self.hidden_size, self.components * (1 + 2 * BANDS))
        self.register_buffer("mean", torch.zeros(BANDS))
        self.register_buffer("std", torch.ones(BANDS))
        self.mean: Tensor
        self.std: Tensor

    def initialise(self) -> None:
        """Set each band's mean and standard deviation to those of the training sounds."""
        loader = self.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        batches = (log_mel(to_float(waves.to(self.device))).flatten(0, 1) for _, waves, *_ in loader)
        moments = torch.stack([torch.stack([frames.mean(0), frames.square().mean(0)]) for frames in batches]).mean(0)
        mean, square = self.trainer.strategy.reduce(moments)
        self.mean.copy_(mean)
        self.std.copy_((square - mean.square() + DITHER**2).sqrt())

    def forward(self, frames: Tensor, labels: Tensor) -> Mixture:
        """Return the density of the frame after each, a mixture of normal densities with a mean and std for each band.

        Args:
            frames: Standardised log magnitudes, shape (n, frames, BANDS).
            labels: Shape (n,).
        """
        return self._density(frames, labels, 0, None)[0]

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network: the density of each next frame."""
        names = ("logits", "means", "log_stds")
        inputs = {"frames": self.standardise(batch[1]), "labels": batch[2].clamp(min=0)}
        return {"network": (lambda *given: dict(zip(names, self(*given), strict=True)), inputs, {})}

    def standardise(self, waves: Tensor) -> Tensor:
        """Return the standardised log magnitudes (n, frames, BANDS), with a little noise, of sounds (n, samples)."""
        frames = log_mel(waves)
        return (frames + DITHER * torch.randn_like(frames) - self.mean) / self.std

    def nll(self, frames: Tensor, labels: Tensor) -> Tensor:
        """Return nats a frame, shape (n,), of standardised log magnitudes (n, frames, BANDS) and labels (n,)."""
        # Exercise: the density of each frame given those before it, the first after a frame of zeros.
        logits, means, log_stds = self(pad(frames[:, :-1], (0, 0, 1, 0)), labels)
        each = normal_log_density(frames.unsqueeze(2), means, log_stds).sum(3)  # (n, frames, components)
        density: Tensor = (logits.log_softmax(2) + each).logsumexp(2).mean(1)
        return self._unit() - density

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        loss = self.nll(self.standardise(batch[1]), batch[2].clamp(min=0)).mean()
        self.record(nll=loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure nats a frame, and those of one normal density a band; in a test the accuracy too."""
        _, waves, labels, _ = batch
        frames = self.standardise(waves)
        alone = self._unit() - normal_log_density(frames, *frames.new_zeros(2)).sum(2).mean()
        self.record(nll=self.nll(frames, labels.clamp(min=0)).mean(), nll_bands=alone)
        if self.stage == "test" and len(self.labels) > 1:
            self.record(accuracy=(self.classify(frames).argmax(1) == labels).float().mean())

    def classify(self, frames: Tensor) -> Tensor:
        """Return the probabilities (n, classes) of equally frequent classes, by Bayes' rule, of standardised frames."""
        each = [self.nll(frames, torch.full((len(frames),), k, device=self.device)) for k in range(len(self.labels))]
        return (-torch.stack(each, 1) * frames.shape[1]).softmax(1)

    def on_test_epoch_end(self) -> None:
        """Have a recogniser that learned other voices listen to generated sounds and to the training voices."""
        probes = getattr(self.trainer, "datamodule").probes("test")  # noqa: B009  (Lightning types it as missing)
        if "digits" in probes:
            known, others = probes["digits"]
            labels = torch.arange(len(self.labels)).repeat(EACH)
            said = self.to_waves(self.sample(labels.to(self.device))).cpu(), labels
            pairs = {"understood": said, "real_understood": known}
            self.log_dict({f"test/{name}": understood(sounds, others) for name, sounds in pairs.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the names of each sound's likeliest classes by Bayes' rule, and their probabilities, shapes (n,)."""
        if len(batch) > 4 and not batch[4][:, 1].all():
            raise InputError("frame-rnn hears: give WAV files, not images alone")
        return rank(self.classify(self.standardise(batch[1])), self.labels, self.top)

    @torch.no_grad()
    def sample(self, labels: Tensor, temperature: float = 1.0) -> Tensor:
        """Return sampled standardised frames (n, frames, BANDS) of labels (n,).

        Args:
            labels: What is said.
            temperature: What standard deviations are multiplied by.
        """
        frames, state = self.mean.new_zeros(len(labels), 1, BANDS), None
        sampled = []
        for time in range(self.frames):
            # Exercise: a component of the mixture, a frame drawn from it, and on with that frame.
            (logits, means, log_stds), state = self._density(frames, labels, time, state)
            chosen = logits[:, 0].softmax(1).multinomial(1)[:, 0]  # (n,)
            mean, log_std = (part[torch.arange(len(labels)), 0, chosen] for part in (means, log_stds))  # (n, BANDS)
            frames = (mean + temperature * log_std.exp() * torch.randn_like(mean)).unsqueeze(1)
            sampled.append(frames)
        return torch.cat(sampled, 1)

    def to_waves(self, frames: Tensor) -> Tensor:
        """Return sounds (n, samples), all equally loud, of standardised frames (n, frames, BANDS)."""
        waves = griffin_lim(frames * self.std + self.mean, self.samples)
        return PEAK * waves / waves.abs().amax(1, keepdim=True).clamp_min(1e-6)

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Say each class once, and show the spectrograms beside real ones."""
        labels = torch.arange(min(len(self.labels), 10), device=self.device)
        waves = self.to_waves(self.sample(labels))
        real = [batch[1][batch[2] == k][:1] for k in labels.tolist()]
        shown = log_mel(torch.cat([*(wave if len(wave) else waves[:1] * 0 for wave in real), waves]))
        pictures = shown.transpose(1, 2).flip(1).unsqueeze(1)  # (2 n, 1, BANDS, frames)
        return {
            "speech": Audio(waves.flatten(), self.sample_rate),
            "spectrograms": Image(pictures, *SHOWN, columns=len(labels)),
        }

    def generate(self, say: str = "", n: int = 1, temperature: float = 1.0) -> dict[str, Media]:
        """Say words.

        Args:
            say: Classes by their names, separated by spaces; all unless given.
            n: How often, in voices of their own.
            temperature: What standard deviations are multiplied by; below 1 for clearer sounds that vary less.
        """
        asked = say.split() or list(self.labels)
        if unknown := [word for word in asked if word not in self.labels]:
            raise InputError(f"cannot say {unknown[0]}: this model says {', '.join(self.labels)}")
        if n < 1 or temperature < 0:
            raise ValueError(f"n must be at least 1 and temperature at least 0, not {n} and {temperature}")
        labels = torch.tensor([self.labels.index(word) for word in asked], device=self.device).repeat(n)
        waves = self.to_waves(self.sample(labels, temperature))
        return {"": Audio(waves.flatten(), self.sample_rate)}

    def _density(self, frames: Tensor, labels: Tensor, start: int, state: Tensor | None) -> tuple[Mixture, Tensor]:
        """Return the densities after frames (n, frames, BANDS) from a time on, and the RNN's state there."""
        times = torch.arange(start, start + frames.shape[1], device=frames.device)
        given = self.embedding(labels).unsqueeze(1) + self.time_embedding(times)  # (n, frames, hidden_size)
        hidden, state = self.rnn(self.inputs(self.drop(frames)) + given, state)
        logits, rest = self.head(hidden).split([self.components, 2 * self.components * BANDS], 2)
        means, log_stds = rest.unflatten(2, (2, self.components, BANDS)).unbind(2)
        assert state is not None
        return (logits, means, log_stds.clamp(*LOG_STD)), state

    def _unit(self) -> Tensor:
        """Return the nats by which a standardised frame is denser than one of log magnitudes."""
        return self.std.log().sum()


def normal_log_density(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log-density of each number under a normal distribution."""
    # Exercise: the log of the normal density.
    density: Tensor = -0.5 * ((x - mean) / log_std.exp()).square() - log_std - 0.5 * math.log(2 * math.pi)
    return density
