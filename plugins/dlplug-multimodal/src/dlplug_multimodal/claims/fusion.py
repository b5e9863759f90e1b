"""Section 5.2: why several modalities are hard, and what is done about it."""

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure
from dlplug.plots import plot_bars, plot_curves
from dlplug_multimodal.claims.controls import differences, epochs
from dlplug_multimodal.data.tagged_images import to_float
from dlplug_multimodal.evaluation.linear_probe import C, spectrum_statistics
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
    shown: dict[str, list[float]] = {}
    unseen, seen = [], []
    for seed in lab.seeds:
        known = lab.fit("fusion", *SMALL, "--model.pretrain_epochs=5", *epochs(5), seed=seed).run.path
        for name, share in shares.items():
            joint = ("--model.pretrain_epochs=0", f"--model.modality_dropout={share}", f"--model.init_from=[{known}]")
            run = lab.fit("fusion", *SMALL, *joint, *epochs(3), seed=seed)
            found = accuracies(run)
            costs[name].append(found["both"] - min(found["picture"], found["sound"]))
            for given, value in found.items():
                shown.setdefault(f"{given}, {name} dropout", []).append(value)
        unseen.append(change(run, "sound"))
        seen.append(change(run, "both"))
    through = "largest change of a probability when an image is exchanged"
    measure = "points of accuracy lost without image or without sound, the greater"
    more = differences(costs["without"], costs["with"])
    return Evidence(
        [
            Measure(measure, costs["with"], "<=", 15),
            Measure("points lost more without modality dropout", more, ">=", 5),
            Measure(f"{through} that is missing", unseen, "<=", 1e-6, exact=True),
        ],
        [
            Measure(f"{measure}, trained without modality dropout", costs["without"], "<=", 15),
            Measure(f"{through} that is there", seen, "<=", 1e-6, exact=True),
        ],
        {"Test accuracy in %": Figure(plot_bars(shown, "test accuracy in %"))},
    )


@torch.no_grad()
def change(trained: Trained, given: str) -> float:
    """Return the largest change of a test pair's probability when its image is another pair's."""
    data: Any = trained.data
    images, waves, *_ = data.prepare_batch(data.splits["test"])
    as_it_is, exchanged = (trained.model.classify(each, waves, given).softmax(1) for each in (images, images.flip(0)))
    return float((as_it_is - exchanged).abs().max())


def level(lab: Lab) -> Evidence:
    """On noisy pairs, combine features, or pixels and samples, or neither, and compare the accuracies."""
    options = (*SMALL, *NOISY)
    found: dict[str, list[float]] = {}
    singles = {way: best_rate(lab, (*options, f"--model.combine={way}", *TWICE)) for way in ("picture", "sound")}
    early = (*options, "--model.combine=early", *epochs(4))
    early_rate = best_rate(lab, early)
    for seed in lab.seeds:
        late = lab.fit("fusion", *options, *TWICE, seed=seed)
        each = {"late": accuracies(late)["both"], "late, sounds exchanged": accuracies(late, exchanged=True)["both"]}
        for way, rate in singles.items():
            run = lab.fit("fusion", *options, f"--model.combine={way}", *TWICE, f"--model.lr={rate}", seed=seed)
            each[way] = accuracies(run)["both"]
        each["early, fully connected"] = accuracies(lab.fit("fusion", *early, f"--model.lr={early_rate}", seed=seed))[
            "both"
        ]
        each["early, logistic regression"] = spectrum_regression(late, seed)
        for way, value in each.items():
            found.setdefault(way, []).append(value)
    alone, early_name = "points of accuracy above the better of either alone", "the same above the better early one"
    exchanged = found["late, sounds exchanged"]
    either = better(found["picture"], found["sound"])
    earlier = better(found["early, fully connected"], found["early, logistic regression"])
    return Evidence(
        [
            Measure(alone, differences(found["late"], either), ">=", 2),
            Measure(early_name, differences(found["late"], earlier), ">=", 2),
        ],
        [
            Measure(f"{alone}, the test's sounds exchanged", differences(exchanged, either), ">=", 2),
            Measure("the better early one above the better alone", differences(earlier, either), ">=", 2),
        ],
        {"Test accuracy in %": Figure(plot_bars(found, "test accuracy in %"))},
        note="Noise of standard deviation 0.8 on pixels from 0 to 1, and of 0.1 on sounds whose peak is 0.5; nothing "
        "is missing, and nothing is dropped in training. Early: pixels and samples in one row, two fully connected "
        "layers; or pixels and statistics of spectra, logistic regression. Single models and the fully connected one "
        f"have the best in validation of rates {RATES}, by the first seed; the late one has its default.",
    )


def spectrum_regression(trained: Trained, seed: int) -> float:
    """Return the test accuracy in % of logistic regression on a run's noisy pixels and its sounds' spectra."""
    data: Any = trained.data
    vectors = {}
    torch.manual_seed(seed)
    for split in ("train", "test"):
        images, waves, labels, _ = data.splits[split]
        images, waves = to_float(images[torch.arange(len(labels))]), to_float(waves[torch.arange(len(labels))])
        if split == "train":  # the test's noise is there already
            images = images + data.image_noise_std * torch.randn_like(images)
            waves = waves + data.sound_noise_std * torch.randn_like(waves)
        vectors[split] = torch.cat([images.flatten(1), spectrum_statistics(waves)], 1).numpy(), labels.numpy()
    return regression_accuracy(vectors["train"], vectors["test"])


