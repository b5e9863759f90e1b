"""Section 2.1: what a Markov model cannot do."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_sequence.models.markov import NGrams

ORDERS = (1, 2, 3, 4, 5, 6, 8, 10)
KEYS = "abcd"  # what a planted text repeats after a gap, worth 2 bits each
CHANCE = "2 for a letter of four"
# Many small updates, about 2,900: long dependencies are learned late.
PLANTED = (
    *("--data=text-file", "--data.batch_size=8", "--trainer.max_epochs=10", "--trainer.check_val_every_n_epoch=10"),
    *("--model.hidden_size=32", "--model.embedding_dim=16"),
)
LSTM = ("--model.cell=lstm", "--model.init=orthogonal", "--model.lr=0.01")


def orders(lab: Lab) -> Evidence:
    """Count n-grams of growing order on a million characters of the Bible, and on the same characters shuffled."""
    data = lab.data("bible")
    train, test = (data.splits[split].numpy() for split in ("train", "test"))
    train, tokens = train[:1_000_000], int(train.max()) + 1
    mixed = np.random.default_rng(0).permutation(train), np.random.default_rng(1).permutation(test)
    bits = {"the text": bits_by_order(train, test, tokens), "its characters shuffled": bits_by_order(*mixed, tokens)}
    gains = {name: (found[0] - found[4], found[4] - found[-1]) for name, found in bits.items()}
    (first, later), (shuffled, _) = gains.values()
    name = "bits per character that the four characters before save"
    return Evidence(
        [
            Measure(name, [first], ">=", 1.5, f"{bits['the text'][0]:.2f} bits without any"),
            Measure("bits that the five before those save", [later], "<=", 0.3, "Kneser–Ney of orders 5 and 10"),
        ],
        [Measure(f"{name}, shuffled", [shuffled], ">=", 1.5)],
        {"Bits by order": Figure(plot_curves(ORDERS, bits, "order of the n-gram", "bits per character"))},
        note="Modified Kneser–Ney on the first million characters, tested on 200,000 of the last part.",
    )


def bits_by_order(train: "np.ndarray", test: "np.ndarray", tokens: int) -> list[float]:
    """Return bits a token of Kneser–Ney models of all ``ORDERS``."""
    models = (NGrams.count(train, tokens, order, "kneser-ney") for order in ORDERS)
    return [float(-np.log2(model.probabilities(test[None])).mean()) for model in models]


def far_dependency(lab: Lab) -> Evidence:
    """Plant a letter that comes again 20 characters later; measure what it costs an n-gram of order 5 and an LSTM."""
    planted = plant(lab.folder / "planted.txt", (18,))
    unrelated = plant(lab.folder / "unrelated.txt", (18,), related=False)
    counted = lab.fit("markov", "--model.order=5", "--data=text-file", f"--data.path={planted}")
    costs: dict[str, list[float]] = {"lstm": [], "control": []}
    for seed in lab.seeds:
        for name, path in (("lstm", planted), ("control", unrelated)):
            trained = lab.fit("rnn-lm", *PLANTED, *LSTM, f"--data.path={path}", seed=seed)
            costs[name].append(repeated_bits(trained, 18))
    name = "bits that the repeated letter costs"
    return Evidence(
        [
            Measure(f"{name} an LSTM", costs["lstm"], "<=", 0.5, CHANCE),
            Measure(f"{name} an n-gram of order 5", [repeated_bits(counted, 18)], ">=", 1.8, CHANCE),
        ],
        [Measure(f"{name} an LSTM where it is another letter", costs["control"], "<=", 0.5)],
        note="A letter, 18 dots, '=' and the letter again: 20 characters apart. The n-gram sees dots alone.",
    )


def plant(path: Path, gaps: tuple[int, ...], related: bool = True, count: int = 8000) -> Path:
    """Write a text of segments: a letter, dots, ``=`` and the letter again (or another one).

    Args:
        path: Where to.
        gaps: How many dots, in turn; the second gap has upper-case letters.
        related: Whether the second letter is the first.
        count: Number of segments.
    """
    rng = np.random.default_rng(0)
    parts = []
    for i in range(count):
        which = i % len(gaps)
        first, second = rng.integers(len(KEYS), size=2)
        letters = KEYS.upper() if which else KEYS
        parts.append(f"{letters[first]}{'.' * gaps[which]}={letters[first if related else second]}")
    path.write_text("".join(parts))
    return path


@torch.no_grad()
def repeated_bits(trained: object, gap: int, letters: Literal["lower", "upper"] = "lower") -> float:
    """Return the mean loss of the letters after ``=`` of segments with that gap in the test text, in bits."""
    model, data = trained.model, trained.data  # type: ignore[attr-defined]
    text: Tensor = data.splits["test"].long()
    losses, _ = model.losses(text[None, :-1], text[None, 1:], ())
    keys = KEYS.upper() if letters == "upper" else KEYS
    wanted = torch.tensor([model.vocabulary.token_to_id(key) for key in keys])
    repeated = (text[:-1] == model.vocabulary.token_to_id("=")) & torch.isin(text[1:], wanted)
    repeated[: 2 * gap] = False  # the text may start in the middle of a segment
    return float(losses[0][repeated].mean()) / float(np.log(2))
