"""From sounds to log mel spectrograms, and back."""

import torch
from torch import Tensor

N_FFT, HOP_LENGTH = 256, 100  # samples of a spectrum and between two: 32 and 12.5 ms at 8,000 samples a second
BANDS = 40
FLOOR = 1e-2  # magnitude that counts as silence: 70 dB below the loudest of spoken-digits
MOMENTUM = 0.99  # of the fast Griffin-Lim algorithm


def mel_filters(device: torch.device | None = None) -> Tensor:
    """Return triangular filters from 0 to 4,000 Hz, evenly spaced as pitches are heard, shape (BANDS, frequencies)."""
    highest = 2595 * torch.tensor(1 + 4000 / 700).log10()
    edges = 700 * (10 ** (torch.linspace(0, 1, BANDS + 2) * highest / 2595) - 1) * (N_FFT / 8000)  # in frequencies
    places = torch.arange(N_FFT // 2 + 1)
    low, middle, high = (edges[i : i + BANDS, None] for i in range(3))
    rising, falling = (places - low) / (middle - low), (high - places) / (high - middle)
    return torch.minimum(rising, falling).clamp_min(0).to(device)


def log_mel(waves: Tensor) -> Tensor:
    """Return the log of each band's mean magnitude at each time, (n, frames, BANDS), of sounds (n, samples)."""
    filters = mel_filters(waves.device)
    return ((filters / filters.sum(1, keepdim=True)) @ _stft(waves).abs() + FLOOR).log().transpose(1, 2)


def griffin_lim(frames: Tensor, samples: int, rounds: int = 60) -> Tensor:
    """Return sounds (n, samples) with nearly these log magnitudes of bands (n, frames, BANDS).

    Magnitudes between the bands' are interpolated. Phases are drawn at random, then those of the nearest spectrum that
    a sound can have are taken, again and again (Griffin and Lim, 1984; with the momentum of Perraudin et al., 2013).

    Args:
        frames: As ``log_mel`` returns them, with hops that cover ``samples``.
        samples: Length of a sound.
        rounds: How often phases are improved.
    """
    filters = mel_filters(frames.device)
    shares = filters / filters.sum(0).clamp_min(1e-6)  # of the bands at each frequency
    magnitudes = (frames.exp() - FLOOR).clamp_min(0) @ shares
    magnitudes = magnitudes.transpose(1, 2)  # (n, frequencies, frames)
    spectrum = torch.polar(magnitudes, 2 * torch.pi * torch.rand_like(magnitudes))
    before = torch.zeros_like(spectrum)
    for _ in range(rounds):
        possible = _stft(_istft(spectrum, samples))
        ahead = possible + MOMENTUM * (possible - before)
        spectrum, before = torch.polar(magnitudes, ahead.angle()), possible
    return _istft(spectrum, samples)


def _stft(waves: Tensor) -> Tensor:
    window = torch.hann_window(N_FFT, device=waves.device)
    return torch.stft(waves, N_FFT, HOP_LENGTH, window=window, return_complex=True)


def _istft(spectrum: Tensor, samples: int) -> Tensor:
    window = torch.hann_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum, N_FFT, HOP_LENGTH, window=window, length=samples)
