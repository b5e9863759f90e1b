"""Images and words in one embedding space."""

import PIL.Image
import pytest
import torch
from torch.nn.functional import normalize

from dlplug.errors import InputError
from dlplug.media import Image, Text
from dlplug_multimodal.data.tagged_images import TaggedImageInfo
from dlplug_multimodal.data.word_vectors import write_vectors
from dlplug_multimodal.evaluation.retrieval import CrossModalRecall, recalls
from dlplug_multimodal.models.joint_embedding import JointEmbedding
from dlplug_vision.data.image_files import read_image

SMALL = {"channels": (4, 8), "hidden": 16, "embedding_dim": 8, "dropout": 0.0, "word_dropout": 0.0}
INFO = TaggedImageInfo(3, 8, 8, ("red", "green", "blue"))


def make(info=INFO, **options):
    torch.manual_seed(0)
    model = JointEmbedding(**{**SMALL, **options})
    model.build(info)
    model.info = info
    return model


def colours(count=24):
    """Return images of one colour each, and its word."""
    counts = torch.eye(3).repeat(count // 3, 1)
    images = (counts[:, :, None, None] * 0.8 + 0.1).expand(-1, -1, 8, 8) + 0.05 * torch.rand(len(counts), 3, 8, 8)
    return images, counts


@pytest.mark.parametrize("info", [INFO, TaggedImageInfo(1, 28, 20, tuple("abcdefg"))])
def test_both_encoders_end_on_one_sphere(info):
    model = make(info)
    images = torch.rand(5, info.channels, info.height, info.width)
    for placed in (model.encode_images(images), model.encode_texts(torch.rand(5, len(info.words)))):
        assert placed.shape == (5, 8)
        assert torch.allclose(placed.norm(dim=1), torch.ones(5))


def test_colours_find_their_names_and_names_their_colours():
    model = make(lr=0.01)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    images, counts = colours()
    model.train()
    for _ in range(40):
        optimizer.zero_grad()
        model._loss(model.encode_images(images), model.encode_texts(counts), counts, counts).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        metric = CrossModalRecall()
        for part in (slice(0, 10), slice(10, 24)):
            metric.update(model.encode_images(images[part]), model.encode_texts(counts[part]), counts[part])
        found = metric.compute()
        assert found["image_to_text@1"] == found["text_to_image@1"] == 1
        assert float(found["image_to_text_chance@1"]) == pytest.approx(1 / 3)
        model.gallery = ((images * 255).byte(), counts)
        grid = model.generate(text="red", n=4)
        assert isinstance(grid, Image)
        assert (grid.pixels[:, 0] > grid.pixels[:, 2]).all()
        with pytest.raises(ValueError, match="no training image is tagged 'sea'"):
            model.generate(text="sea")
        with pytest.raises(ValueError, match="--image"):
            model.generate()


def test_an_own_image_is_named_and_found(tmp_path):
    model = make().eval()
    PIL.Image.new("RGBA", (30, 20), (255, 0, 0, 128)).save(tmp_path / "red.png")
    image = read_image(tmp_path / "red.png", 3, 8, 8) / 255
    assert image.shape == (3, 8, 8)
    assert torch.allclose(image[:, 0, 0], torch.tensor([255, 127, 127]) / 255, atol=0.01)  # half red on white
    model.gallery = ((colours()[0] * 255).byte(), colours()[1])
    with torch.no_grad():
        named = model.generate(image=str(tmp_path / "red.png"))
        assert isinstance(named, Text)
        assert {part.split()[0] for part in named.text.split(", ")} == set(INFO.words)
        both = model.generate(image=str(tmp_path / "red.png"), text="blue", n=3)
    assert isinstance(both, Image)
    assert both.pixels.shape == (3, 3, 8, 8)
    with pytest.raises(InputError, match="cannot read the image"):
        model.generate(image=str(tmp_path / "none.png"))


def test_both_together_is_the_weighted_sum_of_each():
    model = make().eval()
    gallery, images, counts = normalize(torch.rand(9, 8), dim=1), torch.rand(4, 3, 8, 8), torch.eye(3)[[0, 1, 2, 0]]
    with torch.no_grad():
        both = model.search(gallery, images, counts)
        alone = model.search(gallery, images), model.search(gallery, counts=counts)
    assert both.shape == (4, 9)
    assert torch.allclose(both, alone[0] + alone[1])


def test_equal_texts_are_not_negatives():
    model = make()
    counts = torch.tensor([[1.0, 0, 0], [1, 0, 0]])
    placed = normalize(torch.rand(2, 8), dim=1)
    assert float(model._loss(placed, placed.flip(0), counts, counts).detach()) == 0
    counts = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    assert float(model._loss(placed, placed.flip(0), counts, counts).detach()) > 0.5


def test_a_text_with_dropped_words_is_not_a_negative_of_an_image_that_it_fits():
    model = make()
    full, kept = torch.tensor([[1.0, 1, 0], [1, 0, 1]]), torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    placed = normalize(torch.rand(2, 8), dim=1)
    scores = placed @ placed.T * model.log_scale.exp()
    # "red" fits both images; "blue" is wrong for the first: its row, and its column's.
    expected = (scores[1].logsumexp(0) - scores[1, 1] + scores[:, 0].logsumexp(0) - scores[0, 0]) / 4
    assert torch.allclose(model._loss(placed, placed, kept, full), expected, atol=1e-5)


def test_words_are_dropped_but_never_all():
    torch.manual_seed(0)
    model = make(word_dropout=1.0)
    counts = torch.tensor([[2.0, 1, 1], [0, 1, 0], [0, 0, 0]])
    short = torch.stack([model._drop_words(counts) for _ in range(2000)])
    assert ((short == counts) | (short == 0)).all()
    left = (short > 0).sum(2)
    assert set(left[:, 0].tolist()) == {1, 2, 3}
    assert left[:, 1].eq(1).all()
    assert short[:, 2].eq(0).all()
    model.word_dropout = 0.0
    assert model._drop_words(counts).equal(counts)


def test_images_without_words_are_left_out():
    model = make()
    placed = normalize(torch.rand(3, 8), dim=1)
    counts = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert torch.allclose(
        model._loss(placed, placed, counts, counts), model._loss(placed[:2], placed[:2], counts[:2], counts[:2])
    )
    assert model._loss(placed, placed, 0 * counts, 0 * counts) == 0


def test_rank_keeps_words_where_the_file_puts_them(tmp_path):
    path = tmp_path / "v.txt"
    write_vectors(path, ["green", "red", "sea"], torch.tensor([[0.0, 2], [2, 0], [1, 1]]))
    model = make(loss="rank", word_vectors=str(path))
    assert model.encode_images(torch.rand(2, 3, 8, 8)).shape == (2, 2)
    assert model.encode_texts(torch.eye(3)).tolist() == [[1, 0], [0, 1], [0, 0]]  # the file lacks "blue"
    images, counts = colours(6)
    placed = torch.tensor([[1.0, 0], [0, 1], [0, 0]]).repeat(2, 1)
    loss = model._loss(placed, placed, counts, counts)
    assert float(loss) == pytest.approx(4 * 0.1 / 3)  # blue ones: no nearer to their own, absent word than to 4 others
    model._loss(model.encode_images(images), model.encode_texts(counts), counts, counts).backward()
    assert model.word_embedding.grad is None


@pytest.mark.parametrize(
    ("options", "message"), [({"loss": "rank"}, "needs word_vectors"), ({"dropout": 1}, "dropout")]
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        JointEmbedding(**options)


def test_vectors_that_have_no_word_are_refused(tmp_path):
    write_vectors(tmp_path / "v.txt", ["sea"], torch.ones(1, 2))
    with pytest.raises(ValueError, match="has none of the data's 3 words"):
        make(word_vectors=str(tmp_path / "v.txt"))


def test_recalls_of_a_perfect_and_a_constant_order():
    which = torch.tensor([0, 0, 1, 2])
    perfect = recalls(torch.eye(3)[which], which)
    assert perfect["image_to_text@1"] == perfect["text_to_image@1"] == 1
    constant = recalls(torch.zeros(4, 3), which)
    assert constant["image_to_text@1"] == constant["text_to_image@1"] == 0  # of equal scores the right one is last
    assert float(constant["text_to_image_chance@1"]) == pytest.approx((2 / 4 + 1 / 4 + 1 / 4) / 3)
    assert constant["image_to_text_chance@10"] == 1


def test_chance_is_what_random_orders_get():
    torch.manual_seed(0)
    which = torch.arange(60) % 30
    found = [recalls(torch.rand(60, 30), which) for _ in range(100)]
    for way in ("image_to_text", "text_to_image"):
        mean = sum(float(each[f"{way}@10"]) for each in found) / len(found)
        assert mean == pytest.approx(float(found[0][f"{way}_chance@10"]), abs=0.02)
