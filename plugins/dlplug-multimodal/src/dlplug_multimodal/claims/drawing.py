"""Section 5.5: a picture and a word go in, and an image comes out that has what both ask for."""

from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Image, Table
from dlplug.optim import set_lr, warmup_cosine
from dlplug_multimodal.claims.controls import differences, epochs, plot_bars
from dlplug_multimodal.data.emoji_pairs import EmojiPairs, draw_scenes
from dlplug_multimodal.data.tagged_images import to_float
from dlplug_vision.models.cnn import CNN

QUESTIONS = 400
JUDGE_SCENES, JUDGE_STEPS, JUDGE_LR, JUDGE_SEED = 8000, 400, 3e-3, 99
GIVEN = {"both": (True, True), "the picture alone": (True, False), "the word alone": (False, True)}
OTHERS = "both, of another question"
SHOWN = 12


def drawn(lab: Lab) -> Evidence:
    """Draw images from a picture of one thing and a word for another.

    A judge, a CNN that was trained on other scenes, says what each image shows. In the control it is asked of images
    that were drawn for another question.
    """
    runs = [lab.fit("conditional-vae", *epochs(6), seed=seed) for seed in lab.seeds]
    judge = train_judge(runs[0].data)  # type: ignore[arg-type]
    pictures, kinds, words = questions(runs[0].data)  # type: ignore[arg-type]
    found = [shares(each, judge, pictures, kinds, words) for each in runs]
    images, counts = test_scenes(runs[0].data)  # type: ignore[arg-type]
    seen = judge(images) > 0

    def gain(which: int, drawn_from: str, alone: str) -> list[float]:
        return differences([row[drawn_from][which] for row in found], [row[alone][which] for row in found])

    bars = (("the word", 0, "the picture alone"), ("the picture's thing", 1, "the word alone"))
    names = {which: f"share that shows {what}, drawn from both less from {alone}" for what, which, alone in bars}
    torch.manual_seed(0)
    shown = [pictures[:SHOWN], *(draw(runs[0], name, pictures[:SHOWN], words[:SHOWN]) for name in GIVEN)]
    mean = {name: [fmean(row[name][k] for row in found) for k in (0, 1)] for name in GIVEN}
    return Evidence(
        [
            Measure(names[k], gain(k, "both", alone), ">=", 0.2, f"{mean[alone][k]:.2f} from that")
            for _, k, alone in bars
        ],
        [Measure(f"{names[k]}; of another question", gain(k, OTHERS, alone), ">=", 0.2) for _, k, alone in bars],
        {
            "What is drawn shows": Figure(
                plot_bars(mean, ("shows the word", "shows the picture's thing"), "share of what is drawn")
            ),
            "Pictures; drawn from picture and word; from the picture; from the word": Image(
                torch.cat(shown),
                columns=SHOWN,
                caption="words: " + ", ".join(runs[0].model.words[i] for i in words[:SHOWN].argmax(1).tolist()),
            ),
            "Judge, on test scenes": Table(
                ("finds what is there", "finds what is not"),
                [[f"{float(seen[counts > 0].float().mean()):.3f}", f"{float(seen[counts == 0].float().mean()):.3f}"]],
            ),
        },
        note=f"{QUESTIONS} questions; the picture, of the test, shows one thing alone.",
    )


def test_scenes(data: EmojiPairs) -> Batch:
    """Return the test's images from 0 to 1, and counts of what they show."""
    images, counts = data.splits["test"]  # type: ignore[index]
    return to_float(images), counts


def questions(data: EmojiPairs) -> tuple[Tensor, Tensor, Tensor]:
    """Return pictures of one thing alone, which thing, and words for another."""
    images, counts = test_scenes(data)
    generator = torch.Generator().manual_seed(0)
    pairs = torch.rand(QUESTIONS, data.kinds, generator=generator).argsort(1)[:, :2]
    lone = counts.sum(1) == 1
    scores = torch.rand(QUESTIONS, len(images), generator=generator) + (lone & (counts[:, pairs[:, 0]].T > 0))
    return images[scores.argmax(1)], pairs[:, 0], one_hot(pairs[:, 1], data.kinds).float()


@torch.no_grad()
def draw(trained: Trained, name: str, pictures: Tensor, words: Tensor) -> Tensor:
    """Return an image for each question, given what ``GIVEN`` says."""
    picture, word = GIVEN[name]
    images: Tensor = trained.model.draw(pictures if picture else None, words if word else None)
    return images


def shares(
    trained: Trained, judge: nn.Module, pictures: Tensor, kinds: Tensor, words: Tensor
) -> dict[str, tuple[float, float]]:
    """Return the shares of images that show the word, and the picture's thing, by what they were drawn from."""
    torch.manual_seed(0)
    rows, found = torch.arange(len(kinds)), {}
    seen = {name: judge(draw(trained, name, pictures, words)) > 0 for name in GIVEN}
    for name, each in {**seen, OTHERS: seen["both"].roll(1, 0)}.items():
        found[name] = (float(each[words > 0].float().mean()), float(each[rows, kinds].float().mean()))
    return found


def train_judge(data: EmojiPairs) -> nn.Module:
    """Return a CNN that says which kinds a scene shows, trained on other scenes."""
    images, counts = draw_scenes(data.kinds, data.size, JUDGE_SCENES, JUDGE_SEED)
    with torch.random.fork_rng():
        torch.manual_seed(JUDGE_SEED)
        net = CNN((16, 32, 32), pool_every=1).network(ImageInfo(3, data.size, data.size, data.kinds))
        optimizer = torch.optim.Adam(net.parameters(), JUDGE_LR)
        for step in range(JUDGE_STEPS):
            set_lr(optimizer, JUDGE_LR * warmup_cosine(step, JUDGE_STEPS))
            rows = torch.randint(len(images), (64,))
            optimizer.zero_grad()
            torch.autograd.backward(binary_cross_entropy_with_logits(net(to_float(images[rows])), counts[rows]))
            optimizer.step()
    return net.eval().requires_grad_(False)
