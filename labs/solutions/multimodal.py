"""Solutions of lecture 5's lab."""

import math
from collections import Counter

import torch
from torch.nn.functional import cross_entropy, logsigmoid, normalize, softplus


def free_energy(v, W, a, b):
    """Return F(v)."""
    return -(v @ a) - softplus(v @ W + b).sum(1)


def gibbs_step(v, W, a, b):
    """Return new visible units."""
    h = torch.bernoulli((v @ W + b).sigmoid())
    return torch.bernoulli((h @ W.T + a).sigmoid())


def complete(v, known, W, a, b, steps):
    """Return visible units, of which some are known."""
    filled = v
    for _ in range(steps):
        filled = torch.where(known, v, gibbs_step(filled, W, a, b))
    return filled


def skip_gram_loss(centre, context, noise):
    """Return the loss of negative sampling."""
    good = logsigmoid((centre * context).sum(1))
    bad = logsigmoid(-(noise @ centre[:, :, None])[:, :, 0]).sum(1)
    return -(good + bad).mean()


def contrastive_loss(images, texts, temperature):
    """Return the contrastive loss."""
    logits = normalize(images) @ normalize(texts).T / temperature
    pairs = torch.arange(len(logits))
    return (cross_entropy(logits, pairs) + cross_entropy(logits.T, pairs)) / 2


def recall_at_k(similarity, k):
    """Return the share of queries that find their own."""
    found = similarity.topk(k, dim=1).indices
    own = torch.arange(len(similarity))[:, None]
    return float((found == own).any(1).float().mean())


def bleu(candidate, reference, order=4):
    """Return BLEU."""
    logs = 0.0
    for n in range(1, order + 1):
        ours, theirs = (Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (candidate, reference))
        right = sum((ours & theirs).values())
        logs += math.log(right / sum(ours.values())) / order if right else -math.inf
    return math.exp(logs + min(0.0, 1 - len(reference) / len(candidate)))


def distillation_loss(teacher, logits):
    """Return D_KL(teacher ‖ student)."""
    return (torch.xlogy(teacher, teacher) - teacher * logits.log_softmax(1)).sum(1).mean()
