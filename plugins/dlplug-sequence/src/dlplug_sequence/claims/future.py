"""Section 2.1: what the future adds to the past."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure, Table
from dlplug.plots import plot_curves
from dlplug_sequence.data.bible import Bible
from dlplug_sequence.data.labelled_text import LabelledTextData

SIDE = 12  # characters on each side of a missing one
GAPS = {"train": 8000, "val": 300, "test": 2000}
SIGHTS = ("past", "both", "elsewhere")
SHORT = ("--trainer.check_val_every_n_epoch=100", "--trainer.enable_checkpointing=false", "--trainer.max_epochs=3")


class MissingLetter(LabelledTextData):
    """Pieces of the Bible with a letter missing, which is the class.

    Args:
        sight: What of its surroundings there is: the ``past``, ``both`` sides, as many characters in all, or the past
            with the future of a place ``elsewhere``.
    """

    def __init__(self, sight: str = "both") -> None:
        super().__init__(level="character", batch_size=64)
        self.sight = sight

    def read(self) -> Sequence[tuple[str, str]]:
        """Return all pieces, in the order of the text."""
        text = "".join(Bible().read()()).lower()
        places = torch.linspace(2 * SIDE, len(text) - 4 * SIDE, sum(GAPS.values())).long().tolist()
        items = []
        for place, other in zip(places, places[1:] + places[:1], strict=True):
            while not "a" <= text[place] <= "z":
                place += 1
            before = text[place - 2 * SIDE : place]
            after = place if self.sight == "both" else other
            future = "" if self.sight == "past" else text[after + 1 : after + 1 + SIDE]
            items.append((f"{before[len(future) :]}_{future}", text[place]))
        return items

    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Split where the text is."""
        items = iter(self.read())
        return {split: list(itertools.islice(items, count)) for split, count in GAPS.items()}


@torch.no_grad()
def bits(trained: Trained) -> float:
    """Return the mean cost of the test texts' classes in bits."""
    costs = [cross_entropy(trained.model(x), y, reduction="none") for x, y, *_ in trained.data.test_dataloader()]
    return float(torch.cat(costs).mean()) / math.log(2)


def future(lab: Lab) -> Evidence:
    """Guess a missing letter from the characters before it, and from as many on both sides."""
    options = ("--data=dlplug_sequence.claims.future.MissingLetter", "--model.word_dropout=0", *SHORT)
    found: dict[str, list[float]] = {sight: [] for sight in SIGHTS}
    for seed, sight in itertools.product(lab.seeds, SIGHTS):
        found[sight].append(bits(lab.fit("rnn-classifier", *options, f"--data.sight={sight}", seed=seed)))
    gains = {s: [a - b for a, b in zip(found["past"], found[s], strict=True)] for s in ("both", "elsewhere")}
    name = "bits that the characters after a missing letter save"
    example = MissingLetter().texts()["test"][:10]
    return Evidence(
        [Measure(name, gains["both"], ">=", 0.2, f"as many before it: {sum(found['past']) / len(lab.seeds):.2f} bits")],
        [Measure(f"{name}, those after another one", gains["elsewhere"], ">=", 0.2)],
        {
            "Missing letters": Table(("text", "letter"), example),
            "Bits by seed": Figure(plot_curves(lab.seeds, found, "seed", "bits of the missing letter")),
        },
        note=f"The same network, which reads both ways, {GAPS['train']:,} pieces and as many updates; {2 * SIDE} "
        "characters of the past, or half of them and as many of the future.",
    )
