import pytest
import torch

from dlplug_sequence.data.phrases import Phrases
from dlplug_sequence.models.seq2seq import Seq2Seq
from dlplug_sequence.models.transformer import Transformer

MAKERS = [
    *(
        lambda a=a: Seq2Seq(attention=a, hidden_size=32, embedding_dim=8)
        for a in ("none", "dot", "bahdanau", "luong-general")
    ),
    lambda: Seq2Seq(cell="lstm", hidden_size=16, embedding_dim=8, num_layers=2),
    lambda: Transformer(d_model=16, num_heads=2),
]


@pytest.fixture(scope="module")
def data():
    data = Phrases(size=300)
    data.setup()
    return data


def built(model, data):
    torch.manual_seed(0)
    model.build(data.info)
    model.info = data.info
    return model.eval()


@pytest.mark.parametrize("make", MAKERS)
def test_decoding_step_by_step_for_several_hypotheses_is_teacher_forcing(make, data):
    model = built(make(), data)
    source, target, *_ = next(iter(data.val_dataloader()))
    whole = model(source, target[:, :-1])
    memory, state = model.encode(source)
    state = tuple(part.expand(-1, 3, *part.shape[2:]) for part in state)
    steps = []
    for tokens in target.T[:-1]:
        logits, state = model.decode_step(memory, state, tokens[:, None].expand(-1, 3))
        steps.append(logits)
    for hypothesis in torch.stack(steps, dim=2).unbind(1):
        assert torch.allclose(hypothesis, whole, atol=1e-5)


@pytest.mark.parametrize("make", MAKERS)
def test_padding_changes_no_translation(make, data):
    model = built(make(), data)
    source, target, *_ = next(iter(data.val_dataloader()))
    row = int((source != 0).sum(1).argmin())
    short = source[row : row + 1, : int((source[row] != 0).sum())]
    assert short.shape[1] < source.shape[1]
    assert torch.allclose(model(short, target[row : row + 1]), model(source, target)[row], atol=1e-5)


@pytest.mark.parametrize("make", [MAKERS[0], MAKERS[1], MAKERS[-1]])
def test_it_learns_a_few_pairs_by_heart(make, data):
    model = built(make(), data).train()
    batch = tuple(part[:4] for part in next(iter(data.val_dataloader())))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(200):
        loss = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    references = model.target.decode_batch(batch[1].tolist())
    for num_beams in (1, 3):
        assert model.target.decode_batch(model.translate(batch[0], num_beams).rows(3)) == references
    text = model.source.decode([token_id for token_id in batch[0][0].tolist() if token_id])
    assert model.generate(text).text == references[0]


@pytest.mark.parametrize("make", [MAKERS[1], Transformer], ids=["seq2seq", "transformer"])
def test_alignments_are_distributions_over_the_text(data, make):
    model = built(make(), data)
    source, target, *_ = next(iter(data.val_dataloader()))
    weights = model.align(source, target).detach()
    assert weights.shape == (len(source), target.shape[1] - 1, source.shape[1])
    assert torch.allclose(weights.sum(2), torch.ones(()))
    assert float(weights[source[:, None].expand_as(weights) == 0].abs().sum()) == 0


def test_without_attention_there_is_no_alignment(data):
    source, target, *_ = next(iter(data.val_dataloader()))
    with pytest.raises(ValueError, match="no attention weights"):
        built(MAKERS[0](), data).align(source, target)


def test_references_are_the_true_text_though_tokens_are_unknown(data):
    model = built(MAKERS[0](), data)
    batch = next(iter(data.test_dataloader()))
    translations = [translation for _, translation in data.pairs()["test"]][: len(batch[0])]
    assert [reference for _, reference, _ in model.decode_batch(batch)] == translations
    assert model.target.decode_batch(batch[1].tolist()) != translations  # so short a training text knows few words


def test_options_out_of_range_are_refused():
    for make in (lambda: Seq2Seq(hidden_size=3), lambda: Seq2Seq(lr=0.0), lambda: Transformer(d_model=10, num_heads=4)):
        with pytest.raises(ValueError, match="not"):
            make()
