"""A person's pictures with a tags table."""

import PIL.Image
import pytest
import torch

from dlplug.errors import InputError
from dlplug_multimodal.tags import Tags, read_picture


def paint(folder, n=12):
    for i in range(n):
        PIL.Image.new("RGB", (20 + i, 10), (20 * i, 0, 0)).save(folder / f"{i}.png")


def table(folder, text, name="tags.csv"):
    (folder / name).write_text(text)


def rows(n=12):
    return "".join(f'{i}.png,"sea, {"red" if i % 2 else "dark"}"\n' for i in range(n))


def test_pictures_and_counts(tmp_path):
    paint(tmp_path)
    table(tmp_path, "file,tags\n" + rows() + "0.png,sea rare\n")
    data = Tags(str(tmp_path), size=8)
    data.setup()
    assert data.info.words == ("dark", "red", "sea")  # `rare` is said of one picture alone
    assert {name: len(images) for name, (images, _) in data.splits.items()} == {"train": 10, "val": 1, "test": 1}
    images, counts = (torch.cat(column) for column in zip(*data.splits.values(), strict=True))
    assert images.shape == (12, 3, 8, 8)
    assert images.dtype == torch.uint8
    first = images[:, 0, 0, 0].argmin()  # 0.png, of which two lines say `sea`
    assert counts[first].tolist() == [1, 0, 2]
    assert len(data.names) == 1


def test_tabs_by_the_file_s_ending(tmp_path):
    paint(tmp_path)
    table(tmp_path, "file\ttags\n" + "".join(f"{i}.png\tsea;sky\n" for i in range(12)), "mine.tsv")
    data = Tags(str(tmp_path), "mine.tsv", size=4)
    data.setup()
    assert data.info.words == ("sea", "sky")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,words\n0.png,sea\n", "line 1: there is no column 'tags', only file, words"),
        ("file,tags\n0.png,sea\n,sea\n", "line 3: the file is missing"),
        ("file,tags\n0.png,sea\n1.png, \n", "line 3: the tags of 1.png are missing"),
        ("file,tags\n0.png,sea,red\n", "line 2: more columns than the first line names; quote the tags"),
        ("file,tags\n" + rows() + "none.png,sea\n", "line 14: cannot read .*none.png: No such file"),
        ("file,tags\n" + rows() + "tags.csv,sea\n", "line 14: cannot read .*tags.csv: it is no picture"),
        ("file,tags\n0.png,sea\n1.png,sea\n", "names 2 pictures: too few to split"),
        ("file,tags\n0.png,sea\n1.png,red\n", "no tag is said of 2 pictures: lower min_count"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(tmp_path, text, message):
    paint(tmp_path)
    table(tmp_path, text)
    with pytest.raises(InputError, match=message):
        Tags(str(tmp_path)).setup()


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*tags.csv: No such file"):
        Tags(str(tmp_path)).setup()


def test_transparent_is_white_and_the_middle_is_kept(tmp_path):
    picture = PIL.Image.new("RGBA", (30, 10), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (12, 0, 18, 10))
    picture.save(tmp_path / "x.png")
    pixels = read_picture(tmp_path / "x.png", 3, 10, 10)
    assert pixels.shape == (3, 10, 10)
    assert pixels[:, 5, 5].tolist() == [255, 0, 0]
    assert pixels[:, 5, 0].tolist() == [255, 255, 255]
    assert read_picture(tmp_path / "x.png", 1, 7, 13).shape == (1, 7, 13)
