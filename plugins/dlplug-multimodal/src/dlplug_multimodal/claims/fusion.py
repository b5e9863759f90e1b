"""Section 5.2: why several modalities are hard, and what is done about it."""

import statistics
from collections.abc import Mapping, Sequence

import torch

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Table
from dlplug_multimodal.claims.controls import differences, epochs
from dlplug_multimodal.models.fusion import GIVEN

RATES = ("5e-4", "2e-3", "8e-3")  # learning rates of the baselines, the best in validation counts
CONTROLS = "dlplug_multimodal.claims.controls"
SMALL = (
    *("--data.pairs=960", "--data.batch_size=16", "--data.shift=0.05", "--data.speed=0.05"),
    *("--model.channels=[16,16,24,32]", "--model.lr=8e-3"),
)
NOISY = ("--data.image_noise_std=0.8", "--data.sound_noise_std=0.1", "--model.modality_dropout=0")
TWICE = ("--model.pretrain_epochs=2", *epochs(4))  # each alone, then both


def missing(lab: Lab) -> Evidence:
    """Train with modality dropout and without, and leave out the image or the sound in the test."""
    shares = {"with": "0.5", "without": "0"}
    costs: dict[str, list[float]] = {name: [] for name in shares}
    rows = []
    for seed in lab.seeds:
        known = lab.fit("fusion", *SMALL, "--model.pretrain_epochs=5", *epochs(5), seed=seed).run.path
        for name, share in shares.items():
            joint = ("--model.pretrain_epochs=0", f"--model.modality_dropout={share}", f"--model.init_from=[{known}]")
            found = accuracies(lab.fit("fusion", *SMALL, *joint, *epochs(3), seed=seed))
            costs[name].append(found["both"] - min(found["picture"], found["sound"]))
            rows.append((seed, name, *(f"{value:.1f}" for value in found.values())))
    measure = "points of accuracy lost without image or without sound, the greater"
    more = differences(costs["without"], costs["with"])
    return Evidence(
        [
            Measure(measure, costs["with"], "<=", 15),
            Measure("points lost more without modality dropout", more, ">=", 5),
        ],
        [Measure(f"{measure}, trained without modality dropout", costs["without"], "<=", 15)],
        {"Test accuracy in %": Table(("seed", "modality dropout", *GIVEN), rows)},
    )


def level(lab: Lab) -> Evidence:
    """On noisy pairs, combine features, pixels and samples, or neither, and compare the accuracies."""
    options = (*SMALL, *NOISY)
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        each = {
            way: accuracies(lab.fit("fusion", *options, f"--model.combine={way}", *TWICE, seed=seed))["both"]
            for way in ("late", "picture", "sound")
        }
        each["early"] = best_of(lab, (*options, "--model.combine=early", *epochs(4)), seed)
        data = f"--data={CONTROLS}.BabbleDigits"
        each["late, babble for sounds"] = accuracies(lab.fit("fusion", data, *options, *TWICE, seed=seed))["both"]
        for way, value in each.items():
            found.setdefault(way, []).append(value)

    def gains(way: str, *others: str) -> list[float]:
        return differences(found[way], [max(seed) for seed in zip(*(found[other] for other in others), strict=True)])

    alone, early = "points of accuracy above the better of either alone", "the same above early concatenation"
    babble = "late, babble for sounds"
    return Evidence(
        [Measure(alone, gains("late", "picture", "sound"), ">=", 2), Measure(early, gains("late", "early"), ">=", 2)],
        [Measure(f"{alone}, sounds exchanged for those of other digits", gains(babble, "picture", "sound"), ">=", 2)],
        {"Test accuracy in %": Table(("combined", "mean"), _means(found))},
        note="Noise of standard deviation 0.8 on pixels from 0 to 1, and of 0.1 on sounds whose peak is 0.5; "
        "nothing is missing, and nothing is dropped in training. Early: pixels and samples in one row, two "
        f"fully connected layers, the best in validation of rates {RATES}.",
    )


def pretrained(lab: Lab) -> Evidence:
    """Learn from few pairs, from random weights and from those of models of one modality each."""
    few = (*SMALL, "--data.pairs=50", "--data.batch_size=25", "--model.pretrain_epochs=0", *epochs(30))
    alone = (*SMALL, "--model.pretrain_epochs=2", *epochs(2))
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        known = lab.fit("fusion", *alone, seed=seed).run.path
        mislabelled = lab.fit("fusion", f"--data={CONTROLS}.MislabelledDigits", *alone, seed=seed).run.path
        each = {"random weights": best_of(lab, few, seed)}
        for name, run in (("models of one modality", known), ("the same, labels exchanged", mislabelled)):
            each[name] = accuracies(lab.fit("fusion", *few, f"--model.init_from=[{run}]", seed=seed))["both"]
        for way, value in each.items():
            found.setdefault(way, []).append(value)
    random, *others = found.values()
    gains, control = (differences(each, random) for each in others)
    name = "points of accuracy gained over random weights"
    return Evidence(
        [Measure(name, gains, ">=", 5)],
        [Measure(f"{name}, pretrained on exchanged labels", control, ">=", 5)],
        {"Test accuracy in %": Table(("started from", "mean"), _means(found))},
        note="50 pairs, 60 updates; before, 120 updates of each model alone on 960 images and as many sounds. "
        f"Random weights have the best in validation of rates {RATES}.",
    )


def best_of(lab: Lab, options: Sequence[str], seed: int) -> float:
    """Return the test accuracy in % of the learning rate that is best in validation."""
    fitted = [lab.fit("fusion", *options, f"--model.lr={rate}", seed=seed) for rate in RATES]
    return accuracies(min(fitted, key=lambda trained: min(trained.history("val/loss"))))["both"]


@torch.no_grad()
def accuracies(trained: Trained) -> dict[str, float]:
    """Return the test accuracy in % with both modalities and with each alone."""
    data = trained.data
    images, waves, labels, _ = data.prepare_batch(data.splits["test"])  # type: ignore[attr-defined]
    logits = {given: trained.model.classify(images, waves, given) for given in GIVEN}
    return {given: 100 * float((each.argmax(1) == labels).float().mean()) for given, each in logits.items()}


def _means(found: Mapping[str, Sequence[float]]) -> list[tuple[str, str]]:
    return [(name, f"{statistics.fmean(values):.1f}") for name, values in found.items()]
