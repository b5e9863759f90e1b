import math

import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_generative.gan import GAN, Discriminator, Generator


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 20), (13, 17), (64, 64)])
def test_both_networks_fit_any_size(channels, size):
    info = ImageInfo(channels, *size)
    images = Generator(info, latent_dim=5, width=4)(torch.randn(3, 5))
    assert images.shape == (3, channels, *size)
    assert images.abs().max() <= 1
    assert Discriminator(info, width=4, pack=3)(images).shape == (1,)


@pytest.mark.parametrize("info", [ImageInfo(1, 4, 8), ImageInfo(2, 8, 8), ImageInfo(1, 8, 65)])
def test_images_that_do_not_fit_are_refused(info):
    with pytest.raises(ValueError, match="fits 8×8 to 64×64 images"):
        GAN().build(info)


@pytest.mark.parametrize(
    "options",
    [{"latent_dim": 0}, {"width": 0}, {"lr": 0.0}, {"pack": 0}, {"shift": -1}, {"ema": 1.0}, {"penalty": -1.0}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="not"):
        GAN(**options)


def built(**options):
    gan = GAN(latent_dim=3, width=2, **options)
    gan.build(ImageInfo(1, 8, 8, classes=3))
    return gan


def test_shift_moves_images_and_passes_gradients():
    gan = built(shift=2)
    images = torch.full((50, 1, 8, 8), -1.0)
    images[:, :, 3, 4] = 1
    images.requires_grad_()
    moved = gan._shift(images)
    assert moved.shape == images.shape
    places = moved.detach().flatten(1).argmax(1)
    rows, columns = places // 8 - 3, places % 8 - 4
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    moved.sum().backward()
    assert images.grad[:, :, 3, 4].eq(1).all()
    assert torch.equal(built(shift=0)._shift(images), images)


def test_moving_average_follows_the_generator():
    gan = built(ema=0.75)
    before = [p.clone() for p in gan.generator_ema.parameters()]
    with torch.no_grad():
        for p in gan.generator.parameters():
            p.add_(1)
    gan._update_ema()
    for old, new in zip(before, gan.generator_ema.parameters(), strict=True):
        assert torch.allclose(new, old + 0.25)
    assert not any(p.requires_grad for p in gan.generator_ema.parameters())


def train(gan, batch, steps):
    """Train without a trainer; return what was recorded each step."""
    optimizers = gan.configure_optimizers()
    recorded = []
    gan.optimizers = lambda: optimizers
    gan.record = lambda **values: recorded.append({name: value.item() for name, value in values.items()})

    def minimise(loss, optimizer):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    gan.minimise = minimise
    for i in range(steps):
        gan.training_step((batch, torch.arange(len(batch)) % 3), i)
    return recorded


def test_loss_of_an_undecided_discriminator_is_the_papers():
    gan = built()
    torch.nn.init.zeros_(gan.discriminator.layers[-1].weight)
    torch.nn.init.zeros_(gan.discriminator.layers[-1].bias)
    [first] = train(gan, torch.rand(4, 1, 8, 8), steps=1)
    assert first["d_loss"] == pytest.approx(2 * math.log(2))
    assert first["d_real"] == first["d_fake"] == 0.5


def test_objectives_agree_where_the_discriminator_is_undecided():
    """d/dl of log(1 - D) and of -log D are -D and -(1 - D): equal at D = 1/2 (section 4.6)."""
    gradients = []
    for objective in ("non-saturating", "minimax"):
        torch.manual_seed(0)
        gan = built(objective=objective, lr=1e-12)
        with torch.no_grad():
            gan.discriminator.layers[-1].weight.mul_(1e-4)
            gan.discriminator.layers[-1].bias.zero_()
        train(gan, torch.rand(4, 1, 8, 8), steps=1)
        gradients.append(torch.cat([p.grad.flatten() for p in gan.generator.parameters()]))
    assert gradients[0].norm() > 0
    assert torch.allclose(*gradients, rtol=1e-2, atol=1e-9)


def test_generator_learns_the_only_image_there_is():
    torch.manual_seed(0)
    gan = GAN(latent_dim=3, width=4, shift=0, ema=0.9, lr=5e-3)
    gan.build(ImageInfo(1, 8, 8))
    image = torch.zeros(1, 8, 8)
    image[:, 2:6, 2:6] = 1
    noise = torch.randn(20, 3)
    before = (gan(noise) - image).square().mean()
    train(gan, image.expand(16, 1, 8, 8), steps=150)
    assert (gan(noise) - image).square().mean() < 0.1 * before


def test_packs_are_classified_together_and_apart_from_others():
    """A pack's logit depends on its images together, and on no other pack's."""
    discriminator = Discriminator(ImageInfo(1, 8, 8), width=4, pack=2)
    images = torch.rand(4, 1, 8, 8, requires_grad=True)
    discriminator(images)[0].backward()
    touched = images.grad.flatten(1).abs().sum(1) > 0
    assert touched.tolist() == [True, True, False, False]


def test_every_image_gets_a_probability():
    gan = built(pack=2)
    probabilities = gan.predict_step((torch.rand(5, 1, 8, 8),), 0)
    assert probabilities.shape == (5,)
    assert probabilities[0] == probabilities[1] != probabilities[2]


def test_interpolation_starts_and_ends_at_its_noise():
    gan = built()
    noise = torch.randn(4, 3)
    rows = gan._interpolate(noise).pixels.view(2, 10, 1, 8, 8)
    assert torch.allclose(rows[:, 0], gan(noise[0::2]), atol=1e-5)
    assert torch.allclose(rows[:, -1], gan(noise[1::2]), atol=1e-5)
    assert gan.generate(5).pixels.shape == (5, 1, 8, 8)
    assert gan.generate(2, interpolate=True).pixels.shape == (20, 1, 8, 8)


@pytest.mark.parametrize("objective", ["non-saturating", "wasserstein"])
def test_both_networks_are_conditioned_on_the_label(objective):
    gan = built(objective=objective, conditional=True)
    noise = torch.randn(1, 3).expand(3, 3)
    images = gan(noise, torch.arange(3))
    assert not torch.allclose(images[0], images[1])
    pair = images[:2].detach()
    logits = [gan.discriminator(pair, torch.tensor(labels)) for labels in ([0, 0], [0, 1])]
    assert not torch.equal(*logits)
    [first] = train(gan, torch.rand(6, 1, 8, 8), steps=1)
    assert all(math.isfinite(value) for value in first.values())
    assert gan.generate(4, label=2).pixels.shape == (4, 1, 8, 8)
    with pytest.raises(ValueError, match="label must be from 0 to 2"):
        gan.generate(4, label=3)
    with pytest.raises(ValueError, match="conditional needs labelled images"):
        GAN(conditional=True).build(ImageInfo(1, 8, 8))


def test_penalty_is_the_squared_distance_of_the_gradients_norm_from_one():
    """A discriminator of slope 3 along one pixel of each image, in packs of two, has a gradient of norm 3 √2."""
    gan = built(pack=2, objective="wasserstein")
    gan.discriminator.forward = lambda images, labels: 3 * images[:, 0, 0, 0].view(-1, 2).sum(1)
    penalty = gan._gradient_penalty(torch.rand(4, 1, 8, 8), torch.rand(4, 1, 8, 8), None)
    assert penalty.item() == pytest.approx((3 * math.sqrt(2) - 1) ** 2, rel=1e-5)


def test_wasserstein_gan_learns_the_only_image_there_is():
    torch.manual_seed(0)
    gan = GAN(latent_dim=3, width=4, shift=0, ema=0.9, lr=5e-3, objective="wasserstein")
    gan.build(ImageInfo(1, 8, 8))
    image = torch.zeros(1, 8, 8)
    image[:, 2:6, 2:6] = 1
    noise = torch.randn(20, 3)
    before = (gan(noise) - image).square().mean()
    train(gan, image.expand(16, 1, 8, 8), steps=150)
    assert (gan(noise) - image).square().mean() < 0.2 * before
