"""Image folders beyond memory: what is decoded as batches need it is what would be in memory."""

import gc
import multiprocessing
import os

import numpy as np
import pytest
import torch
from PIL import Image

from dlplug import cache
from dlplug.errors import InputError
from dlplug_vision.data.image_folder import ImageFolder

WATCH = """
import os, signal
from lightning.pytorch import Callback
class Watch(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if f"{trainer.current_epoch},{batch_idx}" == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
"""
SHORT = ("--model=cnn", "--model.channels=[4]", "--model.hidden=8", "--data=image-folder", "--data.root=pictures")
SHORT = (*SHORT, "--data.size=8", "--data.batch_size=4", "--data.augment=1", "--trainer.limit_val_batches=1")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Make two classes of ten photographs each, wide ones and transparent ones among them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(10):
            pixels = random.integers(0, 256, (12, 12 + i, 4 if i == 3 else 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    return tmp_path / "pictures"


def damage(path):
    path.write_bytes(path.read_bytes()[:-40])  # its header stays as it was


def folder(root, **options):
    data = ImageFolder(root=str(root), size=8, batch_size=4, **options)
    data.setup()
    return data


def batches(data):
    """Return all batches of two epochs of training, of validation and of test."""
    train, found = data.train_dataloader(), []
    for epoch in range(2):
        train.sampler.set_epoch(epoch)
        found += list(train)
    return [*found, *data.val_dataloader(), *data.test_dataloader()]


def assert_same(data, other):
    assert data.info == other.info
    assert list(data.names) == list(other.names)
    for batch, expected in zip(batches(data), batches(other), strict=True):
        assert all(map(torch.equal, batch, expected))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_memory_decoded_or_from_the_cache(root, workers, monkeypatch, capsys):
    expected = folder(root)
    assert "decoded" not in capsys.readouterr().err
    assert_same(folder(root, in_memory=0, workers=workers), expected)
    said = capsys.readouterr().err
    assert f"20 images of 8×8 take 0 MB: they are decoded as batches need them, by {workers or 'no'} workers" in said
    monkeypatch.setattr("dlplug_vision.data.lazy_images.read_image", None)  # nothing is decoded any more
    assert_same(folder(root, in_memory=0, workers=workers), expected)


def test_a_table_and_parts_are_read_in_the_same_way(root):
    rows = [f"{name}/{i}.png,{i}.5" for name in ("cat", "dog") for i in range(10)]
    (root / "table.csv").write_text("\n".join(["file,weight", *rows]) + "\n")
    listed = {"labels": str(root / "table.csv")}
    assert_same(folder(root, **listed, in_memory=0, cache=0), folder(root, **listed))
    for part in ("train", "test"):
        (root / "parts" / part).mkdir(parents=True)
    (root / "cat").rename(root / "parts" / "train" / "cat")
    (root / "dog").rename(root / "parts" / "test" / "cat")
    assert_same(folder(root / "parts", in_memory=0, cache=0), folder(root / "parts"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_found_damaged_is_named_once_and_left_out(root, workers, capfd):
    (root / "cat" / "none.jpg").write_bytes(b"no image")  # which its header says
    whole = folder(root)
    assert "left out, since they cannot be read, 1 of 21 images" in capfd.readouterr().err
    test = list(whole.names)
    damage(root / test[0])
    lazy = folder(root, in_memory=0, workers=workers)
    assert capfd.readouterr().err.startswith("left out, since they cannot be read, 1 of 21 images")
    for _ in range(2):
        [(images, labels)] = lazy.test_dataloader()
        assert torch.equal(images, whole.splits["test"][0][1:])
        assert torch.equal(labels, whole.splits["test"][1][1:])
    assert lazy.names[0:5] == test[1:]
    assert len(lazy.names) == 1
    said = capfd.readouterr().err
    assert said == f"left out, since they cannot be read: {test[0]} (image file is truncated)\n"
    lazy.batch_size = 1  # another image takes the place of one that would be a batch by itself
    assert [len(images) for images, _ in lazy.test_dataloader()] == [1, 1]
    damage(root / test[1])
    (empty,) = folder(root, in_memory=0, workers=workers).test_dataloader()
    with pytest.raises(InputError, match=r"no image in .*pictures can be read any more"):
        lazy.prepare_batch(empty)


def test_the_cache_is_checked_bounded_and_swept(root, tmp_path, monkeypatch):
    expected = folder(root)

    def cached():
        assert_same(folder(root, in_memory=0, workers=0), expected)
        return sorted((tmp_path / "cache" / "dlplug" / "images").iterdir(), key=os.path.getmtime)

    [first] = cached()
    content = bytearray(first.read_bytes())
    content[100:] = bytes(len(content) - 100)  # as after a loss of power
    first.write_bytes(content)
    assert cached() == [first]
    assert first.read_bytes()[100:] != content[100:]
    os.truncate(first, 50)
    assert cached() == [first]
    Image.new("RGB", (9, 9), "red").save(root / "cat" / "5.png")  # is another set
    expected = folder(root)
    assert len(cached()) == 2
    os.utime(first, (0, 0))
    [second] = cached()  # what nobody used for a month is gone
    assert second != first
    assert folder(root, in_memory=0, cache=0).splits["train"][0].cache is None
    root.with_name("others").mkdir()
    for name in ("cat", "dog"):
        (root / name).rename(root.with_name("others") / name)
    others = folder(root.with_name("others"), in_memory=0, cache=5e-6).splits["train"][0]
    assert list(second.parent.iterdir()) == [others.cache.path]  # 4 kB each, and not both
    monkeypatch.setattr(cache, "cache_folder", lambda kind: root.with_name("others") / "cat" / "5.png" / "no")
    assert folder(root.with_name("others"), in_memory=0).splits["train"][0].cache is None


def test_workers_end_with_python_in_the_middle_of_an_epoch(root, monkeypatch):
    registered = []
    monkeypatch.setattr("atexit.register", lambda *call: registered.append(call))
    loader = folder(root, in_memory=0, workers=1).train_dataloader()
    batches = iter(loader)
    next(batches)
    [worker] = multiprocessing.active_children()
    [(end, *args)] = [call for call in registered if call[0].__module__ == "dlplug.data"]
    end(*args)
    assert not worker.is_alive()


def test_workers_end_with_their_loader(root):
    loader = folder(root, in_memory=0, workers=1).train_dataloader()
    list(loader)
    [worker] = multiprocessing.active_children()
    gc.disable()  # which might come only after what workers speak through is closed
    try:
        del loader
        assert not worker.is_alive()
    finally:
        gc.enable()


@pytest.mark.parametrize("option", ["in_memory", "workers", "cache"])
def test_negative_limits_are_refused(option):
    with pytest.raises(InputError, match=f"{option} must be at least 0, not -1"):
        ImageFolder(**{option: -1})


def test_a_run_is_that_of_memory_and_resumes_exactly(fit, command, tmp_path):
    (tmp_path / "watch_it.py").write_text(WATCH)
    line = (*SHORT, "--trainer.max_epochs=3", "--trainer.callbacks+=watch_it.Watch")
    expected = (fit(*line) / "metrics.csv").read_bytes()
    lazy = (*line, "--data.in_memory=0", "--data.workers=2", "--run=cut")
    assert command("fit", *lazy, KILL_AT="1,2").returncode == -9
    assert command("fit", "cut").returncode == 0
    assert (tmp_path / "runs" / "cnn" / "cut" / "metrics.csv").read_bytes() == expected


def test_two_processes_decode_each_its_own(root, fit_on_two):
    damage(root / "cat" / "5.png")
    fit_on_two(*SHORT, "--trainer.max_epochs=1", "--data.in_memory=0", "--data.workers=1")
    assert fit_on_two.said.count("decoded as batches need them, by 1 workers") == 1
    assert fit_on_two.said.count("cat/5.png (image file is truncated)") == 1
