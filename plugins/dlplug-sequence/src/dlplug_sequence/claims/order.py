"""Section 2.1: what a bag of words cannot represent, and what weights of a position's own have to learn again."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure, Table
from dlplug.plots import plot_curves
from dlplug_sequence.data.bible import Bible
from dlplug_sequence.data.labelled_text import LabelledTextData
from dlplug_sequence.data.padded import PAD_ID, Ragged
from dlplug_sequence.models.text_classifier import TextClassifier

GOOD = ("good", "lovely", "fine", "great", "funny", "kind", "clever", "warm", "bright", "nice")
BAD = ("bad", "awful", "poor", "dull", "rude", "cold", "cruel", "boring", "ugly", "sad")
FRAMES = ("not {}, {}", "it was not {} but {}", "never {}, always {}", "they were {}, not {}", "less {} than {}")
AFFIRMS_FIRST = ("they were {}, not {}",)
FILLERS = ("well", "so", "they", "say", "today", "indeed", "again", "here")
WORDS = 8  # of a piece of the Bible
PIECES = {"train": 4000, "val": 300, "test": 1000}
RATES = (2e-3, 1e-2, 5e-2)  # of a network that loses: it gets the best one
LEARNED, NEW = 4, 9  # phrases are trained on at places 0 to 3: of at most 6 words, none reaches place 9
PLACES, WINDOW = 13, 18  # where a phrase may begin, and where the last ends
QUIET = ("--trainer.check_val_every_n_epoch=100", "--trainer.enable_checkpointing=false", "--model.word_dropout=0")


class OrderProbe(LabelledTextData):
    """Texts such as "not good, bad" and "not bad, good": the same words, so that only their order determines the class.

    Both texts of a pair of words are in the same split.
    """

    def __init__(self) -> None:
        super().__init__(min_count=1, batch_size=16)

    def read(self) -> Sequence[tuple[str, str]]:
        """Return all texts, those of the same words one after the other."""
        items = []
        for frame, good, bad in itertools.product(FRAMES, GOOD, BAD):
            first, second = ("good", "bad") if frame in AFFIRMS_FIRST else ("bad", "good")
            items += [(frame.format(good, bad), first), (frame.format(bad, good), second)]
        return items

    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Split by the two words."""
        items, pairs = self.read(), len(GOOD) * len(BAD)
        order = torch.randperm(pairs, generator=torch.Generator().manual_seed(0)).tolist()
        splits: dict[str, list[tuple[str, str]]] = {}
        for split, part in (("train", order[:60]), ("val", order[60:70]), ("test", order[70:])):
            firsts = [2 * (frame * pairs + pair) for pair in part for frame in range(len(FRAMES))]
            splits[split] = [item for first in firsts for item in items[first : first + 2]]
        return splits


def shuffled(tokens: Tensor, seed: int) -> Tensor:
    """Return the tokens of each row (n, time) in random order, the padding where it was."""
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(tokens.shape, generator=generator).masked_fill(tokens == PAD_ID, 2)
    return tokens.gather(1, keys.argsort(1))


@torch.no_grad()
def accuracy(trained: Trained, seed: int | None = None) -> float:
    """Return the percentage of test texts classified correctly, their words shuffled if there is a seed."""
    hits = []
    for tokens, labels, *_ in trained.data.test_dataloader():
        rows = tokens if seed is None else shuffled(tokens, seed)
        hits.append((trained.model(rows).argmax(1) == labels).float())
    return 100 * float(torch.cat(hits).mean())


