import math

import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_generative.vae import VAE


def built(*shape, **options):
    torch.manual_seed(0)
    vae = VAE(**{"latent_dim": 3, "hidden": (8,), **options})
    vae.build(ImageInfo(*(shape or (1, 3, 3))))
    return vae


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 20)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_fits_any_images(shape, likelihood):
    vae = built(*shape, likelihood=likelihood)
    images = torch.rand(5, *shape)
    assert vae(torch.randn(4, 3)).shape == (4, *shape)
    assert vae.log_weights(images, samples=7).shape == (7, 5)
    assert vae.predict_step((images,), 0).shape == (5, 3)
    assert vae.generate(6).pixels.shape == (6, *shape)
    assert vae.generate(9, traverse=True).pixels.shape == (3 * 9, *shape)


def test_kl_is_torchs():
    vae = built()
    images = torch.rand(4, 1, 3, 3)
    kl, _ = vae.kl_and_reconstruction(images)
    assert kl.min() >= 0
    mean, std = vae.encode(images)
    q, p = torch.distributions.Normal(mean, std), torch.distributions.Normal(0.0, 1.0)
    assert torch.allclose(kl, torch.distributions.kl_divergence(q, p), atol=1e-5)


def test_bounds_stay_below_the_likelihood_and_tighten():
    """One latent dimension, so that log p(x) can be integrated on a grid (section 4.5)."""
    vae = built(latent_dim=1)
    images = torch.rand(6, 1, 3, 3)
    z = torch.linspace(-8, 8, 4001).view(-1, 1, 1).expand(-1, 6, 1)  # (grid, n, 1)
    log_joint = vae.log_likelihood(images, z) - 0.5 * z.square().sum(-1) - 0.5 * math.log(2 * math.pi)
    exact = log_joint.logsumexp(0) + math.log(16 / 4000)  # (n,)
    log_weights = vae.log_weights(images, samples=64_000)  # (samples, n)
    bounds = [log_weights.unflatten(0, (-1, k)).logsumexp(1).sub(math.log(k)).mean(0) for k in (1, 5, 50)]
    for looser, tighter in zip(bounds, [*bounds[1:], exact], strict=True):
        assert (looser < tighter + 2e-3).all()
    assert torch.allclose(bounds[-1], exact, atol=0.05)


@pytest.mark.parametrize("num_samples", [1, 20_000])
def test_the_prior_counts_as_much_as_beta_says_with_one_sample_or_many(num_samples):
    """Without it the bound of many samples is a mean of p(x|z) over q(z|x), however far q(z|x) is from the prior."""
    vae = built(latent_dim=1, beta=0.0, kl_warmup=0.0, num_samples=num_samples)
    vae.record = vae.progress = lambda **_: 1.0
    images = torch.rand(6, 1, 3, 3)
    with torch.no_grad():
        loss = vae.training_step((images,), 0)
        vae.encoder[-1].bias[0] += 5
        vae.decoder[0].weight.zero_()
        alone = vae.training_step((images,), 0)
    assert alone == pytest.approx(-vae.log_likelihood(images, torch.zeros(6, 1)).mean().item(), abs=1e-3)
    assert loss.isfinite()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_likelihood_is_a_distribution(likelihood):
    """Over all values of one pixel the probabilities sum to 1."""
    vae = built(1, 1, 1, likelihood=likelihood)
    levels = torch.linspace(0, 1, 2 if likelihood == "bernoulli" else 256).view(-1, 1, 1, 1)
    with torch.no_grad():
        for log_std in (-6.0, -1.5, 1.0):
            vae.log_std.fill_(log_std)
            total = vae.log_likelihood(levels, torch.randn(1, 3).expand(len(levels), 3)).exp().sum()
            assert total == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    "options", [{"latent_dim": 0}, {"hidden": (0,)}, {"lr": 0.0}, {"kl_warmup": 2.0}, {"num_samples": 0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be at least 1"):
        VAE(**options)
