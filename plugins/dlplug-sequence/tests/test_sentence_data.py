import importlib.util
from collections import Counter

import pytest
import torch

from dlplug.data import Info
from dlplug.errors import InputError
from dlplug_sequence.data.padded import LengthBucketSampler, Ragged, normal_form
from dlplug_sequence.data.parallel_text import ParallelText
from dlplug_sequence.data.phrases import JOIN, Phrases
from dlplug_sequence.data.text_table import TextTable
from dlplug_sequence.data.tweets import Tweets
from dlplug_sequence.data.ui_strings import CATALOGUES, UIStrings
from dlplug_sequence.data.vocabulary import Vocabulary


def test_ragged_rows_are_padded_to_the_longest_of_the_batch():
    rows = Ragged([[5, 6, 7], [8], [], [9, 4]])
    assert rows[torch.tensor([1, 3])].tolist() == [[8, 0], [9, 4]]
    assert rows[torch.tensor([2, 0])].tolist() == [[1, 0, 0], [5, 6, 7]]  # an empty one is an unknown token


def test_buckets_hold_about_equal_lengths_each_item_once_and_differ_by_epoch():
    lengths = torch.randint(1, 80, (3000,), generator=torch.Generator().manual_seed(0))
    sampler = LengthBucketSampler(lengths, 32, seed=3)
    batches = list(sampler)
    items = torch.cat(batches)
    assert len(batches) == len(sampler) == 93
    assert len(items.unique()) == len(items)
    fill = sum(float(lengths[b].sum() / (len(b) * lengths[b].max())) for b in batches) / len(batches)
    assert fill > 0.9
    assert all(torch.equal(a, b) for a, b in zip(batches, sampler, strict=True))
    sampler.set_epoch(1)
    assert not torch.equal(next(iter(sampler)), batches[0])


def test_ranks_share_the_buckets():
    lengths = torch.arange(200)
    shares = []
    for rank in range(2):
        sampler = LengthBucketSampler(lengths, 8)
        sampler.rank, sampler.num_replicas = rank, 2
        shares.append(list(sampler))
    assert len(shares[0]) == len(shares[1]) == 12
    assert not set(torch.cat(shares[0]).tolist()) & set(torch.cat(shares[1]).tolist())


@pytest.mark.parametrize(("source", "target"), [("en", "fr"), ("de", "zh"), ("pt_BR", "ja")])
def test_phrases_share_nothing_between_the_splits(source, target):
    data = Phrases(source, target, size=400)
    parts = {split: {p for text, _ in rows for p in text.split(JOIN)} for split, rows in data.pairs().items()}
    assert not parts["train"] & parts["test"]
    assert not parts["train"] & parts["val"]
    assert not parts["val"] & parts["test"]
    data.setup()
    assert Info.from_dict(data.info.to_dict()) == data.info


def test_all_phrases_are_joined_equally_often():
    pairs = Phrases(size=400, fewest=2, most=3).pairs()["train"]
    counts = Counter(phrase for text, _ in pairs for phrase in text.split(JOIN))
    assert len(counts) > 300
    assert max(counts.values()) - min(counts.values()) == 1


def test_phrases_are_encoded_and_decoded_as_they_are():
    data = Phrases(size=400, fewest=2, most=3)
    pairs = data.pairs()["train"]
    assert {text.count(JOIN) for text, _ in pairs} == {1, 2}
    data.setup()
    vocabulary = Vocabulary.from_json(data.info.target)
    [rows] = [data.splits["train"][1][torch.arange(len(pairs))]]
    assert vocabulary.decode_batch(rows.tolist()) == [translation for _, translation in pairs]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "xx"}, "no locale 'xx'"),
        ({"kinds": ["poem"]}, "no phrases of kind poem"),
        ({"fewest": 3}, "fewest"),
        ({"size": 20}, "too few different phrases"),
    ],
)
def test_phrases_that_cannot_be_made_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Phrases(**{"size": 100, **options}).setup()


def test_copies_of_a_message_have_one_normal_form():
    assert normal_form("RT @you: It&amp;s  HERE, at http://t.co/x1 !!") == "it s here at" == normal_form("it's here at")
    assert normal_form(":)") == ":)"


def test_no_phrase_to_test_on_is_in_training_with_other_marks():
    pairs = Phrases(size=2000, most=1).pairs()
    train = {normal_form(text) for text, _ in pairs["train"]}
    assert not train & {normal_form(text) for split in ("val", "test") for text, _ in pairs[split]}


