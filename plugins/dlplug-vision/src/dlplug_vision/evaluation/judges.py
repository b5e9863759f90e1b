"""What generated images are held against: real ones of the same data."""

import hashlib
from typing import Any

import torch
from torch import Tensor

from dlplug import InputError
from dlplug.api import TrainedRun
from dlplug_vision.evaluation.fid import FIDClassifier, near_copies

DRAWN = 2000  # images of each run
AT_ONCE = 500

_classifiers: dict[str, FIDClassifier] = {}  # each is trained once a process, by the images it is trained on


def samples(run: TrainedRun) -> dict[str, float]:
    """Measure 2,000 images that the model draws against the test images: FID, coverage, near copies.

    ``fid`` is in the features of a classifier of the training images, ``rarest_class`` the share of samples that it
    takes for the class with the fewest (coverage: real images have each class's own share), ``near_copies`` the share
    that is nearer to a training image than all but 1 % of real new ones are.
    """
    info = run.data.info
    shape = (info.channels, info.height, info.width)
    drawn = torch.cat([_draw(run, seed, shape) for seed in range(DRAWN // AT_ONCE)])
    images, held_out, classifier = _real(run.data)
    return {
        "fid": classifier.fid(drawn, held_out),
        "rarest_class": min(classifier.class_shares(drawn)),
        "near_copies": near_copies(drawn, images, held_out),
    }


def _draw(run: TrainedRun, seed: int, shape: tuple[int, ...]) -> Tensor:
    made = run.generate(seed, n=AT_ONCE)
    pixels = getattr(made, "pixels", None)
    if not isinstance(pixels, Tensor) or pixels.shape != (AT_ONCE, *shape):
        raise InputError("it generates no images from nothing")
    return pixels.cpu()


def _real(data: Any) -> tuple[Tensor, Tensor, FIDClassifier]:
    """Return the training images, the test images, by which nothing was chosen, and a classifier of the former."""
    images, labels = data.prepare_batch(data.splits["train"])
    test = data.prepare_batch(data.splits["test"])[0]
    key = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    if key not in _classifiers:
        _classifiers[key] = FIDClassifier.fit(images, labels)
    return images, test, _classifiers[key]
