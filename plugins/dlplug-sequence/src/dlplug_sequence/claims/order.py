"""Section 2.1: what a bag of words cannot represent."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Table
from dlplug_sequence.data.labelled_text import LabelledTextData
from dlplug_sequence.data.padded import PAD_ID

GOOD = ("good", "lovely", "fine", "great", "funny", "kind", "clever", "warm", "bright", "nice")
BAD = ("bad", "awful", "poor", "dull", "rude", "cold", "cruel", "boring", "ugly", "sad")
FRAMES = ("not {}, {}", "it was not {} but {}", "never {}, always {}", "they were {}, not {}", "less {} than {}")
AFFIRMS_FIRST = ("they were {}, not {}",)
# Long enough to learn more than single words, which are learned first.
SHORT = ("--trainer.max_epochs=3", "--trainer.limit_train_batches=0.8", "--trainer.limit_val_batches=4")


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
def change(trained: Trained, seed: int) -> float:
    """Return how far probabilities move when test texts are shuffled: half the sum of differences, from 0 to 1."""
    moves = []
    for tokens, _ in trained.data.test_dataloader():
        before, after = (trained.model(rows).softmax(1) for rows in (tokens, shuffled(tokens, seed)))
        moves.append((before - after).abs().sum(1) / 2)
    return float(torch.cat(moves).mean())


@torch.no_grad()
def accuracy(trained: Trained, seed: int | None = None) -> float:
    """Return the percentage of test texts classified correctly, their words shuffled if there is a seed."""
    hits = []
    for tokens, labels in trained.data.test_dataloader():
        rows = tokens if seed is None else shuffled(tokens, seed)
        hits.append((trained.model(rows).argmax(1) == labels).float())
    return 100 * float(torch.cat(hits).mean())


def shuffling(lab: Lab) -> Evidence:
    """Train both on tweets, and shuffle the words of the tweets that they are tested on."""
    moves: dict[str, list[float]] = {"bag-of-words": [], "rnn-classifier": []}
    for seed in lab.seeds:
        for model, found in moves.items():
            found.append(change(lab.fit(model, *SHORT, seed=seed), seed))
    name = "probability that moves when a tweet's words are shuffled"
    return Evidence(
        [
            Measure(f"{name}, bag-of-words", moves["bag-of-words"], "<=", 1e-5, "0: it cannot represent order"),
            Measure(f"{name}, rnn-classifier", moves["rnn-classifier"], ">=", 0.05, "bag-of-words"),
        ],
        [Measure(f"{name}, bag-of-words", moves["bag-of-words"], ">=", 0.05)],
        note="Three epochs on 80 % of the batches. Half the sum of the differences of the three probabilities.",
    )


def probe(lab: Lab) -> Evidence:
    """Classify "not good, bad" and "not bad, good", which have the same bag."""
    data = "--data=dlplug_sequence.claims.order.OrderProbe"
    options = (data, "--trainer.max_epochs=20", "--trainer.check_val_every_n_epoch=20", "--model.word_dropout=0")
    bags, recurrent, blind = [], [], []
    for seed in lab.seeds:
        runs = [lab.fit("bag-of-words", *options, f"--model.lr={rate}", seed=seed) for rate in (2e-3, 1e-2, 5e-2)]
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
