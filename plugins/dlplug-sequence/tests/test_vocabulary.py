import pytest
import torch

from dlplug_sequence.data.vocabulary import Vocabulary

TEXT = "In the beginning God created the heaven and the earth.\nAnd the earth was  without form;\n太初,神創造天地。\n"
LEVELS = ["character", "word", "bpe"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sentences", [False, True])
def test_decoding_gives_the_text_back(level, sentences):
    vocabulary = Vocabulary.train([TEXT], level, sentences=sentences, specials=("<pad>", "<unk>", "<eos>"))
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again.to_json() == vocabulary.to_json()
    assert [again.token_to_id(special) for special in again.specials] == [0, 1, 2]
    ids = again.encode(TEXT)
    assert min(ids) > 2
    assert again.decode([2, *ids, 0]) == TEXT
    assert [*again.encode_batch([TEXT, "God"])] == [ids, again.encode("God")]
    assert again.decode_batch([ids, []]) == [TEXT, ""]


@pytest.mark.parametrize("level", LEVELS)
def test_a_stream_is_the_text_in_pieces(level):
    vocabulary = Vocabulary.train([TEXT], level)
    lines = TEXT.splitlines(keepends=True)
    stream = vocabulary.encode_stream(lines)
    assert vocabulary.decode(stream.tolist()) == TEXT
    assert stream.tolist() == [token_id for line in lines for token_id in vocabulary.encode(line)]


@pytest.mark.parametrize("level", LEVELS)
def test_lengths_count_the_characters(level):
    vocabulary = Vocabulary.train([TEXT], level)
    assert vocabulary.lengths()[torch.tensor(vocabulary.encode(TEXT))].sum() == len(TEXT)


def test_rare_and_unseen_tokens_are_unknown_and_specials_cannot_be_typed():
    vocabulary = Vocabulary.train(["a a b"], "character", min_count=2)
    assert vocabulary.decode(vocabulary.encode("ab")) == "a�"
    assert len(Vocabulary.train([TEXT], "word", size=5)) == 5
    pairs = Vocabulary.train([TEXT], "bpe", specials=("<pad>",))
    assert pairs.decode(pairs.encode("a <pad> 好")) == "a <pad> 好"


def test_a_first_word_is_the_same_token_in_sentences():
    vocabulary = Vocabulary.train(["God is good"], "word", sentences=True, lowercase=True)
    assert vocabulary.encode("Good god") == [vocabulary.encode("good")[0], vocabulary.encode("God")[0]]


@pytest.mark.parametrize("options", [{"size": 1}, {"min_count": 0}, {"texts": [""]}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match="min_count|no token"):
        Vocabulary.train(**{"texts": [TEXT], **options})
