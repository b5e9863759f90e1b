"""Sections 4.1, 4.3 and 4.4: what models of images are worth to someone who has few labels."""

import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.data import Batch, ImageInfo
from dlplug.media import Table
from dlplug_generative.claims.shared import choose, differences
from dlplug_vision.evaluation.fid import FIDClassifier

EACH = 10  # labelled images of each of the ten classes
ALL = 1000  # more of each than there are
CHOICES = 5  # sets of labelled images that the accuracy of a representation is averaged over
RATES = ("2e-3", "4e-3", "1e-2")  # what the model that loses may choose from
INVERSE_PENALTIES = (0.01, 0.1, 1.0, 10.0)  # what logistic regression may choose from
LATENTS = 16  # of the autoencoder
FEATURES = 24  # of the pixel-cnn at each pixel


def bayes(lab: Lab) -> Evidence:
    """Classify digits by p(x|y) and Bayes' rule, and by logistic regression, from few labels and from all."""
    splits = lab.data("digits").splits
    generative = {each: [bayes_accuracy(lab, RATES, each, seed) for seed in lab.seeds] for each in (EACH, ALL)}
    probe = {each: [probe_accuracy(splits, pixels, each, seed) for seed in lab.seeds] for each in (EACH, ALL)}
    shuffled = [bayes_accuracy(lab, RATES[1:2], ALL, seed, "--data.shuffled=true") for seed in lab.seeds]
    probe_shuffled = [probe_accuracy(splits, pixels, EACH, seed, shuffled=True) for seed in lab.seeds]
    count, gain = len(splits["train"][1]), "accuracy of logistic regression less that of Bayes' rule, 100 labels"
    rows = [
        (labels, f"{statistics.fmean(generative[each]):.3f}", f"{statistics.fmean(probe[each]):.3f}")
        for each, labels in ((EACH, 10 * EACH), (ALL, count))
    ]
    name = f"accuracy of p(x|y) and Bayes' rule, {count} labels"
    return Evidence(
        [
            Measure(name, generative[ALL], ">=", 0.9, "0.1 is guessing"),
            Measure(gain, differences(probe[EACH], generative[EACH]), ">=", 0.03),
        ],
        [
            Measure("accuracy of Bayes' rule, labels shuffled", shuffled, ">=", 0.9),
            Measure(f"{gain} shuffled", differences(probe_shuffled, generative[EACH]), ">=", 0.03),
        ],
        {"Accuracy by number of labels": Table(("labels", "p(x|y) and Bayes' rule", "logistic regression"), rows)},
        note="p(x|y) is a small conditional pixel-cnn of grey levels: 260 updates, the best in validation of three "
        "learning rates. Logistic regression sees the same pixels, and may choose from four penalties.",
    )


def bayes_accuracy(lab: Lab, rates: Sequence[str], each: int, seed: int, *options: str) -> float:
    """Return the test accuracy of the class of greatest p(x|y), learned from that many images of each class."""
    data = ("--data=dlplug_generative.claims.shared.FewLabels", f"--data.each={each}", f"--data.choice={seed}")
    model = ("--model.conditional=true", "--model.output=gaussian")
    size = ("--model.hidden_channels=16", "--model.num_layers=2", "--data.batch_size=32", "--data.augment=0")
    length = ("--trainer.max_epochs=6", "--trainer.check_val_every_n_epoch=6")
    found = []
    for rate in rates:
        trained = lab.fit("pixel-cnn", *data, *model, *size, *length, f"--model.lr={rate}", *options, seed=seed)
        accuracies = []
        for images, labels in (trained.data.splits[name] for name in ("val", "test")):  # type: ignore[attr-defined]
            with torch.no_grad():
                classes = trained.model.log_likelihood_by_class(images).argmax(1)
            accuracies.append(float((classes == labels).float().mean()))
        found.append(accuracies)
    return max(found)[1]


