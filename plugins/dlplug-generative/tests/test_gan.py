import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_generative.gan import GAN, Discriminator, Generator


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 20), (13, 17), (64, 64)])
def test_both_players_fit_any_size(channels, size):
    info = ImageInfo(channels, *size)
    images = Generator(info, latent_dim=5, width=4)(torch.randn(3, 5))
    assert images.shape == (3, channels, *size)
    assert images.abs().max() <= 1
    assert Discriminator(info, width=4)(images).shape == (3,)


@pytest.mark.parametrize("info", [ImageInfo(1, 4, 8), ImageInfo(2, 8, 8), ImageInfo(1, 8, 65)])
def test_images_that_do_not_fit_are_refused(info):
    with pytest.raises(ValueError, match="fits 8×8 to 64×64 images"):
        GAN().build(info)


@pytest.mark.parametrize("options", [{"latent_dim": 0}, {"width": 1}, {"lr": 0.0}, {"augment": 0.5}, {"ema": 1.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="not"):
        GAN(**options)


def built(**options):
    gan = GAN(latent_dim=3, width=2, **options)
    gan.build(ImageInfo(1, 8, 8))
    return gan


def test_shift_moves_images_and_passes_gradients():
    gan = built(augment=0.25)
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
    assert torch.equal(built(augment=0.0)._shift(images), images)


def test_average_follows_the_generator():
    gan = built(ema=0.75)
    before = [p.clone() for p in gan.average.parameters()]
    with torch.no_grad():
        for p in gan.generator.parameters():
            p.add_(1)
    gan._average()
    for old, new in zip(before, gan.average.parameters(), strict=True):
        assert torch.allclose(new, old + 0.25)
    assert not any(p.requires_grad for p in gan.average.parameters())
