"""Linear probes: how much of what matters a straight line can read off a representation."""

from collections.abc import Callable
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from dlplug_multimodal.data.audio_visual import Labelled

WINDOW, HOP = 256, 128  # samples of a spectrum and between two of them
FLOOR = 1e-3  # strength that counts as silence
BATCH = 128
PENALTY = 0.1  # inverse, as scikit-learn counts it


@torch.no_grad()
def probe(represent: Callable[[Tensor], Tensor], seen: Labelled, heard: Labelled) -> float:
    """Return the accuracy of logistic regression on a representation of sounds.

    Args:
        represent: Gives rows of numbers for sounds (n, samples).
        seen: Sounds and labels that it learns from.
        heard: Those that it is measured on.
    """
    (x, y), (tested, answers) = ((_rows(represent, waves), labels.numpy()) for waves, labels in (seen, heard))
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000)).fit(x, y)
    return float(regression.score(tested, answers))


def spectrum_statistics(waves: Tensor) -> Tensor:
    """Return mean and standard deviation over time of each frequency's log strength, shape (n, 2 × frequencies)."""
    log = log_spectrogram(waves)
    return torch.cat([log.mean(2), log.std(2)], 1)


def log_spectrogram(waves: Tensor) -> Tensor:
    """Return the log strength at each frequency and time, shape (n, frequencies, frames), of sounds (n, samples)."""
    window = torch.hann_window(WINDOW, device=waves.device)
    return (torch.stft(waves, WINDOW, HOP, window=window, return_complex=True).abs() + FLOOR).log()


def _rows(represent: Callable[[Tensor], Tensor], waves: Tensor) -> Any:
    return torch.cat([represent(part).float().flatten(1).cpu() for part in torch.split(waves, BATCH)]).numpy()
