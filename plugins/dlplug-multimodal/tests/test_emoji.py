"""Emoji as images with words."""

import pytest
import torch

from dlplug.errors import InputError
from dlplug_multimodal.data.emoji import Emoji, group_name
from dlplug_multimodal.data.tagged_images import count_words, group_split
from dlplug_multimodal.data.twemoji import read_glyphs
from dlplug_sequence.data.padded import normal_form


@pytest.fixture(scope="module")
def tagged():
    data = Emoji(size=16)
    data.setup()
    return data


def test_all_emoji_have_an_image_and_tags(tagged):
    images, counts = (torch.cat(column) for column in zip(*tagged.splits.values(), strict=True))
    assert images.shape == (1900, 3, 16, 16)  # of 1,903: three are drawn as others in training
    assert counts.shape == (1900, 53)
    assert (counts.sum(1) == 0).sum() == 5  # skin tones, which are not images of anything
    assert len(images.flatten(1).unique(dim=0)) > 1800  # not one image for all


def test_no_name_of_the_test_is_in_training_with_other_marks():
    glyphs = read_glyphs()
    parts = group_split([group_name(glyph) for glyph in glyphs])
    names = {split: {normal_form(glyphs[i].name) for i in index.tolist()} for split, index in parts.items()}
    assert not (names["val"] | names["test"]) & names["train"]


def test_groups_are_in_one_split(tagged):
    names = set(tagged.names)
    assert {"police officer", "man police officer", "woman police officer"} <= names
    split = group_split([str(i % 50) for i in range(200)])
    parts = [{i % 50 for i in index.tolist()} for index in split.values()]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert sum(map(len, parts)) == 50


def test_names_are_the_words_where_asked_for():
    data = Emoji(size=8, text="name")
    data.setup()
    row = data.splits["test"][1][list(data.names).index("yellow heart")]
    assert {data.info.words[i] for i in row.nonzero().flatten().tolist()} == {"yellow", "heart"}


def test_words_are_counted_as_often_as_they_occur():
    assert count_words([["b", "a", "b"], ["c"]], ("a", "b")).tolist() == [[1, 2], [0, 0]]


def test_a_size_out_of_range_is_refused():
    with pytest.raises(InputError, match="size must be from 8 to 72, not 4"):
        Emoji(size=4)
