import itertools

import pytest
import torch

from dlplug_sequence.nn.beam_search import beam_search


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
    begin, end, max_length = 1, 2, 5
    best = {}
    for length in range(1, max_length + 1):
        for middle in itertools.product((0, 1), repeat=length - 1):
            path = [begin, *middle, end]
            total = sum(float(table[i, a, b]) for i, (a, b) in enumerate(itertools.pairwise(path)))
            best[middle] = total / ((5 + length) / 6) ** length_penalty
    winner = max(best, key=best.get)
    result = beam_search(step, (torch.zeros(2, 1, dtype=torch.long),), begin, end, 64, max_length, length_penalty)
    assert result.rows(end) == [list(winner)] * 2
    assert torch.allclose(result.scores, torch.tensor(best[winner]))


def test_a_beam_of_one_is_greedy():
    table, step = random_model(6, 0)
    result = beam_search(step, (torch.zeros(1, 1, dtype=torch.long),), 1, 2, 1, 8)
    token, greedy = 1, []
    for time in range(8):
        token = int(table[time, token].argmax())
        if token == 2:
            break
        greedy.append(token)
    assert result.rows(2) == [greedy]
    with pytest.raises(ValueError, match="num_beams"):
        beam_search(step, (torch.zeros(1, 1, dtype=torch.long),), 1, 2, 0)
