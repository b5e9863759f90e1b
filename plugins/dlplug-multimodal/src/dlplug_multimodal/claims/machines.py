"""Sections 5.1 and 5.5: pictures and words in one Boltzmann machine, and the units that suit each."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import Batch
from dlplug.media import Image
from dlplug_multimodal.double_queries import DoubleQueries, double_queries
from dlplug_multimodal.emoji import Emoji
from dlplug_multimodal.gaussian_rbm import Standardised, moments
from dlplug_multimodal.ranking import average_precision
from dlplug_multimodal.rbm import RBM, Gaussian, ReplicatedSoftmax
from dlplug_multimodal.tagged import TaggedInfo
from dlplug_multimodal.twemoji import read_glyphs

SHORT = ("--trainer.max_epochs=36", "--trainer.check_val_every_n_epoch=36", "--model.apart=8", "--model.above=2")
SHUFFLED = ("--data", "dlplug_multimodal.claims.machines.Shuffled")
RATES = (0.25, 1.0, 4.0)  # of each machine's usual learning rate; the best counts


class Shuffled(Emoji):
    """emoji whose training pictures have the words of others, chosen at random; what is tested is as it was."""

    def load(self) -> tuple[TaggedInfo, Mapping[str, Batch]]:
        """Return the splits."""
        info, splits = super().load()
        images, counts = splits["train"]
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        return info, {**splits, "train": (images, counts[order])}


def tested(trained: Trained) -> Batch:
    """Return the test pictures that have words, from 0 to 1, and their words."""
    data = trained.data
    images, counts = data.prepare_batch(data.splits["test"])  # type: ignore[attr-defined]
    said = counts.sum(1) > 0
    return images[said], counts[said]


@torch.no_grad()
def modes(trained: Trained) -> dict[str, float]:
    """Return how well a model does in each of the notes' three modes, on the test pictures."""
    images, counts = tested(trained)
    log_words = trained.model(images)
    alike = (counts[:, None] == counts[None]).all(2)
    best = (counts @ log_words.T).argmax(1)
    gains = []
    for word in range(counts.shape[1]):  # each word hidden in turn, from all texts that say it and others
        rows = (counts[:, word] > 0) & (counts.sum(1) > counts[:, word])
        rest = counts[rows].clone()
        rest[:, word] = 0
        size = rest.sum(1, keepdim=True)
        machine, picture = trained.model.machine, trained.model.see(images[rows])
        with_picture, without = (machine.log_words(machine.expect(v, rest, size, 5))[:, word] for v in (picture, None))
        gains.append(with_picture - without)
    return {
        "map": float(average_precision(log_words, counts > 0).mean()),
        "found": float(alike[torch.arange(len(best)), best].float().mean() / alike.float().mean()),
        "helped": float(torch.cat(gains).mean()),
    }


def three_modes(lab: Lab) -> Evidence:
    """Train on pictures and tags together; ask each for the other, and one to help with the other.

    On the test pictures: the mean average precision of tags given the picture alone; how often the picture that tags
    ask for first has exactly these tags, over chance; and, with one tag hidden, how many nats the picture adds to what
    the other tags say of it. The control's training pictures have the tags of others.
    """
    true = [lab.fit("multimodal-dbm", *SHORT, seed=seed) for seed in lab.seeds]
    shuffled = [lab.fit("multimodal-dbm", *SHUFFLED, *SHORT, seed=seed) for seed in lab.seeds]
    found, control = ([modes(each) for each in runs] for runs in (true, shuffled))
    images, counts = tested(true[0])
    prior = true[0].data.splits["train"][1].mean(0).expand_as(counts)  # type: ignore[attr-defined]
    frequent = float(average_precision(prior, counts > 0).mean())
    bars = (
        ("map", "picture in, tags out: mean average precision", frequent + 0.2, f"the commonest tags: {frequent:.3f}"),
        ("found", "tags in, picture out: precision of the first, over chance", 5.0, "chance is 1"),
        ("helped", "a picture beside the other tags: nats it adds to a hidden tag", 0.1, "the other tags alone: 0"),
    )
    drawn = true[0].model.infer(None, counts[:16]).picture
    return Evidence(
        [Measure(name, [row[key] for row in found], ">=", bar, why) for key, name, bar, why in bars],
        [Measure(f"{name}; shuffled pairs", [row[key] for row in control], ">=", bar) for key, name, bar, _ in bars],
        {
            "Above, test pictures; below, filled in from their tags": Image(
                torch.cat([images[:16], true[0].model.eye.back(drawn)]), columns=16
            )
        },
        note="A short training: the README gives the default recipe's figures.",
    )


