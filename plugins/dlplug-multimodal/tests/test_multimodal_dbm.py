"""The multimodal deep Boltzmann machine, its parts and its answers."""

import itertools

import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_multimodal.data.tagged_images import TaggedInfo
from dlplug_multimodal.evaluation.ranking import average_precision, r_precision
from dlplug_multimodal.models.gaussian_rbm import GaussianRBM, Standardised
from dlplug_multimodal.models.multimodal_dbm import MultimodalDBM
from dlplug_multimodal.models.replicated_softmax import ReplicatedSoftmax
from dlplug_multimodal.nn.deep_boltzmann import DeepBoltzmann, State

WORDS = ("cat", "dog", "sea", "sun")


def deep(strength=0.5):
    torch.manual_seed(0)
    machine = DeepBoltzmann(visible=3, words=4, picture_hidden=2, word_hidden=2, joint=2)
    for parameter in machine.requires_grad_(False).parameters():
        parameter.normal_(0, strength)
    return machine


def model(size=8, channels=3, **options):
    torch.manual_seed(0)
    made = MultimodalDBM(hidden=6, word_hidden=5, joint=7, **options)
    made.build(TaggedInfo(channels, size, size + 2, WORDS))
    return made.eval()


def test_mean_field_ends_at_a_fixed_point():
    """Each unit's probability is what its neighbours' probabilities give it."""
    machine = deep()
    picture, words = torch.randn(5, 3), torch.randint(0, 3, (5, 4)).float()
    size = words.sum(1, keepdim=True)
    state = machine.expect(picture, words, size, 100)
    again = machine._hidden(picture, words, state.joint).sigmoid()
    assert torch.allclose(state.hidden, again, atol=1e-5)
    assert torch.allclose(state.joint, machine.joint.up(again).sigmoid(), atol=1e-5)
    filled = machine.expect(picture, None, size, 100)
    assert torch.allclose(filled.words, machine.words.expect(machine._down_words(filled.hidden), size), atol=1e-5)
    assert torch.allclose(filled.words.sum(1), size[:, 0], atol=1e-4)


def test_gibbs_chains_reach_the_distribution_that_the_energy_gives():
    """Given a picture and words, the marginals of hidden and joint units by enumeration."""
    machine = deep(strength=0.8)
    picture, words = torch.randn(1, 3), torch.tensor([[1.0, 0, 2, 0]])
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)))
    hidden, joint = states[:, :4], states[:, 4:]
    energies = (
        machine.picture.energy(picture.expand(64, -1), hidden[:, :2])
        + machine.words.energy(words.expand(64, -1), hidden[:, 2:])
        + machine.joint.energy(hidden, joint)
    )
    exact = (-energies).softmax(0) @ hidden
    n = 4000
    rows = machine.sample(picture.expand(n, -1), words.expand(n, -1), torch.full((n, 1), 3.0), 40)
    assert torch.allclose(rows.hidden.mean(0), exact, atol=0.02)


def test_contrast_is_what_the_energies_differ_by():
    machine = deep().requires_grad_(True)

    def draw():
        return State(torch.randn(5, 3), torch.randint(0, 3, (5, 4)).float(), torch.rand(5, 4), torch.rand(5, 2))

    def energy(s):
        return (
            machine.picture.energy(s.picture, s.hidden[:, :2])
            + machine.words.energy(s.words, s.hidden[:, 2:])
            + machine.joint.energy(s.hidden, s.joint)
        ).mean()

    data, other = draw(), draw()
    (energy(data) - energy(other)).backward()
    for part, found in machine.contrast(data, other):
        for parameter, by_hand in zip(part.parameters(), found, strict=True):
            # f(v) of Gaussian units holds b² too, which is the same in both.
            assert torch.allclose(parameter.grad, by_hand, atol=1e-5)


