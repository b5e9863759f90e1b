"""Judges: what ``dlplug compare`` measures on some data, by functions that its ``DataSpec`` names.

A judge takes a ``dlplug.api.TrainedRun`` on that data and returns numbers by name. Where it does not apply it raises an
``InputError`` that says why. Those of this module take what ``dlplug test`` measures, by shared names.
"""

from math import log
from typing import TYPE_CHECKING

from dlplug.errors import InputError

if TYPE_CHECKING:
    from dlplug.api import TrainedRun

Figures = dict[str, float]


def tested(run: "TrainedRun", *names: str) -> Figures:
    """Return those of some metrics that a test of the run has.

    Args:
        run: The run.
        names: The metrics' names, without ``test/``.

    Raises:
        InputError: It has none of them.
    """
    metrics = run.test()
    found = {name: metrics[f"test/{name}"] for name in names if f"test/{name}" in metrics}
    if not found:
        raise InputError(f"its test measures no {' or '.join(names)}")
    return found


def classification(run: "TrainedRun") -> Figures:
    """Return the accuracy, the expected calibration error and macro averages, of classes or labels."""
    return tested(run, "accuracy", "macro_recall", "ece", "f1", "map")


def regression(run: "TrainedRun") -> Figures:
    """Return errors in the targets' units, and the share of their variance that is explained."""
    return tested(run, "mae", "rmse", "r2")


def likelihood(run: "TrainedRun") -> Figures:
    """Return the negative log-likelihood a dimension in nats; of a model with latent variables a bound on it."""
    return {"nats_per_dim": tested(run, "bits_per_dim")["bits_per_dim"] * log(2)}


def language(run: "TrainedRun") -> Figures:
    """Return the bits a character."""
    return tested(run, "bits_per_char")


def translation(run: "TrainedRun") -> Figures:
    """Return the share of outputs that are a reference, and the BLEU from 0 to 100."""
    return tested(run, "exact_match", "bleu")


def retrieval(run: "TrainedRun") -> Figures:
    """Return the mean recall at 1 and 10, images by words and words by images, and the mean average precision."""
    return tested(run, "recall", "map")


def returns(run: "TrainedRun") -> Figures:
    """Return the mean return of the test episodes."""
    return tested(run, "episode_return")
