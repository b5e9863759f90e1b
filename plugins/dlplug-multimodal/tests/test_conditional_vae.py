"""Questions of a picture and a word, what is drawn for them, and the data that hold their answers."""

import pytest
import torch

from dlplug_multimodal.data.emoji_pairs import EmojiPairs
from dlplug_multimodal.data.tagged_images import TaggedImageInfo
from dlplug_multimodal.models.conditional_vae import ConditionalVAE, ask

WORDS = ("sea", "sun", "tree")


def model(**options):
    torch.manual_seed(0)
    made = ConditionalVAE(hidden=16, latent_dim=3, embedding_dim=4, **options)
    made.build(TaggedImageInfo(3, 8, 10, WORDS))
    return made.eval()


def test_a_question_is_a_word_and_a_picture_of_the_other_words():
    torch.manual_seed(0)
    counts = torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    for _ in range(20):
        pictures, words, found = ask(counts)
        assert found.tolist() == [True, False, False, False, False]
        word = int(words[0].argmax())
        assert int(pictures[0]) == (2 if word == 0 else 1)  # the one that shows the other word alone
        assert not counts[pictures[0], word]
        assert words[1:4].equal(counts[1:4])
        assert not words[4].any()


def test_what_is_missing_does_not_matter_and_what_is_given_does():
    made = model()
    pictures, counts = torch.rand(2, 3, 8, 10), torch.eye(3)[:2]

    def drawn(*given):
        torch.manual_seed(1)
        return made.draw(*given)

    with torch.no_grad():
        made.no_picture.normal_()
        assert drawn(pictures, counts).shape == (2, 3, 8, 10)
        assert not drawn(pictures, counts).equal(drawn(pictures, None))
        assert not drawn(pictures, counts).equal(drawn(None, counts))
        assert not drawn(pictures, counts).equal(drawn(pictures.flip(0), counts))


def test_images_are_drawn_from_words_and_an_empty_question_is_refused():
    made = model()
    assert made.generate(text="sea sun", n=3).pixels.shape == (3, 3, 8, 10)
    with pytest.raises(ValueError, match="give an image, a text, or both"):
        made.generate()
    with pytest.raises(ValueError, match="no training image is tagged 'see'; did you mean 'sea'"):
        made.generate(text="see")


def test_emoji_pairs_show_what_their_tags_say():
    data = EmojiPairs(kinds=5, size=24, scenes=300)
    data.setup()
    images, counts = data.splits["train"]
    assert images.shape == (300, 3, 24, 24)
    assert counts.sum(1).tolist() == [1, 2, 2] * 100
    for kinds in ([1, 0, 0, 0, 0], [0, 1, 0, 0, 0]):  # one alone stands left, on a bare right
        shown = images[(counts == torch.tensor(kinds)).all(1)]
        assert all(len(image[:, :, 13:].flatten(1).unique(dim=1).T) == 1 for image in shown)
        assert all(len(image[:, :, :11].flatten(1).unique(dim=1).T) > 5 for image in shown)
