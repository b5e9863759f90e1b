import numpy as np
import pytest

from dlplug_sequence.models.markov import NGrams


@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell"])
def test_ngram_probabilities_are_distributions_and_agree(smoothing):
    tokens = np.random.default_rng(0).integers(0, 6, 3000) ** 2 // 6
    ngrams = NGrams.count(tokens, 7, 4, smoothing)
    for context in ([], [1], [4, 0, 1], [6, 6, 6], [0, 6, 1]):
        spread = ngrams.distribution(np.array(context, dtype=int))
        assert spread.sum() == pytest.approx(1)
        assert spread.min() > 0
        rows = np.array([[*context, token] for token in range(7)])
        assert np.allclose(ngrams.probabilities(rows)[:, -1], spread)


def test_witten_bell_by_hand():
    """'abab' and then 'a': after a came b twice, one kind of token; b is 2 of 5, two kinds."""
    ngrams = NGrams.count(np.array([0, 1, 0, 1, 0]), 2, 2, "witten-bell")
    b = (2 + 2 * 0.5) / (5 + 2)
    assert ngrams.probabilities(np.array([[0, 1]]))[0, 1] == pytest.approx((2 + 1 * b) / (2 + 1))


def test_kneser_ney_counts_contexts():
    """'San Francisco': Francisco is frequent but follows San alone, so that elsewhere it is unlikely."""
    text = [0, 1] * 50 + [2, 3, 4, 3, 5, 3, 6, 3] + [2, 4, 5, 6, 2, 5, 4, 6]
    ngrams = NGrams.count(np.array(text), 7, 2, "kneser-ney")
    after = ngrams.distribution(np.array([6]))
    assert after[3] > after[1]
