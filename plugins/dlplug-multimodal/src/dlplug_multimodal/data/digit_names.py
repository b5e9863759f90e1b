"""Digits with their names: the smallest images with words."""

from collections.abc import Mapping

import torch
from torch.nn.functional import one_hot

from dlplug.data import Batch
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, TaggedImages, index_splits
from dlplug_vision.data.images import stratified_split
from dlplug_vision.data.mnist5k import MNIST5k

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class DigitNames(TaggedImages):
    """5,000 of MNIST's handwritten digits, each with its English name as its one word.

    The images and the split are those of ``mnist5k``: 4,000 to train on, 500 each to validate and test.
    """

    # No `flip`: a mirrored digit is not a digit.
    def __init__(self, batch_size: int = 64, augment: float = 0.0) -> None:
        super().__init__(batch_size, augment)

    def load(self) -> tuple[TaggedImageInfo, Mapping[str, Batch]]:
        """Read the digits."""
        images, labels = MNIST5k().read()
        channels, height, width = images.shape[1:]
        words = one_hot(labels, len(NAMES)).to(torch.float32)
        info = TaggedImageInfo(channels, height, width, NAMES)
        return info, index_splits((images, words), stratified_split(labels))
