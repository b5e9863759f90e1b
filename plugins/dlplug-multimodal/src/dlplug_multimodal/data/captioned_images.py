"""Pictures with captions: what data sets of them share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlplug.data import Info
from dlplug_sequence.data.padded import BOS_ID, EOS_ID, Ragged
from dlplug_sequence.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class CaptionInfo(Info):
    """Pictures of one size, of values from 0 to 1, each with captions.

    Attributes:
        channels: 1 for grey, 3 for colour.
        height: Rows.
        width: Columns.
        vocabulary: The captions' ``Vocabulary`` as JSON; its number 0 pads, 2 and 3 begin and end a caption.
        longest: Tokens of the longest caption that is trained on, with the end token.
    """

    channels: int
    height: int
    width: int
    vocabulary: str
    longest: int

    def __str__(self) -> str:
        words = len(Vocabulary.from_json(self.vocabulary))
        return f"{self.channels}×{self.height}×{self.width} images with captions of {words} tokens"


class Captions:
    """Equally many captions a picture; indexed by a tensor of places, it gives theirs, of shape (n, captions, time).

    Each stands between the begin and the end token, padded with 0 to the longest.

    Args:
        texts: The captions of each picture, at least one; one that has fewer than another repeats its own.
        words: The vocabulary.
    """

    def __init__(self, texts: Sequence[Sequence[str]], words: Vocabulary) -> None:
        self.each = max(map(len, texts))
        every = [captions[i % len(captions)] for captions in texts for i in range(self.each)]
        self.tokens = Ragged([[BOS_ID, *codes, EOS_ID] for codes in words.encode_batch(every)])
        self._size = len(texts)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Tensor) -> Tensor:
        places = index[:, None] * self.each + torch.arange(self.each)  # (n, captions)
        return self.tokens[places.flatten()].view(*places.shape, -1)
