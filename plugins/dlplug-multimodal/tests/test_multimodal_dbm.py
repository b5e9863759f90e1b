"""The multimodal deep Boltzmann machine, its parts and its answers."""

import itertools

import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_multimodal.data.tagged_images import TaggedImageInfo
from dlplug_multimodal.evaluation.retrieval import average_precision, r_precision
from dlplug_multimodal.models.gaussian_rbm import GaussianRBM
from dlplug_multimodal.models.multimodal_dbm import MultimodalDBM
from dlplug_multimodal.models.replicated_softmax import ReplicatedSoftmax
from dlplug_multimodal.nn.deep_boltzmann import DBMState, DeepBoltzmann
from dlplug_multimodal.nn.standardizer import Standardizer

WORDS = ("cat", "dog", "sea", "sun")


def deep(strength=0.5):
    torch.manual_seed(0)
    machine = DeepBoltzmann(visible=3, words=4, image_hidden=2, text_hidden=2, joint=2)
    for parameter in machine.requires_grad_(False).parameters():
        parameter.normal_(0, strength)
    return machine


def model(size=8, channels=3, **options):
    torch.manual_seed(0)
    made = MultimodalDBM(hidden=6, text_hidden=5, joint_hidden=7, **options)
    made.build(TaggedImageInfo(channels, size, size + 2, WORDS))
    return made.eval()


def test_mean_field_ends_at_a_fixed_point():
    """Each unit's probability is what its neighbours' probabilities give it."""
    machine = deep()
    images, words = torch.randn(5, 3), torch.randint(0, 3, (5, 4)).float()
    lengths = words.sum(1, keepdim=True)
    state = machine.mean_field(images, words, lengths, 100)
    again = machine._hidden_logits(images, words, state.joint).sigmoid()
    assert torch.allclose(state.hidden, again, atol=1e-5)
    assert torch.allclose(state.joint, machine.joint.hidden_logits(again).sigmoid(), atol=1e-5)
    inferred = machine.mean_field(images, None, lengths, 100)
    means = machine.text.visible_mean(machine._text_input(inferred.hidden), lengths)
    assert torch.allclose(inferred.text, means, atol=1e-5)
    assert torch.allclose(inferred.text.sum(1), lengths[:, 0], atol=1e-4)


def test_words_that_a_text_lacks_are_inferred_beside_those_that_it_has():
    machine = deep()
    images, words = torch.randn(5, 3), torch.tensor([[1.0, 0, 2, 0]]).expand(5, -1)
    state = machine.mean_field(images, words, torch.full((5, 1), 5.0), 100)
    others = machine.text.visible_mean(machine._text_input(state.hidden), torch.full((5, 1), 2.0))
    assert torch.allclose(state.text, words + others, atol=1e-5)
    whole = machine.mean_field(images, words, torch.full((5, 1), 3.0), 100)
    assert whole.text.equal(words)
    none = machine.mean_field(images, torch.zeros(5, 4), torch.full((5, 1), 3.0), 100)
    assert none.text.equal(machine.mean_field(images, None, torch.full((5, 1), 3.0), 100).text)


def test_gibbs_chains_reach_the_distribution_that_the_energy_gives():
    """Given an image and words, the marginals of hidden and joint units by enumeration."""
    machine = deep(strength=0.8)
    image, words = torch.randn(1, 3), torch.tensor([[1.0, 0, 2, 0]])
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)))
    hidden, joint = states[:, :4], states[:, 4:]
    energies = (
        machine.image.energy(image.expand(64, -1), hidden[:, :2])
        + machine.text.energy(words.expand(64, -1), hidden[:, 2:])
        + machine.joint.energy(hidden, joint)
    )
    exact = (-energies).softmax(0) @ hidden
    n = 4000
    rows = machine.gibbs_mean(image.expand(n, -1), words.expand(n, -1), torch.full((n, 1), 3.0), 40)
    assert torch.allclose(rows.hidden.mean(0), exact, atol=0.02)


def test_cd_gradient_is_the_gradient_of_the_energies():
    machine = deep().requires_grad_(True)

    def draw():
        return DBMState(torch.randn(5, 3), torch.randint(0, 3, (5, 4)).float(), torch.rand(5, 4), torch.rand(5, 2))

    def energy(s):
        return (
            machine.image.energy(s.image, s.hidden[:, :2])
            + machine.text.energy(s.text, s.hidden[:, 2:])
            + machine.joint.energy(s.hidden, s.joint)
        ).mean()

    data, other = draw(), draw()
    (energy(data) - energy(other)).backward()
    for part, found in machine.cd_gradient(data, other):
        for parameter, by_hand in zip(part.parameters(), found, strict=True):
            # f(v) of Gaussian units holds b² too, which is the same in both.
            assert torch.allclose(parameter.grad, by_hand, atol=1e-5)


