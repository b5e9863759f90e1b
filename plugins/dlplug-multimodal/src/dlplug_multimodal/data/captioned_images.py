"""Images with captions: what data sets of them share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlplug.data import Info
from dlplug_sequence.data.padded import BOS_ID, EOS_ID, Ragged, as_utf8
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_vision.data.images import ImageData


@dataclass(frozen=True)
class CaptionedImageInfo(Info):
    """Images of one size, of values from 0 to 1, each with captions.

    Attributes:
        channels: 1 for grey, 3 for colour.
        height: Rows.
        width: Columns.
        vocabulary: The captions' ``Vocabulary`` as JSON; its token 0 pads, 2 and 3 begin and end a caption.
        longest: Tokens of the longest training caption, with the end token.
    """

    channels: int
    height: int
    width: int
    vocabulary: str
    longest: int

    def __str__(self) -> str:
        tokens = len(Vocabulary.from_json(self.vocabulary))
        return f"{self.channels}×{self.height}×{self.width} images with captions of {tokens} tokens"


class CaptionedImages(ImageData):
    """Images with captions, in memory.

    Batches are (images from 0 to 1, of shape (n, channels, height, width); token ids of shape (n, captions, time)).
    Where tokens may be unknown, those not to train on have the captions as UTF-8 too, of shape (n, captions, bytes).
    """


class CaptionTokens:
    """Captions as token ids: indexed by a tensor of n places, it gives them in shape (n, captions, time).

    Each stands between the begin and the end token, padded with 0 to the longest.

    Args:
        texts: The captions of each image, at least one; an image that has fewer than another repeats its own.
        vocabulary: What encodes them; none for their UTF-8, padded with 0 alone.
    """

    def __init__(self, texts: Sequence[Sequence[str]], vocabulary: Vocabulary | None = None) -> None:
        self.per_image = max(map(len, texts))
        captions = [own[i % len(own)] for own in texts for i in range(self.per_image)]
        rows = ([BOS_ID, *ids, EOS_ID] for ids in vocabulary.encode_batch(captions)) if vocabulary else ()
        self.tokens = Ragged(rows) if vocabulary else as_utf8(captions)
        self._size = len(texts)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Tensor) -> Tensor:
        places = index[:, None] * self.per_image + torch.arange(self.per_image)  # (n, captions)
        return self.tokens[places.flatten()].view(*places.shape, -1)