class WrittenOrShuffled(LabelledTextData):
    """Pieces of the Bible, each as it is written and with its words in random order; which of the two is the class.

    Args:
        hidden: Whether those called written are in random order too, so that there is nothing to learn.
    """

    def __init__(self, hidden: bool = False) -> None:
        super().__init__(min_count=2, batch_size=64)
        self.hidden = hidden

    def read(self) -> Sequence[tuple[str, str]]:
        """Return all pieces, both texts of one after the other."""
        words = re.findall(r"[a-z']+", "".join(Bible().read()()).lower())
        generator = torch.Generator().manual_seed(0)
        items = []
        for start in torch.linspace(0, len(words) - WORDS, sum(PIECES.values())).long().tolist():
            piece = words[start : start + WORDS]
            for name in ("written", "shuffled"):
                mixed = self.hidden or name == "shuffled"
                order = torch.randperm(WORDS, generator=generator).tolist() if mixed else range(WORDS)
                items.append((" ".join(piece[i] for i in order), name))
        return items

    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Split where the text is: both texts of a piece are in the same part."""
        items, start = list(self.read()), 0
        splits: dict[str, list[tuple[str, str]]] = {}
        for split, pieces in PIECES.items():
            splits[split] = items[start : start + 2 * pieces]
            start += 2 * pieces
        return splits


@torch.no_grad()
def change(trained: Trained) -> float:
    """Return how far a probability moves at most between the two texts of a piece."""
    probabilities = torch.cat([trained.model(tokens).softmax(1) for tokens, *_ in trained.data.test_dataloader()])
    return float((probabilities[0::2] - probabilities[1::2]).abs().max())


def shuffling(lab: Lab) -> Evidence:
    """Tell pieces of the Bible from the same words shuffled, with a bag of words and with a recurrent network."""
    name = "dlplug_sequence.claims.order.WrittenOrShuffled"
    found: dict[str, list[float]] = {"rnn-classifier": [], "bag-of-words": []}
    moves: dict[str, list[float]] = {"rnn-classifier": [], "bag-of-words": []}
    options = (f"--data={name}", "--trainer.max_epochs=4", *QUIET)
    for seed in lab.seeds:
        runs = {model: lab.fit(model, *options, seed=seed) for model in moves}
        for model, run in runs.items():
            found[model].append(accuracy(run))
            moves[model].append(change(run))
    hidden = [lab.fit("rnn-classifier", *options, "--data.hidden=true", seed=seed) for seed in lab.seeds[:2]]
    name = f"% of pieces of {WORDS} words rightly called written or shuffled"
    columns = ("seed", *found)
    return Evidence(
        [
            Measure(f"{name}, rnn-classifier", found["rnn-classifier"], ">=", 75, "chance 50"),
            Measure(f"{name}, bag-of-words", found["bag-of-words"], "<=", 52, "chance 50"),
            Measure("largest difference of its probabilities for the two", moves["bag-of-words"], "<=", 1e-5),
        ],
        [
            Measure(f"{name}, rnn-classifier, where both are shuffled", list(map(accuracy, hidden)), ">=", 75),
            Measure("largest difference of rnn-classifier's probabilities", moves["rnn-classifier"], "<=", 1e-5),
        ],
        {
            "Pieces": Table(("text", "class"), WrittenOrShuffled().texts()["test"][:10]),
            "Right": Table(columns, list(zip(lab.seeds, *found.values(), strict=True))),
        },
        note=f"{PIECES['train']:,} pieces from the Bible's beginning to train on, the last {PIECES['test']:,} to test "
        "on, each both ways. Whatever the bag answers for the one it answers for the other.",
    )


def probe(lab: Lab) -> Evidence:
    """Classify "not good, bad" and "not bad, good", which have the same bag."""
    data = "--data=dlplug_sequence.claims.order.OrderProbe"
    options = (data, "--trainer.max_epochs=20", "--trainer.check_val_every_n_epoch=20", "--model.word_dropout=0")
    bags, recurrent, blind = [], [], []
    for seed in lab.seeds:
        runs = [lab.fit("bag-of-words", *options, f"--model.lr={rate}", seed=seed) for rate in RATES]
        bags.append(max(map(accuracy, runs)))
        run = lab.fit("rnn-classifier", *options, "--model.lr=5e-3", seed=seed)
        recurrent.append(accuracy(run))
        blind.append(accuracy(run, seed))
    name = "% of texts classified correctly where order alone decides"
    return Evidence(
        [
            Measure(f"{name}, rnn-classifier", recurrent, ">=", 95, "chance 50"),
            Measure(f"{name}, bag-of-words, its best of three learning rates", bags, "<=", 55, "chance 50"),
        ],
        [
            Measure(f"{name}, rnn-classifier, words shuffled", blind, ">=", 95),
            Measure(f"{name}, bag-of-words", bags, ">=", 95),
        ],
        {"Texts": Table(("text", "class"), OrderProbe().texts()["test"][:10])},
        note="Pairs of words tested on are not trained on. Equal numbers of updates.",
    )


class MovedProbe(OrderProbe):
    """Texts of ``OrderProbe`` after some words that mean nothing: as many as the place where they begin.

    Args:
        first: First place.
        last: Last place.
    """

    def __init__(self, first: int = 0, last: int = LEARNED - 1) -> None:
        super().__init__()
        self.first, self.last, self.batch_size = first, last, 32

    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Put each text at every place."""
        generator = torch.Generator().manual_seed(self.first)

        def move(text: str, place: int) -> str:
            fillers = torch.randint(len(FILLERS), (place,), generator=generator).tolist()
            return " ".join([*(FILLERS[i] for i in fillers), text])

        places = range(self.first, self.last + 1)
        return {
            split: [(move(text, place), name) for place in places for text, name in items]
            for split, items in super().texts().items()
        }


