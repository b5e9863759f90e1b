"""Grey images from a file that numpy saved."""

import numpy as np
import torch

from dlplug.data import ImageInfo, TensorData


class NPZImages(TensorData):
    """Images (n, height, width) from 0 to 1 and labels (n,) of an .npz file; the last fifth is for validation and test.

    Args:
        file: The file, with the arrays `images` and `labels`.
    """

    def __init__(self, file: str, batch_size: int = 64) -> None:
        super().__init__(batch_size)
        self.file = file

    def load(self):
        """Return the info and the splits; an OSError or ValueError here is one line for the user."""
        arrays = np.load(self.file)
        images, labels = torch.tensor(arrays["images"])[:, None].float(), torch.tensor(arrays["labels"])
        info = ImageInfo(1, *images.shape[2:], classes=int(labels.max()) + 1)
        a, b = int(0.8 * len(images)), int(0.9 * len(images))
        parts = {"train": slice(a), "val": slice(a, b), "test": slice(b, None)}
        return info, {split: (images[part], labels[part]) for split, part in parts.items()}
