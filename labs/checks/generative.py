"""Checks of lecture 4's lab."""

import math

import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn.functional import logsigmoid, softplus

from checks import check, equal, expect, learns


@check
def log_likelihood(answer):
    """Compare with torch's Bernoulli distributions."""
    logits, x = torch.randn(3, 6) * 2, torch.randint(2, (3, 6)).float()
    right = Bernoulli(logits=logits).log_prob(x)
    look = "A pixel that is 1 has probability sigmoid(logit), one that is 0 the rest; add up the logs of each image."
    known = {
        "this is the mean over pixels: a product of probabilities is a sum of logs": right.mean(1),
        "all images are added up: give a number for each": right.sum(),
        "this is the sum of the probabilities: the log of a product is the sum of the logs": right.exp().sum(1),
        "the sign is turned: a log-probability is at most 0, its negative is the loss": -right.sum(1),
        "this counts only the pixels that are 1: the others have probability 1 - sigmoid(logit)": (
            x * logsigmoid(logits)
        ).sum(1),
    }
    equal(answer(logits, x), right.sum(1), "log p(x) of three images of six pixels", look, known)
    far = answer(torch.full((1, 2), 200.0), torch.zeros(1, 2))
    expect(bool(torch.isfinite(far).all()), "logits of 200 give -inf or nan: use logsigmoid(z), not log(sigmoid(z))")
    return "log p(x) is a sum over pixels, finite even where the model is certain and wrong."


@check
def causal_logits(answer):
    """Change one pixel and see which logits move; compare with the formula."""
    weight, bias, x = torch.randn(6, 6), torch.randn(6), torch.randint(2, (4, 6)).float()
    got = answer(weight, bias, x)
    expect(got is not None and got.shape == (4, 6), "give a logit for every pixel of every image: shape (n, pixels)")
    flipped = x.clone()
    flipped[:, 2] = 1 - flipped[:, 2]
    moved = (answer(weight, bias, flipped) - got).abs().amax(0) > 1e-6
    expect(not bool(moved[2]), "pixel 2 sees itself: the diagonal of the weights belongs to the masked part")
    expect(not bool(moved[:2].any()), "pixels see what comes after them: row i of W may use columns j < i alone")
    expect(bool(moved[3:].all()), "a pixel does not see all that came before it")
    equal(got, x @ weight.tril(-1).T + bias, "the logits", "logit i is bias i + the sum over j < i of W[i, j] x[j].")
    return "each pixel sees those before it, and neither itself nor what follows."


@check
def sample(answer):
    """Give networks whose samples are certain, and one whose share is known."""
    copies = answer(lambda x: torch.cat([torch.full_like(x[:, :1], 50.0), 100 * x[:, :-1] - 50], 1), 5, 7)
    expect(copies is not None, "it returns None: is a `return` missing?")
    expect(copies.shape == (5, 7), f"5 samples of 7 pixels have shape {tuple(copies.shape)}: it should be (5, 7)")
    expect(set(copies.unique().tolist()) <= {0.0, 1.0}, "samples are 0 or 1: draw with torch.bernoulli")
    look = "pixel i + 1 is to copy pixel i: fill in pixel i before asking for the logits of pixel i + 1"
    expect(bool(copies.all()), look)
    share = float(answer(lambda x: torch.full_like(x, math.log(3)), 4000, 2).mean())
    expect(share < 0.99, "the likelier value is always taken: sampling draws it with its probability")
    expect(abs(share - 0.75) < 0.03, f"logits of log 3 are a probability of 0.75; of your pixels {share:.2f} are 1")
    return "one step at a time, each conditioned on all before."


@check
def reparameterise(answer):
    """Compare moments, and see that the gradient reaches mean and deviation."""
    mean, std = torch.tensor([1.0, -2.0], requires_grad=True), torch.tensor([0.1, 3.0], requires_grad=True)
    z = answer(mean.expand(20000, 2), std.expand(20000, 2))
    expect(z is not None and z.shape == (20000, 2), "give a sample for every mean: of the same shape")
    learns(z)
    by_mean, by_std = torch.autograd.grad(z.mean(0).sum(), (mean, std), allow_unused=True)
    expect(
        by_mean is not None and by_std is not None, "the gradient does not reach mean and std: z = mean + std × noise"
    )
    spread = z.std(0).detach()
    known = {"std is the standard deviation already, not the variance: no square root": std.detach().sqrt()}
    for sentence, wrong in known.items():
        expect(not torch.allclose(spread, wrong, rtol=0.03), sentence)
    expect(bool((spread > 0.01).all()), "every z is the same: draw a noise for each, `torch.randn_like`")
    expect(torch.allclose(spread, std.detach(), rtol=0.03), f"z spreads by {spread.tolist()}, not by std: [0.1, 3]")
    expect(torch.allclose(z.mean(0), mean, atol=0.1), "the mean of z is not mean: the noise has mean 0")
    return "all that is random is the noise, and the gradient reaches mean and std."


