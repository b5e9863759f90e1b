"""Data from files: tiny ones of each kind, damaged ones among them."""

import gzip
import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from dlplug.data import ImageInfo
from dlplug.errors import InputError
from dlplug_vision.data.full_size import CIFAR10, MNIST, FashionMNIST, read_idx
from dlplug_vision.data.image_folder import ImageFolder


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write_idx(folder, pack=lambda content: content, suffix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 100), ("t10k", 20)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28))
        (folder / f"{part}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(np.arange(count) % 10)))


@pytest.mark.parametrize(
    ("kind", "folder", "pack", "suffix"),
    [
        (MNIST, "MNIST/raw", lambda content: content, ""),
        (FashionMNIST, ".", gzip.compress, ".gz"),
    ],
)
def test_idx_files(tmp_path, kind, folder, pack, suffix):
    write_idx(tmp_path / folder, pack, suffix)
    data = kind(root=str(tmp_path), batch_size=5)
    data.setup()
    assert data.info == ImageInfo(1, 28, 28, 10, kind.labels)
    sizes = {name: tuple(images.shape) for name, (images, _) in data.splits.items()}
    assert sizes == {"train": (90, 1, 28, 28), "val": (10, 1, 28, 28), "test": (20, 1, 28, 28)}
    assert data.splits["val"][1].bincount().tolist() == [1] * 10
    images, labels = data.splits["test"]
    assert images.dtype == torch.uint8
    assert np.array_equal(images[:, 0], np.random.default_rng(20).integers(0, 256, (20, 28, 28)))
    assert labels.tolist() == [i % 10 for i in range(20)]
    batch, _ = data.prepare_batch(next(iter(data.test_dataloader())))
    assert batch.dtype == torch.float
    assert batch.max() <= 1


def test_missing_files_say_what_to_put_where(tmp_path):
    with pytest.raises(InputError, match=r"no t10k-images-idx3-ubyte \(or .*gz\) in .* put the four IDX files there"):
        MNIST(root=str(tmp_path)).setup()
    with pytest.raises(InputError, match="cifar-10-batches-py.*: unpack cifar-10-python.tar.gz in"):
        CIFAR10(root=str(tmp_path)).setup()


def test_failed_download_says_what_to_put_where(tmp_path, monkeypatch):
    def offline(self):
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.FashionMNIST.download", offline)
    with pytest.raises(InputError, match=r"the download failed \(Name or service not known\); no t10k-images"):
        FashionMNIST(root=str(tmp_path), download=True).setup()


def test_damaged_files_are_named(tmp_path):
    write_idx(tmp_path)
    whole = (tmp_path / "t10k-images-idx3-ubyte").read_bytes()
    compressed = gzip.compress(whole)
    huge = whole[:4] + b"\xff" * 12 + whole[16:]
    for name, content in {"short": whole[:-1], "long": whole + b"\0", "other": b"PNG" + whole, "huge": huge}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            read_idx(tmp_path / name, dims=3)
    for cut in (compressed[:-20], compressed[:50] + b"\0\0\0" + compressed[53:], whole):
        (tmp_path / "cut.gz").write_bytes(cut)
        with pytest.raises(ValueError, match="cut.gz is damaged"):
            read_idx(tmp_path / "cut.gz", dims=3)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(19) % 10))
    with pytest.raises(InputError, match="holds 20 images, but .*t10k-labels-idx1-ubyte 19 labels"):
        MNIST(root=str(tmp_path)).setup()
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(20)))
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte is damaged: its labels should be from 0 to 9"):
        MNIST(root=str(tmp_path)).setup()


