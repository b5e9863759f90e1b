"""Section 2.1: what a Markov model cannot do."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure, Table
from dlplug.plots import plot_curves
from dlplug_sequence.data.token_stream import TextData
from dlplug_sequence.models.language_model import sample_token
from dlplug_sequence.models.markov import NGrams

ORDERS = (1, 2, 3, 4, 5, 6, 8, 10)
STRETCHES = 5  # of the test text
GAP = 10  # characters between a planted letter and "=", after which it comes again
FAR_ORDERS = (5, GAP + 3)  # the last one sees the letter
KEYS = "abcd"  # what a planted text repeats after a gap, worth 2 bits each
ROWS, SAMPLED = 16, 120  # texts that are sampled, and their characters
CHANCE = "2 for a letter of four"
# Many small updates, about 2,900: long dependencies are learned late.
PLANTED = (
    *("--data=dlplug_sequence.claims.context.Planted", "--trainer.max_epochs=10"),
    *("--trainer.check_val_every_n_epoch=10", "--model.hidden_size=32", "--model.embedding_dim=16"),
)
LSTM = ("--model.cell=lstm", "--model.init=orthogonal", "--model.lr=0.01")


def orders(lab: Lab) -> Evidence:
    """Count n-grams of growing order on a million characters of the Bible, and on the same characters shuffled."""
    data = lab.data("bible")
    train, test = (data.splits[split].numpy() for split in ("train", "test"))
    train, tokens = train[:1_000_000], int(train.max()) + 1
    mixed = np.random.default_rng(0).permutation(train), np.random.default_rng(1).permutation(test)
    found = {"the text": bits_by_order(train, test, tokens), "its characters shuffled": bits_by_order(*mixed, tokens)}
    chain, five, eight = (found["the text"][ORDERS.index(order)] for order in (2, 5, 8))
    shuffled = found["its characters shuffled"]
    name = "bits per character that the three characters before the last one save"
    curves = {text: [float(np.mean(parts)) for parts in bits] for text, bits in found.items()}
    share = [(b - c) / (a - b) for a, b, c in zip(chain, five, eight, strict=True)]
    return Evidence(
        [
            Measure(name, differences(chain, five), ">=", 1, f"{np.mean(chain):.2f} bits after the last one alone"),
            Measure("bits that the three characters before those save", differences(five, eight), ">=", 0.05),
            Measure("what those three save as a share of what the three before save", share, "<=", 0.25),
        ],
        [Measure(f"{name}, shuffled", differences(shuffled[1], shuffled[4]), ">=", 1)],
        {"Bits by order": Figure(plot_curves(ORDERS, curves, "order of the n-gram", "bits per character"))},
        note=f"Modified Kneser–Ney on the first million characters. A dot is a {STRETCHES}th of 200,000 characters of "
        "the last part: counting knows no seed.",
    )


def differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Return a less b, one by one."""
    return [x - y for x, y in zip(a, b, strict=True)]


def bits_by_order(train: "np.ndarray", test: "np.ndarray", tokens: int) -> list[list[float]]:
    """Return bits a token of Kneser–Ney models of all ``ORDERS``, each on the stretches of the test text."""
    models = (NGrams.count(train, tokens, order, "kneser-ney") for order in ORDERS)
    bits = (-np.log2(model.probabilities(test[None]))[0] for model in models)
    return [[float(part.mean()) for part in np.array_split(each, STRETCHES)] for each in bits]


class Planted(TextData):
    """A text of segments: a letter, other characters, ``=`` and the letter again.

    Args:
        gaps: How many characters between, in turn; the second gap has upper-case letters.
        digits: Whether these are random digits, in place of dots.
        related: Whether the second letter is the first, or any.
        segments: How many there are.
    """

    def __init__(
        self,
        gaps: tuple[int, ...] = (GAP,),
        digits: bool = False,
        related: bool = True,
        segments: int = 8000,
        batch_size: int = 8,
    ) -> None:
        super().__init__(batch_size=batch_size)
        self.gaps, self.digits, self.related, self.segments = gaps, digits, related, segments

    def read(self) -> Callable[[], Iterable[str]]:
        """Return the text, always the same."""
        rng = np.random.default_rng(0)
        parts = []
        for i in range(self.segments):
            which = i % len(self.gaps)
            first, second = rng.integers(len(KEYS), size=2)
            letters = KEYS.upper() if which else KEYS
            between = "".join(rng.choice(list("0123456789" if self.digits else "."), self.gaps[which]))
            parts.append(f"{letters[first]}{between}={letters[first if self.related else second]}")
        return lambda: parts


