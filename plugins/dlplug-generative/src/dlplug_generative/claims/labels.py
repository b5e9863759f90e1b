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
from dlplug_generative.claims.material import few, less
from dlplug_generative.judge import Judge

EACH = 10  # labelled images of each of the ten classes
ALL = 1000  # more of each than there are
CHOICES = 5  # sets of labelled images that the accuracy of a representation is averaged over
RATES = ("2e-3", "4e-3", "1e-2")  # what the model that loses may choose from
PENALTIES = (0.01, 0.1, 1.0, 10.0)  # what logistic regression may choose from, inverse
CODES = 16  # numbers of the autoencoder's bottleneck
WIDTH = 24  # features of the pixel-cnn at each pixel


def bayes(lab: Lab) -> Evidence:
    """Classify digits by p(x|y) and Bayes' rule, and by logistic regression, from few labels and from all."""
    splits = lab.data("digits").splits
    by_rule = {each: [by_bayes(lab, RATES, each, seed) for seed in lab.seeds] for each in (EACH, ALL)}
    straight = {each: [read_off(splits, pixels, each, seed) for seed in lab.seeds] for each in (EACH, ALL)}
    mixed_up = [by_bayes(lab, RATES[1:2], ALL, seed, "--data.shuffled=true") for seed in lab.seeds]
    misled = [read_off(splits, pixels, EACH, seed, shuffled=True) for seed in lab.seeds]
    every, gain = len(splits["train"][1]), "accuracy of logistic regression less that of Bayes' rule, 100 labels"
    rows = [
        (labels, f"{statistics.fmean(by_rule[each]):.3f}", f"{statistics.fmean(straight[each]):.3f}")
        for each, labels in ((EACH, 10 * EACH), (ALL, every))
    ]
    return Evidence(
        [
            Measure(f"accuracy of p(x|y) and Bayes' rule, {every} labels", by_rule[ALL], ">=", 0.9, "0.1 is guessing"),
            Measure(gain, less(straight[EACH], by_rule[EACH]), ">=", 0.03),
        ],
        [
            Measure("accuracy of Bayes' rule, labels exchanged at random", mixed_up, ">=", 0.9),
            Measure(f"{gain} exchanged at random", less(misled, by_rule[EACH]), ">=", 0.03),
        ],
        {"Accuracy by number of labels": Table(("labels", "p(x|y) and Bayes' rule", "logistic regression"), rows)},
        note="p(x|y) is a small conditional pixel-cnn of grey levels: 260 updates, the best in validation of three "
        "learning rates. Logistic regression sees the same pixels, and may choose from four penalties.",
    )


def by_bayes(lab: Lab, rates: Sequence[str], each: int, seed: int, *options: str) -> float:
    """Return the accuracy on test images of the class of greatest p(x|y), learnt from so many images of each class."""
    data = ("--data=dlplug_generative.claims.material.Few", f"--data.each={each}", f"--data.choice={seed}")
    model = ("--model.conditional=true", "--model.output=gaussian", "--model.width=16", "--model.layers=2")
    length = ("--trainer.max_epochs=6", "--trainer.check_val_every_n_epoch=6", "--data.batch_size=32")
    found = []
    for rate in rates:
        fixed = (*data, "--data.augment=0", *model, f"--model.lr={rate}", *length)
        trained = lab.fit("pixel-cnn", *fixed, *options, seed=seed)
        shares = []
        for images, labels in (trained.data.splits[name] for name in ("val", "test")):  # type: ignore[attr-defined]
            with torch.no_grad():
                classes = trained.model.log_likelihood_by_class(images).argmax(1)
            shares.append(float((classes == labels).float().mean()))
        found.append(shares)
    return max(found)[1]


