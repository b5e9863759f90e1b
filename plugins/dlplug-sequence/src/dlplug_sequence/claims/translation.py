"""Sections 2.4 and 2.9: what it helps to give the decoder part of the encoder's states."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure, Table
from dlplug_sequence.data.padded import PAD_ID
from dlplug_sequence.models.translator import Translator, plot_alignment, token_texts

RATES = (2e-3, 4e-3, 8e-3)  # without attention it gets its best: its result is not for want of a learning rate
KINDS = ("date", "time")
OPTIONS = (
    *(f"--data.kinds+={kind}" for kind in KINDS),
    *("--data.size=8000", "--data.batch_size=32", "--model.hidden_size=64", "--model.embedding_dim=32"),
    *("--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=3"),
)


def attention(lab: Lab) -> Evidence:
    """Translate dates and times, one or two joined, with attention and without."""
    twos, threes = (lab.data("phrases", kinds=KINDS, size=8000, fewest=n, most=n).pairs() for n in (2, 3))
    gains, reaches, hits, blind, rows = [], [], [], [], []
    for seed in lab.seeds:
        attentive = lab.fit("seq2seq", *OPTIONS, "--model.lr=4e-3", seed=seed)
        without = [lab.fit("seq2seq", *OPTIONS, "--model.attention=none", f"--model.lr={r}", seed=seed) for r in RATES]
        untrained = lab.model("seq2seq", attentive.model.info, seed, hidden_size=64, embedding_dim=32)
        tuned = [score(run, twos["val"])["exact_match"] for run in without]
        best = 1 + tuned.index(max(tuned))  # by validation texts
        two, three = ([score(run, pairs["test"]) for run in (attentive, *without)] for pairs in (twos, threes))
        gains.append(100 * (two[0]["exact_match"] - two[best]["exact_match"]))
        reaches.append(three[0]["bleu"] - three[best]["bleu"])
        hits.append(100 * copy_accuracy(attentive.model, attentive))
        blind.append(100 * copy_accuracy(untrained, attentive))
        names = ("dot", *(f"none, lr {rate}" for rate in RATES))
        for name, a, b in zip(names, two, three, strict=True):
            rows.append((seed, name, a["exact_match"], a["bleu"], b["exact_match"], b["bleu"]))
    name = "% of digits and words copied that it attended to most when it generated them"
    columns = ("seed", "attention", "exact, two", "BLEU, two", "exact, three", "BLEU, three")
    without_it = "no attention, best of three rates"
    return Evidence(
        [
            Measure("points of exact match gained on two joined phrases", gains, ">=", 20, without_it),
            Measure("BLEU gained on three, longer than in training", reaches, ">=", 20, without_it),
            Measure(name, hits, ">=", 70, "the same of an untrained one"),
        ],
        [Measure(f"{name}, untrained", blind, ">=", 70)],
        {"Translations": Table(columns, rows), "Alignment": longest_alignment(attentive)},
        note=f"Equal numbers of updates; without attention its best of learning rates {RATES} on validation "
        "texts. A token that is once in the text and once in the translation is taken for its own translation.",
    )


def score(run: Trained, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return the metrics of a run's translations."""
    outputs = run.model.translate_texts([text for text, _ in pairs])
    return Translator.score([(*pair, output) for pair, output in zip(pairs, outputs, strict=True)])


@torch.no_grad()
def copy_accuracy(model: Any, run: Trained) -> float:
    """Return how often a model attends most to the token that it is to copy, on the test texts."""
    hits = total = 0
    for source, target, *_ in run.data.test_dataloader():
        attended = model.align(source, target).argmax(2)
        for row, positions in enumerate(attended):
            for written, read in copied(model, source[row], target[row, 1:]):
                hits, total = hits + int(positions[written] == read), total + 1
    return hits / total


def copied(model: Any, source: Tensor, target: Tensor) -> list[tuple[int, int]]:
    """Return (target position, source position) of each token that is once in both, by its text without spaces."""
    texts = [token.strip() for token in token_texts(model.source, source)]
    words = [token.strip() for token in token_texts(model.target, target)]
    once = [word for word, count in Counter(words).items() if count == 1 and texts.count(word) == 1 and word.isalnum()]
    return [(words.index(word), texts.index(word)) for word in once]


@torch.no_grad()
def longest_alignment(run: Trained) -> Figure:
    """Draw the alignment of the longest test text of the first batch."""
    source, target, *_ = next(iter(run.data.test_dataloader()))
    row = int((source != PAD_ID).sum(1).argmax())
    weights = run.model.align(source[row : row + 1], target[row : row + 1])[0]
    tokens = token_texts(run.model.source, source[row]), token_texts(run.model.target, target[row, 1:])
    return Figure(plot_alignment(weights, *tokens))
