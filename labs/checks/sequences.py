"""Checks of lecture 2's lab."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from checks import check, equal, expect, learns


@check
def bag_of_words(answer):
    """Count by hand."""
    tokens = torch.tensor([[0, 3, 3, 1], [3, 1, 0, 3], [2, 2, 2, 2]])
    wanted = torch.tensor([[1.0, 1, 0, 2, 0], [1, 1, 0, 2, 0], [0, 0, 4, 0, 0]])
    known = {"this says whether a word occurs: count how often it does": (wanted > 0).float()}
    look = "Count each number from 0 to vocabulary_size - 1 in every row; one_hot, added up over time, does."
    equal(answer(tokens, 5), wanted, "the counts of [0 3 3 1], [3 1 0 3] and [2 2 2 2]", look, known)
    return "the first two texts have the same words in another order, and the same bag."


@check
def bigram(answer):
    """Count by hand, with a token that never occurs."""
    tokens, size = torch.tensor([0, 1, 0, 1, 2, 0, 0]), 4
    counts = torch.tensor([[1.0, 2, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    right = (counts + 1) / (counts + 1).sum(1, keepdim=True)
    known = {
        "rows are what comes next: row i should be the distribution after token i": right.T,
        "columns add up to 1: rows should, each is a distribution": (counts + 1) / (counts + 1).sum(0),
        "these are counts: divide each row by its sum": counts + 1,
        "the 1 that is added to each count is missing": counts / counts.sum(1, keepdim=True),
        "all entries add up to 1: each row should": (counts + 1) / (counts + 1).sum(),
    }
    look = "Count pairs (tokens[t], tokens[t + 1]), add 1 to each count, divide each row by its sum."
    equal(answer(tokens, size), right, "P(next | last) of the text 0 1 0 1 2 0 0", look, known)
    return "every row is a distribution, even of a token that never occurred."


@check
def rnn_cell(answer):
    """Compare with torch's cell."""
    cell = nn.RNNCell(3, 4)
    x, s = torch.randn(2, 3), torch.randn(2, 4)
    w, u, b = cell.weight_hh.detach(), cell.weight_ih.detach(), (cell.bias_ih + cell.bias_hh).detach()
    known = {
        "the activation is missing: tanh of the sum": x @ u.T + s @ w.T + b,
        "W is transposed: for rows s, W s is s @ W.T": torch.tanh(x @ u.T + s @ w + b),
        "the bias is missing": torch.tanh(x @ u.T + s @ w.T),
        "the state before plays no part": torch.tanh(x @ u.T + b),
    }
    look = "It is tanh(W s + U x + b), for every row."
    equal(answer(x, s, w, u, b), cell(x, s), "the next state of two rows", look, known)
    return "the same as torch.nn.RNNCell."


@check
def sequence_loss(answer):
    """Compare with torch's cross-entropy."""
    logits, targets = torch.randn(2, 5, 4, requires_grad=True), torch.randint(4, (2, 5))
    right = cross_entropy(logits.flatten(0, 1), targets.flatten())
    known = {
        "this is a sum: take the mean over texts and timesteps": right * 10,
        "the mean is over texts alone: over timesteps too": right * 5,
        "the sign is turned: the loss is -log of the probability": -right,
        "this is the logit of the target: its log-probability is less by logsumexp over the vocabulary": -logits.gather(
            2, targets[..., None]
        ).mean(),
        "the softmax is over time: it should be over the vocabulary, the last dimension": -logits.log_softmax(1)
        .gather(2, targets[..., None])
        .mean(),
    }
    loss = answer(logits, targets)
    look = "-log softmax is logsumexp(logits) - the logit of the target; take the mean of all."
    equal(loss, right, "the loss of two texts of five tokens", look, known)
    learns(loss)
    [gradient] = torch.autograd.grad(loss, logits)
    softmax = (logits.softmax(2) - nn.functional.one_hot(targets, 4)) / 10
    equal(gradient, softmax, "the gradient", "It should be softmax - one-hot: all of the logits take part.")
    far = answer(torch.tensor([[[1000.0, 0.0]]]), torch.tensor([[1]]))
    expect(bool(torch.isfinite(far)), "a logit of 1000 gives inf or nan: use logsumexp, not log(exp(…).sum())")
    return "a loss at each timestep, and its gradient is softmax - one-hot."