def embeddings(lab: Lab) -> Evidence:
    """Train an image and a sound model apart on noisy pairs, and classify by the embeddings of both together."""
    options = (*SMALL, *NOISY, *TWICE)
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        runs = [lab.fit("fusion", *options, f"--model.combine={way}", seed=seed) for way in ("picture", "sound")]
        picture, sound = (run.model for run in runs)
        vectors = {}
        for split in ("val", "test"):
            images, waves, labels, _ = runs[0].data.prepare_batch(runs[0].data.splits[split])  # type: ignore[attr-defined]
            with torch.no_grad():
                image, heard = picture.image(images).flatten(1), sound.sound.features(waves)
            others = shuffled(heard)
            vectors[split] = {
                "of the image": image, "of the sound": heard, "of both": torch.cat([image, heard], 1),
                "of both, sounds exchanged": torch.cat([image, others], 1), "labels": labels,
            }  # fmt: skip
        for name in list(vectors["val"])[:-1]:
            known, new = ((vectors[split][name].numpy(), vectors[split]["labels"].numpy()) for split in ("val", "test"))
            found.setdefault(name, []).append(regression_accuracy(known, new))
    either = better(found["of the image"], found["of the sound"])
    name = "points of accuracy by both embeddings above the better of either"
    return Evidence(
        [Measure(name, differences(found["of both"], either), ">=", 2)],
        [Measure(f"{name}, sounds exchanged", differences(found["of both, sounds exchanged"], either), ">=", 2)],
        {"Test accuracy in %": Figure(plot_bars(found, "test accuracy in %"))},
        note="Neither model ever saw the other's modality. Logistic regression on their frozen features learns from "
        "the 500 validation pairs; noise as in higher-level.",
    )


def noisy(lab: Lab) -> Evidence:
    """Train on clean and on noisy pairs, and test both ways on both."""
    levels = (0.0, 0.4, 0.8, 1.2)
    trainings = {"trained on clean pairs": (*SMALL, "--model.modality_dropout=0"), "on noisy pairs": (*SMALL, *NOISY)}
    found: dict[str, list[list[float]]] = {name: [] for name in trainings}  # by seed and level
    for seed in lab.seeds:
        tests = [lab.data("spoken-digits", image_noise_std=std, sound_noise_std=std / 8) for std in levels]
        for name, options in trainings.items():
            trained = lab.fit("fusion", *options, *TWICE, seed=seed)
            found[name].append([accuracies(trained, test)["both"] for test in tests])
    clean, noise = found.values()
    gains = [differences(a, b) for a, b in zip(zip(*noise, strict=True), zip(*clean, strict=True), strict=True)]
    gain = "points of accuracy that training on noisy pairs gains"
    means = {name: [statistics.fmean(level) for level in zip(*by, strict=True)] for name, by in found.items()}
    drawing = plot_curves(levels, means, "standard deviation of the noise in pixels", "test accuracy in %")
    return Evidence(
        [Measure(f"{gain}, on noisy pairs", gains[2], ">=", 5)],
        [Measure(f"{gain}, on clean pairs", gains[0], ">=", 5)],
        {"Accuracy by noise": Figure(drawing)},
        note="Noise of standard deviation 0.8 on pixels from 0 to 1, and an eighth of it on sounds whose peak is 0.5.",
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
        {"Test accuracy in %": Figure(plot_bars(found, "test accuracy in %"))},
        note="50 pairs, 60 updates; before, 120 updates of each model alone on 960 images and as many sounds. "
        f"Random weights have the best in validation of rates {RATES}.",
    )


def best_of(lab: Lab, options: Sequence[str], seed: int) -> float:
    """Return the test accuracy in % of the learning rate that is best in validation."""
    fitted = [lab.fit("fusion", *options, f"--model.lr={rate}", seed=seed) for rate in RATES]
    return accuracies(min(fitted, key=_val_loss))["both"]


def best_rate(lab: Lab, options: Sequence[str]) -> str:
    """Return the learning rate that is best in validation, by the first seed."""
    return min(RATES, key=lambda rate: _val_loss(lab.fit("fusion", *options, f"--model.lr={rate}", seed=lab.seeds[0])))


def _val_loss(trained: Trained) -> float:
    return min(trained.history("val/loss"))


@torch.no_grad()
def accuracies(trained: Trained, data: Any = None, exchanged: bool = False) -> dict[str, float]:
    """Return the test accuracy in % with both modalities and with each alone; of other data where these are given."""
    data = data or trained.data
    images, waves, labels, _ = data.prepare_batch(data.splits["test"])
    waves = shuffled(waves) if exchanged else waves
    logits = {given: trained.model.classify(images, waves, given) for given in GIVEN}
    return {given: 100 * float((each.argmax(1) == labels).float().mean()) for given, each in logits.items()}


def shuffled(rows: Tensor) -> Tensor:
    """Return rows in one random order: moved by a fixed number of places they could still tell the label."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(3))]


def regression_accuracy(known: tuple[Any, Any], new: tuple[Any, Any]) -> float:
    """Return the accuracy in % on new vectors (n, features) of logistic regression on known ones."""
    return 100 * float(make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000)).fit(*known).score(*new))


def better(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the higher of two, seed by seed."""
    return [max(pair) for pair in zip(first, second, strict=True)]
