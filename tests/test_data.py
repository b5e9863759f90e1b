import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset, random_split

from dlplug import InputError
from dlplug.data import (
    BatchIndexSampler,
    ImageInfo,
    Info,
    TensorData,
    VectorInfo,
    class_weights,
    from_datasets,
    from_tensors,
)


class Numbers(TensorData):
    def load(self):
        return ImageInfo(1, 1, 1), {"train": (torch.arange(10),), "val": (torch.arange(5),)}


def epoch_of(loader, epoch=0):
    loader.sampler.set_epoch(epoch)
    return [batch.tolist() for (batch,) in loader]


def test_training_is_shuffled_by_seed_and_epoch_alone(monkeypatch):
    loader = Numbers(batch_size=3).train_dataloader()
    first, second = epoch_of(loader, 0), epoch_of(loader, 1)
    assert len(first) == len(loader) == 3
    assert [len(batch) for batch in first] == [3, 3, 3]
    assert first != second
    torch.randn(3)
    assert epoch_of(Numbers(batch_size=3).train_dataloader(), 1) == second
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert epoch_of(Numbers(batch_size=3).train_dataloader(), 0) != first


def test_loading_draws_nothing_from_the_random_state():
    before = torch.get_rng_state()
    epoch_of(Numbers().train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_is_complete_and_each_batch_from_all_over_the_data():
    loader = Numbers(batch_size=3).val_dataloader()
    assert epoch_of(loader) == [[0, 2, 4], [1, 3]]
    assert len(loader) == 2


def test_test_data_come_in_order():
    data = Numbers(batch_size=3)
    data.setup()
    data.splits = {"test": data.splits["val"]}
    assert epoch_of(data.test_dataloader()) == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(("size", "batch_size"), [(10, 2), (11, 2), (11, 3), (7, 64)])
def test_ranks_share_the_data_evenly(size, batch_size):
    shares = []
    for rank in range(2):
        sampler = BatchIndexSampler(size, batch_size, "shuffled")
        sampler.num_replicas, sampler.rank = 2, rank
        shares.append([index.tolist() for index in sampler])
        assert len(shares[-1]) == len(sampler)
    assert len(shares[0]) == len(shares[1])
    mine, yours = ({i for batch in share for i in batch} for share in shares)
    assert not mine & yours


def test_missing_split_and_bad_options():
    with pytest.raises(InputError, match="Numbers has no test data"):
        Numbers().test_dataloader()
    with pytest.raises(InputError, match="batch_size must be at least 1"):
        Numbers(batch_size=0)


def test_info_travels_as_plain_data():
    info = ImageInfo(3, 8, 9, classes=2, labels=("cat", "dog"))
    plain = info.to_dict()
    assert plain == {
        "type": "dlplug.data:ImageInfo",
        "channels": 3,
        "height": 8,
        "width": 9,
        "classes": 2,
        "labels": ("cat", "dog"),
        "target": "class",
    }
    assert Info.from_dict(plain) == info


def test_balanced_classes_have_the_same_say(capsys):
    class Few(TensorData):
        def load(self):
            return Info(), {"train": (torch.zeros(6, 1), torch.tensor([0, 0, 0, 0, 1, 1]))}

    data = Few()
    data.setup()
    weights = class_weights(data, ("a", "b", "c"))
    assert weights.tolist() == pytest.approx([6 / (3 * 4), 6 / (3 * 2), 0])
    assert capsys.readouterr().err == "training items: a 4, b 2, c 0\n"
    assert class_weights(object(), ("a",)) is None
    class_weights(data, tuple(map(str, range(20))))
    assert capsys.readouterr().err == "training items: 2 0, ..., 0 4\n"


LABELS = torch.arange(6) % 3
BYTES = torch.full((6, 1, 4, 5), 255, dtype=torch.uint8)


def test_tensors_say_what_they_are():
    data = from_tensors((BYTES, LABELS), (BYTES[:2], LABELS[:2]), batch_size=4, labels=["a", "b", "c", "none yet"])
    assert data.info == ImageInfo(1, 4, 5, 4, ("a", "b", "c", "none yet"))
    images, labels = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    assert images.dtype == torch.float32
    assert images.max() == 1
    assert labels.tolist() == [0, 1]
    with pytest.raises(InputError, match="has no test data"):
        data.test_dataloader()
    vectors = from_tensors((np.random.rand(6, 7), np.arange(6) % 2))  # of numpy's default types
    assert vectors.info == VectorInfo(7, 2)
    assert vectors.splits["train"][0].dtype == torch.float32
    assert from_tensors((torch.rand(6, 7), torch.rand(6))).info == VectorInfo(7)
    assert from_tensors(torch.rand(6, 3, 4, 4)).info == ImageInfo(3, 4, 4)
    several, numbers = torch.eye(6)[:, :2].long(), torch.rand(6, 2)
    assert from_tensors((BYTES, several)).info == ImageInfo(1, 4, 5, labels=("0", "1"), target="labels")
    told = ImageInfo(1, 4, 5, labels=("age", "height"), target="number")
    assert from_tensors((BYTES, numbers), labels=["age", "height"]).info == told
    told = ImageInfo(1, 2, 3)
    assert from_tensors(torch.rand(6, 3, 3), info=told).info is told


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        ((BYTES, LABELS.float()), None, r"targets of shape \(6,\): classes are whole numbers \(n,\); numbers"),
        ((BYTES, LABELS[:, None] + 1), None, "say which labels an image has, 0 or 1; numbers to be predicted are fl"),
        ((BYTES, LABELS[:5]), None, "train has columns of 6 and 5 items"),
        ((BYTES[:0], LABELS[:0]), None, "train has no items"),
        ((BYTES, LABELS), (BYTES[:, :, :2], LABELS), r"the items of val have the shapes .*, those of train"),
        ((BYTES, LABELS - 1), None, "class labels are whole numbers from 0 on, not -1"),
        ((BYTES.float(), LABELS), None, r"values from 255 to 255: bytes \(uint8\) or floats from 0 to 1"),
        ((BYTES.long(), LABELS), None, r"values from 255 to 255: bytes \(uint8\) or floats from 0 to 1"),
        ((torch.rand(6, 8, 8, 3), LABELS), None, "channels come second, images.permute"),
        ((torch.rand(6, 8, 8), LABELS), None, r"images are \(items, channels, height, width\), vectors"),
        ((torch.full((6, 2), torch.nan), LABELS), None, "column 0 of train holds values that are not finite"),
        ("pictures", None, "train is neither inputs nor"),
        (TensorDataset(BYTES), None, "train is a TensorDataset, not tensors: from_datasets"),
    ],
)
def test_tensors_that_do_not_go_together_say_why(train, val, message):
    with pytest.raises(InputError, match=message):
        from_tensors(train, val)