@check
def jacobian(answer):
    """Compare with autograd."""
    w = torch.randn(4, 4, dtype=torch.double) * 0.7
    start = torch.randn(4, dtype=torch.double)

    def run(s):
        states = []
        for _ in range(3):
            s = torch.tanh(w @ s)
            states.append(s)
        return torch.stack(states)

    states = run(start)
    right = torch.autograd.functional.jacobian(lambda s: run(s)[-1], start)
    one, steps = torch.eye(4, dtype=torch.double), [(1 - s**2)[:, None] * w for s in states]
    plain = w @ w @ w
    known = {
        "the order is turned: the last step's factor stands leftmost": steps[0] @ steps[1] @ steps[2],
        "tanh' is left out: this is W³": plain,
        "tanh' multiplies columns: (1 - s²) belongs to the rows of W, diag(1 - s²) W": one
        @ (w * (1 - states[2] ** 2))
        @ (w * (1 - states[1] ** 2))
        @ (w * (1 - states[0] ** 2)),
        "a step is missing: there are as many factors as states": steps[2] @ steps[1],
    }
    look = "It is the product of diag(1 - s_t²) W over t, the last leftmost; s_t is tanh already."
    equal(answer(w, states), right, "ds₃/ds₀ of a cell of four units", look, known)
    return "a product with one factor a step, which is what vanishes or explodes."


@check
def lstm_cell(answer):
    """Compare with torch's cell."""
    cell = nn.LSTMCell(3, 4)
    x, h, c = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    gates = (cell.weight_ih @ x.T + cell.weight_hh @ h.T).T + cell.bias_ih + cell.bias_hh
    i, f, g, o = gates.detach().chunk(4, 1)
    got = answer(i, f, g, o, c)
    expect(isinstance(got, tuple) and len(got) == 2, "give two tensors: the new h and the new c")
    right_h, right_c = cell(x, (h, c))
    known = {
        "h and c are swapped: h comes first": right_h,
        "the candidate g goes through tanh, not sigmoid": f.sigmoid() * c + i.sigmoid() * g.sigmoid(),
        "forget and input gate are swapped": i.sigmoid() * c + f.sigmoid() * g.tanh(),
        "gates go through sigmoid": f * c + i * g.tanh(),
    }
    equal(got[1], right_c, "the new c", "It is σ(f) c + σ(i) tanh(g).", known)
    known = {"the new c goes through tanh: σ(o) tanh(c)": o.sigmoid() * right_c}
    equal(got[0], right_h, "the new h", "It is σ(o) tanh(c), with the new c.", known)
    return "c is carried on by a sum, and only a gate can shrink it."


@check
def causal_mask(answer):
    """Compare with tril."""
    got = answer(4)
    expect(got is not None and got.shape == (4, 4), "give a tensor of shape (steps, steps)")
    expect(got.dtype == torch.bool, f"give True and False, not {got.dtype}")
    known = {
        "rows and columns are swapped: row i is what step i may look at": torch.ones(4, 4).triu(),
        "each step should see itself too": torch.ones(4, 4).tril(-1),
        "it is the other way round: True where a step may look": torch.ones(4, 4).triu(1),
    }
    equal(got, torch.ones(4, 4).tril(), "the mask of four steps", "Step i may look at steps 0 to i.", known)
    return "step i sees steps 0 to i."


@check
def attention(answer):
    """Compare with torch's, with and without a mask."""
    q, k, v = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 6)
    scores = q @ k.transpose(1, 2)
    right = scaled_dot_product_attention(q, k, v)
    known = {
        "the scale is missing: divide q · k by the root of their size": scores.softmax(2) @ v,
        "the softmax is over the queries: it should be over the keys, the last dimension": (
            (scores / math.sqrt(8)).softmax(1) @ v
        ),
        "this divides by the size, not by its root": (scores / 8).softmax(2) @ v,
    }
    look = "It is softmax(q kᵀ / √size) v, the softmax over the keys."
    got = answer(q, k, v)
    expect(isinstance(got, tuple) and len(got) == 2, "give two tensors: the output and the weights")
    equal(got[0], right, "the output of three queries on five keys", look, known)
    equal(got[1], (scores / math.sqrt(8)).softmax(2), "the weights", "They are what the values are multiplied with.")
    mask = torch.tensor([[True, False, False, True, True]] * 3)
    output, weights = answer(q, k, v, mask)
    expect(not bool(torch.isnan(weights).any()), "with a mask weights are nan")
    seen = float(weights[..., 1:3].max())
    expect(seen < 1e-6, f"a masked key has weight {seen:.2g}: fill its score with -inf before the softmax")
    sums = "weights do not add up to 1 with a mask: it belongs before the softmax, as -inf, not after it, as 0"
    expect(torch.allclose(weights.sum(2), torch.ones(2, 3)), sums)
    equal(output, scaled_dot_product_attention(q, k, v, mask), "the output with a mask", look)
    return "each query reads a mean of the values, weighted by how well the keys fit."
