import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_generative.autoencoder import Autoencoder
from dlplug_generative.vae import VAE
from dlplug_vision.data.digits import Digits


def built(*shape, **options):
    torch.manual_seed(0)
    model = Autoencoder(**{"latent_dim": 3, "hidden_size": 32, **options})
    model.build(ImageInfo(*(shape or (1, 8, 8))))
    model.record = lambda **values: None
    return model


@pytest.mark.parametrize("network", ["dense", "conv"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 18)])
def test_fits_any_images(network, shape):
    model = built(*shape, network=network)
    images = torch.rand(20, *shape)
    assert model.predict_step((images,), 0).shape == (20, 3)
    assert model(torch.randn(4, 3)).shape == (4, *shape)
    model.validation_step((images,), 0)
    assert model.generate(2).pixels.shape == (20, *shape)
    rows = model.generate(2, interpolate=False).pixels
    assert torch.allclose(rows, model(model.encode(images[:4])), atol=1e-6)


def learn(model, images, steps=200):
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for i in range(steps):
        optimizer.zero_grad()
        model.training_step((images,), i).backward()
        optimizer.step()


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_comes_below_the_mean_image(network):
    data = Digits()
    data.setup()
    images = data.splits["val"][0][:64]
    model = built(network=network, hidden_size=128)
    learn(model, images)
    error = (model(model.encode(images)) - images).square().mean()
    assert error < 0.7 * images.var(0).mean()  # three latents an image; over six seeds .07 to .10 and .37 to .51


def test_sparsity_switches_latents_off():
    images = torch.rand(32, 1, 8, 8)
    active = []
    for sparsity in (1e-9, 1.0):
        model = built(sparsity=sparsity)
        learn(model, images, steps=60)
        active.append((model.encode(images) > 0.01).float().mean().item())
    assert active[1] < 0.1 < active[0]


def test_noise_masks_pixels_for_the_encoder_and_not_for_the_loss():
    model = built(noise=0.5)
    images, seen, losses = torch.ones(100, 1, 8, 8), [], []
    model.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.record = lambda loss: losses.append(loss.item())
    model.training_step((images,), 0)
    assert seen[0].mean().item() == pytest.approx(0.5, abs=0.02)
    assert losses[0] == pytest.approx((model(model.encode(seen[0])) - images).square().mean().item(), rel=1e-5)
    assert torch.equal(model.predict_step((images,), 0), model.encode(images))


@pytest.mark.parametrize(
    "options", [{"latent_dim": 0}, {"hidden_size": 8}, {"noise": 1.0}, {"sparsity": -1.0}, {"lr": 0.0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be at least 1"):
        Autoencoder(**options)


def test_too_small_for_convolutions():
    with pytest.raises(ValueError, match="4×4 and more"):
        built(1, 3, 8, network="conv")


def test_interpolations_start_and_end_at_points_of_the_prior():
    vae = VAE(latent_dim=3, hidden=(8,))
    vae.build(ImageInfo(1, 4, 4))
    torch.manual_seed(0)
    rows = vae.generate(2, interpolate=True).pixels.view(2, 10, 1, 4, 4)
    torch.manual_seed(0)
    ends = vae(torch.randn(4, 3))
    assert torch.allclose(rows[:, [0, -1]].flatten(0, 1), ends, atol=1e-5)
    with pytest.raises(ValueError, match="at most one"):
        vae.generate(2, traverse=True, interpolate=True)
