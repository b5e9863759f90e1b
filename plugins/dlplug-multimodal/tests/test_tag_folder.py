"""Your own images with a table of tags."""

import PIL.Image
import pytest
import torch

from dlplug.errors import InputError
from dlplug_multimodal.data.tag_folder import TagFolder


def paint(folder, n=12):
    for i in range(n):
        PIL.Image.new("RGB", (20 + i, 10), (20 * i, 0, 0)).save(folder / f"{i}.png")


def table(folder, text, name="tags.csv"):
    (folder / name).write_text(text)


def rows(n=12):
    return "".join(f'{i}.png,"sea, {"red" if i % 2 else "dark"}"\n' for i in range(n))


def test_images_and_counts(tmp_path):
    paint(tmp_path)
    table(tmp_path, "file,tags\n" + rows() + "0.png,sea rare\n")
    data = TagFolder(str(tmp_path), size=8)
    data.setup()
    assert data.info.words == ("dark", "red", "sea")  # `rare` is given to one image alone
    assert {name: len(images) for name, (images, _) in data.splits.items()} == {"train": 10, "val": 1, "test": 1}
    images, counts = (torch.cat(column) for column in zip(*data.splits.values(), strict=True))
    assert images.shape == (12, 3, 8, 8)
    assert images.dtype == torch.uint8
    first = images[:, 0, 0, 0].argmin()  # 0.png, to which two lines give `sea`
    assert counts[first].tolist() == [1, 0, 2]
    assert len(data.names) == 1


def test_tabs_by_the_file_s_ending(tmp_path):
    paint(tmp_path)
    table(tmp_path, "file\ttags\n" + "".join(f"{i}.png\tsea;sky\n" for i in range(12)), "mine.tsv")
    data = TagFolder(str(tmp_path), "mine.tsv", size=4)
    data.setup()
    assert data.info.words == ("sea", "sky")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,words\n0.png,sea\n", "has no column 'tags'; it has file, words"),
        ("file,tags\n0.png,sea\n,sea\n", "line 3: the file is missing"),
        ("file,tags\n0.png,sea\n1.png, \n", "line 3: the tags of 1.png are missing"),
        (
            "file,tags\n0.png,sea,red\n",
            "line 2: more columns than the first line names",
        ),
        ("file,tags\n" + rows() + "none.png,sea\n", "line 14: cannot read the image .*none.png: No such file"),
        ("file,tags\n" + rows() + "tags.csv,sea\n", "line 14: cannot read the image .*tags.csv: not an image"),
        ("file,tags\n0.png,sea\n1.png,sea\n", "names 2 images: a split needs at least 10"),
        ("file,tags\n0.png,sea\n1.png,red\n", "no tag is given to 2 images: lower min_count"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path, text, message):
    paint(tmp_path)
    table(tmp_path, text)
    with pytest.raises(InputError, match=message):
        TagFolder(str(tmp_path)).setup()


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*tags.csv: No such file"):
        TagFolder(str(tmp_path)).setup()


def test_bad_rows_are_named_at_once_or_left_out(tmp_path, capsys):
    paint(tmp_path)
    (tmp_path / "3.png").write_bytes(b"torn")
    table(tmp_path, "file,tags\n" + rows() + ",sea\n1.png,\n2.png,a,b\nnone.png,sea\n")
    reasons = (
        "line 5: cannot read the image .*3.png: not an image that can be read; line 14: the file is missing; "
        "line 15: the tags of 1.png are missing; line 16: more columns .*; line 17: cannot read the image .*none.png"
    )
    with pytest.raises(InputError, match=reasons):
        TagFolder(str(tmp_path)).setup()
    data = TagFolder(str(tmp_path), skip_bad=True)
    data.setup()
    assert sum(len(images) for images, _ in data.splits.values()) == 11
    assert data.info.words == ("dark", "red", "sea")
    assert "left out, since they are bad, 5 rows of" in capsys.readouterr().err
