"""The quality of the default recipe, by cross-validation."""

from sklearn.linear_model import LogisticRegression

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_vision.data.images import FOLDS


def quality(lab: Lab) -> Evidence:
    """Train the default recipe on each fifth of mnist5k's images left out in turn, and test on that fifth."""
    measured, baseline = [], []
    for fold in range(FOLDS):
        measured.append(lab.test(lab.fit("cnn", f"--data.fold={fold}"))["test/accuracy"])
        data = lab.data("mnist5k", fold=fold)
        train, test = (data.prepare_batch(data.splits[name]) for name in ("train", "test"))
        (x, y), (test_x, test_y) = ((images.flatten(1).numpy(), labels.numpy()) for images, labels in (train, test))
        baseline.append(float(LogisticRegression(max_iter=1000).fit(x, y).score(test_x, test_y)))
    curves = {"cnn": measured, "logistic regression": baseline}
    return Evidence(
        [Measure("test accuracy of five folds", measured, ">=", 0.985, "RBF SVM about 0.95")],
        [Measure("the same of logistic regression", baseline, ">=", 0.985)],
        {"By fold": Figure(plot_curves(range(FOLDS), curves, "fold", "test accuracy"))},
    )