def representations(lab: Lab) -> Evidence:
    """Compare linear probes of few labels on pixels, an autoencoder's latents and a pixel-cnn's features."""
    splits = lab.data("digits").splits
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        choices = range(CHOICES * seed, CHOICES * (seed + 1))
        for name, represent in representations_of_digits(lab, seed, splits["train"]).items():
            accuracies = [probe_accuracy(splits, represent, EACH, choice) for choice in choices]
            found.setdefault(name, []).append(statistics.fmean(accuracies))
    few = [max(pair) for pair in zip(found["features, mean"], found["features, last pixel"], strict=True)]
    keeps, beats = f"accuracy of {LATENTS} latents less that of 64 pixels", f"the same less that of {FEATURES} features"
    adds = f"accuracy of all {64 * FEATURES} features less that of 64 pixels"
    untrained, supervised = found["latents, untrained"], found["features of a classifier of all labels"]
    rows = [(name, f"{statistics.fmean(accuracies):.3f}") for name, accuracies in found.items()]
    return Evidence(
        [
            Measure(keeps, differences(found["latents"], found["pixels"]), ">=", -0.02),
            Measure(beats, differences(found["latents"], few), ">=", 0.05),
            Measure(adds, differences(found["features, all"], found["pixels"]), "<=", 0.02),
        ],
        [
            Measure(f"{keeps}, untrained", differences(untrained, found["pixels"]), ">=", -0.02),
            Measure(f"{beats}, untrained", differences(untrained, few), ">=", 0.05),
            Measure("the same of a supervised classifier's", differences(supervised, found["pixels"]), "<=", 0.02),
        ],
        {"Accuracy at 100 labels": Table(("of", "mean"), rows)},
        note=f"The {FEATURES} features of the pixel-cnn: their mean over the image, or those at the last pixel, "
        f"whichever is better. {CHOICES} sets of labels a seed. {LATENTS} principal components do as well as the "
        "latents: digits of 8×8 pixels are easy.",
    )


def representations_of_digits(lab: Lab, seed: int, train: Batch) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return representations by name: functions from images (n, channels, height, width) to vectors, n first."""
    options = ("--data=digits", "--trainer.check_val_every_n_epoch=40")
    encoder = lab.fit("autoencoder", *options, f"--model.latent_dim={LATENTS}", "--trainer.max_epochs=40", seed=seed)
    size = ("--model.output=gaussian", f"--model.hidden_channels={FEATURES}", "--model.num_layers=3")
    length = ("--trainer.max_epochs=10", "--data.batch_size=32", "--data.augment=0")
    pixel_cnn = lab.fit("pixel-cnn", *options, *size, *length, seed=seed).model
    images, labels = train
    pca = PCA(LATENTS).fit(images.flatten(1).numpy())

    def features(images: Tensor) -> Tensor:
        found: Tensor = pixel_cnn.net(2 * pixel_cnn.quantise(images) - 1, None)  # (n, FEATURES, height, width)
        return found

    return {
        "pixels": pixels,
        "principal components": lambda images: torch.from_numpy(pca.transform(images.flatten(1).numpy())),
        "latents": encoder.model.encode,
        "latents, untrained": lab.model("autoencoder", ImageInfo(1, 8, 8, 10), seed, latent_dim=LATENTS).encode,
        "features, all": features,
        "features, mean": lambda images: features(images).mean((2, 3)),
        "features, last pixel": lambda images: features(images)[..., -1, -1],
        "features of a classifier of all labels": FIDClassifier.fit(images, labels, seed).features,
    }


def pixels(images: Tensor) -> Tensor:
    """Return images as they are."""
    return images


def probe_accuracy(
    splits: Mapping[str, Batch], represent: Callable[[Tensor], Tensor], each: int, choice: int, shuffled: bool = False
) -> float:
    """Return the test accuracy of a linear probe, logistic regression, on representations of images.

    Args:
        splits: Images and labels; those for validation choose the penalty.
        represent: Gives the vectors, n first, of images (n, channels, height, width).
        each: Labelled images of each class.
        choice: Seed of which.
        shuffled: Whether they exchange their labels at random.
    """
    with torch.no_grad():
        vectors = {name: represent(images).flatten(1).numpy() for name, (images, _) in splits.items()}
    labels = splits["train"][1]
    kept = choose(labels, each, choice)
    given = labels[kept.roll(1)] if shuffled else labels[kept]
    probes = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)) for c in INVERSE_PENALTIES]
    fitted = [probe.fit(vectors["train"][kept], given) for probe in probes]
    best = max(fitted, key=lambda probe: probe.score(vectors["val"], splits["val"][1]))
    return float(best.score(vectors["test"], splits["test"][1]))
