"""The model that speaks: spectrograms and back, its densities, and the command."""

import csv
import importlib.util
import math
import wave

import pytest
import torch

from dlplug.errors import InputError
from dlplug.testing import check_panels
from dlplug_multimodal.data.audio_visual import AudioVisualInfo
from dlplug_multimodal.models.frame_rnn import FrameRNN, normal_log_density
from dlplug_multimodal.nn.spectrogram import BANDS, griffin_lim, log_mel

INFO = AudioVisualInfo(1, 4, 4, 800, 8000, 3, ("a", "b", "c"))


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = FrameRNN(hidden_size=8, components=2)
    made.build(INFO)
    return made.eval()


def test_phases_are_found_that_go_with_the_magnitudes():
    torch.manual_seed(0)
    times = torch.arange(2400) / 8000
    waves = (0.3 * torch.sin(2 * torch.pi * 500 * times) * torch.hann_window(2400))[None]
    frames = log_mel(waves)
    assert frames.shape == (1, 25, BANDS)
    found = griffin_lim(frames, 2400)
    assert 140 <= int(torch.fft.rfft(found[0]).abs().argmax()) <= 160  # 150, within a band
    far, chance = ((frames - log_mel(each)).abs().mean() for each in (found, 0.1 * torch.randn_like(waves)))
    assert far < 0.1 * chance


def test_the_mixture_is_a_density_of_one_band():
    grid = torch.linspace(-8, 8, 2001, dtype=torch.double)
    log_density = normal_log_density(grid, torch.tensor(0.5), torch.tensor(math.log(0.7)))
    assert float(torch.trapezoid(log_density.exp(), grid)) == pytest.approx(1, abs=1e-6)


def test_nats_are_those_of_the_densities_written_out(model):
    torch.manual_seed(1)
    frames, labels = torch.randn(2, model.frames, BANDS), torch.tensor([0, 2])
    model.std.fill_(2.0)
    with torch.no_grad():
        nats = model.nll(frames, labels)
        before = torch.cat([torch.zeros(2, 1, BANDS), frames[:, :-1]], 1)
        logits, means, log_stds = model(before, labels)
    parts = torch.distributions.Independent(torch.distributions.Normal(means, log_stds.exp()), 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=logits), parts)
    expected = BANDS * math.log(2.0) - mixture.log_prob(frames).mean(1)
    assert torch.allclose(nats, expected, atol=1e-3)


def test_no_frame_is_predicted_from_itself_or_later_ones(model):
    frames = torch.randn(1, model.frames, BANDS, requires_grad=True)
    _, means, _ = model(torch.nn.functional.pad(frames[:, :-1], (0, 0, 1, 0)), torch.tensor([1]))
    means[0, 5].sum().backward()
    seen = frames.grad[0].abs().sum(1) > 0
    assert seen[:5].all()
    assert not seen[5:].any()


def test_sampling_step_by_step_is_the_forward_pass(model):
    torch.manual_seed(2)
    labels = torch.tensor([0, 1, 2])
    sampled = model.sample(labels, 1e-6)  # the components' means
    with torch.no_grad():
        _, means, _ = model(torch.nn.functional.pad(sampled[:, :-1], (0, 0, 1, 0)), labels)
    nearest = (means - sampled.unsqueeze(2)).abs().amax(3).amin(2)
    assert float(nearest.max()) < 1e-3
    assert model.to_waves(sampled).shape == (3, 800)


def test_classes_are_told_by_bayes_rule(model):
    frames = model.standardise(0.1 * torch.randn(4, 800))
    probabilities = model.classify(frames)
    nats = torch.stack([model.nll(frames, torch.full((4,), k)) for k in range(3)], 1)
    assert torch.allclose(probabilities, (-nats * model.frames).softmax(1), atol=1e-4)


def test_what_it_cannot_say_is_refused(model):
    with pytest.raises(InputError, match="cannot say d: this model says a, b, c"):
        model.generate("d")
    with pytest.raises(ValueError, match="n must be"):
        model.generate(n=0)
    with pytest.raises(InputError, match="components must be at least 1"):
        FrameRNN(components=0)


@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the extra `speech`")
def test_frame_rnn_fits_tests_and_speaks(command, fit, refused):
    small = ("--data.pairs=96", "--model.hidden_size=32", "--model.components=1", "--trainer.limit_val_batches=1")
    run = fit("--model", "frame-rnn", *small, "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1")
    assert command("test", run, "--trainer.limit_test_batches=1").returncode == 0
    check_panels(run)
    with open(run / "test.csv") as file:
        [measured] = csv.DictReader(file)
    assert float(measured["test/nll"]) < float(measured["test/nll_bands"])
    assert float(measured["test/real_understood"]) > 0.9
    with wave.open(str(next(run.glob("media/speech/*.wav")))) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 80000)
    answer = command("generate", run, "--say", "one two")
    assert answer.returncode == 0, answer.stderr
    with wave.open(answer.stdout.strip()) as file:
        assert file.getnframes() == 16000
    assert "cannot say eleven" in refused("generate", run, "--say", "eleven")
