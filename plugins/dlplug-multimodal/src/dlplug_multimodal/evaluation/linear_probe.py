"""Linear probes: how much a linear classifier can read off a representation of sounds."""

from collections.abc import Callable
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from dlplug_multimodal.data.audio_visual import LabelledSounds, random_shift_and_stretch
from dlplug_multimodal.nn.spectrogram import log_mel

N_FFT, HOP_LENGTH = 256, 128  # samples of a spectrum and between two of them
FLOOR = 1e-3  # magnitude that counts as silence
BATCH = 128
C = 0.1  # scikit-learn's inverse of the regularisation strength
COPIES = 8  # of each clip that a recogniser learns from, each shifted and stretched anew
NOISE_STD = 0.01  # of what a recogniser hears, whose peak is 0.5


@torch.no_grad()
def linear_probe(represent: Callable[[Tensor], Tensor], train: LabelledSounds, test: LabelledSounds) -> float:
    """Return the accuracy of logistic regression on a representation of sounds.

    Args:
        represent: Returns the features, shape (n, ...), of sounds (n, samples).
        train: Sounds and labels that the regression is fitted to.
        test: Those that it is measured on.
    """
    (x, y), (tested, answers) = ((_features(represent, waves), labels.numpy()) for waves, labels in (train, test))
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000)).fit(x, y)
    return float(regression.score(tested, answers))


def understood(sounds: LabelledSounds, others: LabelledSounds) -> float:
    """Return the share of sounds that a recogniser understands: logistic regression on log mel spectrograms.

    Args:
        sounds: Sounds (n, samples) and the labels that they should have (n,).
        others: What the recogniser learns, as it is, and shifted by up to a twentieth and stretched by up to 15 %.
    """

    def hear(waves: Tensor) -> Tensor:  # silence is as loud everywhere, or what is never heard there decides all
        return log_mel(waves + NOISE_STD * torch.randn_like(waves))

    waves, labels = others
    copies = [random_shift_and_stretch(waves, waves.shape[1] // 20, 0.15) for _ in range(COPIES)]
    return linear_probe(hear, (torch.cat([waves, *copies]), labels.repeat(COPIES + 1)), sounds)


def spectrum_statistics(waves: Tensor) -> Tensor:
    """Return the mean and standard deviation over time of each frequency's log magnitude, (n, 2 × frequencies)."""
    log = log_spectrogram(waves)
    return torch.cat([log.mean(2), log.std(2)], 1)


def log_spectrogram(waves: Tensor) -> Tensor:
    """Return the log magnitude at each frequency and time, (n, frequencies, frames), of sounds (n, samples)."""
    window = torch.hann_window(N_FFT, device=waves.device)
    return (torch.stft(waves, N_FFT, HOP_LENGTH, window=window, return_complex=True).abs() + FLOOR).log()


def _features(represent: Callable[[Tensor], Tensor], waves: Tensor) -> Any:
    return torch.cat([represent(part).float().flatten(1).cpu() for part in torch.split(waves, BATCH)]).numpy()
