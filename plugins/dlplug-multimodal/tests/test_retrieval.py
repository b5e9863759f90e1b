"""Measures of retrieval, each against what a person counts."""

import pytest
import torch

from dlplug_multimodal.evaluation.retrieval import average_precision, most_likely, r_precision, recalls

# Two queries, best scores first: items 2, 0, 3, 1 and, of equal scores in their order, 0, 1, 2, 3.
SCORES = torch.tensor([[0.5, 0.1, 0.9, 0.3], [1.0, 1.0, 1.0, 1.0]])
RELEVANT = torch.tensor([[True, False, False, True], [False, True, True, True]])


def test_average_precision_of_each_row():
    assert average_precision(SCORES, RELEVANT).tolist() == pytest.approx(
        [(1 / 2 + 2 / 3) / 2, (1 / 2 + 2 / 3 + 3 / 4) / 3]
    )


def test_r_precision_of_each_row():
    assert r_precision(SCORES, RELEVANT).tolist() == pytest.approx([1 / 2, 2 / 3])


def test_most_likely_names():
    probabilities = torch.tensor([0.0625, 0.6874, 0.2501])
    assert most_likely(probabilities, ["cat", "dog", "sea"], 2) == ["dog 68.7%", "sea 25.0%"]
    assert len(most_likely(probabilities, ["cat", "dog", "sea"], 9)) == 3


@pytest.mark.parametrize(("better", "found"), [(0, (1, 1)), (1, (0, 1)), (9, (0, 1)), (10, (0, 0))])
def test_recall_counts_the_wrong_ones_before_the_right(better, found):
    """One image and twelve texts, of which so many are nearer than its own."""
    similarity = torch.tensor([[0.5, *[0.9] * better, *[0.1] * (11 - better)]])
    values = recalls(similarity, torch.tensor([0]))
    assert (values["image_to_text@1"], values["image_to_text@10"]) == found
    assert values["text_to_image@1"] == pytest.approx(1 / 12)  # no image shows the other texts
    assert values["image_to_text_chance@1"] == pytest.approx(1 / 12)
    assert values["image_to_text_chance@10"] == pytest.approx(10 / 12)


def test_chance_of_several_right_ones():
    """Four images of one text: three draws of six without replacement miss the two wrong ones never."""
    which = torch.tensor([0, 0, 0, 0, 1, 1])
    values = recalls(torch.zeros(6, 2), which)
    assert values["text_to_image_chance@1"] == pytest.approx((4 / 6 + 2 / 6) / 2)
    assert values["text_to_image_chance@10"] == 1
