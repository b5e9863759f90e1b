"""Image files as tensors."""

import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from dlplug.errors import InputError
from dlplug_vision.data.image_files import natural_key, read_image, visible


def test_transparent_is_white_and_the_middle_is_kept(tmp_path):
    image = PIL.Image.new("RGBA", (30, 10), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (12, 0, 18, 10))
    image.save(tmp_path / "x.png")
    pixels = read_image(tmp_path / "x.png", 3, 10, 10)
    assert pixels.shape == (3, 10, 10)
    assert pixels[:, 5, 5].tolist() == [255, 0, 0]
    assert pixels[:, 5, 0].tolist() == [255, 255, 255]
    assert read_image(tmp_path / "x.png", 1, 7, 13).shape == (1, 7, 13)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_images_are_held_upright(tmp_path, mode, suffix):
    image = PIL.Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    wide = PIL.Image.fromarray(np.arange(6, dtype=np.uint16).reshape(2, 3) * 40 * 257)
    upright = read(image, tmp_path / "x.png", height=2, width=3)
    turns = [lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud]
    turns += [lambda a: a.T, lambda a: np.rot90(a, -1), lambda a: np.rot90(a, 2).T, np.rot90]
    for orientation, turn in enumerate(turns, start=1):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        (wide if mode == "I;16" else image.convert(mode)).save(tmp_path / f"x.{suffix}", exif=exif)
        expected = turn(upright)
        assert np.array_equal(read(None, tmp_path / f"x.{suffix}", *expected.shape), expected), orientation


def read(image, path, height=1, width=2, **options):
    """Save an image unless it is there, and return its levels of grey."""
    if isinstance(image, bytes):
        path.write_bytes(image)
    elif image is not None:
        image.save(path, **options)
    return read_image(path, 1, height, width)[0].numpy()


