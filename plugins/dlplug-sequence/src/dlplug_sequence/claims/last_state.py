"""Section 2.4: what the last state holds of a text."""

import torch

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_sequence.data.tweets import Tweets

TRAINED = 12_000  # tweets: enough to be right in more than half of the cases, in a third of the time
READ = (1, 2, 4, 8, 12, 16, 24, 32)
OPTIONS = ("--data=dlplug_sequence.claims.last_state.TweetEnds", "--model.bidirectional=false")
SHORT = ("--trainer.check_val_every_n_epoch=100", "--trainer.enable_checkpointing=false", "--trainer.max_epochs=3")


class TweetEnds(Tweets):
    """Tweets, of which fewer are trained on, each whole or its last words alone.

    Args:
        words: How many of the last words there are; 0 for all.
    """

    def __init__(self, words: int = 0) -> None:
        super().__init__()
        self.words = words

    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Cut the texts of the same splits."""
        splits = super().texts()
        splits["train"] = splits["train"][:TRAINED]
        return {
            split: [(" ".join(text.split()[-self.words :]), label) for text, label in items]
            for split, items in splits.items()
        }


@torch.no_grad()
def accuracy(run: Trained, read: int | None = None) -> float:
    """Return the percentage of test texts rightly classified from their first ``read`` tokens."""
    batches = run.data.test_dataloader()
    hits = [run.model(tokens[:, :read]).argmax(1) == labels for tokens, labels, *_ in batches]
    return 100 * float(torch.cat(hits).float().mean())


def commonest(run: Trained) -> float:
    """Return the percentage of test texts that have the class that is commonest in training."""
    loaders = (run.data.train_dataloader(), run.data.test_dataloader())
    train, test = (torch.cat([labels for _, labels, *_ in loader]) for loader in loaders)
    return 100 * float((test == train.mode().values).float().mean())


def sentiment(lab: Lab) -> Evidence:
    """Classify tweets from the last state of a network that reads them forwards, and from all its states pooled."""
    rows: list[list[float]] = []
    last: list[float] = []
    pooled: list[float] = []
    ends: list[float] = []
    for seed in lab.seeds:
        runs = [lab.fit("rnn-classifier", *OPTIONS, *SHORT, f"--model.pool={p}", seed=seed) for p in ("last", "max")]
        end = lab.fit("rnn-classifier", *OPTIONS, *SHORT, "--model.pool=last", "--data.words=1", seed=seed)
        always = commonest(runs[0])
        for found, run in zip((last, pooled, ends), (*runs, end), strict=True):
            found.append(accuracy(run) - always)
        rows.append([accuracy(runs[0], read) for read in READ])
    name = "points above always answering the commonest class, from the last state"
    lost = [b - a for a, b in zip(last, pooled, strict=True)]
    curve = {"last state so far": torch.tensor(rows).mean(0).tolist(), "commonest class": [always] * len(READ)}
    return Evidence(
        [
            Measure(name, last, ">=", 15, f"the commonest class is right in {always:.1f} %"),
            Measure("points that the last state loses to each unit's maximum over all states", lost, "<=", 2),
        ],
        [Measure(f"{name} after the last word alone", ends, ">=", 15)],
        {"Right by what was read": Figure(plot_curves(READ, curve, "tokens read", "% right"))},
        note=f"{TRAINED:,} tweets to train on, three epochs of the same network, which reads forwards only.",
    )