@pytest.mark.parametrize(("encoder", "size", "channels"), [("pixels", 4, 1), ("pixels", 9, 3), ("cnn", 8, 3)])
def test_answers_fit_any_image(encoder, size, channels):
    made = model(size, channels, image_encoder=encoder)
    images, counts = torch.rand(5, channels, size, size + 2), torch.randint(0, 2, (5, 4)).float()
    assert torch.allclose(made(images).exp().sum(1), torch.ones(5), atol=1e-5)
    for asked in ((images, None), (None, counts), (images, counts)):
        assert made.search(images, *asked).shape == (5, 5)
    assert made.infer(None, counts, gibbs_steps=4).text.equal(counts)
    if encoder == "pixels":
        assert made.standardizer.inverse(made.infer(None, counts).image).shape == images.shape


def test_an_image_finds_itself_and_words_add_to_it():
    made = model()
    images = torch.rand(6, 3, 8, 10)
    scores = made.search(images, images, None)
    assert scores.argmax(1).tolist() == list(range(6))
    counts = torch.eye(6)[:, :4]
    assert torch.allclose(made.search(images, images, counts), scores + made.search(images, None, counts), atol=1e-5)
    assert torch.allclose(made.search(images, None, counts)[1], made(images)[:, 1], atol=1e-5)


def test_standardised_images_come_back():
    images = torch.rand(50, 3, 4, 4) * torch.linspace(0, 1, 4)
    standardizer = Standardizer((3, 4, 4), visible_std=0.5)
    standardizer.fit([images])
    units = standardizer(images)
    assert torch.allclose(standardizer.inverse(units), images, atol=1e-5)
    assert units[:, 3::4].std(0, correction=0).allclose(torch.tensor(2.0), atol=1e-3)
    assert units.isfinite().all()  # the first column never varies


def test_average_precision_by_hand():
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
    assert average_precision(scores, torch.tensor([[True, False, True, False]])).item() == pytest.approx(
        (1 + 2 / 3) / 2
    )
    assert r_precision(scores, torch.tensor([[True, False, True, False]])).item() == 0.5


def test_options_out_of_range_are_refused():
    wrong = ({"hidden": 0}, {"cnn_epochs": -1}, {"lr": 0.0}, {"momentum": 1.0}, {"init_from": "x"})
    for options in (*wrong, {"multi_prediction_weight": -1.0}, {"partial_texts": 1.5}, {"generative_epochs": -1}):
        with pytest.raises(ValueError, match="must be|init_from"):
            MultimodalDBM(**options)
    for made in (GaussianRBM, ReplicatedSoftmax):
        for options in ({"hidden": 0}, {"k": 0}, {"chains": -1}, {"lr": 0.0}, {"weight_decay": -1.0}):
            with pytest.raises(ValueError, match="must be"):
                made(**options)


def test_empty_queries_and_unknown_words_are_refused():
    made = model()
    with pytest.raises(ValueError, match="give an image, a text, or both"):
        made.generate()
    with pytest.raises(ValueError, match="no training image is tagged 'dig'; did you mean 'dog'"):
        made.generate(text="dig")


def test_images_are_sampled_from_words():
    made = model()
    assert made.generate(text="sea sun", n=3, sample=True).pixels.shape == (3, 3, 8, 10)


@pytest.mark.parametrize("size", [(1, 8, 8), (3, 6, 9)])
def test_gaussian_rbm_fits_any_image(size):
    made = GaussianRBM(hidden=5)
    made.build(ImageInfo(*size))
    images = torch.rand(4, *size)
    assert made(images).shape == (4, 5)
    assert made.reconstruct(images).shape == images.shape
    assert made.generate(3, 2).pixels.shape == (3, *size)


def test_replicated_softmax_names_words_that_are_likely_beside_another():
    made = ReplicatedSoftmax(hidden=5)
    made.build(TaggedImageInfo(3, 8, 8, WORDS))
    assert made.generate("cat", n=2).text.count("\n") == 1
    assert "cat" not in made.generate("cat", n=3).text
    counts = torch.tensor([[1.0, 0, 2, 0], [0, 0, 0, 0]])
    assert made.nll(counts, 10)[1] == 0
