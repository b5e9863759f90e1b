"""Checks of lecture 5's lab."""

import itertools
import math

import torch
from torch.nn.functional import cross_entropy, kl_div, logsigmoid, normalize, softplus

from checks import check, equal, expect, learns


def _machine(visible=4, hidden=3):
    return torch.randn(visible, hidden), torch.randn(visible), torch.randn(hidden)


@check
def free_energy(answer):
    """Compare with the sum over all hidden states."""
    W, a, b = _machine()
    v = torch.randint(2, (5, 4)).float()
    states = torch.tensor([*itertools.product((0.0, 1.0), repeat=3)])
    energy = -(v @ a)[:, None] - states @ b - (v @ W) @ states.T
    known = {
        "the visible biases are missing": -softplus(v @ W + b).sum(1),
        "the hidden biases are missing": -(v @ a) - softplus(v @ W).sum(1),
        "the sign is turned: likely v have low energy": (energy * -1).logsumexp(1),
    }
    look = "It is -a·v - the sum over hidden units of softplus(v W + b)."
    equal(answer(v, W, a, b), -(-energy).logsumexp(1), "F(v) of five rows", look, known)
    return "the sum over all states of the hidden units, without listing them."


@check
def gibbs_step(answer):
    """Look at certain machines, and at the moments of one that is not."""
    W, a, b = 100 * torch.eye(4), -50 * torch.ones(4), -50 * torch.ones(4)
    v = torch.tensor([[1.0, 0, 1, 0], [0, 0, 1, 1]])
    got = answer(v, W, a, b)
    expect(got is not None and got.shape == v.shape, "give new visible units, of the same shape")
    expect(
        torch.equal(got, v), "a machine whose hidden units copy the visible ones should give v back: h from v, v from h"
    )
    W, a, b = _machine()
    v = torch.randint(2, (1, 4)).float().expand(40000, 4)
    got = answer(v, W, a, b)
    expect(set(got.unique().tolist()) <= {0.0, 1.0}, "visible units are 0 or 1: draw them with torch.bernoulli")
    states = torch.tensor([*itertools.product((0.0, 1.0), repeat=3)])
    p = (v[0] @ W + b).sigmoid()
    weights = torch.where(states > 0, p, 1 - p).prod(1)
    wanted = (weights[:, None] * (states @ W.T + a).sigmoid()).sum(0)
    mean_field = (p @ W.T + a).sigmoid()
    wrong = float((got.mean(0) - wanted).abs().max())
    lazy = "hidden units seem to be their probabilities: draw them, 0 or 1, before going back"
    expect(wrong < 0.02 or float((got.mean(0) - mean_field).abs().max()) > 0.02, lazy)
    expect(wrong < 0.02, f"the units' means are off by {wrong:.2f}: p(h=1|v) = σ(v W + b), p(v=1|h) = σ(h Wᵀ + a)")
    return "hidden units given visible ones, all at once, and back."


@check
def complete(answer):
    """Clamp units of a machine that ties pairs of them together."""
    # Hidden units listen to the known first; the known would turn themselves off if they were not put back.
    W = torch.tensor([[40.0, 0], [0, 40], [20, 0], [0, 20]])
    a, b = torch.tensor([-50.0, -50, -10, -10]), torch.tensor([-30.0, -30])
    v, known = torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 0]]), torch.tensor([True, True, False, False])
    got = answer(v, known, W, a, b, 5)
    expect(got is not None and got.shape == v.shape, "give all visible units, of the same shape")
    expect(torch.equal(got[:, :2], v[:, :2]), "known units moved: put them back after each step")
    expect(not torch.equal(got, v), "what is not known stays as it was: sample it")
    expect(torch.equal(got[:, 2:], v[:, :2]), "the unknown do not follow the known: put those back after *every* step")
    return "what is known stays, and the machine samples what goes with it."


@check
def skip_gram_loss(answer):
    """Compare with the formula."""
    centre, context, noise = torch.randn(5, 8, requires_grad=True), torch.randn(5, 8), torch.randn(5, 3, 8)
    good = logsigmoid((centre * context).sum(1))
    bad = torch.einsum("nd,nkd->nk", centre, noise)
    right = -(good + logsigmoid(-bad).sum(1)).mean()
    known = {
        "the sign is turned: a loss is minimised": -right,
        "noise words should be unlikely: log σ(-u·v)": -(good + logsigmoid(bad).sum(1)).mean(),
        "noise words are averaged: add them up": -(good + logsigmoid(-bad).mean(1)).mean(),
        "this is a sum over pairs: take the mean": right * 5,
    }
    loss = answer(centre, context, noise)
    equal(
        loss, right, "the loss of five pairs with three noise words each", "-log σ(v·u) - Σ log σ(-v·u_noise).", known
    )
    learns(loss)
    return "words that occur together are drawn together, others pushed apart."