def far_dependency(lab: Lab) -> Evidence:
    """Plant a letter that comes again 12 characters later, dots or random digits between; count and train."""
    counted = {
        name: [
            repeated_bits(lab.fit("markov", f"--model.order={order}", PLANTED[0], f"--data.digits={digits}"), GAP)
            for order in FAR_ORDERS
        ]
        for name, digits in (("dots", "false"), ("digits", "true"))
    }
    costs = [repeated_bits(trained(lab, seed), GAP) for seed in lab.seeds]
    control = [repeated_bits(trained(lab, seed, "false"), GAP) for seed in lab.seeds[:2]]  # they agree closely
    name = f"bits that a letter costs which is repeated after {GAP}"
    order = f"n-gram of order {FAR_ORDERS[-1]}"
    lstm = [float(np.mean(costs))] * len(FAR_ORDERS)
    curves = {f"n-gram, {what} between": bits for what, bits in counted.items()} | {"LSTM, digits between": lstm}
    return Evidence(
        [
            Measure(f"{name} dots, {order}", counted["dots"][-1:], "<=", 0.1, CHANCE, exact=True),
            Measure(f"{name} digits, the best n-gram", [min(counted["digits"])], ">=", 1.8, CHANCE, exact=True),
            Measure(f"{name} digits, LSTM", costs, "<=", 0.5, CHANCE),
        ],
        [
            Measure(f"{name} dots, n-gram of order {FAR_ORDERS[0]}", counted["dots"][:1], "<=", 0.1, exact=True),
            Measure(f"{name} digits, LSTM, where it is another letter", control, "<=", 0.5),
        ],
        {"Bits of the repeated letter": Figure(plot_curves(FAR_ORDERS, curves, "order of the n-gram", "bits"))},
        note="Modified Kneser–Ney. After the same dots every context comes again; of as many random digits none does.",
    )


@torch.no_grad()
def sampling(lab: Lab) -> Evidence:
    """Sample a planted text one character at a time, each after all before, and each after the last one alone."""
    kept: dict[str, list[float]] = {"all": [], "last": []}
    for seed in lab.seeds:
        with torch.enable_grad():
            model = trained(lab, seed).model
        torch.manual_seed(seed)
        start = torch.tensor([model.vocabulary.encode("=a")] * ROWS)
        sampled = {"all": model.sample(start, SAMPLED, 1.0, 0), "last": forgetful(model, start[:, -1:])}
        texts = {name: [model.vocabulary.decode(row) for row in rows] for name, rows in sampled.items()}
        for name, found in texts.items():
            pairs = [pair for text in found for pair in re.findall(rf"([{KEYS}])\d+=([{KEYS}])", text)]
            kept[name].append(sum(a == b for a, b in pairs) / max(1, len(pairs)))
    name = "share of the letters that a sampled text repeats as the text it learned from does"
    rows = [("all before", texts["all"][0]), ("the last", texts["last"][0])]
    return Evidence(
        [Measure(name, kept["all"], ">=", 0.8, "chance 0.25")],
        [Measure(f"{name}, each step after the last character alone", kept["last"], ">=", 0.8)],
        {"Sampled": Table(("each character after", "text"), rows)},
        note=f"{ROWS} texts of {SAMPLED} characters a seed, sampled at temperature 1; {GAP} random digits between.",
    )


def forgetful(model: Any, tokens: Tensor) -> list[list[int]]:
    """Return tokens sampled after those of shape (n, 1), each step after the last one alone."""
    steps = []
    for _ in range(SAMPLED):
        tokens = sample_token(model.next_logits(tokens, ())[0], 1.0, 0)
        steps.append(tokens)
    rows: list[list[int]] = torch.cat(steps, dim=1).tolist()
    return rows


def trained(lab: Lab, seed: int, related: str = "true") -> Trained:
    """Return an LSTM trained on a planted text with digits between."""
    return lab.fit("rnn-lm", *PLANTED, *LSTM, "--data.digits=true", f"--data.related={related}", seed=seed)


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