def representations(lab: Lab) -> Evidence:
    """Read labels off pixels, an autoencoder's codes and a pixel-cnn's features, by logistic regression on few."""
    splits = lab.data("digits").splits
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        choices = range(CHOICES * seed, CHOICES * (seed + 1))
        for name, represent in ways(lab, seed, splits["train"]).items():
            found.setdefault(name, []).append(
                statistics.fmean(read_off(splits, represent, EACH, choice) for choice in choices)
            )
    short = [max(pair) for pair in zip(found["features, mean"], found["features, last pixel"], strict=True)]
    keeps, beats = f"accuracy of {CODES} codes less that of 64 pixels", f"the same less that of {WIDTH} features"
    adds = f"accuracy of all {64 * WIDTH} features less that of 64 pixels"
    untrained, taught = found["codes, untrained"], found["features of a network that saw all labels"]
    return Evidence(
        [
            Measure(keeps, less(found["codes"], found["pixels"]), ">=", -0.02),
            Measure(beats, less(found["codes"], short), ">=", 0.05),
            Measure(adds, less(found["features, all"], found["pixels"]), "<=", 0.02),
        ],
        [
            Measure(f"{keeps}, untrained", less(untrained, found["pixels"]), ">=", -0.02),
            Measure(f"{beats}, untrained", less(untrained, short), ">=", 0.05),
            Measure("the same of a network's features that saw all labels", less(taught, found["pixels"]), "<=", 0.02),
        ],
        {
            "Accuracy at 100 labels": Table(
                ("of", "mean"), [(k, f"{statistics.fmean(v):.3f}") for k, v in found.items()]
            )
        },
        note=f"The {WIDTH} features of the pixel-cnn: their mean over the image, or those at the last pixel, whichever "
        f"is better. {CHOICES} sets of labels a seed. {CODES} principal components do as well as the codes: digits of "
        "8×8 pixels are easy.",
    )


def ways(lab: Lab, seed: int, train: Batch) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return representations of images by name: functions from images to numbers, n first."""
    options = ("--data=digits", "--trainer.check_val_every_n_epoch=40")
    encoder = lab.fit("autoencoder", *options, f"--model.latent_dim={CODES}", "--trainer.max_epochs=40", seed=seed)
    network = ("--model.output=gaussian", f"--model.width={WIDTH}", "--model.layers=3", "--trainer.max_epochs=10")
    trunk = lab.fit("pixel-cnn", *options, *network, "--data.batch_size=32", "--data.augment=0", seed=seed).model
    seen, labels = train
    components = PCA(CODES).fit(seen.flatten(1).numpy())

    def features(images: Tensor) -> Tensor:
        maps: Tensor = trunk.net(2 * trunk.observed(images) - 1, None)  # (n, width, height, width of the image)
        return maps

    return {
        "pixels": pixels,
        "principal components": lambda images: torch.from_numpy(components.transform(images.flatten(1).numpy())),
        "codes": encoder.model.encode,
        "codes, untrained": lab.model("autoencoder", ImageInfo(1, 8, 8, 10), seed, latent_dim=CODES).encode,
        "features, all": features,
        "features, mean": lambda images: features(images).mean((2, 3)),
        "features, last pixel": lambda images: features(images)[..., -1, -1],
        "features of a network that saw all labels": Judge.train(seen, labels, seed).features,
    }


def pixels(images: Tensor) -> Tensor:
    """Return images as they are."""
    return images


def read_off(
    splits: Mapping[str, Batch], represent: Callable[[Tensor], Tensor], each: int, choice: int, shuffled: bool = False
) -> float:
    """Return the accuracy on test images of logistic regression on numbers that stand for images.

    Args:
        splits: Images and labels; those for validation choose the penalty.
        represent: Gives the numbers, n first, of images (n, channels, height, width).
        each: Labelled images of each class.
        choice: Another number chooses others.
        shuffled: Whether they exchange their labels at random.
    """
    with torch.no_grad():
        numbers = {name: represent(images).flatten(1).numpy() for name, (images, _) in splits.items()}
    labels = splits["train"][1]
    kept = few(labels, each, choice)
    given = labels[kept.roll(1)] if shuffled else labels[kept]
    makers = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)) for c in PENALTIES]
    fitted = [maker.fit(numbers["train"][kept], given) for maker in makers]
    best = max(fitted, key=lambda regression: regression.score(numbers["val"], splits["val"][1]))
    return float(best.score(numbers["test"], splits["test"][1]))
