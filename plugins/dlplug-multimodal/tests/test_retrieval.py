"""Measures of retrieval, each against what a person counts."""

import pytest
import torch

from dlplug_multimodal.evaluation.retrieval import (
    CrossModalRecall,
    average_precision,
    most_likely,
    r_precision,
    recalls,
)

# Two queries, best scores first: items 2, 0, 3, 1 and, of equal scores in their order, 0, 1, 2, 3.
SCORES = torch.tensor([[0.5, 0.1, 0.9, 0.3], [1.0, 1.0, 1.0, 1.0]])
RELEVANT = torch.tensor([[True, False, True, False], [False, True, True, True]])


def test_average_precision_of_each_row():
    assert average_precision(SCORES, RELEVANT).tolist() == pytest.approx([1, (1 / 2 + 2 / 3 + 3 / 4) / 3])
    assert average_precision(-SCORES, RELEVANT).tolist() == pytest.approx(
        [(1 / 3 + 2 / 4) / 2, (1 / 2 + 2 / 3 + 3 / 4) / 3]
    )
    last = torch.arange(1000)[None] == 999  # of so many equals only a stable sort leaves the last one last
    assert average_precision(torch.zeros(1, 1000), last).tolist() == pytest.approx([1 / 1000])


def test_r_precision_of_each_row():
    assert r_precision(SCORES, RELEVANT).tolist() == pytest.approx([1, 2 / 3])
    assert r_precision(-SCORES, RELEVANT).tolist() == pytest.approx([0, 2 / 3])


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


def test_right_among_equals_comes_last():
    assert recalls(torch.ones(1, 10), torch.tensor([0]))["image_to_text@10"] == 1
    assert recalls(torch.ones(1, 11), torch.tensor([0]))["image_to_text@10"] == 0


def test_equal_texts_are_one_however_they_come():
    """Images 0 and 2 have the same words; image 1 is nearer to their text than to its own."""
    images = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    counts = torch.tensor([[0, 2], [1, 0], [0, 2]])
    metric = CrossModalRecall()
    for part in (slice(0, 1), slice(1, 3)):
        metric.update(images[part], texts[part], counts[part])
    values = metric.compute()
    assert values["image_to_text@1"] == pytest.approx(1 / 3)  # image 0
    assert values["text_to_image@1"] == pytest.approx(1 / 2)  # their text finds image 0, the other finds image 2
    assert values["image_to_text_chance@1"] == pytest.approx(1 / 2)
    metric.reset()
    metric.update(images[:1], texts[:1], counts[:1])
    assert metric.compute()["image_to_text@1"] == 1
