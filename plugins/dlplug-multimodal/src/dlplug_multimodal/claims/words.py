"""Sections 5.2 and 5.4: what images and words are like, and embeddings of both."""

import math
import statistics
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, pad

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, Media, Table
from dlplug.plots import plot_bars
from dlplug_multimodal.claims.controls import differences, epochs
from dlplug_multimodal.data.digit_names import DigitNames
from dlplug_multimodal.data.emoji import Emoji
from dlplug_multimodal.data.tagged_images import count_words, to_float
from dlplug_multimodal.data.twemoji import read_glyphs
from dlplug_multimodal.evaluation.double_queries import double_queries
from dlplug_multimodal.evaluation.odd_one_out import odd_items
from dlplug_multimodal.models.joint_embedding import JointEmbedding
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_vision.models.cnn import CNN

QUERIES = ("king", "gold", "sheep", "egypt", "seven", "water", "hand", "sword")  # words whose neighbours are shown
SHOWN = 8  # double queries shown, and neighbours
VALIDATE_LAST = "--trainer.check_val_every_n_epoch=6"
WAYS = ("image_to_text", "text_to_image")
MISPAIRED = ("--data=dlplug_multimodal.claims.controls.MispairedEmoji", "--data.text=both", "--data.augment=1.0")
FEW = 500  # digits that small networks are trained on
STEPS, RATES = 150, (1e-3, 3e-3, 1e-2)  # of their training


def words(lab: Lab) -> Evidence:
    """Train skip-gram on the Bible and on its words permuted; find the odd one of five words in 96 items."""
    mixed = shuffle_words(lab, lab.folder / "shuffled.txt")
    runs = [lab.fit("skip-gram", VALIDATE_LAST, seed=seed) for seed in lab.seeds]
    shuffled = lab.fit("skip-gram", "--data=text-file", f"--data.path={mixed}", VALIDATE_LAST, seed=lab.seeds[0])
    near = [(word, runs[0].model.generate(text=word, n=SHOWN).text.split(": ")[1]) for word in QUERIES]
    shares = {"the Bible": [odd_share(trained) for trained in runs], "its words permuted": [odd_share(shuffled)]}
    real, control = shares.values()
    name, items = "accuracy on odd-one-out items", len(list(odd_items("test")))
    return Evidence(
        [Measure(name, real, ">=", 0.8, "0.2 is chance", trials=items)],
        [Measure(f"{name}, words permuted", control, ">=", 0.8, trials=items)],
        {
            "Nearest words": Table(("word", "nearest, with their cosines"), near),
            "Odd ones out": Figure(plot_bars(shares, "share of odd ones found")),
        },
        note="The items, 16 categories of words, were written down before any vectors were trained. The default "
        "recipe; the control with the first seed alone.",
    )


def shuffle_words(lab: Lab, path: Path) -> Path:
    """Write the Bible's words in a random order."""
    data = lab.data("bible", level="word")
    text = torch.cat([data.splits[split] for split in ("train", "val", "test")])
    order = torch.randperm(len(text), generator=torch.Generator().manual_seed(0))
    vocabulary = Vocabulary.from_json(data.info.vocabulary)
    tokens = [vocabulary.id_to_token(code).strip() for code in range(len(vocabulary))]
    path.write_text(" ".join(tokens[code] for code in text[order].tolist()))
    return path


def odd_share(trained: Trained) -> float:
    """Return a trained skip-gram's accuracy on the test items."""
    return statistics.fmean(trained.model.odd(item) == odd for item, odd in odd_items("test"))


