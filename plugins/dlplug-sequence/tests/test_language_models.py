import math
from types import SimpleNamespace

import pytest
import torch

from dlplug.errors import InputError
from dlplug_sequence.data.token_stream import TextInfo
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models import transformer_lm
from dlplug_sequence.models.markov import Markov
from dlplug_sequence.models.rnn_lm import RNNLM
from dlplug_sequence.models.transformer_lm import TransformerLM

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
    lambda: RNNLM(hidden_size=8, embedding_dim=6),
    lambda: RNNLM(cell="gru", hidden_size=8, embedding_dim=6, num_layers=2, tie_embeddings=True, dropout=0.1),
    lambda: RNNLM(cell="irnn", hidden_size=8, embedding_dim=6),
    lambda: TransformerLM(context_length=32, d_model=8, num_heads=2, num_layers=2),
]


@pytest.mark.parametrize("make", [*NEURAL, lambda: Markov(order=4), lambda: Markov(order=3, smoothing="witten-bell")])
@pytest.mark.parametrize("level", ["character", "word", "bpe"])
def test_continuing_from_the_state_is_reading_at_once(make, level):
    model, tokens = built(make(), level)
    rows = tokens[:21].repeat(2, 1)
    whole, _ = model.losses(rows[:, :-1], rows[:, 1:], ())
    first, state = model.losses(rows[:, :9], rows[:, 1:10], ())
    second, _ = model.losses(rows[:, 9:-1], rows[:, 10:], state)
    assert torch.allclose(whole, torch.cat([first, second], dim=1), atol=1e-5)
    logits, state = model.next_logits(rows[:, :9], ())
    step, _ = model.next_logits(rows[:, 9:10], state)
    nats = -torch.stack([logits.log_softmax(1)[:, rows[0, 9]], step.log_softmax(1)[:, rows[0, 10]]], dim=1)
    assert torch.allclose(nats.float(), whole[:, 8:10], atol=1e-5)


@torch.no_grad()
def test_a_cache_gives_the_logits_of_reading_again():
    model, tokens = built(NEURAL[3]())
    state = ()
    for end in range(1, 45):  # past the context, 32
        logits, state = model.next_logits(tokens[None, end - 1 : end], state)
        again, _ = model(tokens[None, max(0, end - 32) : end])
        assert torch.allclose(logits, again[:, -1], atol=1e-5)
    _, state = model.next_logits(tokens[None, :9], ())
    several, _ = model.next_logits(tokens[None, 9:14], state)
    assert torch.allclose(several, model(tokens[None, :14])[0][:, -1], atol=1e-5)


def gradients(model, tokens):
    losses, _ = model.losses(tokens[:, :-1], tokens[:, 1:], ())
    return losses, torch.autograd.grad(losses.mean(), [*model.parameters()])


@pytest.mark.parametrize("option", ["activation_checkpointing", "chunks"])
def test_less_memory_for_the_same_gradient(option, monkeypatch):
    options = {"context_length": 32, "d_model": 8, "num_heads": 2, "num_layers": 2, "tie_embeddings": True}
    plain, tokens = built(TransformerLM(**options))
    rows = tokens[:132].view(4, 33)
    losses, expected = gradients(plain.train(), rows)
    if option == "chunks":
        monkeypatch.setattr(transformer_lm, "LOGITS", 50 * plain.out.out_features)
        model = plain
    else:
        model = built(TransformerLM(**options, activation_checkpointing=True))[0].train()
    held = []
    model.out.register_forward_hook(lambda *given: held.append(given[2].numel()))
    again, found = gradients(model, rows)
    assert torch.allclose(losses, again, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(expected, found, strict=True))
    assert len(expected) == len([*plain.parameters()])
    assert max(held) <= transformer_lm.LOGITS
    assert len(held) == (6 if option == "chunks" else 1)  # three chunks, each computed again


@pytest.mark.parametrize("make", [NEURAL[0], lambda: Markov(order=4)])
def test_it_generates(make):
    model, _ = built(make())
    text = model.generate("the ", length=30).text
    assert text.startswith("the ")
    assert len(text) == 34
    assert model.generate("the", 9, temperature=0).text == model.generate("the", 9, top_k=1).text
    for options in ({"length": 0}, {"temperature": -1.0}, {"top_k": -1}):
        with pytest.raises(ValueError, match="at least"):
            model.generate(**options)


def test_more_context_helps_on_text_that_has_structure():
    bits = []
    for order in (1, 2, 4):
        model, tokens = built(Markov(order=order))
        losses, _ = model.losses(tokens[None, :-1], tokens[None, 1:], ())
        bits.append(float(losses.mean()) / math.log(2))
    assert bits[0] > bits[1] + 0.5 > bits[2] + 1


def test_the_gradient_by_lag_is_autograd_s_and_falls():
    model, tokens = built(RNNLM(cell="rnn", hidden_size=8, embedding_dim=6))
    norms = model.gradient_by_lag(tokens[None, :30], tokens[None, 1:31])
    assert norms.shape == (30,)
    assert norms[0] > norms[10] > norms[29] > 0


def test_markov_refuses_several_processes():
    model, _ = built(Markov())
    model._trainer = SimpleNamespace(world_size=2)
    with pytest.raises(InputError, match="one process"):
        model.setup("fit")


@pytest.mark.parametrize("options", [{"embedding_dim": 0}, {"lr": 0.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="at least 1"):
        RNNLM(**options)
    with pytest.raises(ValueError, match="at least 1"):
        Markov(order=0)
