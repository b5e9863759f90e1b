"""Sections 2.4 and 2.9: what it helps to give the decoder part of the encoder's states."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure, Table
from dlplug_sequence.data.padded import PAD_CODE
from dlplug_sequence.models.translator import Translator, plot_alignment

RATES = (2e-3, 4e-3, 8e-3)  # what a network that loses may choose from
KINDS = ("date", "time")
OPTIONS = (
    *(f"--data.kinds+={kind}" for kind in KINDS),
    *("--data.size=8000", "--data.batch_size=32", "--model.hidden=64", "--model.embedding=32"),
    *("--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=3"),
)


def attention(lab: Lab) -> Evidence:
    """Translate dates and times, one or two joined, with attention and without."""
    joined, longer = (lab.data("phrases", kinds=KINDS, size=8000, fewest=n, most=n).pairs()["test"] for n in (2, 3))
    gains, reaches, hits, blind, rows = [], [], [], [], []
    for seed in lab.seeds:
        attentive = lab.fit("seq2seq", *OPTIONS, "--model.lr=4e-3", seed=seed)
        without = [lab.fit("seq2seq", *OPTIONS, "--model.attention=none", f"--model.lr={r}", seed=seed) for r in RATES]
        untrained = lab.model("seq2seq", attentive.model.info, seed, hidden=64, embedding=32)
        two, three = ([measured(run, texts) for run in (attentive, *without)] for texts in (joined, longer))
        gains.append(100 * (two[0]["exact"] - max(found["exact"] for found in two[1:])))
        reaches.append(three[0]["bleu"] - max(found["bleu"] for found in three[1:]))
        hits.append(100 * followed(attentive.model, attentive))
        blind.append(100 * followed(untrained, attentive))
        names = ("dot", *(f"none, lr {rate}" for rate in RATES))
        rows += [
            (seed, n, a["exact"], a["bleu"], b["exact"], b["bleu"]) for n, a, b in zip(names, two, three, strict=True)
        ]
    name = "% of digits and words copied at which it looked when it wrote them"
    columns = ("seed", "attention", "exact, two", "BLEU, two", "exact, three", "BLEU, three")
    return Evidence(
        [
            Measure(
                "points of exact match gained on two joined phrases", gains, ">=", 20, "no attention, best of three"
            ),
            Measure("BLEU gained on three, longer than in training", reaches, ">=", 20, "no attention, best of three"),
            Measure(name, hits, ">=", 70, "the same of an untrained one"),
        ],
        [Measure(f"{name}, untrained", blind, ">=", 70)],
        {"Translations": Table(columns, rows), "Where it looked": picture(attentive)},
        note=f"Equal numbers of updates; without attention its best of learning rates {RATES} on the test texts, which "
        "flatters it. A token that is once in the text and once in the translation is taken for its own translation.",
    )


def measured(run: Trained, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return how good the translations of texts are."""
    outputs = run.model.outputs([text for text, _ in pairs])
    return Translator.judge([(*pair, output) for pair, output in zip(pairs, outputs, strict=True)])


@torch.no_grad()
def followed(model: Any, run: Trained) -> float:
    """Return how often a model looks most at the token that it is to copy, on the test texts."""
    hits = total = 0
    for source, target in run.data.test_dataloader():
        looked = model.align(source, target).argmax(2)
        for row, places in enumerate(looked):
            for written, read in copied(model, source[row], target[row, 1:]):
                hits, total = hits + int(places[written] == read), total + 1
    return hits / total


def copied(model: Any, source: Tensor, target: Tensor) -> list[tuple[int, int]]:
    """Return (place written, place read) of each token that is once in both, by its text without spaces."""
    texts = [model.source.token(code).strip() for code in source[source != PAD_CODE].tolist()]
    words = [model.target.token(code).strip() for code in target[target != PAD_CODE].tolist()]
    once = [word for word, count in Counter(words).items() if count == 1 and texts.count(word) == 1 and word.isalnum()]
    return [(words.index(word), texts.index(word)) for word in once]


def picture(run: Trained) -> Figure:
    """Draw where a model looked in the longest test text of the first batch."""
    source, target = next(iter(run.data.test_dataloader()))
    row = int((source != PAD_CODE).sum(1).argmax())
    with torch.no_grad():
        weights = run.model.align(source[row : row + 1], target[row : row + 1])[0]
    texts = [run.model.source.token(code) for code in source[row].tolist() if code != PAD_CODE]
    words = [run.model.target.token(code) for code in target[row, 1:].tolist() if code != PAD_CODE]
    return Figure(plot_alignment(weights[: len(words), : len(texts)], texts, words))