def switch(lab: Lab) -> Evidence:
    """Find held-out emoji by their words, words by emoji, digits by their names, and emoji by an image and a word."""
    found: dict[str, list[float]] = {}
    rows: list[tuple[str, ...]] = []
    shown: Mapping[str, Media] = {}
    for seed in lab.seeds:
        pairs = {"paired": lab.fit("joint-embedding", *epochs(20), seed=seed)}
        if seed == lab.seeds[0]:
            pairs["mispaired"] = lab.fit("joint-embedding", *MISPAIRED, *epochs(20), seed=seed)
        for name, trained in pairs.items():
            recalls = lab.test(trained)
            cases = len(trained.data.splits["test"][0])  # type: ignore[attr-defined]
            for way in WAYS:
                found.setdefault(f"{name} {way}", []).append(recalls[f"test/{way}@10"])
            both, alone, image = search_by_both(trained.model)
            rows.append((f"{name}, seed {seed}", f"{both:.3f}", f"{alone:.3f}"))
            shown = shown or {"Image and word: the query, then the answers": image}
        digits = lab.fit("joint-embedding", "--data=digit-names", seed=seed)
        named, known = lab.test(digits), len(digits.data.splits["test"][0])  # type: ignore[attr-defined]
        for way in WAYS:
            found.setdefault(f"digits {way}", []).append(named[f"test/{way}@1"])
    names = {"image_to_text": "words found by held-out emoji", "text_to_image": "held-out emoji found by their words"}
    bars = {way: 5 * recalls[f"test/{way}_chance@10"] for way in WAYS}
    words_found, digits_found = (
        f"{what} found by {by}, recall@1" for what, by in (("names", "digits"), ("digits", "names"))
    )

    def recall(data: str, way: str, more: str = "") -> Measure:
        baseline = f"5 times chance, {bars[way] / 5:.3f}"
        return Measure(
            f"{names[way]}, recall@10{more}", found[f"{data} {way}"], ">=", bars[way], baseline, trials=cases
        )

    return Evidence(
        [
            *(recall("paired", way) for way in WAYS),
            Measure(words_found, found["digits image_to_text"], ">=", 0.9, "0.1 is chance", trials=known),
            Measure(digits_found, found["digits text_to_image"], ">=", 0.9, "0.1 is chance", trials=known),
        ],
        [recall("mispaired", way, ", trained on other pairs") for way in WAYS],
        {
            **shown,
            "Found": Figure(plot_bars(found, "recall")),
            "Image and word together": Table(
                ("trained on", "mean reciprocal rank by both", "by the better alone"), rows
            ),
        },
        note="108 double queries such as a red heart and 'blue', by one rule over names; answers are held-out emoji. "
        "Both together are better than either alone in the mean of the seeds, but not in each. Half the recipe's "
        "epochs; the control with the first seed alone, as a share of its cases.",
    )


@torch.no_grad()
def search_by_both(model: JointEmbedding) -> tuple[float, float, Image]:
    """Answer the double queries over held-out emoji.

    Args:
        model: One trained on emoji with names.

    Returns:
        The mean reciprocal rank by both together, that by the better of image and word alone, and a grid: a row a
        query, its image first, then the answers in order.
    """
    benchmark = double_queries("test")
    glyphs = read_glyphs()
    rendered = to_float(torch.stack([glyph.render(model.shape[1]) for glyph in glyphs]))
    images = rendered[[query.image for query in benchmark.queries]]
    counts = count_words([[query.word] for query in benchmark.queries], model.words)
    gallery = model.encode_images(rendered[benchmark.gallery])
    scores = [model.search(gallery, *each) for each in ((images, counts), (images, None), (None, counts))]
    both, *alone = (benchmark.metrics(each)["mrr"] for each in scores)
    step = len(benchmark.queries) // SHOWN
    rows, words = [], []
    for k in range(0, SHOWN * step, step):
        query = benchmark.queries[k]
        order = scores[0][k].argsort(descending=True)
        best = [place for place in benchmark.gallery[order].tolist() if place != query.image]
        rows.append(rendered[[query.image, *best[: SHOWN - 1]]])
        words.append(f"{glyphs[query.image].name} + {query.word}")
    return both, max(alone), Image(torch.cat(rows), columns=SHOWN, caption="; ".join(words))


