"""Image files as tensors."""

import PIL.Image
import pytest

from dlplug.errors import InputError
from dlplug_vision.data.image_files import read_image


def test_transparent_is_white_and_the_middle_is_kept(tmp_path):
    image = PIL.Image.new("RGBA", (30, 10), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (12, 0, 18, 10))
    image.save(tmp_path / "x.png")
    pixels = read_image(tmp_path / "x.png", 3, 10, 10)
    assert pixels.shape == (3, 10, 10)
    assert pixels[:, 5, 5].tolist() == [255, 0, 0]
    assert pixels[:, 5, 0].tolist() == [255, 255, 255]
    assert read_image(tmp_path / "x.png", 1, 7, 13).shape == (1, 7, 13)


def test_an_image_is_held_upright(tmp_path):
    image = PIL.Image.new("RGB", (20, 10))
    image.paste((0, 255, 0), (0, 0, 10, 10))  # green on the left
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees, left goes up
    image.save(tmp_path / "x.png", exif=exif)
    pixels = read_image(tmp_path / "x.png", 3, 20, 10)
    assert pixels[1, 1].eq(255).all()
    assert not pixels[:, 18].any()


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"torn")
    for name, reason in (("none.png", "No such file"), ("torn.png", "not an image")):
        with pytest.raises(InputError, match=rf"cannot read the image .*{name}: {reason}"):
            read_image(tmp_path / name, 3, 8, 8)
