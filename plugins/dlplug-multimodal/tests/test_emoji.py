"""Emoji as pictures with words."""

import pytest
import torch

from dlplug.errors import InputError
from dlplug_multimodal.data.emoji import Emoji
from dlplug_multimodal.data.tagged_images import count_words, split_groups


@pytest.fixture(scope="module")
def tagged():
    data = Emoji(size=16)
    data.setup()
    return data


def test_all_emoji_have_a_picture_and_tags(tagged):
    pictures, counts = (torch.cat(column) for column in zip(*tagged.splits.values(), strict=True))
    assert pictures.shape == (1903, 3, 16, 16)
    assert counts.shape == (1903, 53)
    assert (counts.sum(1) == 0).sum() == 5  # skin tones, which are no pictures of anything
    assert len(pictures.flatten(1).unique(dim=0)) > 1800  # not one picture for all


def test_kin_are_on_one_side_of_the_split(tagged):
    names = set(tagged.names)
    assert {"police officer", "man police officer", "woman police officer"} <= names
    split = split_groups([str(i % 50) for i in range(200)])
    sides = [{i % 50 for i in index.tolist()} for index in split.values()]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert sum(map(len, sides)) == 50


def test_names_are_said_where_asked():
    data = Emoji(size=8, text="name")
    data.setup()
    row = data.splits["test"][1][list(data.names).index("yellow heart")]
    assert {data.info.words[i] for i in row.nonzero().flatten().tolist()} == {"yellow", "heart"}


def test_words_are_counted_as_often_as_they_are_said():
    assert count_words([["b", "a", "b"], ["c"]], ("a", "b")).tolist() == [[1, 2], [0, 0]]


def test_a_size_without_a_picture_is_refused():
    with pytest.raises(InputError, match="size must be from 8 to 72, not 4"):
        Emoji(size=4)
