"""Section 5.7: what a sound model learns from an image model."""

import statistics

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure, Table
from dlplug.plots import plot_bars
from dlplug_multimodal.claims.controls import differences, epochs
from dlplug_multimodal.evaluation.linear_probe import linear_probe, spectrum_statistics

SHORT = (
    *("--data.pairs=960", "--data.batch_size=32", "--data.shift=0.05", "--data.speed=0.05"),
    *("--model.channels=[16,24,32,48]", "--model.teacher_epochs=2", "--model.lr=8e-3"),
    *epochs(7),
)
KINDS = ("words", "digits")
MISPAIRED = "--data=dlplug_multimodal.claims.controls.MispairedDigits"


def hearing(lab: Lab) -> Evidence:
    """Probe a student's features, an untrained one's and spectrum statistics, on new voices."""
    ways = ("student", "untrained student", "spectrum statistics", "student of mispaired data")
    found: dict[tuple[str, str], list[float]] = {(way, kind): [] for way in ways for kind in KINDS}
    for seed in lab.seeds:
        trained = lab.fit("soundnet", *SHORT, seed=seed)
        mispaired = lab.fit("soundnet", MISPAIRED, *SHORT, seed=seed)
        untrained = trained.model.untrained(seed)
        features = (trained.model.features, untrained, spectrum_statistics, mispaired.model.features)
        for kind in KINDS:
            train, test = trained.data.probes("test")[kind]  # type: ignore[attr-defined]
            for way, represent in zip(ways, features, strict=True):
                found[way, kind].append(linear_probe(represent, train, test))
    better = [max(pair) for pair in zip(*(found[way, "words"] for way in ways[1:3]), strict=True)]
    name = "points of accuracy on other words above the better of an untrained student and spectrum statistics"
    learned, memorised = (
        [100 * gain for gain in differences(found[way, "words"], better)] for way in (ways[0], ways[3])
    )
    rows = [(way, *(f"{statistics.fmean(found[way, kind]):.3f}" for kind in KINDS)) for way in ways]
    return Evidence(
        [Measure(name, learned, ">=", 15)],
        [Measure(f"{name}, images exchanged in training", memorised, ">=", 15)],
        {
            "Accuracy on voices never heard": Table(("features", "24 other words", "digits"), rows),
            "24 other words": Figure(
                plot_bars({way: found[way, "words"] for way in ways}, "accuracy on other words, new voices")
            ),
        },
        note="Logistic regression from 80 training voices to 24 voices of 6 other speakers. 960 pairs, 150 updates; "
        "the student never heard any of the other words, nor a label of a sound. On the digits themselves a student "
        "of mispaired data, which can only memorise, is better than an untrained one too, so they prove little.",
    )
