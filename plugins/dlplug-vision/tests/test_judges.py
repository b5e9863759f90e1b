"""Generated images are judged against real ones."""

from types import SimpleNamespace

import pytest
import torch

from dlplug import InputError
from dlplug.data import ImageInfo
from dlplug.media import Image, Text
from dlplug_vision.evaluation import judges


def images(n, seed, classes=2):
    """Return images whose bright half says their class, and the classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    pixels = 0.2 * torch.rand(n, 1, 8, 8, generator=generator)
    pixels[labels == 1, :, :4] += 0.8
    pixels[labels == 0, :, 4:] += 0.8
    return pixels, labels


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(judges, "AT_ONCE", 50)
    monkeypatch.setattr(judges, "DRAWN", 100)
    splits = {"train": images(256, 0), "val": images(100, 1), "test": images(100, 2)}
    info = ImageInfo(1, 8, 8, 2)
    return SimpleNamespace(data=SimpleNamespace(splits=splits, info=info, prepare_batch=lambda columns: columns))


def test_real_images_are_nearest_and_copies_are_found(run):
    run.generate = lambda seed, n: Image(images(n, 10 + seed)[0])
    real = judges.samples(run)
    run.generate = lambda seed, n: Image(torch.rand(n, 1, 8, 8))
    noise = judges.samples(run)
    run.generate = lambda seed, n: Image(run.data.splits["train"][0][:n])
    copied = judges.samples(run)
    run.generate = lambda seed, n: Image(images(n, 10 + seed)[0][:1].repeat(n, 1, 1, 1))
    collapsed = judges.samples(run)
    assert real["fid"] < noise["fid"] / 4
    assert copied["near_copies"] == 1
    assert real["near_copies"] < 0.1
    assert (real["rarest_class"], collapsed["rarest_class"]) == (0.5, 0)


def test_what_draws_no_images_does_not_apply(run):
    run.generate = lambda seed, n: Text("words")
    with pytest.raises(InputError, match="generates no images from nothing"):
        judges.samples(run)
