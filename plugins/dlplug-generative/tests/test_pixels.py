import itertools
import math

import pytest
import torch
from PIL import Image

from dlplug import InputError
from dlplug.data import ImageInfo
from dlplug_generative.pixel_cnn import PixelCNN
from dlplug_generative.pixel_rnn import PixelRNN, skew, unskew

KINDS = {
    "cnn": lambda **options: PixelCNN(hidden_channels=8, num_layers=2, **options),
    "row": lambda **options: PixelRNN(hidden_channels=8, num_layers=2, **options),
    "diagonal": lambda **options: PixelRNN(hidden_channels=8, num_layers=2, cell="diagonal", **options),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def built(kind, *shape, **options):
    torch.manual_seed(0)
    model = KINDS[kind](**options)
    model.build(ImageInfo(*(shape or (1, 3, 3)), classes=3))
    return model.double().eval()


@kinds
@pytest.mark.parametrize("channels", [1, 2])
def test_each_value_depends_on_all_before_it_and_on_no_other(kind, channels):
    """The gradient of every value's distribution, by every value (section 4.2)."""
    model = built(kind, channels, 4, 5)
    images = torch.rand(1, channels, 4, 5, dtype=torch.double, requires_grad=True)
    place = torch.arange(channels * 20).view(20, channels).T.view(channels, 4, 5)  # by rows, then by channels
    for target in place.flatten().tolist():
        out = model(images)[0, :, 0].flatten()[(place.flatten() == target).nonzero().item()]
        [gradient] = torch.autograd.grad(out, images)
        assert not gradient[0][place >= target].any()
        seen = place < target
        if kind == "row":  # a triangle above, by the paper; the first convolution widens it by three
            row, column = divmod(target // channels, 5)
            seen &= (torch.arange(4)[:, None] == row) | (torch.arange(5) <= column + 3)
        if kind == "diagonal" and target // channels % 5 == 0:  # all but the end of the row above, from far away
            seen &= place // channels != target // channels - 1
        assert gradient[0][seen].all()


@kinds
def test_probabilities_of_all_images_sum_to_one(kind):
    model = built(kind)
    images = torch.tensor(list(itertools.product((0.0, 1.0), repeat=9)), dtype=torch.double).view(-1, 1, 3, 3)
    with torch.no_grad():
        assert model.log_likelihood(images).exp().sum().item() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("output", ["levels", "gaussian"])
def test_probabilities_of_all_levels_sum_to_one(output):
    model = built("cnn", 1, 1, 1, output=output)
    images = torch.linspace(0, 1, 256, dtype=torch.double).view(-1, 1, 1, 1)
    with torch.no_grad():
        assert model.log_likelihood(images).exp().sum().item() == pytest.approx(1, abs=2e-3)


@kinds
@pytest.mark.parametrize("options", [{}, {"conditional": True}, {"output": "levels"}, {"output": "gaussian"}])
def test_cached_sampling_has_the_probabilities_of_the_whole_network(kind, options):
    model = built(kind, 2, 4, 5, **options)
    images = model.quantise(torch.rand(3, 2, 4, 5, dtype=torch.double))
    labels = torch.tensor([0, 1, 2]) if options.get("conditional") else None
    places = [(c, row, column) for row in range(4) for column in range(5) for c in range(2)]
    values, seen = iter(places), []

    def sample_values(parameters):
        seen.append(parameters)
        return images[:, *next(values)]

    model.sample_values = sample_values
    torch.set_default_dtype(torch.double)
    try:
        assert torch.allclose(model.sample(3, labels), images, atol=1e-12)
    finally:
        torch.set_default_dtype(torch.float32)
    whole = model(images, labels)
    for (c, row, column), parameters in zip(places, seen, strict=True):
        assert torch.allclose(parameters, whole[:, c, :, row, column], atol=1e-12)


@kinds
def test_cached_and_naive_sampling_give_the_same(kind):
    model = built(kind, 1, 5, 4).float()
    samples = []
    for cached in (True, False):
        torch.manual_seed(1)
        samples.append(model.sample(20, cached=cached))
    assert torch.equal(*samples)
    assert set(samples[0].unique().tolist()) == {0.0, 1.0}


@kinds
def test_frequencies_of_samples_are_the_probabilities(kind):
    model = built(kind, 1, 2, 2).float()
    torch.manual_seed(0)
    samples = model.sample(20_000).flatten(1)
    counts = torch.bincount((samples @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long(), minlength=16)
    images = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).view(-1, 1, 2, 2)
    expected = 20_000 * model.log_likelihood(images).exp()
    assert ((counts - expected) ** 2 / expected).sum() < 37.7  # chi-square, 15 degrees of freedom: 1 in 1,000


@kinds
@pytest.mark.parametrize("output", ["binary", "levels", "gaussian"])
def test_learns(kind, output):
    model = built(kind, 1, 4, 4, output=output).float()
    images = torch.zeros(4, 1, 4, 4)
    images[:2, :, 1:3] = 1
    images[2:, :, :, 1:3] = 1
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(40):
        loss = -model.log_likelihood(images).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_labels_change_the_probabilities_and_bayes_rule_inverts_them():
    model = built("cnn", 1, 4, 4, conditional=True).float()
    images = torch.rand(5, 1, 4, 4)
    by_class = model.log_likelihood_by_class(images)
    assert torch.allclose(by_class[:, 2], model.log_likelihood(images, torch.full((5,), 2)))
    assert by_class.std(1).min() > 0
    predicted = model.predict_step((images,), 0)
    assert torch.equal(predicted["class"], by_class.argmax(1))
    assert torch.allclose(predicted["nll"], -by_class.exp().mean(1).log(), atol=1e-4)
    assert model.generate(4, label=1).pixels.shape == (4, 1, 4, 4)


@kinds
def test_completion_keeps_the_upper_part(kind, tmp_path):
    model = built(kind, 1, 6, 5).float()
    file = tmp_path / "cross.png"
    pixels = Image.new("RGB", (50, 60))
    pixels.paste("white", (20, 0, 30, 60))
    pixels.save(file)
    image, *completions = model.generate(7, complete=str(file), keep=0.5).pixels
    assert image[0, :, 2].all()
    assert all(torch.equal(one[:, :3], image[:, :3]) for one in completions)
    assert len({tuple(one.flatten().tolist()) for one in completions}) > 1


def test_bad_input_is_refused(tmp_path):
    model = built("cnn", 1, 4, 4)
    with pytest.raises(ValueError, match="this model is not conditional"):
        model.generate(label=1)
    with pytest.raises(ValueError, match="n must be at least 1"):
        model.generate(0)
    (tmp_path / "words.png").write_text("words")
    for name in ("words.png", "none.png"):
        with pytest.raises(InputError, match="cannot read the image"):
            model.generate(complete=str(tmp_path / name))
    with pytest.raises(ValueError, match="conditional needs labelled images"):
        PixelCNN(conditional=True).build(ImageInfo(1, 4, 4))
    for wrong in ({"hidden_channels": 0}, {"lr": 0.0}, {"num_layers": -1}, {"kernel": 4}):
        with pytest.raises(ValueError, match="must be at least"):
            PixelCNN(**wrong)
    with pytest.raises(ValueError, match="num_layers must be at least 1"):
        PixelRNN(num_layers=0)


def test_skewed_diagonals_are_columns():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    skewed = skew(x)
    assert skewed[0, 0, :, 2].tolist() == [2, 5, 8]
    assert torch.equal(unskew(skewed, 4), x)


def test_bits_per_dim_are_nats_by_dimension_and_the_log_of_two():
    model = built("cnn", 1, 4, 4)
    recorded = {}
    model.record = lambda **values: recorded.update(values)
    model.test_step((torch.rand(5, 1, 4, 4, dtype=torch.double),), 0)
    assert recorded["bits_per_dim"].item() == pytest.approx(recorded["nll"].item() / 16 / math.log(2))
