import itertools

import pytest
import torch

from dlplug_sequence.data.phrases import Phrases
from dlplug_sequence.models.seq2seq import Seq2Seq
from dlplug_sequence.models.transformer import Transformer
from dlplug_sequence.nn.beam_search import beam_search

MAKERS = [
    *(lambda a=a: Seq2Seq(attention=a, hidden=32, embedding=8) for a in ("none", "dot", "bahdanau", "luong-general")),
    lambda: Seq2Seq(cell="lstm", hidden=16, embedding=8, layers=2),
    lambda: Transformer(width=16, heads=2),
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
def test_writing_step_by_step_for_several_hypotheses_is_writing_at_once(make, data):
    model = built(make(), data)
    source, target = next(iter(data.val_dataloader()))
    whole = model(source, target[:, :-1])
    memory, state = model.read(source)
    state = tuple(part.expand(-1, 3, *part.shape[2:]) for part in state)
    steps = []
    for tokens in target.T[:-1]:
        scores, state = model.write(memory, state, tokens[:, None].expand(-1, 3))
        steps.append(scores)
    for hypothesis in torch.stack(steps, dim=2).unbind(1):
        assert torch.allclose(hypothesis, whole, atol=1e-5)


@pytest.mark.parametrize("make", MAKERS)
def test_padding_changes_no_translation(make, data):
    model = built(make(), data)
    source, target = next(iter(data.val_dataloader()))
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
    for beam in (1, 3):
        assert model.target.decode_batch(model.translate(batch[0], beam).rows(3)) == references
    text = model.source.decode([code for code in batch[0][0].tolist() if code])
    assert model.generate(text).text == references[0]


def random_model(vocabulary, seed):
    """Log-probabilities of each next token that depend on the last token and the step."""
    table = torch.randn(8, vocabulary, vocabulary, generator=torch.Generator().manual_seed(seed)).log_softmax(2)

    def step(tokens, state):
        [time] = state
        return table[time, tokens], (time + 1,)

    return table, step


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_texts(seed, length_penalty):
    table, step = random_model(3, seed)
    begin, end, longest = 1, 2, 5
    best = {}
    for length in range(1, longest + 1):
        for middle in itertools.product((0, 1), repeat=length - 1):
            path = [begin, *middle, end]
            total = sum(float(table[i, a, b]) for i, (a, b) in enumerate(itertools.pairwise(path)))
            best[middle] = total / ((5 + length) / 6) ** length_penalty
    winner = max(best, key=best.get)
    found = beam_search(step, (torch.zeros(2, 1, dtype=torch.long),), begin, end, 64, longest, length_penalty)
    assert found.rows(end) == [list(winner)] * 2
    assert torch.allclose(found.scores, torch.tensor(best[winner]))


def test_a_beam_of_one_is_greedy():
    table, step = random_model(6, 0)
    found = beam_search(step, (torch.zeros(1, 1, dtype=torch.long),), 1, 2, 1, 8)
    token, greedy = 1, []
    for place in range(8):
        token = int(table[place, token].argmax())
        if token == 2:
            break
        greedy.append(token)
    assert found.rows(2) == [greedy]
    with pytest.raises(ValueError, match="beam"):
        beam_search(step, (torch.zeros(1, 1, dtype=torch.long),), 1, 2, 0)


def test_alignments_are_distributions_over_the_text(data):
    model = built(MAKERS[1](), data)
    source, target = next(iter(data.val_dataloader()))
    weights = model.align(source, target).detach()
    assert weights.shape == (len(source), target.shape[1] - 1, source.shape[1])
    assert torch.allclose(weights.sum(2), torch.ones(()))
    assert float(weights[source[:, None].expand_as(weights) == 0].abs().sum()) == 0
    with pytest.raises(ValueError, match="looks nowhere"):
        built(MAKERS[0](), data).align(source, target)


def test_options_out_of_range_are_refused():
    for make in (lambda: Seq2Seq(hidden=3), lambda: Seq2Seq(lr=0.0), lambda: Transformer(width=10, heads=4)):
        with pytest.raises(ValueError, match="not"):
            make()