@check
def contrastive_loss(answer):
    """Compare with the cross-entropies."""
    images, texts = torch.randn(6, 8, requires_grad=True), torch.randn(6, 8)
    cosines = normalize(images) @ normalize(texts).T / 0.1
    pairs = torch.arange(6)
    ways = cross_entropy(cosines, pairs), cross_entropy(cosines.T, pairs)
    known = {
        "vectors are not normalised: cosines, not products": (
            cross_entropy(images @ texts.T / 0.1, pairs) + cross_entropy(texts @ images.T / 0.1, pairs)
        )
        / 2,
        "only images look for texts: texts should look for images too": ways[0],
        "only texts look for images: images should look for texts too": ways[1],
        "this adds both directions: take their mean": sum(ways),
        "cosines are multiplied by the temperature: divide": (
            cross_entropy(cosines * 0.01, pairs) + cross_entropy(cosines.T * 0.01, pairs)
        )
        / 2,
    }
    loss = answer(images, texts, 0.1)
    look = (
        "Cross-entropy of the rows of cosines / temperature, the right column being the row's own; and of the columns."
    )
    equal(loss, sum(ways) / 2, "the loss of six pairs", look, known)
    learns(loss)
    return "each image finds its text among all of the batch, and each text its image."


@check
def recall_at_k(answer):
    """Count by hand."""
    similarity = torch.tensor([[0.9, 0.1, 0.3], [0.8, 0.5, 0.6], [0.1, 0.3, 0.2]])
    look = "The share of rows whose own column is among the k largest of the row."
    columns = {"this looks through columns: a query is a row": 2 / 3}
    equal(answer(similarity, 1), 1 / 3, "recall at 1 of three queries", look, columns)
    equal(answer(similarity, 2), 2 / 3, "recall at 2 of three queries", look, {"give the share, not the count": 2.0})
    equal(answer(similarity, 3), 1.0, "recall at 3 of three queries", look)
    return "chance is k of all."


@check
def bleu(answer):
    """Compare with the definition on sentences whose score is easy to say."""
    reference = ["the", "cat", "sat", "on", "the", "mat", "today"]
    got = answer(reference, reference)
    expect(got is not None and abs(got - 1) < 1e-6, f"a perfect sentence has BLEU 1, yours {got}")
    got = answer(["the", "the", "the", "the", "the", "the", "the"], reference, 1)
    clip = "'the' seven times: each word counts at most as often as in the reference, twice of seven"
    expect(abs(got - 2 / 7) < 1e-6, f"{clip}; yours gives {got:.2f}")
    got = answer(["the", "cat", "sat", "on"], reference, 2)
    short = "a sentence of 4 words for 7 is right as far as it goes: the brevity penalty is exp(1 - 7/4)"
    expect(abs(got - math.exp(1 - 7 / 4)) < 1e-6, f"{short}; yours gives {got:.3f}")
    got = answer(["the", "cat", "sat", "on", "the", "red", "mat"], reference, 2)
    mean = "6 of 7 words and 4 of 6 pairs are right: BLEU is the geometric mean of both, 0.756"
    expect(abs(got - math.sqrt(6 / 7 * 4 / 6)) < 1e-6, f"{mean}; yours gives {got:.3f}")
    expect(answer(["dog"], reference, 1) == 0, "no word right should give 0, not an error: mind the log of 0")
    return "clipped n-gram precisions, their geometric mean, and a penalty for what is too short."


@check
def distillation_loss(answer):
    """Compare with torch's divergence."""
    teacher, logits = torch.randn(4, 6).softmax(1), torch.randn(4, 6, requires_grad=True)
    right = kl_div(logits.log_softmax(1), teacher, reduction="batchmean")
    q = logits.softmax(1)
    known = {
        "this is D_KL(student ‖ teacher): the expectation is over the teacher's": (
            (q * (q.log() - teacher.log())).sum(1).mean()
        ),
        "this is the cross-entropy: the teacher's own entropy is missing": -(
            (teacher * logits.log_softmax(1)).sum(1).mean()
        ),
        "this is the mean over classes too: add those up": right / 6,
        "the sign is turned": -right,
    }
    loss = answer(teacher, logits)
    equal(loss, right, "the divergence of four items", "Σ p (log p - log q) over classes, the mean over items.", known)
    learns(loss)
    zeros = answer(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]]))
    expect(bool(torch.isfinite(zeros)), "where the teacher says 0 it gives nan: 0 log 0 is 0 (torch.xlogy)")
    return "0 where the student says what the teacher says."
