"""Section 4: speech that a model of spectrograms generates."""

from typing import Any

import torch

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Audio, Figure
from dlplug.plots import plot_bars
from dlplug_multimodal.evaluation.linear_probe import understood

EACH = 20  # sounds of each digit


def speech(lab: Lab) -> Evidence:
    """Have a recogniser of other voices listen to what the default recipe of frame-rnn says."""
    ways = ("generated", "the training voices' own", "generated, frames shuffled")
    found: dict[str, list[float]] = {way: [] for way in ways}
    for seed in lab.seeds:
        trained = lab.fit("frame-rnn", seed=seed)
        model: Any = trained.model
        known, others = trained.data.probes("test")["digits"]  # type: ignore[attr-defined]
        labels = torch.arange(len(model.labels)).repeat(EACH)
        frames = model.sample(labels)
        order = torch.rand(frames.shape[:2]).argsort(1).unsqueeze(2)
        generated, shuffled = (model.to_waves(each) for each in (frames, frames.gather(1, order.expand_as(frames))))
        for way, sounds in zip(ways, ((generated, labels), known, (shuffled, labels)), strict=True):
            found[way].append(understood(sounds, others))
    name = "share of spoken digits that are understood"
    said, _, mixed = found.values()
    return Evidence(
        [Measure(name, said, ">=", 0.8)],
        [Measure(f"{name}, each one's frames in random order", mixed, ">=", 0.8)],
        {
            "Ten digits": Audio(generated[: len(model.labels)].flatten(), model.sample_rate),
            "Understood": Figure(plot_bars(found, name)),
        },
        note="The recogniser is logistic regression on log mel spectrograms of the test's 24 voices, none of which the "
        "model has heard. The speech that it learns from is synthetic. The model's own density, no temperature. Normal "
        "densities for each digit, time and band are understood as well; they take 20 nats a frame more.",
    )
