"""Captions: a network that sees and a network that writes."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile
from typing import Literal

import sacrebleu
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, interpolate

from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, Media, Table, Text
from dlplug.panels import Panel
from dlplug.trained import start_from
from dlplug_multimodal.data.captioned_images import CaptionInfo
from dlplug_sequence.data.padded import EOS_ID, PAD_ID
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.text_generator import TextGenerator
from dlplug_sequence.nn.beam_search import BeamResult, State
from dlplug_sequence.nn.decoder import Decoder, Memory, search_texts
from dlplug_vision.data.image_files import read_image
from dlplug_vision.models.cnn import CNN
from dlplug_vision.models.resnet import IMAGENET_MEAN, IMAGENET_STD, ResNet

SHOWN = 30  # captions in the table
PICTURES = 12  # pictures shown with their captions
MAPS = 4  # pictures shown with where it looked
SUMMARY = 4  # rows and columns that a decoder without attention is told of
Row = tuple[list[str], str]  # true captions, output


class Captioner(TextGenerator[Row]):
    """A convolutional network sees a picture, a recurrent one writes what it shows (section 5.6).

    Vinyals et al., "Show and Tell" (2015), and with attention Xu et al., "Show, Attend and Tell" (2015): each token is
    written from the decoder's state and a mean of the grid that the network's last convolution gives, weighted by how
    well its places fit the state, by their tanh layer: unscaled dot products soon look at one place for ever. Places
    are told apart by numbers that are learned and added. The decoder starts from the largest values over the grid
    instead of their means, which a small thing in a large picture hardly moves. All captions of a picture are learned
    from at once.

    Logs ``loss`` in nats a token, and for pictures not trained on, captioned greedily, the share whose caption is
    ``exact``, one of the true ones to the letter, and ``bleu`` from 0 to 100 (by sacrebleu, against all of them).

    Args:
        attention: ``soft``, or ``none``: the decoder knows the picture from its first state alone.
        body: What sees: the ``cnn`` or the ``resnet`` of section 3.1, up to their last grid.
        channels: Filters of each CONV of a ``cnn``; a POOL follows every second.
        depth: Layers of a ``resnet``.
        cell: The decoder's: ``gru`` or ``lstm``.
        hidden: Units of the decoder.
        embedding: Numbers that stand for a token.
        dropout: Probability that a number of an embedded token, or of what a token is chosen from, is dropped while
            training; without it the decoder learns by heart which words go together.
        lr: Highest learning rate of AdamW; it falls along a cosine to 0 at the last batch.
        weight_decay: Weight decay of AdamW.
        init_from: Run folder or file of weights of a ``cnn`` or ``resnet`` that the network that sees starts from;
            layers that do not match are left as initialised.
    """

    monitor = ("val/bleu", "max")
    panels = (
        Panel(
            "Learning",
            "Loss",
            "Nats a token. Healthy: a plateau, once the grammar is known and the picture is not yet looked at, then a "
            "steep fall. Broken: val rises while train falls (overfitting), or the plateau does not end.",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Exact captions",
            "Share that equals a true caption to the letter. Healthy on scenes: nothing for long, then it rises "
            "steeply. On free captions it stays near 0.",
            curves=("exact",),
        ),
        Panel(
            "Learning",
            "BLEU",
            "Word n-grams shared with the true captions, 0 to 100. Healthy: rises to a plateau. Broken: high while "
            "all captions are alike: it says what is always true.",
            curves=("bleu",),
        ),
        Panel(
            "Writing",
            "Captions",
            "Validation pictures with what it wrote; where that is none of the true captions, one of these follows in "
            "brackets. Healthy: wrong ones are nearly right. Broken: the same for all pictures.",
            media="captions",
        ),
        Panel(
            "Writing",
            "All captions",
            "Validation pictures' true captions and what it wrote.",
            media="written",
        ),
        Panel(
            "Attention",
            "Where it looked",
            "For each word, where it looked when it wrote that: bright is much. Healthy: at the thing that the word "
            "names. Broken: the same place for all words, or everywhere.",
            media="attention",
        ),
    )

    def __init__(
        self,
        attention: Literal["none", "soft"] = "soft",
        body: Literal["cnn", "resnet"] = "cnn",
        channels: tuple[int, ...] = (16, 16, 32, 32, 64),
        depth: Literal[18, 34, 50, 101, 152] = 18,
        cell: Literal["gru", "lstm"] = "gru",
        hidden: int = 128,
        embedding: int = 64,
        dropout: float = 0.2,
        lr: float = 4e-3,
        weight_decay: float = 0.01,
        init_from: str = "",
    ) -> None:
        super().__init__()
        if min(hidden, embedding) < 1 or lr <= 0 or weight_decay < 0 or not 0 <= dropout < 1:
            raise ValueError(
                "hidden and embedding must be at least 1, dropout from 0 to below 1, lr above 0 and weight_decay at "
                f"least 0, not {hidden}, {embedding}, {dropout}, {lr} and {weight_decay}"
            )
        self.save_hyperparameters()
        self.attention, self.body, self.channels, self.depth = attention, body, channels, depth
        self.cell, self.hidden, self.embedding, self.dropout = cell, hidden, embedding, dropout
        self.lr, self.weight_decay, self.init_from = lr, weight_decay, init_from

    def build(self, info: CaptionInfo) -> None:
        """Make the layers."""
        if not isinstance(info, CaptionInfo):
            raise ValueError(f"learns from pictures with captions, not {info}")
        self.words = Vocabulary.from_json(info.vocabulary)
        self.longest = 2 * info.longest
        self.eye = self._body(ImageInfo(info.channels, info.height, info.width, classes=2))
        self.eye.eval()
        _, depth, rows, columns = self.eye(torch.zeros(1, info.channels, info.height, info.width)).shape
        self.eye.train()
        self.eye.to(memory_format=torch.channels_last)
        self.project = nn.Linear(depth, self.hidden)
        self.places = nn.Parameter(0.4 * torch.randn(rows * columns, self.hidden))
        summary = depth * SUMMARY**2 if self.attention == "none" else self.hidden
        self.first = nn.Linear(summary, self.hidden * (2 if self.cell == "lstm" else 1))
        score: Literal["none", "bahdanau"] = "none" if self.attention == "none" else "bahdanau"
        self.decoder = Decoder(score, self.cell, len(self.words), self.embedding, self.hidden, dropout=self.dropout)
        self.grid = rows, columns

    def _body(self, info: ImageInfo) -> nn.Sequential:
        """Return what sees, up to its last grid; layers have their names in a run of ``cnn`` or ``resnet``."""
        if self.body == "cnn":
            layers = CNN(channels=self.channels, hidden=0).network(info).named_children()
            return nn.Sequential(OrderedDict(takewhile(lambda each: each[0] != "flatten", layers)))
        layers = ResNet(self.depth).network(info).named_children()
        return nn.Sequential(
            OrderedDict([("normalise", Normalise()), *takewhile(lambda each: each[0] != "avgpool", layers)])
        )

    def initialise(self) -> None:
        """Take the weights that ``init_from`` names, and say which."""
        if self.init_from:
            say(start_from(self.eye, self.init_from))

    def see(self, images: Tensor) -> tuple[Memory, State]:
        """Return what the decoder may look at in images (n, channels, height, width), and its first state."""
        grid = self.eye(images.contiguous(memory_format=torch.channels_last))  # (n, depth, rows, columns)
        if self.attention == "none":
            memory: Memory = ()
            summary = adaptive_avg_pool2d(grid, SUMMARY).flatten(1)
        else:
            seen = self.project(grid.flatten(2).transpose(1, 2)) + self.places  # (n, places, hidden)
            memory = self.decoder.precompute_keys(seen, torch.zeros(seen.shape[:2], dtype=torch.bool, device=seen.device))
            summary = seen.amax(1)
        state = self.first(summary).tanh()[:, None, None]  # (n, 1, 1, hidden), or twice as much
        return memory, state.chunk(2, dim=3) if self.cell == "lstm" else (state,)

    def forward(self, images: Tensor, captions: Tensor) -> Tensor:
        """Return scores of what follows each token of captions, the true ones before it.

        Args:
            images: From 0 to 1, shape (n, channels, height, width).
            captions: Several of each, shape (n, captions, time).

        Returns:
            Shape (n, captions, time, vocabulary).
        """
        scores: Tensor = self.decoder(captions, *self.see(images))[0]
        return scores

    def look(self, images: Tensor, captions: Tensor) -> Tensor:
        """Return where it looks when it writes each token after the first of captions (n, captions, time).

        Returns:
            Weights that add up to 1, shape (n, captions, time - 1, rows, columns).

        Raises:
            ValueError: There is no attention.
        """
        weights: Tensor | None = self.decoder(captions[:, :, :-1], *self.see(images))[1]
        if weights is None:
            raise ValueError("without attention the decoder looks nowhere")
        return weights.view(*weights.shape[:3], *self.grid)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over the captions' tokens."""
        images, captions = batch
        scores = self(images, captions[:, :, :-1])
        return cross_entropy(scores.float().flatten(0, 2), captions[:, :, 1:].flatten(), ignore_index=PAD_ID)

    def decode_batch(self, batch: Batch) -> list[Row]:
        """Write the captions of a batch."""
        return self._beside(batch, self.caption(batch[0]))

    @staticmethod
    def score(rows: Sequence[Row]) -> dict[str, float]:
        """Return the share of exact captions and BLEU of (true captions, output), as many true ones each."""
        outputs = [output for _, output in rows]
        references = [list(each) for each in zip(*(true for true, _ in rows), strict=True)]
        return {
            "exact": sum(output in true for true, output in rows) / len(rows),
            "bleu": sacrebleu.corpus_bleu(outputs, references).score,
        }

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor | list[str]]:
        """Return the caption of each picture, whether it is exact, and its score, shapes (n,)."""
        found = self.caption(batch[0])
        rows = self._beside(batch, found)
        exact = torch.tensor([int(output in references) for references, output in rows])
        return {"caption": [output for _, output in rows], "exact": exact, "score": found.scores}

    def caption(self, images: Tensor, beam: int = 1, length_penalty: float = 0.6) -> BeamResult:
        """Write the captions of images.

        Args:
            images: From 0 to 1, shape (n, channels, height, width).
            beam: Hypotheses kept; 1 is greedy.
            length_penalty: See ``beam_search``.
        """
        return search_texts(self.decoder.decode_step, *self.see(images), beam, length_penalty, self.longest)

    def generate(self, image: str, beam: int = 5, length_penalty: float = 0.6) -> Text:
        """Write the caption of a picture.

        Args:
            image: Its file; it is scaled and cut to the size of those trained on.
            beam: Hypotheses kept while searching; 1 is greedy.
            length_penalty: 0 favours short captions.
        """
        info = self.info
        assert isinstance(info, CaptionInfo)
        pixels = read_image(image, info.channels, info.height, info.width)
        found = self.caption(pixels[None].to(self.device) / 255, beam, length_penalty)
        return Text(self.words.decode(found.rows(EOS_ID)[0]))

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show pictures with their captions, and where it looked for each word."""
        rows = [("; ".join(dict.fromkeys(references)), output) for references, output in self.generated[:SHOWN]]
        shown: dict[str, Media] = {"written": Table(("true", "written"), rows)}
        images = batch[0][:PICTURES]
        found = self.caption(images)
        titles = [
            output if output in references else f"{output}\n({references[0]})"
            for references, output in self._beside(batch, found)
        ]
        shown["captions"] = Figure(plot_images(images, titles))
        if self.attention == "soft":
            begin = batch[1][: len(images), :1, :1]  # (n, 1, 1)
            written = torch.cat([begin, found.tokens[:, None]], dim=2)
            weights = self.look(images, written)[:MAPS, 0].cpu()  # (n, time, rows, columns)
            texts = [[self.words.id_to_token(code) for code in codes] for codes in found.rows(EOS_ID)[:MAPS]]
            shown["attention"] = Figure(plot_attention(images[:MAPS], weights, texts))
        return shown

    def _beside(self, batch: Batch, found: BeamResult) -> list[Row]:
        """Return the true captions and the one found of each picture."""
        outputs = self.words.decode_batch(found.rows(EOS_ID))
        true = batch[1][: len(outputs)].tolist()
        return [(self.words.decode_batch(codes), output) for codes, output in zip(true, outputs, strict=True)]


class Normalise(nn.Module):
    """Shifts and scales images as networks trained on ImageNet expect; grey ones become three equal channels."""

    def forward(self, images: Tensor) -> Tensor:
        """Return them."""
        mean, deviation = (images.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (images - mean) / deviation


def plot_images(images: Tensor, titles: Sequence[str], columns: int = 4) -> Drawing:
    """Draw pictures (n, channels, height, width), each under its title."""
    rows = -(-len(images) // columns)
    drawing = Drawing(figsize=(2.6 * columns, 2.4 * rows), layout="constrained")
    for number, (image, title) in enumerate(zip(images, titles, strict=True), start=1):
        axes = drawing.add_subplot(rows, columns, number)
        show_pixels(axes, image)
        axes.set_title(title, size=7)
    return drawing


def plot_attention(images: Tensor, weights: Tensor, words: Sequence[Sequence[str]]) -> Drawing:
    """Draw pictures and, for each word, where it looked.

    Args:
        images: Shape (n, channels, height, width).
        weights: Shape (n, time, rows, columns).
        words: Those written of each picture.
    """
    columns = 1 + max(map(len, words), default=0)
    drawing = Drawing(figsize=(1.3 * columns, 1.5 * len(images)), layout="constrained")
    for row, (image, maps, texts) in enumerate(zip(images, weights, words, strict=True)):
        show_pixels(drawing.add_subplot(len(images), columns, row * columns + 1), image)
        light = interpolate(maps[None].float(), image.shape[1:], mode="bilinear")[0]  # (time, height, width)
        for place, text in enumerate(texts):
            axes = drawing.add_subplot(len(images), columns, row * columns + place + 2)
            bright = light[place] / light[place].max().clamp_min(1e-12)
            show_pixels(axes, image * (0.2 + 0.8 * bright.to(image)))
            axes.set_title(text.strip(), size=8)
    return drawing


def show_pixels(axes: Axes, image: Tensor) -> None:
    """Draw a picture of shape (channels, height, width) without axes."""
    axes.imshow(image.float().expand(3, -1, -1).permute(1, 2, 0).clamp(0, 1).cpu().numpy())
    axes.set_axis_off()