def test_cifar10(tmp_path, monkeypatch):
    source = CIFAR10.source
    folder = tmp_path / source.base_folder
    folder.mkdir()
    digests = {}
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"):
        entry = {"data": pixels, "labels": [i % 10 for i in range(20)], "label_names": ["x"]}
        content = pickle.dumps(entry)
        (folder / name).write_bytes(content)
        digests[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(source, "train_list", [[f"data_batch_{i}", digests[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(source, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": digests["batches.meta"]})
    data = CIFAR10(root=str(tmp_path))
    data.setup()
    assert data.info == ImageInfo(3, 32, 32, 10, CIFAR10.labels)
    assert len(data.splits["train"][0]) == 90
    assert np.array_equal(data.splits["test"][0].flatten(1), pixels)
    (folder / "data_batch_3").write_bytes(b"other")
    with pytest.raises(InputError, match="data_batch_3 is damaged"):
        CIFAR10(root=str(tmp_path)).setup()


def write_image(path, level, size=(30, 20), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level if mode == "L" else (level, 0, 255 - level)).save(path)


def write_folder(root, count=10):
    for label, name in enumerate(("cat", "dog")):
        for i in range(count):
            write_image(root / name / f"{i:02}.png", 100 * label + i, mode="L" if i == 3 else "RGB")


def test_image_folder_is_split_and_names_what_it_leaves_out(tmp_path, capsys):
    write_folder(tmp_path)
    (tmp_path / "cat" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0torn")
    (tmp_path / "dog" / "empty.png").write_bytes(b"")
    (tmp_path / "dog" / "note.txt").write_text("not an image")
    data = ImageFolder(root=str(tmp_path), size=16)
    data.setup()
    said = capsys.readouterr().err
    assert "left out, since they cannot be read, 2 of 22 images" in said
    assert "cat/torn.jpg (Truncated File Read), dog/empty.png (not an image that can be read)" in said
    assert "1 files or folders: dog/note.txt (no image by its suffix)" in said
    assert data.info == ImageInfo(3, 16, 16, 2, ("cat", "dog"))
    assert {name: len(labels) for name, (_, labels) in data.splits.items()} == {"train": 16, "val": 2, "test": 2}
    images, labels = data.splits["test"]
    assert images.dtype == torch.uint8
    for image, label, name in zip(images, labels, data.names, strict=True):
        folder, number = name.split("/")
        assert folder == ("cat", "dog")[label]
        assert image[0, 0, 0] == 100 * label + int(number[:2])
    other = ImageFolder(root=str(tmp_path), size=16, split_seed=1)
    other.setup()
    assert other.names != data.names


def test_image_folder_with_parts_of_its_own(tmp_path):
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "test", 2)
    data = ImageFolder(root=str(tmp_path), size=8, channels=1)
    data.setup()
    assert data.info == ImageInfo(1, 8, 8, 2, ("cat", "dog"))
    assert {name: len(labels) for name, (_, labels) in data.splits.items()} == {"train": 18, "val": 2, "test": 4}
    assert data.names == [f"test/{name}/{i:02}.png" for name in ("cat", "dog") for i in range(2)]
    write_folder(tmp_path / "val", 3)
    data = ImageFolder(root=str(tmp_path), size=8)
    data.setup()
    assert {name: len(labels) for name, (_, labels) in data.splits.items()} == {"train": 20, "val": 6, "test": 4}
    assert data.names == [f"test/{name}/{i:02}.png" for name in ("cat", "dog") for i in range(2)]
    write_image(tmp_path / "test" / "cow" / "0.png", 3)
    with pytest.raises(InputError, match="test holds a class that train lacks: cow"):
        ImageFolder(root=str(tmp_path)).setup()


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", "Test"),
        ("training", "validation", "testing"),
        ("train_set", "valid", "TEST"),
        ("TRAIN", "dev", "tests"),
        ("trn", "val2017", "tst"),
    ],
)
def test_splits_are_known_by_other_names(tmp_path, train, val, test):
    for name, count in {train: 4, val: 3, test: 2}.items():
        write_folder(tmp_path / name, count)
    data = ImageFolder(root=str(tmp_path), size=8)
    data.setup()
    assert {name: len(labels) for name, (_, labels) in data.splits.items()} == {"train": 8, "val": 6, "test": 4}
    assert data.info.labels == ("cat", "dog")


def test_folders_that_look_like_splits_by_unknown_names_are_named(tmp_path, capsys):
    for name in ("fitting", "holdout"):
        write_folder(tmp_path / name, 10)
    data = ImageFolder(root=str(tmp_path), size=8)
    data.setup()
    assert data.info.labels == ("fitting", "holdout")
    words = "fitting, holdout are taken as classes, though each holds the folders cat, dog: those of a split are called"
    assert words in capsys.readouterr().err


def test_folders_of_splits_that_are_in_doubt_are_refused(tmp_path):
    write_folder(tmp_path / "val", 2)
    write_folder(tmp_path / "a-class", 2)
    with pytest.raises(InputError, match="holds val, but no folder train"):
        ImageFolder(root=str(tmp_path)).setup()
    write_folder(tmp_path / "train", 2)
    write_folder(tmp_path / "valid", 2)
    with pytest.raises(InputError, match="holds both val and valid: which one is val?"):
        ImageFolder(root=str(tmp_path)).setup()
    for name in ("train", "test"):
        write_image(tmp_path / "flat" / name / "1.png", 3)
    with pytest.raises(InputError, match="holds test and train, but in these there is no folder a class"):
        ImageFolder(root=str(tmp_path / "flat")).setup()
    (tmp_path / "flat" / "test" / "cat").symlink_to(tmp_path / "train" / "cat")
    (tmp_path / "flat" / "train" / "cat").symlink_to(tmp_path / "train" / "cat")
    with pytest.raises(InputError, match="flat/test/cat and .*flat/train/cat are the same folder"):
        ImageFolder(root=str(tmp_path / "flat")).setup()


def test_each_image_is_read_once_and_litter_is_passed_over(tmp_path, capsys):
    write_folder(tmp_path)
    for link, target in {"cat/up": "..", "dog/self": ".", "dog/other": "../cat", "loop": "."}.items():
        (tmp_path / link).symlink_to(target)
    write_image(tmp_path / "cat" / "more" / "11.gif", 10, mode="L")
    for name in (
        "cat/._0.png",
        "cat/.ipynb_checkpoints/0.png",
        "__MACOSX/cat/0.png",
        "dog/@eaDir/0.png",
        ".hidden/0.png",
    ):
        write_image(tmp_path / name, 200)
    for name in ("cat/Thumbs.db", "dog/.DS_Store", "desktop.ini", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    write_image(tmp_path / "stray.jpg", 200)
    data = ImageFolder(root=str(tmp_path), size=8)
    data.setup()
    assert data.info.labels == ("cat", "dog")
    assert sum(len(labels) for _, labels in data.splits.values()) == 21
    said = capsys.readouterr().err.strip()
    left = "cat/up (read already), dog/other (read already), dog/self (read already)"
    assert said.startswith(f"left out of {tmp_path}, 5 files or folders: {left}, ")
    assert said.endswith(", loop (in no folder of a class), stray.jpg (in no folder of a class)")


def test_test_images_are_in_natural_order(tmp_path):
    for name in ("cat", "dog"):
        for number in range(120):
            write_image(tmp_path / name / f"{number}.png", number)
    data = ImageFolder(root=str(tmp_path), size=2)
    data.setup()
    numbers = [int(name[4:-4]) for name in data.names]
    assert numbers == sorted(numbers[:12]) + sorted(numbers[12:])
    assert data.splits["test"][0][:, 0, 0, 0].tolist() == numbers


def test_names_that_are_not_utf8(tmp_path):
    for name in (b"caf\xe9", b"th\xe9"):
        folder = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(folder)
        for number in range(4):
            Image.new("L", (8, 8), number).save(os.fsdecode(os.path.join(folder, b"\xff%d.png" % number)))
    data = ImageFolder(root=str(tmp_path), size=8)
    data.setup()
    assert data.info.labels == (r"caf\xe9", r"th\xe9")
    assert len(data.splits["train"][0]) == 4


def test_class_called_train(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "dog").rename(tmp_path / "train")
    data = ImageFolder(root=str(tmp_path), size=8)
    data.setup()
    assert {name.split("/")[0] for name in data.names} == {"cat", "train"}


def test_folders_that_are_not_image_folders(tmp_path):
    with pytest.raises(InputError, match="nosuch is not a folder; give one that holds a folder of images a class"):
        ImageFolder(root=str(tmp_path / "nosuch")).setup()
    with pytest.raises(InputError, match="holds no folders; give one"):
        ImageFolder(root=str(tmp_path)).setup()
    (tmp_path / "cat").mkdir()
    (tmp_path / ".hidden").mkdir()
    with pytest.raises(InputError, match=r"/cat holds no readable image \(.jpg, "):
        ImageFolder(root=str(tmp_path)).setup()
    write_folder(tmp_path, 1)
    with pytest.raises(InputError, match="no image is left for val"):
        ImageFolder(root=str(tmp_path)).setup()


def listed(root, names, rows, header="file,x", **options):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 4 * i).save(root / name)
    (root / "table.csv").write_text("\n".join([header, *rows]) + "\n")
    return ImageFolder(root=str(root), labels=str(root / "table.csv"), size=8, channels=1, **options)


def test_a_table_says_what_images_have(tmp_path, capsys):
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(30)] + ["stray.png"]
    data = listed(tmp_path, names, [f"{name},{i / 2},{i}" for i, name in enumerate(names[:30])], "file,x,y")
    data.setup()
    assert data.info == ImageInfo(1, 8, 8, 0, ("x", "y"), "number")
    assert data.info.outputs == 2
    assert {split: len(images) for split, (images, _) in data.splits.items()} == {"train": 24, "val": 3, "test": 3}
    for images, targets in data.splits.values():  # each image's grey tells which one it is
        assert torch.equal(images[:, 0, 0, 0] / 8, targets[:, 0])
    assert [int(name[2:-4]) for name in data.names] == data.splits["test"][1][:, 1].tolist()
    assert "left out of" in (said := capsys.readouterr().err)
    assert "stray.png (not in the table)" in said
    one = listed(
        tmp_path, names, [f"{name},{['up', 'down'][i % 2]},q" for i, name in enumerate(names)], "f,x,y", label="x"
    )
    one.setup()
    assert one.info == ImageInfo(1, 8, 8, 2, ("down", "up"))
    assert one.splits["val"][1].bincount().tolist() == [1, 1]


def test_a_table_may_name_images_by_whole_paths(tmp_path, capsys):
    names = [f"{i}.png" for i in range(20)]
    rows = [f"{tmp_path / name if i % 2 else f'../{tmp_path.name}/{name}'},{i}.5" for i, name in enumerate(names)]
    listed(tmp_path, names, rows).setup()
    assert "left out" not in capsys.readouterr().err
    with pytest.raises(InputError, match=r"line 22: \.\./.*/2\.png is named a second time"):
        listed(tmp_path, names, [*rows, rows[2]]).setup()


def test_folders_in_a_table_are_splits(tmp_path):
    names = [f"{part}/{i}.png" for part, count in (("train", 20), ("Test", 4)) for i in range(count)]
    data = listed(tmp_path, names, [f"{name},{i},{i + 1}.5" for i, name in enumerate(names)], "file,x,y")
    data.setup()
    assert {split: len(images) for split, (images, _) in data.splits.items()} == {"train": 18, "val": 2, "test": 4}
    assert data.names == [f"Test/{i}.png" for i in range(4)]


def test_bad_rows_of_a_table_of_images_are_named_at_once(tmp_path):
    names = [f"{i}.png" for i in range(20)]
    rows = [f"{name},{i}.5" for i, name in enumerate(names)]
    (tmp_path / "broken.png").write_bytes(b"no image")
    bad = ["./3.png,1", ",2", "none.png,1", "broken.png,1", "5.png,x"]
    with pytest.raises(InputError) as error:
        listed(tmp_path, names, [*rows, *bad[:-1], "6.png,x"]).setup()
    said = str(error.value)
    assert "line 22: 3.png is named a second time; line 23: the file is missing; line 24: cannot read the image" in said
    assert "line 25: cannot read" in said
    data = listed(tmp_path, names, [*rows[:-1], "19.png,x", *bad[1:4]], skip_bad=True)
    data.setup()
    assert sum(len(images) for images, _ in data.splits.values()) == 19
    with pytest.raises(InputError, match="has to name two columns"):
        listed(tmp_path, names, [], header="file").setup()
    with pytest.raises(InputError, match="label and target are about a table"):
        ImageFolder(target="number")


def test_a_table_in_utf_16_is_refused_by_that_name(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "t.tsv").write_text("file\tclass\na.png\tcat\n", encoding="utf-16")
    with pytest.raises(InputError, match="t.tsv is not UTF-8 text: it is UTF-16, to be saved as UTF-8"):
        ImageFolder(root=str(tmp_path / "pictures"), labels=str(tmp_path / "t.tsv")).setup()
