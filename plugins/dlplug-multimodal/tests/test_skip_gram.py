"""Word vectors."""

import math

import pytest
import torch

from dlplug_multimodal.data.word_vectors import read_vectors, write_vectors
from dlplug_multimodal.evaluation.odd_one_out import odd_items
from dlplug_multimodal.models.skip_gram import SkipGram
from dlplug_sequence.data.token_stream import TextInfo
from dlplug_sequence.data.vocabulary import Vocabulary

TEXT = "The cat sat. The dog sat! A king and a queen ruled 7 lands;\n"


def make(text=TEXT, level="word", **options):
    vocabulary = Vocabulary.train([text], level)
    model = SkipGram(**{"embedding_dim": 4, "subsample": 0, "num_noise_words": 8, **options})
    model.build(TextInfo(vocabulary.to_json()))
    tokens = vocabulary.encode_stream([text]).long()[None]
    model.counts = model.word_of[tokens[0]].clamp_min(0).bincount(minlength=len(model.words)).float()
    return model, tokens


def test_words_are_lower_case_without_spaces_or_punctuation():
    model, _ = make()
    assert model.words == ["a", "and", "cat", "dog", "king", "lands", "queen", "ruled", "sat", "the"]


@pytest.mark.parametrize("level", ["character", "bpe"])
def test_other_tokens_are_refused(level):
    with pytest.raises(ValueError, match="--data.level word"):
        make(level=level)


def test_all_pairs_within_a_window_of_one():
    model, tokens = make("one two three\nfour ", window=1)
    centres, contexts = model.pairs(tokens)
    found = {(model.words[a], model.words[b]) for a, b in zip(centres, contexts, strict=True)}
    neighbours = [("one", "two"), ("two", "three"), ("three", "four")]
    assert found == {*neighbours, *((b, a) for a, b in neighbours)}
    assert len(centres) == 6


def test_no_pair_crosses_rows():
    model, tokens = make("one two three four ", window=3)
    words = tokens[0, model.word_of[tokens[0]] >= 0]
    centres, contexts = model.pairs(words.view(2, 2))
    pairs = {(model.words[a], model.words[b]) for a, b in zip(centres, contexts, strict=True)}
    assert pairs == {("one", "two"), ("two", "one"), ("three", "four"), ("four", "three")}


def test_the_window_is_as_wide_as_a_random_number():
    model, tokens = make("one two three four five six ", window=3)
    generator = torch.Generator().manual_seed(0)
    distances = torch.zeros(4)
    for _ in range(500):
        centres, contexts = model.pairs(tokens, generator)
        order = torch.tensor([["one", "two", "three", "four", "five", "six"].index(word) for word in model.words])
        distances += (order[centres] - order[contexts]).abs().bincount(minlength=4)
    share = distances / torch.tensor([1, 10, 8, 6]) / 500  # six words make so many pairs of each distance, both ways
    assert torch.allclose(share[1:], torch.tensor([1, 2 / 3, 1 / 3]), atol=0.05)


def test_frequent_words_are_skipped_as_often_as_the_formula_says():
    text = "often " * 90 + "seldom " * 10
    model, tokens = make(text, subsample=0.1, window=1)
    generator = torch.Generator().manual_seed(0)
    kept = torch.zeros(2)
    for _ in range(300):
        kept += model.pairs(tokens, generator)[0].bincount(minlength=2)
    rate = kept[model.places["often"]] / 300 / 90 / 2  # two pairs a word, but at the ends
    assert float(rate) == pytest.approx(math.sqrt(0.1 / 0.9), abs=0.03)


def test_the_loss_is_that_of_the_paper_where_all_words_are_equal():
    model, tokens = make()
    torch.nn.init.normal_(model.context.weight)
    model.context.weight.data[:] = model.context.weight[:1]  # whatever is sampled is the same
    centres, contexts = model.pairs(tokens)
    product = (model.centre(centres) * model.context(contexts)).sum(1)
    expected = -product.sigmoid().log() - 5 * (-product).sigmoid().log()
    assert torch.allclose(model.losses(centres, contexts), expected, atol=1e-6)


def test_a_batch_of_skipped_words_gives_a_gradient_of_zero():
    model, tokens = make()
    loss = model.training_step((torch.zeros_like(tokens), tokens), 0)
    loss.backward()
    assert model.centre.weight.grad.eq(0).all()


def test_words_in_the_same_places_become_neighbours():
    torch.manual_seed(0)
    text = "".join(
        f"the {animal} eats . a {number} counts . " for animal in ("cat", "dog") for number in ("two", "six")
    )
    model, tokens = make(text * 20, embedding_dim=8, window=2)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(100):
        optimizer.zero_grad()
        model.losses(*model.pairs(tokens)).mean().backward()
        optimizer.step()
    assert model.odd(("cat", "dog", "six")) == 2
    assert model.generate(text="cat", n=1).text.startswith("cat: dog")
    with pytest.raises(ValueError, match="no vector was learned for unicorn"):
        model.generate(text="unicorn")
    with pytest.raises(ValueError, match="three words"):
        model.generate(analogy="cat dog")
    with pytest.raises(ValueError, match="text"):
        model.generate()


def test_analogy_is_a_difference_carried_over():
    model, _ = make("man king woman queen dog cat ", embedding_dim=3)
    places = {"man": [0, 0, 1], "king": [1, 0, 1], "woman": [0, 1, 1], "queen": [1, 1, 1], "dog": [0, 0, -1]}
    model.centre.weight.data[model.places["cat"]] = torch.tensor([0, -1.0, -1])
    for word, place in places.items():
        model.centre.weight.data[model.places[word]] = torch.tensor(place).float()
    assert model.generate(analogy="man king woman", n=1).text.startswith("man king woman: queen")


def test_vectors_survive_their_file(tmp_path):
    model, _ = make()
    assert "10 vectors of dimension 4" in model.generate(export=str(tmp_path / "v.txt")).text
    words, vectors = read_vectors(tmp_path / "v.txt")
    assert words == model.words
    assert torch.allclose(vectors, model.centre.weight, atol=1e-5)
    assert (tmp_path / "v.txt").read_text().splitlines()[0] == "10 4"


@pytest.mark.parametrize(("text", "said"), [("a 1 2\nb 1\n", "as many numbers"), ("", "no word vectors")])
def test_other_files_are_refused(tmp_path, text, said):
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_vectors(tmp_path / "v.txt")
    with pytest.raises(ValueError, match="cannot read"):
        read_vectors(tmp_path / "none.txt")


def test_vectors_of_a_file_without_a_head(tmp_path):
    write_vectors(tmp_path / "v.txt", ["a", "b"], torch.eye(2))
    (tmp_path / "w.txt").write_text("".join((tmp_path / "v.txt").read_text().splitlines(keepends=True)[1:]))
    assert read_vectors(tmp_path / "w.txt")[0] == ["a", "b"]


def test_the_odd_items_are_fixed_and_fair():
    for split in ("val", "test"):
        items = odd_items(split)
        assert len(items) == 96
        assert items == odd_items(split)
        assert all(len(set(words)) == 5 for words, _ in items)
        assert {odd for _, odd in items} == set(range(5))
    assert not {w for words, _ in odd_items("val") for w in words} & {w for words, _ in odd_items() for w in words}
