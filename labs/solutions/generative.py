"""Solutions of lecture 4's lab."""

import torch
from torch.nn.functional import logsigmoid, softplus


def log_likelihood(logits, x):
    """Return log p(x)."""
    return (x * logsigmoid(logits) + (1 - x) * logsigmoid(-logits)).sum(1)


def causal_logits(weight, bias, x):
    """Return the logit of each pixel given those before it."""
    return x @ weight.tril(-1).T + bias


def sample(network, n, pixels):
    """Return images sampled pixel by pixel."""
    x = torch.zeros(n, pixels)
    for i in range(pixels):
        x[:, i] = torch.bernoulli(network(x)[:, i].sigmoid())
    return x


def reparameterise(mean, std):
    """Return a sample of each normal distribution."""
    return mean + std * torch.randn_like(mean)


def kl(mean, std):
    """Return KL(q(z|x) ‖ p(z))."""
    return ((mean**2 + std**2 - 1) / 2 - std.log()).sum(1)


def elbo(encode, log_likelihood, x):
    """Return the bound on log p(x)."""
    mean, std = encode(x)
    return log_likelihood(x, reparameterise(mean, std)) - kl(mean, std)


def gan_losses(real, fake):
    """Return the discriminator's and the generator's loss."""
    d_loss = softplus(-real).mean() + softplus(fake).mean()
    return d_loss, softplus(-fake).mean()
