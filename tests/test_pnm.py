"""Portable anymaps: their numbers as stored, in bytes and as text, and files that are broken."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpool.errors import DataError
from unpool.io.read import pnm
from unpool.io.read.file_facts import picture_size
from unpool.io.read.images import image_info, read_image
from unpool.io.read.masks import load_mask, read_mask
from unpool.io.read.windows import open_picture

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6)


def file(tmp_path: Path, content: bytes, name: str = "p.pgm") -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P5\n6 4\n255\n" + RAMP.tobytes(), RAMP),
        (b"P5 6 4 30\n" + RAMP.tobytes(), RAMP),  # Pillow would make 23 of 30 to 195 of 255
        (b"P5\n# a comment\n6 # another 3 4\n4\r\n255\n" + RAMP.tobytes(), RAMP),
        (b"P5\n6 4\n4095\n" + (100 * RAMP.astype(int)).astype(">u2").tobytes(), 100 * RAMP.astype(np.uint16)),
        (b"P2\n6 4\n30\n" + " ".join(map(str, RAMP.ravel())).encode() + b"\n", RAMP),
        (b"P2 6 4 65535 # x\n" + b"\n".join(b"%d" % (1000 * n) for n in range(24)), 1000 * RAMP.astype(np.uint16)),
    ],
)
def test_greys(tmp_path: Path, content: bytes, expected: np.ndarray) -> None:
    path = file(tmp_path, content)
    pixels = read_image(path)
    assert pixels.dtype == expected.dtype
    assert (pixels[..., 0] == expected).all()
    assert (read_mask(path) == expected).all()
    assert picture_size(path) == (4, 6)
    with open_picture(path) as picture:
        assert (picture.window(slice(1, 3), slice(2, 5))[..., 0] == expected[1:3, 2:5]).all()


def test_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "p.ppm")
    assert (read_image(tmp_path / "p.ppm") == colours).all()
    assert image_info(tmp_path / "p.ppm").form == "rgb"
    text = b"P3 5 3 255 " + " ".join(map(str, colours.ravel())).encode()
    assert (read_image(file(tmp_path, text, "q.ppm")) == colours).all()
    deep = b"P6 1 2 65535\n" + np.array([1, 2, 60000, 4, 5, 6], ">u2").tobytes()
    assert read_image(file(tmp_path, deep, "d.ppm")).ravel().tolist() == [1, 2, 60000, 4, 5, 6]


@pytest.mark.parametrize("content", [b"P4\n10 2\n\xa0\x40\x00\xc0", b"P1\n10 2\n1010000001\n0000000011"])
def test_bits_are_black_where_they_are_1(tmp_path: Path, content: bytes) -> None:
    bits = np.array([[1, 0, 1, 0, 0, 0, 0, 0, 0, 1], [0] * 8 + [1, 1]])
    path = file(tmp_path, content, "p.pbm")
    assert (read_mask(path) == bits).all()
    assert load_mask(path).header.white_is_zero
    assert (read_image(path)[..., 0] == np.where(bits, 0, 255)).all()
    with Image.open(path) as image:
        assert (np.asarray(image) == (bits == 0)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5\n6 4\n255\n" + bytes(23), "it has 23 of 24 bytes"),
        (b"P5\n6 4\n255\n" + bytes(25), "1 bytes behind its pixels"),
        (b"P5\n6 4\n255\n" + bytes(24) + b"P5\n6 4\n255\n" + bytes(24), "several pictures"),
        (b"P5\n6 4\n20\n" + RAMP.tobytes(), "holds the value 23, and announces 20"),
        (b"P5\n6 4\n0\n" + RAMP.tobytes(), "its largest value is 0"),
        (b"P5\n6 4\n70000\n" + RAMP.tobytes(), "its largest value is 70000"),
        (b"P5\n0 4\n255\n", "4 x 0 pixels"),
        (b"P5\n60000 60000\n255\n" + bytes(9), "take 3.6 GB of memory"),
        (b"P5\nsix 4\n255\n", "its head states no size"),
        (b"P5\n# " + bytes(80_000), "its head states no size"),
        (b"P2\n2 1\n9\n1 10", "numbers from 1 to 10, with 9 as the largest"),
        (b"P2\n2 1\n9\n1", "it has 1 of 2 numbers"),
        (b"P2\n2 1\n9\n1 x", "invalid literal"),
        (b"P2\n2 1\n9\n1 2 3", "behind its pixels"),
        (b"P7\nWIDTH 2\n", "no known format"),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = file(tmp_path, content)
    for read in (read_image, load_mask):
        with pytest.raises(DataError, match=message) as error:
            read(path)
        assert "p.pgm" in str(error.value)


def test_text_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pnm, "MOST_WORDS", 20)
    with pytest.raises(DataError, match="24 numbers as text"):
        read_image(file(tmp_path, b"P2\n6 4\n30\n" + b"1 " * 24))