def dense_and_sparse(lab: Lab) -> Evidence:
    """Count non-zero inputs and distinct values; classify digits and emoji's words by two kinds of layer."""
    data = lab.data("emoji", text="name")
    images, names = (torch.cat(column) for column in zip(*data.splits.values(), strict=True))
    rows = [(name, *density(each)) for name, each in (("images", images), ("words", names))]
    (_, image_share, image_values), (_, text_share, text_values) = rows
    found: dict[str, list[float]] = {}
    for seed in lab.seeds:
        for name, value in layers(seed).items():
            found.setdefault(name, []).append(value)
    permuted = differences(found["permuted, CONV"], found["images, vectors"])
    on_images, on_words = "accuracy on images, CONV less word vectors", "accuracy on words, word vectors less CONV"
    return Evidence(
        [
            Measure("share of an image's inputs that are not 0", [image_share], ">=", 0.5, exact=True),
            Measure("values that an image's inputs take", [image_values], ">=", 200, exact=True),
            Measure("share of a text's inputs that are not 0", [text_share], "<=", 0.01, exact=True),
            Measure("values that a text's inputs take", [text_values], "<=", 5, exact=True),
            Measure(on_images, differences(found["images, CONV"], found["images, vectors"]), ">=", 0.03),
            Measure(on_words, differences(found["words, vectors"], found["words, CONV"]), ">=", 0.03),
        ],
        [
            Measure(f"{on_images}, pixels permuted", permuted, ">=", 0.03),
            Measure(
                "share of a text's inputs that are not 0, held to the images' bar", [text_share], ">=", 0.5, exact=True
            ),
        ],
        {
            "Inputs": Table(("inputs", "share that is not 0", "values"), rows),
            "Accuracy by input and layer": Figure(plot_bars(found, "test accuracy")),
        },
        note="Emoji on white, where white is 1. Classified are 500 handwritten digits, and emoji's categories by the "
        "names' words. A layer of word vectors sums a vector an input, times the input; CONV gets words as a square of "
        "dots in alphabetical order. Each has the best in validation of three learning rates.",
    )


def density(inputs: Tensor) -> tuple[float, int]:
    """Return the share of inputs that are not 0, and how many values they take."""
    return float((inputs != 0).float().mean()), len(torch.unique(inputs))


def layers(seed: int) -> dict[str, float]:
    """Return two layers' accuracies on digits by images, as they are and permuted, and on emoji by words."""
    digits, emoji = DigitNames(), Emoji(size=8, text="name")
    digits.setup()
    emoji.setup()
    glyphs = read_glyphs()
    categories = sorted({glyph.category for glyph in glyphs})
    labels = torch.tensor([categories.index(glyph.category) for glyph in glyphs])
    side = math.isqrt(emoji.splits["train"][1].shape[1] - 1) + 1  # type: ignore[index]
    order = torch.randperm(14 * 14, generator=torch.Generator().manual_seed(seed))
    inputs: dict[str, dict[str, Batch]] = {"images": {}, "permuted": {}, "words": {}}
    for split, index in emoji.parts.items():
        columns = digits.splits[split]  # type: ignore[index]
        images, names = (column[:: len(column) // FEW] for column in columns)  # as many of each digit
        small = avg_pool2d(to_float(images), 2)  # (n, 1, 14, 14)
        inputs["images"][split] = small, names.argmax(1)
        inputs["permuted"][split] = small.flatten(2)[:, :, order].view(small.shape), names.argmax(1)
        counts = emoji.splits[split][1]  # type: ignore[index]
        inputs["words"][split] = pad(counts, (0, side**2 - counts.shape[1])).view(-1, 1, side, side), labels[index]
    found = {}
    for name, splits in inputs.items():
        for layer in ("CONV", "vectors"):
            classes = int(splits["train"][1].max()) + 1
            tried = [_accuracy(splits, layer, classes, rate, seed) for rate in RATES]
            found[f"{name}, {layer}"] = max(tried, key=lambda pair: pair[0])[1]  # ties by validation alone
    return found


def _accuracy(splits: Mapping[str, Batch], layer: str, classes: int, rate: float, seed: int) -> tuple[float, float]:
    """Return the accuracy on validation and on test inputs of a small network of one kind of layer."""
    torch.manual_seed(seed)
    x, y = splits["train"]
    net: nn.Module
    if layer == "CONV":
        channels, height, width = x.shape[1:]
        net = CNN((8, 16, 32), pool_every=1, hidden=48).network(ImageInfo(channels, height, width, classes))
    else:
        net = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 48), nn.ReLU(), nn.Linear(48, classes))
    optimizer = torch.optim.Adam(net.parameters(), rate)
    for _ in range(STEPS):
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(net(x[rows]), y[rows]))
        optimizer.step()
    net.eval()
    with torch.no_grad():
        val, test = (float((net(a).argmax(1) == b).float().mean()) for a, b in (splits["val"], splits["test"]))
    return val, test
