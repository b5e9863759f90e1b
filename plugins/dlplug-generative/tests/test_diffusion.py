import math

import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_generative.diffusion import Diffusion, dequantise, heun_step, log_density_flow

MEAN, STD = 0.4, 0.3


def built(*shape, classes=3, **options):
    torch.manual_seed(0)
    model = Diffusion(**{"width": 8, "num_blocks": 1, **options})
    model.build(ImageInfo(*(shape or (1, 8, 8)), classes))
    return model.eval()


def randomised(model):
    """Return the model with weights where it begins with zeros, so that what it gives depends on all that it takes."""
    for weight in model.network_ema.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return model


def gaussian_velocity(x, time):
    """Return the mean of x1 - z at ``(1 - t) z + t x1``, where each number of x1 is normal: linear in the point."""
    t = time.view(-1, *[1] * (x.dim() - 1))
    variance = (1 - t) ** 2 + (t * STD) ** 2
    return MEAN + (t * STD**2 - (1 - t)) / variance * (x - t * MEAN)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 10), (1, 28, 20), (3, 64, 64)])
def test_fits_any_images(shape):
    model = randomised(built(*shape))
    x = torch.randn(2, *shape)
    assert model(x, torch.rand(2)).shape == x.shape
    assert model.generate(2, steps=1).pixels.shape == (2, *shape)


def test_velocity_depends_on_time_and_every_pixel_sees_every_other():
    model = randomised(built(1, 20, 20))
    x = torch.randn(1, 1, 20, 20, requires_grad=True)
    assert not torch.allclose(model(x, torch.tensor([0.1])), model(x, torch.tensor([0.9])))
    [gradient] = torch.autograd.grad(model(x, torch.tensor([0.5]))[0, 0, 0, 0], x)
    assert (gradient != 0).all()


def test_the_flow_of_a_gaussian_carries_noise_to_it():
    torch.manual_seed(0)
    x = torch.randn(20_000, 1)
    for step in range(50):
        x = heun_step(gaussian_velocity, x, step / 50, 1 / 50)
    assert x.mean() == pytest.approx(MEAN, abs=0.01)
    assert x.std() == pytest.approx(STD, abs=0.01)


def test_the_density_along_a_flow_is_that_of_the_gaussian():
    torch.manual_seed(0)
    x = MEAN + STD * torch.randn(5, 7)
    sign = torch.randint(0, 2, x.shape) * 2.0 - 1
    noise, integral = log_density_flow(gaussian_velocity, x, sign, steps=100)
    found = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(1) - integral
    assert torch.allclose(found, torch.distributions.Normal(MEAN, STD).log_prob(x).sum(1), atol=5e-3)


def test_nll_counts_grey_levels():
    """The untrained network's velocity is 0: an image is as likely as the same noise, a level as wide as 2 / 256."""
    model = built()
    torch.manual_seed(1)
    images = torch.randint(0, 256, (6, 1, 8, 8)) / 255
    torch.manual_seed(2)
    found = model.nll(images)
    torch.manual_seed(2)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(dequantise(images)).sum((1, 2, 3))
    assert torch.allclose(found, -density + 64 * math.log(128), atol=1e-3)


def test_dequantised_levels_come_back():
    levels = torch.arange(256) / 255
    spread = dequantise(levels)
    assert ((spread >= -1) & (spread <= 1)).all()
    assert torch.equal(((spread + 1) * 128).floor(), torch.arange(256.0))


def test_guidance_of_one_is_the_model_and_of_nought_has_no_label():
    model = randomised(built(conditional=True))
    noise, labels = torch.randn(3, 1, 8, 8), torch.tensor([0, 1, 2])
    free = model.sample(noise, 2, torch.full_like(labels, -1))
    assert torch.allclose(model.sample(noise, 2, labels, guidance=0.0), free, atol=1e-5)
    assert not torch.allclose(model.sample(noise, 2, labels), free, atol=1e-3)


@pytest.mark.parametrize("options", [{"width": 12}, {"num_blocks": 0}, {"lr": 0.0}, {"ema": 1.0}, {"label_dropout": 2}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be a multiple of 8"):
        Diffusion(**options)


def test_what_it_cannot_fit_is_refused():
    with pytest.raises(ValueError, match="fits 8×8 to 64×64"):
        built(1, 7, 8)
    with pytest.raises(ValueError, match="labelled"):
        built(classes=0, conditional=True)
    with pytest.raises(ValueError, match="not conditional"):
        built().generate(1, guidance=2.0)
