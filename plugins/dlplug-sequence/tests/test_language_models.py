import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dlplug.errors import InputError
from dlplug_sequence.data.token_stream import TextInfo
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.markov import Markov
from dlplug_sequence.models.ngram import NGrams
from dlplug_sequence.models.rnn_lm import RNNLM
from dlplug_sequence.models.transformer_lm import TransformerLM
from dlplug_sequence.nn.recurrent import Recurrent

TEXT = "the cat sat on the mat and the dog sat on the log; 猫坐在垫子上。\n" * 20


def built(model, level="character"):
    torch.manual_seed(0)
    vocabulary = Vocabulary.train([TEXT], level)
    info = TextInfo(vocabulary.to_json())
    model.build(info)
    model.info = info
    if isinstance(model, Markov):
        model.count(vocabulary.encode_stream([TEXT]))
    return model.eval(), vocabulary.encode_stream([TEXT]).long()


NEURAL = [
    lambda: RNNLM(hidden=8, embedding=6),
    lambda: RNNLM(cell="gru", hidden=8, embedding=6, layers=2, tied=True, dropout=0.1),
    lambda: RNNLM(cell="irnn", hidden=8, embedding=6),
    lambda: TransformerLM(context=32, width=8, heads=2, layers=2),
]


@pytest.mark.parametrize("make", [*NEURAL, lambda: Markov(order=4), lambda: Markov(order=3, smoothing="witten-bell")])
@pytest.mark.parametrize("level", ["character", "word", "bpe"])
def test_reading_on_with_the_state_is_reading_at_once(make, level):
    model, tokens = built(make(), level)
    rows = tokens[:21].repeat(2, 1)
    whole, _ = model.losses(rows[:, :-1], rows[:, 1:], ())
    first, state = model.losses(rows[:, :9], rows[:, 1:10], ())
    second, _ = model.losses(rows[:, 9:-1], rows[:, 10:], state)
    assert torch.allclose(whole, torch.cat([first, second], dim=1), atol=1e-5)
    scores, state = model.read_on(rows[:, :9], ())
    step, _ = model.read_on(rows[:, 9:10], state)
    nats = -torch.stack([scores.log_softmax(1)[:, rows[0, 9]], step.log_softmax(1)[:, rows[0, 10]]], dim=1)
    assert torch.allclose(nats.float(), whole[:, 8:10], atol=1e-5)


@pytest.mark.parametrize("make", [NEURAL[0], lambda: Markov(order=4)])
def test_it_writes(make):
    model, _ = built(make())
    text = model.generate("the ", length=30).text
    assert text.startswith("the ")
    assert len(text) == 34
    assert model.generate("the", 9, temperature=0).text == model.generate("the", 9, top_k=1).text
    for options in ({"length": 0}, {"temperature": -1.0}, {"top_k": -1}):
        with pytest.raises(ValueError, match="at least"):
            model.generate(**options)


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


def test_more_context_helps_on_text_that_has_structure():
    bits = []
    for order in (1, 2, 4):
        model, tokens = built(Markov(order=order))
        losses, _ = model.losses(tokens[None, :-1], tokens[None, 1:], ())
        bits.append(float(losses.mean()) / math.log(2))
    assert bits[0] > bits[1] + 0.5 > bits[2] + 1


def test_the_gradient_by_lag_is_autograd_s_and_falls():
    model, tokens = built(RNNLM(cell="rnn", hidden=8, embedding=6))
    norms = model.gradient_by_lag(tokens[None, :30], tokens[None, 1:31])
    assert norms.shape == (30,)
    assert norms[0] > norms[10] > norms[29] > 0


def test_cells_start_as_asked():
    assert torch.equal(Recurrent("irnn", 3, 5).net.weight_hh_l0, torch.eye(5))
    gate = Recurrent("lstm", 3, 5, init="orthogonal").net.weight_hh_l0[5:10]
    assert torch.allclose(gate @ gate.T, torch.eye(5), atol=1e-5)
    out, state = Recurrent("gru", 3, 5, layers=2, bidirectional=True)(torch.randn(2, 7, 3))
    assert out.shape == (2, 7, 10)
    assert state[0].shape == (4, 2, 5)
    with pytest.raises(ValueError, match="cell rnn"):
        Recurrent("lstm", 3, 5, activation="relu")


def test_markov_asks_for_one_process():
    model, _ = built(Markov())
    model._trainer = SimpleNamespace(world_size=2)
    with pytest.raises(InputError, match="one process"):
        model.setup("fit")


@pytest.mark.parametrize("options", [{"embedding": 0}, {"lr": 0.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="at least 1"):
        RNNLM(**options)
    with pytest.raises(ValueError, match="at least 1"):
        Markov(order=0)