def png(bits, color, pixels, transparent):
    """Return a PNG of one row and a colour that is transparent."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 2, 1, bits, color, 0, 0, 0)
    parts = {b"IHDR": head, b"tRNS": transparent, b"IDAT": zlib.compress(b"\0" + pixels), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items())


def tiff(values, white=1, signed=False, bits=None):
    """Return a TIFF of one row, little-endian; ``white`` 0 where 0 is white."""
    kind = 3 if values.dtype.kind == "f" else 2 if signed else 1
    bits = bits or 8 * values.itemsize
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: white, 273: 134, 277: 1, 278: 1, 279: values.nbytes, 339: kind}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + values.tobytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("grey16.png", PIL.Image.fromarray(np.array([[0x4000, 0xFFFF]], np.uint16))),
        ("grey16.tiff", PIL.Image.fromarray(np.array([[0x4000, 0xFFFF]], np.uint16))),
        ("white-is-0.tiff", tiff(np.array([0xBFFF, 0], "<u2"), white=0)),
        ("grey12.tiff", tiff(np.frombuffer(bytes([0x40, 0x4F, 0xFF]), "u1"), bits=12)),
        ("grey16.pgm", b"P5 2 1 65535\n\x40\x00\xff\xff"),
        ("1000-levels.pgm", b"P5 2 1 1000\n" + struct.pack(">HH", 250, 1000)),
        ("plain.pgm", b"P2 2 1 4095\n1028 4095\n"),
        ("float.tiff", PIL.Image.fromarray(np.array([[0.25, 1]], np.float32))),
        ("rgb16.ppm", b"P6 2 1 65535\n" + struct.pack(">HHH", *[0x4000] * 3) + b"\xff" * 6),
        ("clear-gap.png", PIL.Image.new("LA", (2, 1), (64, 0))),
    ],
)
def test_black_stays_black_and_white_white_whatever_the_depth(tmp_path, name, content):
    dark, light = read(content, tmp_path / name)[0]
    assert (dark, light) == ((255, 255) if name == "clear-gap.png" else (64, 255))


def test_modes_and_animations(tmp_path):
    pixels = PIL.Image.new("RGB", (2, 1), (255, 0, 0))
    pixels.putpixel((1, 0), (0, 0, 255))
    for mode, suffix in (("P", "png"), ("CMYK", "tiff"), ("CMYK", "jpg"), ("YCbCr", "tiff"), ("RGBA", "webp")):
        if mode == "YCbCr" and int(PIL.__version__.split(".")[0]) < 13:
            continue  # which Pillow before 13 refuses as truncated
        big = pixels.resize((32, 16), PIL.Image.Resampling.NEAREST).convert(mode)
        big.save(tmp_path / f"x.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
        red, blue = (read_image(tmp_path / f"x.{suffix}", 3, 16, 32)[:, 8, place].tolist() for place in (4, 28))
        assert np.abs(np.array([red, blue]) - [[255, 0, 0], [0, 0, 255]]).max() <= 3, (mode, suffix)
    assert read(PIL.Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"), tmp_path / "1.png").tolist() == [
        [0, 255]
    ]
    frames = [PIL.Image.new("L", (2, 1), level) for level in (50, 150)]
    for name in ("x.gif", "x.tiff", "x.webp", "x.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert np.abs(read(None, tmp_path / name).astype(int) - 50).max() <= 2, name


@pytest.mark.parametrize(
    ("bits", "color", "pixels", "transparent", "shown"),
    [
        (1, 0, b"\x40", b"\0\0", [255, 255]),
        (2, 0, b"\x60", b"\0\1", [255, 170]),
        (4, 0, b"\x5a", b"\0\5", [255, 170]),
        (8, 0, b"\x05\xaa", b"\0\5", [255, 170]),
        (16, 0, b"\x12\x34\xaa\xaa", b"\x12\x34", [255, 170]),
        (16, 2, b"\x12\x34" * 3 + b"\xaa" * 6, b"\x12\x34" * 3, [255, 170]),
    ],
)
def test_a_transparent_colour_is_white_whatever_the_depth(tmp_path, bits, color, pixels, transparent, shown):
    assert read(png(bits, color, pixels, transparent), tmp_path / "x.png").tolist() == [shown]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(np.array([-5, 300], "<i2"), signed=True), "signed or 32-bit integers"),
        (tiff(np.array([-5, 100], "i1"), signed=True), "signed or 32-bit integers"),
        (tiff(np.array([5, 4_000_000_000], "<u4")), "signed or 32-bit integers"),
        (tiff(np.array([0, 255], "<f4")), "values from 0 to 255, where 0 is black and 1 white"),
        (tiff(np.array([np.nan, 1], "<f4")), "values from nan to nan"),
        (tiff(np.array([0, 1], "<f8")), "not an image that can be read"),
        (b"P5 2 1 255\n\x40", "truncated"),
    ],
)
def test_samples_without_a_white_are_refused(tmp_path, content, reason):
    with pytest.raises(InputError, match=f"x: .*{reason}"):
        read(content, tmp_path / "x")


def test_natural_order_without_litter(tmp_path):
    names = ["1.png", "2.png", "10.png", "a1b2.png", "a1b10.png", "a01.png"]
    for name in (*names, "._1.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).touch()
    for name in ("__MACOSX", ".ipynb_checkpoints", "@eaDir"):
        (tmp_path / name).mkdir()
    assert [path.name for path in visible(tmp_path)] == ["1.png", "2.png", "10.png", "a01.png", "a1b2.png", "a1b10.png"]
    assert sorted(["x10", "x9", "x", "9", "10x"], key=natural_key) == ["9", "10x", "x", "x9", "x10"]


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"torn")
    for name, reason in (("none.png", "No such file"), ("torn.png", "not an image")):
        with pytest.raises(InputError, match=rf"cannot read the image .*{name}: {reason}"):
            read_image(tmp_path / name, 3, 8, 8)