def test_tweets_hold_no_duplicate():
    data = Tweets()
    texts = [normal_form(text) for items in data.texts().values() for text, _ in items]
    assert len(set(texts)) == len(texts) == 34_704
    data.setup()
    assert data.info.labels == ("negative", "neutral", "positive")
    assert [len(data.splits[split][0]) for split in ("train", "val", "test")] == [27_764, 3_470, 3_470]


def test_text_table(tmp_path):
    path = tmp_path / "reviews.tsv"
    lines = [f"{i}\tthe {i % 7}th day was {word}\t{word}" for i, word in enumerate(["good", "bad"] * 15)]
    path.write_text("\n".join(["id\treview\tmood", *lines]) + "\n")
    data = TextTable(str(path), text="review", label="mood", batch_size=4)
    data.setup()
    assert data.info.labels == ("bad", "good")
    tokens, labels = next(iter(data.train_dataloader()))
    assert tokens.shape[0] == len(labels) == 4
    with pytest.raises(InputError, match="no column 'text'; it has id, review, mood"):
        TextTable(str(path)).setup()
    path.write_text("review\tmood\nfine\t\n")
    with pytest.raises(InputError, match="line 2: the class is missing"):
        TextTable(str(path), text="review", label="mood").setup()


def test_parallel_text(tmp_path):
    texts = [f"I saw {i} cats" for i in range(20)]
    translations = [f"我看见{i}只猫" for i in range(20)]
    both, one, two = (tmp_path / name for name in ("both.tsv", "one.txt", "two.txt"))
    both.write_text("".join(f"{a}\t{b}\n" for a, b in zip(texts, translations, strict=True)))
    one.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(texts).encode())
    two.write_text("\n".join(translations) + "\n")
    assert ParallelText(str(both)).pairs() == ParallelText(str(one), str(two)).pairs()
    data = ParallelText(str(both), level="character", min_count=1)
    data.setup()
    assert "猫" in Vocabulary.from_json(data.info.target).decode(data.splits["train"][1][torch.tensor([0])][0].tolist())


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        (b"a\tb\nc\xff\td\n", None, "line 2: not UTF-8 .byte 0xff."),
        (b"a\tb\nc\t \n", None, "line 2: the translation is empty"),
        (b"a\tb\n\td\n", None, "line 2: the text is empty"),
        (b"a\tb\nc d\n", None, "line 2: 0 tabs"),
        (b"a\nb\nc\n", b"a\nb\n", "3 lines .* 2: line 3 has no partner"),
        (b"a\tb\n", None, "too few"),
    ],
)
def test_parallel_text_that_is_wrong_is_refused_with_its_line(tmp_path, content, target, message):
    paths = [tmp_path / "source", tmp_path / "target"]
    paths[0].write_bytes(content)
    if target is not None:
        paths[1].write_bytes(target)
    with pytest.raises(InputError, match=message):
        ParallelText(str(paths[0]), str(paths[1]) if target is not None else "").setup()
    with pytest.raises(InputError, match="cannot read"):
        ParallelText(str(tmp_path / "nothing")).setup()


@pytest.mark.skipif(not all(map(importlib.util.find_spec, CATALOGUES)), reason="needs dlplug-sequence[ui]")
def test_ui_strings_share_no_sentence_between_the_splits():
    data = UIStrings()
    parts = data.pairs()
    assert sum(map(len, parts.values())) > 2_500
    assert ("Password reset", "Réinitialisation du mot de passe") in [pair for rows in parts.values() for pair in rows]
    for side in (0, 1):
        words = [{pair[side].strip(".:…! ").lower() for pair in rows} for rows in parts.values()]
        assert not words[0] & words[1] | words[0] & words[2] | words[1] & words[2]
    data.setup()
    vocabulary = Vocabulary.from_json(data.info.target)
    assert vocabulary.decode(data.splits["test"][1][torch.tensor([3])][0].tolist()) == parts["test"][3][1]


def test_ui_strings_name_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setattr("dlplug_sequence.data.ui_strings.CATALOGUES", {"no_such_package": "*.mo"})
    with pytest.raises(InputError, match=r"no_such_package: pip install dlplug-sequence\[ui\]"):
        UIStrings().setup()
