"""Section 5.7: what a network that hears learns from one that sees."""

import statistics

import torch

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import Batch
from dlplug.media import Table
from dlplug_multimodal.data.audio_visual import SoundedInfo
from dlplug_multimodal.data.spoken_digits import SpokenDigits
from dlplug_multimodal.evaluation.linear_probe import probe, spectrum_statistics

SHORT = (
    *("--data.pairs=960", "--data.batch_size=32", "--data.shift=0.05", "--data.speed=0.05"),
    *("--model.channels=[16,24,32,48]", "--model.teacher_epochs=2", "--model.lr=8e-3"),
    *("--trainer.max_epochs=7", "--trainer.check_val_every_n_epoch=7"),
)
KINDS = ("words", "digits")


class Strangers(SpokenDigits):
    """spoken-digits whose training pictures and sounds have nothing to do with each other."""

    def load(self) -> tuple[SoundedInfo, dict[str, Batch]]:
        """Return the splits, the training pictures and their labels exchanged at random."""
        info, splits = super().load()
        pictures, waves, labels, voices = splits["train"]
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(2))
        return info, {**splits, "train": (pictures[order], waves, labels[order], voices)}


def hearing(lab: Lab) -> Evidence:
    """Probe a student's features, an untrained one's and spectrum statistics, on voices never heard."""
    ways = ("student", "untrained student", "spectrum statistics", "student of strangers")
    found: dict[tuple[str, str], list[float]] = {(way, kind): [] for way in ways for kind in KINDS}
    for seed in lab.seeds:
        trained = lab.fit("soundnet", *SHORT, seed=seed)
        strangers = lab.fit("soundnet", "--data=dlplug_multimodal.claims.sound.Strangers", *SHORT, seed=seed)
        untrained = trained.model.untrained(seed)
        features = (trained.model.features, untrained, spectrum_statistics, strangers.model.features)
        for kind in KINDS:
            seen, heard = trained.data.probes("test")[kind]  # type: ignore[attr-defined]
            for way, represent in zip(ways, features, strict=True):
                found[way, kind].append(probe(represent, seen, heard))

    better = [max(pair) for pair in zip(*(found[way, "words"] for way in ways[1:3]), strict=True)]
    name = "points of accuracy on other words above the better of an untrained student and spectrum statistics"
    learned, by_heart = (
        [100 * (own - other) for own, other in zip(found[way, "words"], better, strict=True)]
        for way in ("student", "student of strangers")
    )
    rows = [(way, *(f"{statistics.fmean(found[way, kind]):.3f}" for kind in KINDS)) for way in ways]
    return Evidence(
        [Measure(name, learned, ">=", 10)],
        [Measure(f"{name}, pictures exchanged in training", by_heart, ">=", 10)],
        {"Accuracy on voices never heard": Table(("features", "24 other words", "digits"), rows)},
        note="Logistic regression from 80 training voices to 24 voices of 6 other speakers. 960 pairs, 150 updates; "
        "the student never heard any of the other words, nor a label of a sound. On the digits themselves a student of "
        "strangers, who can only learn its sounds by heart, is better than an untrained one too, so they prove little.",
    )