@check
def kl(answer):
    """Compare with torch's."""
    mean, std = torch.randn(4, 3), torch.rand(4, 3) + 0.2
    right = kl_divergence(Normal(mean, std), Normal(0.0, 1.0))
    other = kl_divergence(Normal(torch.zeros(4, 3), torch.ones(4, 3)), Normal(mean, std))
    look = "Of one dimension it is (mean² + std² - 1) / 2 - log std: 0 where mean is 0 and std is 1."
    known = {
        "this is KL(p ‖ q): the expectation is over q(z|x)": other.sum(1),
        "this is the mean over dimensions: independent dimensions add up": right.mean(1),
        "dimensions are still apart: add them up": right,
        "all images are added up: give a number for each": right.sum(),
        "std was squared where it should not be, or not where it should: the log is of std": (
            (mean**2 + std**2 - 1) / 2 - 2 * std.log()
        ).sum(1),
    }
    equal(answer(mean, std), right.sum(1), "KL(q(z|x) ‖ p(z)) of four images", look, known)
    return "0 where q is the prior, and growing as q says more about the image."


@check
def elbo(answer):
    """Compare with a linear Gaussian model, whose log p(x) is known, at the right posterior and at another."""
    x = torch.randn(50, 1)

    def log_p(x, z):
        return Normal(z, 1.0).log_prob(x).sum(-1)

    exact = Normal(0.0, math.sqrt(2)).log_prob(x)[:, 0]
    look = "It is log p(x|z) for z sampled from q(z|x), minus KL(q(z|x) ‖ p(z))."
    runs = [answer(lambda x: (x / 2, torch.full_like(x, math.sqrt(0.5))), log_p, x) for _ in range(400)]
    expect(runs[0] is not None, "it returns None: is a `return` missing?")
    expect(runs[0].shape == (50,), f"50 images give shape {tuple(runs[0].shape)}: one number each, (50,)")
    bound = torch.stack(runs).mean(0)
    gap = float((exact - bound).mean())
    q = Normal(x / 2, math.sqrt(0.5))
    double = float(2 * kl_divergence(q, Normal(0.0, 1.0)).mean())
    expect(abs(gap + double) > 0.05, "the KL is added: it is a cost, subtract it")
    expect(abs(gap) < 0.05, f"with the right q(z|x) the bound is log p(x); yours is off by {gap:.2f}. {look}")
    expect(float(torch.stack(runs).std(0).mean()) > 0.01, "z is always the mean of q(z|x): sample it, `reparameterise`")
    poor = torch.stack([answer(lambda x: (torch.zeros_like(x), torch.ones_like(x)), log_p, x) for _ in range(400)])
    expect(float((exact - poor.mean(0)).mean()) > 0.1, f"a poor q(z|x) should lower the bound. {look}")
    return "equal to log p(x) where q(z|x) is the true posterior, and below it elsewhere."


@check
def gan_losses(answer):
    """Compare with the cross-entropies, and see where the generator's gradient is large."""
    real, fake = torch.randn(5) + 1, torch.randn(5) - 1
    got = answer(real, fake)
    expect(isinstance(got, tuple) and len(got) == 2, "give two losses: the discriminator's, the generator's")
    d_loss = softplus(-real).mean() + softplus(fake).mean()
    look = (
        "D should give real data the logit +∞ and fake -∞: -log D(x) is softplus(-logit), -log(1 - D) softplus(logit)."
    )
    known = {
        "real and fake are swapped: D is to call real data real": softplus(real).mean() + softplus(-fake).mean(),
        "the sign is turned: this is what D maximises, and a loss is minimised": -d_loss,
    }
    equal(got[0], d_loss, "D's loss", look, known)
    look = "G wants its data to be called real: -log D(G(z))."
    known = {
        "this is the minimax loss, log(1 - D): where D is sure, its gradient vanishes. Use -log D": -softplus(
            fake
        ).mean(),
        "this makes G help D: G wants its data to be called real": softplus(fake).mean(),
    }
    equal(got[1], softplus(-fake).mean(), "G's loss", look, known)
    sure = torch.tensor([-200.0], requires_grad=True)
    loss = answer(torch.tensor([200.0]), sure)[1]
    learns(loss)
    [gradient] = torch.autograd.grad(loss, sure)
    expect(abs(float(gradient) + 1) < 0.01, "where D is sure (logit -200) the gradient is lost: softplus keeps it")
    return "and where D is sure that an image is fake, G's gradient is at its largest."
