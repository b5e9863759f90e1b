import io
import wave

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from dlplug.media import Audio, Image, of, save


def pixels(image):
    return np.asarray(PillowImage.open(io.BytesIO(image.encode())))


def test_value_range_is_explicit():
    picture = torch.tensor([[[-1.0, 0.0, 1.0, float("nan")]]])  # (1, 1, 4)
    array = pixels(Image(picture, low=-1))
    assert array[0, ::120, 0].tolist() == [0, 128, 255, 0]
    assert array.shape == (120, 480, 3)


def test_grid_keeps_order_and_colours():
    pictures = torch.eye(3).view(3, 3, 1, 1).expand(-1, -1, 200, 200)  # red, green, blue
    array = pixels(Image(pictures))
    assert array.shape == (403, 403, 3)
    assert array[100, 100].tolist() == [255, 0, 0]
    assert array[100, 300].tolist() == [0, 255, 0]
    assert array[300, 100].tolist() == [0, 0, 255]
    assert array[300, 300].tolist() == [128, 128, 128]


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="an image has shape"):
        Image(torch.zeros(2, 2)).encode()


def test_a_sound_is_kept_in_16_bits_and_cut_off_beyond_1():
    with wave.open(io.BytesIO(Audio(torch.tensor([-2.0, -0.5, 0.0, 1.0]), 8000).encode())) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, 8000)
        assert np.frombuffer(file.readframes(9), "<i2").tolist() == [-32767, -16384, 0, 32767]
    with pytest.raises(ValueError, match="a sound has shape"):
        Audio(torch.zeros(2, 2), 8000).encode()


@pytest.mark.parametrize("key", ["samples", "a/b", "../../escape", "..", "<script>", "höhe 3"])
def test_any_key_is_a_safe_file_name(tmp_path, key):
    path = save(Image(torch.ones(1, 2, 2)), tmp_path, key, 7)
    assert path.resolve().parent.parent == (tmp_path / "media").resolve()
    assert path.name == "00000007.png"


def test_keys_do_not_collide(tmp_path):
    paths = {save(Image(torch.ones(1, 2, 2)), tmp_path, key, 0) for key in ("a/b", "a%2Fb", "a.b", "a-b")}
    assert len(paths) == 4


def test_pictures_are_taken_as_numpy_and_pillow_have_them():
    bytes_ = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    for given in (bytes_, bytes_.transpose(2, 0, 1), PillowImage.fromarray(bytes_)):
        assert np.array_equal(pixels(of(given))[::96, ::96], bytes_)  # small pictures are drawn larger
