"""Captions: a convolutional encoder and a recurrent decoder."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import Any, Literal

import sacrebleu
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, interpolate

from dlplug.console import say
from dlplug.data import Batch, ImageInfo
from dlplug.media import Figure, ImageFile, Media, Table, Text
from dlplug.model import Parts
from dlplug.panels import Panel
from dlplug.trained import start_from
from dlplug_multimodal.data.captioned_images import CaptionedImageInfo
from dlplug_multimodal.data.ranges import require
from dlplug_sequence.data.padded import BOS_ID, EOS_ID, PAD_ID, from_utf8
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.text_generator import TextGenerator
from dlplug_sequence.nn.beam_search import BeamResult, State
from dlplug_sequence.nn.decoder import Decoder, Memory, search_texts
from dlplug_vision.data.image_files import load_image
from dlplug_vision.models.cnn import CNN
from dlplug_vision.models.resnet import ResNet
from dlplug_vision.models.torchvision import IMAGENET_MEAN, IMAGENET_STD

TABLE_ROWS = 30  # captions in the table
CAPTIONED = 12  # images shown with their captions
MAPS = 4  # images shown with their attention maps
SUMMARY = 4  # rows and columns of the grid that a decoder without attention starts from
Row = tuple[list[str], str]  # references, output


class Captioner(TextGenerator[Row]):
    """A convolutional network encodes an image, a recurrent one decodes its caption (section 5.6).

    Vinyals et al., "Show and Tell" (2015), and with attention Xu et al., "Show, Attend and Tell" (2015): each token is
    predicted from the decoder's state and a mean of the grid that the encoder's last convolution gives, weighted by
    additive attention. A learned embedding of its position is added to each cell of the grid. The decoder starts from
    the maxima over the grid instead of the paper's means, which a small object in a large image hardly changes. All
    captions of an image are trained on at once.

    Logs ``loss`` in nats a token, and for images not trained on, captioned greedily, ``exact_match``, the share whose
    caption equals a reference, and ``bleu`` from 0 to 100 (by sacrebleu, against all references).

    Args:
        attention: ``soft``, or ``none``: the decoder has the image in its first state alone.
        backbone: The encoder: the ``cnn`` or the ``resnet`` of section 3.1, up to their last grid.
        channels: Filters of each CONV of a ``cnn``; a POOL follows every second.
        depth: Layers of a ``resnet``.
        cell: The decoder's cell: ``gru`` or ``lstm``.
        hidden_size: Hidden units of the decoder.
        embedding_dim: Embedding dimension of tokens.
        dropout: Dropout probability of embedded tokens and of what a token is predicted from; without it the decoder
            memorises which words go together.
        lr: Highest learning rate of AdamW; it decays along a cosine to 0 at the last batch.
        weight_decay: Weight decay of AdamW.
        init_from: Run folder or file of weights of a ``cnn`` or ``resnet`` that the encoder starts from; layers that do
            not match are left as initialised.
    """

    monitor = ("val/bleu", "max")
    panels = (
        Panel(
            "Learning",
            "Loss",
            "Nats a token. Healthy: a plateau, once the grammar is known and the image is not yet used, then a steep "
            "fall. Broken: val rises while train falls (overfitting), or the plateau does not end.",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Exact matches",
            "Share of captions that equal a reference. Healthy on scenes: nothing for long, then it rises steeply. On "
            "free captions it stays near 0.",
            curves=("exact_match",),
        ),
        Panel(
            "Learning",
            "BLEU",
            "Word n-grams shared with the references, 0 to 100. Healthy: rises to a plateau. Broken: high while all "
            "captions are alike: they say what is always true.",
            curves=("bleu",),
            expect=("bleu rises",),
        ),
        Panel(
            "Generated",
            "Captions",
            "Validation images with their generated captions; a reference follows in brackets where a caption equals "
            "none. Healthy: wrong ones are nearly right. Broken: the same for all images.",
            media="captions",
        ),
        Panel("Generated", "All captions", "Validation images' references and generated captions.", media="written"),
        Panel(
            "Attention",
            "Attention maps",
            "Attention weights while each word was generated: bright is large. Healthy: on the object that the word "
            "names. Broken: the same place for all words, or everywhere.",
            media="attention",
        ),
    )

    def __init__(
        self,
        attention: Literal["none", "soft"] = "soft",
        backbone: Literal["cnn", "resnet"] = "cnn",
        channels: tuple[int, ...] = (16, 16, 32, 32, 64),
        depth: Literal[18, 34, 50, 101, 152] = 18,
        cell: Literal["gru", "lstm"] = "gru",
        hidden_size: int = 128,  # 32 take a third of the time less, but .418 exact matches after the same epochs
        embedding_dim: int = 64,
        dropout: float = 0.2,
        lr: float = 4e-3,
        weight_decay: float = 0.01,
        init_from: str = "",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require(self.hparams, "at least 1", "hidden_size", "embedding_dim")
        require(self.hparams, "above 0", "lr")
        require(self.hparams, "at least 0", "weight_decay")
        require(self.hparams, "from 0 to below 1", "dropout")
        self.attention, self.backbone, self.channels, self.depth = attention, backbone, channels, depth
        self.cell, self.hidden_size, self.embedding_dim, self.dropout = cell, hidden_size, embedding_dim, dropout
        self.lr, self.weight_decay, self.init_from = lr, weight_decay, init_from

    def build(self, info: CaptionedImageInfo) -> None:
        """Make the layers."""
        if not isinstance(info, CaptionedImageInfo):
            raise ValueError(f"learns from images with captions, not {info}")
        self.vocabulary = Vocabulary.from_json(info.vocabulary)
        self.max_length = 2 * info.longest
        self.shape = info.channels, info.height, info.width
        self.image_encoder = self._encoder(ImageInfo(*self.shape, classes=2))
        self.image_encoder.eval()
        _, depth, rows, columns = self.image_encoder(torch.zeros(1, *self.shape)).shape
        self.image_encoder.train()
        self.image_encoder.to(memory_format=torch.channels_last)  # faster on CPUs
        self.project = nn.Linear(depth, self.hidden_size)
        # A standard deviation of 0.4 instead of 0.02 ends the plateau sooner: positions differ from the start.
        self.position_embedding = nn.Parameter(0.4 * torch.randn(rows * columns, self.hidden_size))
        summary = depth * SUMMARY**2 if self.attention == "none" else self.hidden_size
        self.init_state = nn.Linear(summary, self.hidden_size * (2 if self.cell == "lstm" else 1))
        # Unscaled dot products soon attend to one place for ever; the additive score of Xu et al. does not.
        score: Literal["none", "bahdanau"] = "none" if self.attention == "none" else "bahdanau"
        sizes = (len(self.vocabulary), self.embedding_dim, self.hidden_size)
        self.decoder = Decoder(score, self.cell, *sizes, dropout=self.dropout)
        self.grid = rows, columns

    def _encoder(self, info: ImageInfo) -> nn.Sequential:
        """Return the backbone up to its last grid; layers have their names in a run of ``cnn`` or ``resnet``."""
        model = CNN(channels=self.channels, hidden=0) if self.backbone == "cnn" else ResNet(self.depth)
        layers = takewhile(lambda each: each[0] not in ("flatten", "avgpool"), model.network(info).named_children())
        first: list[tuple[str, nn.Module]] = [] if self.backbone == "cnn" else [("normalise", Normalise())]
        return nn.Sequential(OrderedDict([*first, *layers]))

    def initialise(self) -> None:
        """Load the weights that ``init_from`` names, and say which layers they are of."""
        if self.init_from:
            say(start_from(self.image_encoder, self.init_from))

    def encode_image(self, images: Tensor) -> tuple[Memory, State]:
        """Return the decoder's memory of images (n, channels, height, width), and its first state."""
        # Exercise: the grid of features with positions is the memory, their summary the first state.
        grid = self.image_encoder(images.contiguous(memory_format=torch.channels_last))  # (n, depth, rows, columns)
        if self.attention == "none":
            memory: Memory = ()
            summary = adaptive_avg_pool2d(grid, SUMMARY).flatten(1)
        else:
            cells = self.project(grid.flatten(2).transpose(1, 2)) + self.position_embedding  # (n, cells, hidden_size)
            padding = torch.zeros(cells.shape[:2], dtype=torch.bool, device=cells.device)
            memory = self.decoder.precompute_keys(cells, padding)
            summary = cells.amax(1)
        state = self.init_state(summary).tanh()[:, None, None]  # (n, 1, 1, hidden_size), or twice as much
        return memory, state.chunk(2, dim=3) if self.cell == "lstm" else (state,)

    def forward(self, images: Tensor, captions: Tensor) -> Tensor:
        """Return logits of what follows each token of captions, the true ones before it.

        Args:
            images: From 0 to 1, shape (n, channels, height, width).
            captions: Several of each, shape (n, captions, time).

        Returns:
            Shape (n, captions, time, vocabulary).
        """
        logits: Tensor = self.decoder(captions, *self.encode_image(images))[0]
        return logits

    def export_parts(self, batch: Batch) -> Parts:
        """Return the encoder, and the decoder, which goes on from a state."""
        memory, state = self.encode_image(batch[0])
        decode, inputs, _ = self.decoder.export_part(batch[1][:, 0], memory, state)
        names = [name for name in inputs if name != "tokens"]

        def encode(images: Tensor) -> dict[str, Tensor]:
            memory, state = self.encode_image(images)
            return dict(zip(names, (*memory, *state), strict=True))

        return {"encoder": (encode, {"images": batch[0]}, {}), "decoder": (decode, inputs, {"tokens": {1: "time"}})}

    def attention_maps(self, images: Tensor, captions: Tensor) -> Tensor:
        """Return the attention weights of each token after the first of captions (n, captions, time).

        Returns:
            Weights that add up to 1, shape (n, captions, time - 1, rows, columns).

        Raises:
            ValueError: There is no attention.
        """
        weights: Tensor | None = self.decoder(captions[:, :, :-1], *self.encode_image(images))[1]
        if weights is None:
            raise ValueError("without attention there are no attention maps")
        return weights.view(*weights.shape[:3], *self.grid)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy over the captions' tokens, in nats."""
        # Exercise: predict each token of the captions from those before it; padding costs nothing.
        images, captions = batch[:2]
        logits = self(images, captions[:, :, :-1])
        return cross_entropy(logits.float().flatten(0, 2), captions[:, :, 1:].flatten(), ignore_index=PAD_ID)

    def decode_batch(self, batch: Batch) -> list[Row]:
        """Caption the images of a batch."""
        return self._with_references(batch, self.caption(batch[0]))

    @staticmethod
    def score(rows: Sequence[Row]) -> dict[str, float]:
        """Return the share of exact matches and BLEU of (references, output), as many references each."""
        outputs = [output for _, output in rows]
        references = [list(each) for each in zip(*(references for references, _ in rows), strict=True)]
        return {
            "exact_match": sum(output in references for references, output in rows) / len(rows),
            "bleu": sacrebleu.corpus_bleu(outputs, references).score,
        }

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor | list[str]]:
        """Return the caption of each image, whether it equals a reference where there are any, and its score."""
        result = self.caption(batch[0])
        predicted: dict[str, Tensor | list[str]] = {"caption": self.vocabulary.decode_batch(result.rows(EOS_ID))}
        if len(batch) > 1:
            rows = self._with_references(batch, result)
            predicted["exact_match"] = torch.tensor([int(output in references) for references, output in rows])
        return {**predicted, "score": result.scores}

    def caption(self, images: Tensor, num_beams: int = 1, length_penalty: float = 0.6) -> BeamResult:
        """Generate the captions of images.

        Args:
            images: From 0 to 1, shape (n, channels, height, width).
            num_beams: Hypotheses kept; 1 is greedy.
            length_penalty: See ``beam_search``.
        """
        memory, state = self.encode_image(images)
        return search_texts(self.decoder.decode_step, memory, state, num_beams, length_penalty, self.max_length)

    def generate(self, image: ImageFile, num_beams: int = 5, length_penalty: float = 0.6) -> Text:
        """Generate the caption of an image.

        Args:
            image: Its file; it is scaled and cropped to the size of the training images.
            num_beams: Hypotheses kept in the beam search; 1 is greedy.
            length_penalty: 0 favours short captions.
        """
        result = self.caption(load_image(image, self.shape).to(self.device), num_beams, length_penalty)
        return Text(self.vocabulary.decode(result.rows(EOS_ID)[0]))

    def demos(self) -> dict[str, Callable[..., Any]]:
        """Caption with the attention maps beside it."""
        return {"Attention": self.caption_and_attend} if self.attention == "soft" else {}

    def caption_and_attend(self, image: ImageFile) -> dict[str, Media]:
        """Caption an image, and show where the decoder looks for each word.

        Args:
            image: Its file.
        """
        images = load_image(image, self.shape).to(self.device)
        tokens = self.caption(images).rows(EOS_ID)[0]
        captions = torch.tensor([[[BOS_ID, *tokens, EOS_ID]]], device=self.device)
        maps = self.attention_maps(images, captions)[:, 0].cpu()
        words = [[self.vocabulary.id_to_token(token) for token in tokens]]
        return {
            "caption": Text(self.vocabulary.decode(tokens)),
            "attention": Figure(plot_attention(images, maps, words)),
        }

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show images with their captions, and the attention maps of each word."""
        rows = [("; ".join(dict.fromkeys(references)), output) for references, output in self.generated[:TABLE_ROWS]]
        shown: dict[str, Media] = {"written": Table(("references", "generated"), rows)}
        images = batch[0][:CAPTIONED]
        result = self.caption(images)
        titles = [
            output if output in references else f"{output}\n({references[0]})"
            for references, output in self._with_references(batch, result)
        ]
        shown["captions"] = Figure(plot_images(images, titles))
        if self.attention == "soft":
            begin = batch[1][: len(images), :1, :1]  # (n, 1, 1)
            tokens = torch.cat([begin, result.tokens[:, None]], dim=2)
            maps = self.attention_maps(images, tokens)[:MAPS, 0].cpu()  # (n, time, rows, columns)
            words = [[self.vocabulary.id_to_token(token) for token in row] for row in result.rows(EOS_ID)[:MAPS]]
            shown["attention"] = Figure(plot_attention(images[:MAPS], maps, words))
        return shown

    def _with_references(self, batch: Batch, result: BeamResult) -> list[Row]:
        """Return the references and the output of each image."""
        outputs = self.vocabulary.decode_batch(result.rows(EOS_ID))
        texts = map(from_utf8, batch[2]) if len(batch) > 2 else map(self.vocabulary.decode_batch, batch[1].tolist())
        return list(zip(islice(texts, len(outputs)), outputs, strict=True))


class Normalise(nn.Module):
    """Normalises images as networks trained on ImageNet expect; grey ones get three equal channels."""

    def forward(self, images: Tensor) -> Tensor:
        """Return them."""
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (images - mean) / std


def plot_images(images: Tensor, titles: Sequence[str], columns: int = 4) -> Drawing:
    """Draw images (n, channels, height, width), each under its title."""
    rows = -(-len(images) // columns)
    drawing = Drawing(figsize=(2.6 * columns, 2.4 * rows), layout="constrained")
    for number, (image, title) in enumerate(zip(images, titles, strict=True), start=1):
        axes = drawing.add_subplot(rows, columns, number)
        show_pixels(axes, image)
        axes.set_title(title, size=7)
    return drawing


def plot_attention(images: Tensor, weights: Tensor, words: Sequence[Sequence[str]]) -> Drawing:
    """Draw images and, for each word, the attention weights over the image.

    Args:
        images: Shape (n, channels, height, width).
        weights: Shape (n, time, rows, columns).
        words: Those generated for each image.
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
    """Draw an image of shape (channels, height, width) without axes."""
    axes.imshow(image.float().expand(3, -1, -1).permute(1, 2, 0).clamp(0, 1).cpu().numpy())
    axes.set_axis_off()
