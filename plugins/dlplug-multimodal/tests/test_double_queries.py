"""Queries of an image and a word together, and digits with their names."""

import pytest
import torch

from dlplug_multimodal.data.digit_names import DigitNames
from dlplug_multimodal.data.emoji import Emoji, name_words
from dlplug_multimodal.data.twemoji import read_glyphs
from dlplug_multimodal.evaluation.double_queries import double_queries


@pytest.fixture(scope="module", params=["val", "test"])
def found(request):
    return request.param, double_queries(request.param)


def test_answers_are_held_out_and_have_the_word(found):
    split, gallery = found[0], found[1].gallery
    data = Emoji(size=8)
    data.setup()
    kept = data.parts[split]  # without those that are drawn as another in training
    assert set(kept.tolist()) <= set(gallery.tolist())
    rendered = torch.stack([read_glyphs()[i].render(8) for i in kept.tolist()])
    assert rendered.equal(data.splits[split][0])
    for query in found[1].queries:
        own = name_words(read_glyphs()[query.image])
        assert query.word not in own
        assert query.answers <= set(gallery.tolist()) - {query.image}
        for place in query.answers:
            name = name_words(read_glyphs()[place])
            assert query.word in name
            assert set(name) & set(own)


def test_there_are_many_of_many_kinds(found):
    queries = found[1].queries
    assert len(queries) >= 80
    assert len({query.answers for query in queries}) >= 35


def test_a_red_heart_and_square_ask_for_a_red_square():
    names = [glyph.name for glyph in read_glyphs()]
    pairs = {(names[query.image], query.word): query.answers for query in double_queries("val").queries}
    assert pairs["red heart", "square"] == {names.index("red square")}


def test_scores_of_perfect_random_and_constant_answers(found):
    benchmark = found[1]
    perfect = torch.stack(
        [torch.isin(benchmark.gallery, torch.tensor([*q.answers])).float() for q in benchmark.queries]
    )
    assert benchmark.metrics(perfect) == {"mrr": 1, "recall@1": 1, "recall@10": 1}
    assert benchmark.metrics(torch.zeros_like(perfect))["mrr"] < 0.01
    noise = torch.rand(perfect.shape, generator=torch.Generator().manual_seed(0))
    assert benchmark.metrics(noise)["recall@10"] < 0.15


def test_a_querys_own_image_never_answers():
    benchmark = double_queries("test")
    own = torch.stack([(benchmark.gallery == query.image).float() for query in benchmark.queries])
    right = torch.stack([torch.isin(benchmark.gallery, torch.tensor([*q.answers])).float() for q in benchmark.queries])
    assert benchmark.ranks(2 * own + right).eq(1).all()


def test_digits_have_their_names():
    data = DigitNames()
    data.setup()
    images, words = next(iter(data.val_dataloader()))
    assert images.shape == (64, 1, 28, 28)
    assert words.sum(1).eq(1).all()
    assert data.info.words[3] == "three"
    assert [len(data.splits[split][0]) for split in ("train", "val", "test")] == [4000, 500, 500]