class FixedWindow(TextClassifier):
    """A network with weights of its own for each position: what `rnn-classifier` is not.

    Args:
        lr: Highest learning rate of Adam.
    """

    def __init__(self, word_dropout: float = 0.0, lr: float = 5e-3) -> None:
        super().__init__(word_dropout)
        self.save_hyperparameters()
        self.lr = lr

    def network(self, vocabulary: int, classes: int) -> nn.Module:
        """Return the layers."""
        dense = nn.Linear(WINDOW * 64, 64)
        return nn.Sequential(
            Window(), nn.Embedding(vocabulary, 64), nn.Flatten(), dense, nn.ReLU(), nn.Linear(64, classes)
        )


class Window(nn.Module):
    """Pads rows of tokens (n, time) to the window's length."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (n, window)."""
        return pad(tokens, (0, WINDOW - tokens.shape[1]), value=PAD_ID)


@torch.no_grad()
def accuracy_at(trained: Trained, place: int) -> float:
    """Return the percentage of test texts that begin at a place that are classified correctly."""
    texts, names = zip(*MovedProbe(place, place).texts()["test"], strict=True)
    rows = Ragged(trained.model.vocabulary.encode_batch(texts))
    right = torch.tensor([trained.model.info.labels.index(name) for name in names])
    return 100 * float((trained.model(rows[torch.arange(len(rows))]).argmax(1) == right).float().mean())


def relearning(lab: Lab) -> Evidence:
    """Teach the order of words at four places of a text, and ask at four that no phrase ever reached."""
    options = ("--data=dlplug_sequence.claims.order.MovedProbe", "--trainer.max_epochs=6", *QUIET)
    models: dict[str, Any] = {"rnn-classifier": (), "dlplug_sequence.claims.order.FixedWindow": ()}
    found: dict[str, list[list[float]]] = {name: [] for name in models}
    for seed, name in itertools.product(lab.seeds, models):
        run = lab.fit(name, *options, seed=seed)
        found[name].append([accuracy_at(run, place) for place in range(PLACES)])

    def mean(name: str, places: slice) -> list[float]:
        return [sum(row[places]) / len(row[places]) for row in found[name]]

    shared, own = models
    known, new = slice(LEARNED), slice(NEW, PLACES)
    curves = {name.rpartition(".")[2]: torch.tensor(rows).mean(0).tolist() for name, rows in found.items()}
    name = "% right where order decides, at places"
    return Evidence(
        [
            Measure(f"{name} never trained on, rnn-classifier", mean(shared, new), ">=", 90, "chance 50"),
            Measure(f"{name} trained on, weights of each position's own", mean(own, known), ">=", 90, "chance 50"),
            Measure(f"{name} never trained on, weights of each position's own", mean(own, new), "<=", 65, "chance 50"),
        ],
        [Measure(f"{name} never trained on, weights of each position's own", mean(own, new), ">=", 90)],
        {"Right by place": Figure(plot_curves(range(PLACES), curves, "words before the phrase", "% right"))},
        note=f"Trained with 0 to {LEARNED - 1} words before the phrase, as many updates each; tested on pairs of words "
        "that were never trained on.",
    )