def learn(rbm: RBM, rows: Tensor, lr: float, epochs: int, seed: int) -> None:
    """Train a machine by CD-1 on rows (n, visible)."""
    torch.manual_seed(seed)
    rbm.requires_grad_(False)
    optimizer = torch.optim.SGD(rbm.parameters(), lr, 0.9)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = lr * (1 - epoch / epochs)
        for index in torch.randperm(len(rows))[: len(rows) // 64 * 64].view(-1, 64):
            batch = rows[index]
            gradients = rbm.contrast(batch, rbm.gibbs(batch, 1))
            for parameter, gradient in zip(rbm.parameters(), gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()


def fill(rbm: RBM, rows: Tensor, hidden: Tensor, size: Tensor) -> Tensor:
    """Return rows whose hidden units are inferred from the others by mean-field inference.

    Args:
        rbm: The machine.
        rows: Shape (n, visible); what they hold where ``hidden`` is where inference starts.
        hidden: Which units to infer, shape (n, visible) or (visible,).
        size: What each row sums to, shape (n, 1), where it holds counts.
    """
    for _ in range(20):
        guess = rbm.expect(rbm.down(rbm.up(rows).sigmoid()), size)
        rows = torch.where(hidden, guess, rows)
    return rows


def unexplained(kind: str, train: Tensor, test: Tensor, rate: float, seed: int) -> float:
    """Return the share of the variance of a picture's lower half that is not explained by its upper half.

    Args:
        kind: Of visible units: ``gaussian`` or ``softmax``, for which a picture is how often each pixel was hit.
        train: Pictures from 0 to 1, shape (n, channels, height, width).
        test: Likewise.
        rate: Share of the usual learning rate.
        seed: Of everything random.
    """
    shape = train.shape[1:]
    below = torch.zeros(shape, dtype=torch.bool)
    below[:, shape[1] // 2 :] = True
    below, mean = below.flatten(), train.flatten(1).mean(0)
    torch.manual_seed(seed)
    if kind == "gaussian":
        eye = Standardised(tuple(shape), noise=1.0)
        eye.set(*moments([train]))
        rbm: RBM = Gaussian(len(mean), 128)
        learn(rbm, eye(train), rate * 0.8 / len(mean), 30, seed)
        rows = torch.where(below, torch.zeros(()), eye(test))
        guess = eye.back(fill(rbm, rows, below, rows[:, :1])).flatten(1)
    else:
        hits = 100 / float(train.flatten(1).sum(1).mean())  # so many to a picture on average
        rbm = ReplicatedSoftmax(len(mean), 128)
        rbm.visible_bias.data.copy_((mean + 1e-3).log())
        learn(rbm, train.flatten(1) * hits, rate * 0.01, 30, seed)
        size = test.flatten(1).sum(1, keepdim=True) * hits  # told what the whole picture sums to
        rows = torch.where(below, mean, test.flatten(1)) * hits
        guess = fill(rbm, rows, below, size) / hits
    missed = (guess - test.flatten(1))[:, below].square().sum()
    value = float(missed / (mean - test.flatten(1))[:, below].square().sum())
    return value if math.isfinite(value) else math.inf


def hidden_word(kind: str, train: Tensor, test: Tensor, rate: float, seed: int) -> float:
    """Return the mean reciprocal rank of a text's word, hidden in turn, among all words that the rest does not say.

    Args:
        kind: Of visible units, as for ``unexplained``.
        train: Counts (n, words).
        test: Likewise.
        rate: Share of the usual learning rate.
        seed: Of everything random.
    """
    torch.manual_seed(seed)
    words = train.shape[1]
    places = ((test > 0) & (test.sum(1, keepdim=True) > test)).nonzero()  # (hidden words, 2)
    rest = test[places[:, 0]]
    rest[torch.arange(len(rest)), places[:, 1]] = 0
    if kind == "gaussian":
        eye = Standardised((words,), noise=1.0)
        eye.set(*moments([train]))
        rbm: RBM = Gaussian(words, 128)
        learn(rbm, eye(train), rate * 0.8 / words, 60, seed)
        scores = eye.back(rbm.down(rbm.up(eye(rest)).sigmoid()))
    else:
        rbm = ReplicatedSoftmax(words, 128)
        rbm.visible_bias.data.copy_((train.mean(0) + 1e-3).log())
        learn(rbm, train, rate * 0.05, 60, seed)
        scores = rbm.down(rbm.up(rest).sigmoid())
    scores = scores.nan_to_num(-math.inf).masked_fill(rest > 0, -math.inf)
    right = scores.gather(1, places[:, 1:])
    return float((1 / (scores >= right).sum(1).clamp_min(1)).mean())


def suit(lab: Lab) -> Evidence:
    """Train Gaussian and replicated-softmax machines of 128 hidden units on pictures and on words, and swap them.

    Pictures: how much of the lower half's variance the upper half leaves unexplained. Words, names and tags together:
    the mean reciprocal rank of a hidden word given the others. Each machine has the same updates, and the best on the
    validation part of three learning rates. The controls are the same units on data whose columns were shuffled
    apart, so that nothing binds what is hidden to what is seen.
    """
    data = lab.data("emoji", size=12, text="both")
    parts = {name: data.prepare_batch(split) for name, split in data.splits.items()}
    density = [float((column != 0).float().mean()) for column in (1 - parts["train"][0], parts["train"][1])]
    apart = {name: (apart_columns(images), apart_columns(counts)) for name, (images, counts) in parts.items()}

    def best(kind: str, task: int, seed: int, of: Mapping[str, Batch]) -> float:
        measure, sense = ((unexplained, 1), (hidden_word, -1))[task]
        tuned = {rate: measure(kind, of["train"][task], of["val"][task], rate, seed) for rate in RATES}
        rate = min(tuned, key=lambda rate: sense * tuned[rate])
        return measure(kind, of["train"][task], of["test"][task], rate, seed)

    found = {
        (kind, task): [best(kind, task, seed, parts) for seed in lab.seeds]
        for kind in ("gaussian", "softmax")
        for task in (0, 1)
    }
    loose = {("gaussian", 0): [], ("softmax", 1): []}
    for kind, task in loose:
        loose[kind, task] = [best(kind, task, seed, apart) for seed in lab.seeds]
    swapped = {task: sum(found[kind, task]) / len(lab.seeds) for kind, task in (("softmax", 0), ("gaussian", 1))}
    picture, word = "pictures: variance left unexplained", "words: mean reciprocal rank of a hidden word"
    return Evidence(
        [
            Measure(
                f"{picture}, Gaussian units",
                found["gaussian", 0],
                "<=",
                0.8 * swapped[0],
                f"0.8 of the replicated softmax's {swapped[0]:.3f}",
            ),
            Measure(
                f"{word}, replicated softmax",
                found["softmax", 1],
                ">=",
                1.2 * swapped[1],
                f"1.2 of the Gaussian units' {swapped[1]:.3f}",
            ),
            Measure("words: share of counts that are not 0", [density[1]], "<=", 0.05, "sparse"),
        ],
        [
            Measure(f"{picture}, Gaussian units; pixels shuffled apart", loose["gaussian", 0], "<=", 0.8 * swapped[0]),
            Measure(f"{word}, replicated softmax; words shuffled apart", loose["softmax", 1], ">=", 1.2 * swapped[1]),
            Measure("pictures: share of pixels that are not white", [density[0]], "<=", 0.05),
        ],
        note=f"{len(RATES)} learning rates each, chosen on the validation part; 12×12 pixels; 128 hidden units.",
    )


def apart_columns(rows: Tensor) -> Tensor:
    """Return rows (n, …) of which each column is in an order of its own."""
    order = torch.rand(rows.shape, generator=torch.Generator().manual_seed(0)).argsort(0)
    return rows.gather(0, order)


@torch.no_grad()
def answers(trained: Trained, queries: DoubleQueries) -> dict[str, float]:
    """Return the mean reciprocal rank of what pictures ask for, what words do, and what both do at once."""
    model, glyphs = trained.model, read_glyphs()
    side = model.shape[1]
    pool = torch.stack([glyphs[i].draw(side) for i in queries.gallery.tolist()]) / 255
    images = torch.stack([glyphs[query.picture].draw(side) for query in queries.queries]) / 255
    counts = torch.zeros(len(images), len(model.words))
    for row, query in zip(counts, queries.queries, strict=True):
        row[model.words.index(query.word)] = 1
    asked = {"picture": (images, None), "word": (None, counts), "both": (images, counts)}
    return {name: queries.score(model.find(pool, *query))["mrr"] for name, query in asked.items()}


def double(lab: Lab) -> Evidence:
    """Ask for held-out emoji by a picture and a word at once: a red heart and "blue".

    The mean reciprocal rank of the best right answer, by the picture alone, by the word alone, and by both. The
    control's training pictures have the words of others.
    """
    options = (*SHORT, "--data.text=both")
    true = [lab.fit("multimodal-dbm", *options, seed=seed) for seed in lab.seeds]
    shuffled = [lab.fit("multimodal-dbm", *SHUFFLED, *options, seed=seed) for seed in lab.seeds]
    queries = double_queries()
    found, control = ([answers(each, queries) for each in runs] for runs in (true, shuffled))

    def gains(rows: list[dict[str, float]]) -> list[float]:
        return [row["both"] - max(row["picture"], row["word"]) for row in rows]

    alone = {name: sum(row[name] for row in found) / len(found) for name in ("picture", "word", "both")}
    name = "mean reciprocal rank by both, less that by the better alone"
    return Evidence(
        [Measure(name, gains(found), ">=", 0.02, f"picture {alone['picture']:.3f}, word {alone['word']:.3f} alone")],
        [Measure(f"{name}; shuffled pairs", gains(control), ">=", 0.02)],
        note=f"{len(queries.queries)} queries over {len(queries.gallery)} held-out emoji; both {alone['both']:.3f}.",
    )
