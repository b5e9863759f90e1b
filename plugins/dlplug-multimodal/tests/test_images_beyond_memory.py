"""Captions, tags and clips whose images are decoded as batches need them: what they would be in memory."""

import pytest
import torch

from dlplug.errors import InputError
from dlplug_multimodal.data.caption_folder import CaptionFolder
from dlplug_multimodal.data.tag_folder import TagFolder
from dlplug_multimodal.data.video_clips import VideoClips
from dlplug_vision.data.lazy_images import LazyImages


@pytest.fixture(params=[CaptionFolder, TagFolder, VideoClips])
def make(request, tmp_path, monkeypatch):
    """Return what makes a data module of a sample of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "sample").mkdir()
    sample = request.param.write_sample(tmp_path / "sample")
    options = {name.removeprefix("data."): value for name, value in sample.items()}

    def make(**others):
        data = request.param(**{**options, "batch_size": 4, **others})
        data.setup()
        return data

    return make


def batches(data):
    return [*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]


@pytest.mark.parametrize("options", [{"workers": 0, "cache": 0}, {"workers": 1}], ids=["decoded", "workers"])
def test_batches_are_those_of_memory(make, options, capsys):
    whole, lazy = make(), make(in_memory=0, **options)
    assert "are decoded as batches need them" in capsys.readouterr().err
    assert lazy.info == whole.info
    assert list(lazy.names) == list(whole.names)
    for batch, expected in zip(batches(lazy), batches(whole), strict=True):
        assert all(map(torch.equal, batch, expected))
    assert torch.equal(lazy.splits["train"][0][:3], whole.splits["train"][0][:3])


def test_noise_that_stays_needs_images_in_memory(tmp_path):
    VideoClips.write_sample(tmp_path)
    with pytest.raises(InputError, match=r"raise data\.in_memory"):
        VideoClips(root=str(tmp_path), size=28, channels=1, in_memory=0, sound_noise_std=0.1).setup()


def test_a_file_found_damaged_is_left_out_of_its_batch_and_of_the_names(make, capfd):
    first, data = make().splits["test"][0][0], make(in_memory=0, workers=0, cache=0)
    images = data.splits["test"][0]
    assert isinstance(images, LazyImages)
    path = images.root / images._names[images._places[1]].decode()
    path.write_bytes(path.read_bytes()[:-40])
    found = torch.cat([batch[0] for batch in data.test_dataloader()])
    assert torch.equal(found[0], first)
    gone = int(images.unreadable().sum())  # a frame may be that of several chunks
    assert gone > 0
    assert len(found) == len(data.names) == len(images) - gone
    assert path.name in capfd.readouterr().err
