"""What panels expect of curves."""

import numpy as np
import pytest

from dlplug import Panel
from dlplug.report.curves import Curve
from dlplug.report.expectations import unmet


def curve(column, *values):
    return Curve(column, np.arange(len(values), dtype=float), np.array(values, dtype=float))


@pytest.mark.parametrize(
    ("rule", "values", "said"),
    [
        ("loss falls", (4, 3, 2, 1), ""),
        ("loss falls", (4, 1, 1.7), ""),  # a little up again
        ("loss falls", (4, 1, 2), "val/loss falls, then rises again"),
        ("loss falls", (4, 4, 4), "val/loss does not fall"),
        ("val/loss rises", (1, 2), ""),
        ("loss rises", (1, 5, 2), "val/loss rises, then falls again"),
        ("loss < 0.5", (4, 0.4), ""),
        ("loss < 0.5", (0.1, 0.6), "val/loss ends at 0.6, not below 0.5"),
        ("loss > other", (1, 3), ""),
        ("loss > other", (1, 2), "val/loss ends at 2, not above val/other, 2"),
    ],
)
def test_rule(rule, values, said):
    panel = Panel("s", "t", "n", ("loss",), expect=(rule,))
    found = [curve("val/loss", *values), curve("val/other", 9, 2), curve("train/other", 9, 9)]
    assert unmet(panel, found) == ([said] if said else [])


def test_noise_of_batches_is_averaged():
    values = np.linspace(4, 1, 1000) + np.random.default_rng(0).normal(size=1000)
    assert unmet(Panel("s", "t", "n", ("loss",), expect=("loss falls",)), [curve("train/loss", *values)]) == []


def test_nothing_is_said_where_nothing_can_be_judged():
    panel = Panel("s", "t", "n", ("loss",), expect=("loss falls", "loss < other"))
    assert unmet(panel, []) is None
    assert unmet(panel, [curve("val/loss", 3), curve("val/acc", 1, 2)]) is None


@pytest.mark.parametrize("rule", ["loss", "loss grows", "loss <", "loss < 1 2", "accuracy rises", "val/accuracy rises"])
def test_a_rule_that_cannot_be_read_is_refused(rule):
    with pytest.raises(ValueError, match=f"panel 't' expects '{rule}'"):
        Panel("s", "t", "n", ("loss",), expect=(rule,))