class Pictures(TensorDataset):
    classes = ("cat", "dog", "emu")


def test_datasets_are_read_a_batch_at_a_time_in_an_order_of_seed_and_epoch():
    train, val = random_split(Pictures(torch.rand(6, 1, 4, 5), LABELS), [4, 2])
    data = from_datasets(train, val, batch_size=2)
    assert data.info == ImageInfo(1, 4, 5, 3, ("cat", "dog", "emu"))
    loader = data.train_dataloader()
    orders = [[labels.tolist() for _, labels in loader] for loader.sampler.epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(label for batch in orders[0] for label in batch) == sorted(int(train[i][1]) for i in range(4))
    assert isinstance(data.val_dataloader(), DataLoader)


@pytest.mark.parametrize("target", [[0, 1], [True, False], np.array([0.5, 2.0]), np.int32(1)])
def test_datasets_of_any_type_become_batches_as_models_take_them(target):
    data = from_datasets([(np.random.rand(1, 4, 5), torch.as_tensor(target))] * 4, labels=["a", "b"], batch_size=2)
    images, targets = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.dtype == torch.float32
    assert targets.dtype == (torch.int64 if data.info.target == "class" else torch.float32)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InputError, match="two columns of the targets have one name: a, a"):
        from_tensors((BYTES, torch.rand(6, 2)), labels=["a", "a"])


def test_datasets_say_what_is_missing():
    numbered = TensorDataset(torch.rand(6, 1, 4, 5), LABELS)
    with pytest.raises(InputError, match="has no `classes`: name them"):
        from_datasets(numbered)
    assert from_datasets(numbered, labels=["a", "b", "c"]).info.classes == 3
    with pytest.raises(InputError, match="val is a list, not a torch Dataset|val has no items"):
        from_datasets(numbered, [], labels=["a", "b", "c"])
    with pytest.raises(InputError, match=r"do not become a batch.*transform=ToTensor"):
        from_datasets([(object(), 1)])


def test_what_differs_between_descriptions_of_many_names_is_named():
    many = tuple(f"a label of a long name {i}" for i in range(40))
    there, here = (ImageInfo(3, 8, 8, 40, names) for names in (many, (*many[:-1], "x")))
    assert there.differences(here) == "labels: a label of a long name 39 there; x here"
    said = there.differences(ImageInfo(3, 8, 8, 1, ("x",)))
    assert "classes: 40 there; 1 here, labels: a label of a long name 0, " in said
    assert said.endswith("and 30 more there; x here")
