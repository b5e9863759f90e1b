"""A drawing is brought to how the data lie in their frames."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dlplug import InputError
from dlplug_play.pictures import Frame, fit, read_pad, read_picture

MNIST = Frame((0.0,), 20 / 28, True)


def drawn(*points, size=336, width=24):
    picture = Image.new("RGBA", (size, size))
    ImageDraw.Draw(picture).line(points, fill="black", width=width)
    return picture


def boxes(n=40, side=20, frame=28, dark=0.0):
    images = np.full((n, 1, frame, frame), dark, dtype=np.float32)
    rng = np.random.default_rng(0)
    for image in images[:, 0]:
        top, left = rng.integers(2, 6, 2)
        image[top : top + side, left : left + side // 2] = 1 - dark
    return images


def test_the_frame_is_measured_from_the_data():
    frame = Frame.measure(boxes())
    assert frame.background == (0.0,)
    assert frame.size == pytest.approx(20 / 28)
    assert Frame.measure(boxes(dark=1.0)).background == (1.0,)


def test_pictures_that_fill_their_frames_have_none():
    assert Frame.measure(np.random.default_rng(0).random((20, 3, 16, 16)).astype(np.float32)) is None


def test_a_small_stroke_in_a_corner_is_scaled_and_its_mass_centred():
    picture, told = fit(drawn((20, 20), (20, 80), width=6), (1, 28, 28), MNIST)
    pixels = np.asarray(picture, dtype=float)
    rows, columns = np.nonzero(pixels > 64)
    assert pixels.shape == (28, 28)
    assert np.ptp(rows) + 1 == pytest.approx(20, abs=1)
    assert (rows.mean(), columns.mean()) == pytest.approx((13.5, 13.5), abs=1)
    assert pixels.max() == 255
    assert told == "scaled to 20 of 28 pixels, its centre of mass in the middle, white on black: as the data are"


def test_a_photograph_of_dark_ink_on_grey_paper_is_a_drawing_too():
    paper = Image.new("RGB", (300, 200), (180, 178, 170))
    ImageDraw.Draw(paper).line([(150, 40), (150, 160)], fill=(40, 40, 50), width=14)
    pixels = np.asarray(fit(paper, (1, 28, 28), MNIST)[0], dtype=float)
    assert pixels[14, 14] == 255
    assert pixels[:, :5].max() == pixels[0].max() == 0


def test_colours_stay_where_the_data_have_some():
    picture = Image.new("RGBA", (100, 100))
    ImageDraw.Draw(picture).rectangle((20, 20, 60, 60), fill="red")
    fitted, _ = fit(picture, (3, 32, 32), Frame((1.0, 1.0, 1.0), 0.5, False))
    assert fitted.getpixel((16, 16)) == (255, 0, 0)
    assert fitted.getpixel((0, 0)) == (255, 255, 255)


def test_without_a_frame_it_is_scaled_and_cropped_on_white():
    fitted, told = fit(drawn((0, 0), (0, 10)), (3, 32, 24), None)
    assert fitted.size == (24, 32)
    assert fitted.getpixel((20, 20)) == (255, 255, 255)
    assert told == "scaled and cropped to 24×32 pixels"


def test_of_a_stroke_over_the_whole_pad_nothing_is_lost_at_the_edge():
    fitted, _ = fit(drawn((0, 168), (336, 168)), (1, 28, 28), Frame((0.0,), 1.0, True))
    assert (np.asarray(fitted) > 64).any(0).all()


@pytest.mark.parametrize("frame", [MNIST, None])
def test_nothing_drawn_is_bad_input(frame):
    with pytest.raises(InputError, match="draw something"):
        fit(Image.new("RGBA", (10, 10)), (1, 28, 28), frame)


def test_what_the_pad_sends_is_read_and_anything_else_refused():
    file = BytesIO()
    drawn((20, 20), (20, 80)).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    assert read_pad(url).size == (336, 336)
    assert read_pad("") is None
    for damaged in (
        url[:200],
        "/etc/passwd",
        "file:///etc/passwd",
        str(Path(__file__).parents[3] / "docs" / "play.png"),
    ):
        with pytest.raises(InputError, match="cannot be read"):
            read_pad(damaged)


def test_a_photograph_is_upright_and_bounded(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # turned to the right
    Image.new("RGB", (2000, 1000)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(str(tmp_path / "turned.jpg")).size == (512, 1024)
    Image.new("1", (10_000, 6_000)).save(tmp_path / "huge.png")
    with pytest.raises(InputError, match="60 million pixels: 50 at most"):
        read_picture(str(tmp_path / "huge.png"))
