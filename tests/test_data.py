import pytest
import torch

from dlplug import InputError
from dlplug.data import BatchIndexSampler, ImageInfo, Info, TensorData, class_weights


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
