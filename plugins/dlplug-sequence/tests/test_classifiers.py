import pytest
import torch

from dlplug_sequence.data.labelled_text import LabelledTextInfo
from dlplug_sequence.data.padded import SPECIALS
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.bag_of_words import BagOfWords
from dlplug_sequence.models.rnn_classifier import RNNClassifier

VOCABULARY = Vocabulary.train(["not good bad at all"], "word", specials=SPECIALS, sentences=True, lowercase=True)
INFO = LabelledTextInfo(VOCABULARY.to_json(), ("bad", "good"))


def built(model):
    torch.manual_seed(0)
    model.build(INFO)
    model.info = INFO
    return model.eval()


NETWORKS = [
    *({"pool": pool, "bidirectional": both} for pool in ("last", "max", "mean") for both in (True, False)),
    {"cell": "lstm", "num_layers": 2, "pool": "last"},
    {"cell": "irnn"},
]


@pytest.mark.parametrize("options", NETWORKS)
def test_padding_is_never_read(options):
    model = built(RNNClassifier(hidden_size=6, embedding_dim=5, **options))
    short = torch.tensor([[4, 5, 6]])
    batch = torch.tensor([[4, 5, 6, 0, 0, 0], [6, 7, 4, 5, 8, 4]])
    assert torch.allclose(model(short)[0], model(batch)[0], atol=1e-6)


def test_a_bag_of_words_ignores_order_and_a_recurrent_network_does_not():
    tokens = torch.tensor([[4, 5, 6, 7, 0]])
    shuffled = torch.tensor([[6, 7, 4, 5, 0]])
    bag, network = built(BagOfWords()), built(RNNClassifier())
    assert torch.allclose(bag(tokens), bag(shuffled), atol=1e-6)
    assert not torch.allclose(network(tokens), network(shuffled), atol=1e-3)


def test_lines_are_classified(tmp_path):
    model = built(RNNClassifier())
    (tmp_path / "lines.txt").write_text("good\nnot good at all\n\n")
    lines = model.generate(file=str(tmp_path / "lines.txt")).text.split("\n")
    assert [line.split("\t")[2] for line in lines] == ["good", "not good at all", ""]
    assert model.generate("good").text == lines[0]
    for wrong in ({}, {"text": "a", "file": "b"}, {"file": str(tmp_path / "none")}):
        with pytest.raises(ValueError, match="either|cannot read"):
            model.generate(**wrong)


def test_options_out_of_range_are_refused():
    for make in (
        lambda: BagOfWords(embedding_dim=0),
        lambda: RNNClassifier(lr=0.0),
        lambda: BagOfWords(word_dropout=1.0),
    ):
        with pytest.raises(ValueError, match="not"):
            make()


@pytest.mark.parametrize("kind", [BagOfWords, RNNClassifier])
def test_class_weights_weight_the_loss_in_training(kind, monkeypatch):
    model = built(kind(class_weights="balanced", word_dropout=0.0))
    monkeypatch.setattr(model, "record", lambda **values: None)
    tokens, labels = torch.tensor([[4, 5], [6, 7]]), torch.tensor([0, 1])
    losses = torch.nn.functional.cross_entropy(model(tokens), labels, reduction="none").detach()
    assert model.training_step((tokens, labels), 0).item() == pytest.approx(losses.mean().item())
    model.objective.weights = torch.tensor([3.0, 1.0])
    assert model.training_step((tokens, labels), 0).item() == pytest.approx(((3 * losses[0] + losses[1]) / 4).item())