@pytest.mark.parametrize(("path", "size", "channels"), [("pixels", 4, 1), ("pixels", 9, 3), ("cnn", 8, 3)])
def test_answers_fit_any_picture(path, size, channels):
    made = model(size, channels, path=path)
    images, counts = torch.rand(5, channels, size, size + 2), torch.randint(0, 2, (5, 4)).float()
    assert torch.allclose(made(images).exp().sum(1), torch.ones(5), atol=1e-5)
    for asked in ((images, None), (None, counts), (images, counts)):
        assert made.find(images, *asked).shape == (5, 5)
    assert made.infer(None, counts, sampled=4).words.equal(counts)
    if path == "pixels":
        assert made.eye.back(made.infer(None, counts).picture).shape == images.shape


def test_a_picture_finds_itself_and_words_add_to_it():
    made = model()
    images = torch.rand(6, 3, 8, 10)
    scores = made.find(images, images, None)
    assert scores.argmax(1).tolist() == list(range(6))
    counts = torch.eye(6)[:, :4]
    assert torch.allclose(made.find(images, images, counts), scores + made.find(images, None, counts), atol=1e-5)
    assert torch.allclose(made.find(images, None, counts)[1], made(images)[:, 1], atol=1e-5)


def test_standardised_images_come_back():
    images = torch.rand(50, 3, 4, 4) * torch.linspace(0, 1, 4)
    eye = Standardised((3, 4, 4), noise=0.5)
    flat = images.flatten(1)
    eye.set(flat.mean(0), flat.square().mean(0))
    assert torch.allclose(eye.back(eye(images)), images, atol=1e-5)
    assert eye(images)[:, 3::4].std(0, correction=0).allclose(torch.tensor(2.0), atol=1e-3)
    assert eye(images).isfinite().all()  # the first column never varies


def test_average_precision_by_hand():
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
    assert average_precision(scores, torch.tensor([[True, False, True, False]])).item() == pytest.approx(
        (1 + 2 / 3) / 2
    )
    assert r_precision(scores, torch.tensor([[True, False, True, False]])).item() == 0.5


def test_options_out_of_range_are_refused():
    for options in ({"hidden": 0}, {"look": -1}, {"lr": 0.0}, {"momentum": 1.0}, {"init_from": "x"}, {"fill": -1.0}):
        with pytest.raises(ValueError, match="must be|init_from"):
            MultimodalDBM(**options)
    for made in (GaussianRBM, ReplicatedSoftmax):
        for options in ({"hidden": 0}, {"k": 0}, {"chains": -1}, {"lr": 0.0}, {"weight_decay": -1.0}):
            with pytest.raises(ValueError, match="must be"):
                made(**options)


def test_nothing_asked_and_unknown_words_are_refused():
    made = model()
    with pytest.raises(ValueError, match="give --image FILE, --text WORDS, or both"):
        made.generate()
    with pytest.raises(ValueError, match="no training picture is called 'dig'; did you mean 'dog'"):
        made.generate(text="dig")


def test_pictures_are_drawn_from_words():
    made = model()
    assert made.generate(text="sea sun", n=3, draw=True).pixels.shape == (3, 3, 8, 10)


@pytest.mark.parametrize("size", [(1, 8, 8), (3, 6, 9)])
def test_gaussian_rbm_fits_any_picture(size):
    made = GaussianRBM(hidden=5)
    made.build(ImageInfo(*size))
    images = torch.rand(4, *size)
    assert made(images).shape == (4, 5)
    assert made.reconstruct(images).shape == images.shape
    assert made.generate(3, 2).pixels.shape == (3, *size)


def test_replicated_softmax_says_what_goes_with_a_word():
    made = ReplicatedSoftmax(hidden=5)
    made.build(TaggedInfo(3, 8, 8, WORDS))
    assert made.generate("cat", n=2).text.count("\n") == 1
    assert "cat" not in made.generate("cat", n=3).text
    counts = torch.tensor([[1.0, 0, 2, 0], [0, 0, 0, 0]])
    assert made.nll(counts, 10)[1] == 0
