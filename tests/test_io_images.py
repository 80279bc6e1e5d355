import os
import struct
import sys
import types
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from unpool.errors import DataError, UsageError
from unpool.io.read.exif import exif_orientation
from unpool.io.read.images import image_info, plain_pixels, read_image
from unpool.io.write.images import write_image

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def png(path: Path, size: tuple[int, int], depth: int, colour_type: int, data: bytes) -> Path:
    """Write a PNG by hand, of any depth and colour type."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", size[1], size[0], depth, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )
    return path


def agreed(path: Path) -> np.ndarray:
    """Read pixels, and check that the header agrees with them."""
    pixels, info = read_image(path), image_info(path)
    assert (info.rows, info.columns, info.channels) == pixels.shape
    assert info.dtype == str(pixels.dtype)
    return pixels


def test_grey_rgb_and_16_bit_png(tmp_path: Path) -> None:
    assert (agreed(saved(tmp_path / "g.png", GREY))[..., 0] == GREY).all()
    assert (agreed(saved(tmp_path / "c.png", RGB)) == RGB).all()
    deep = GREY.astype(np.uint16) * 5000
    assert (agreed(saved(tmp_path / "d.png", deep))[..., 0] == deep).all()


def test_palette_becomes_rgb_and_one_bit_0_and_255(tmp_path: Path) -> None:
    picture = Image.fromarray(GREY % 2)
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "p.png")
    pixels = agreed(tmp_path / "p.png")
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[0, 1].tolist() == [40, 50, 60]
    Image.fromarray(GREY > 5).save(tmp_path / "b.png")
    assert (agreed(tmp_path / "b.png")[..., 0] == np.where(GREY > 5, 255, 0)).all()
    assert image_info(tmp_path / "b.png").form == "one-bit"


def test_alpha_is_dropped_and_is_in_the_form(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.dstack([RGB, GREY]))
    assert (agreed(path) == RGB).all()
    assert image_info(path).form == "rgba"


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 3), (0, 0, 0, 255)).save(tmp_path / "k.jpg")
    assert agreed(tmp_path / "k.jpg").max() < 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    ramp = (np.arange(48 * 32).reshape(48, 32) // 8).astype(np.uint8)
    for name in ("t.jpg", "t.png"):
        path = saved(tmp_path / name, ramp, exif=exif)
        with Image.open(path) as picture:
            displayed = np.asarray(ImageOps.exif_transpose(picture))
        assert (agreed(path)[..., 0] == displayed).all()


def test_damaged_exif_is_no_orientation() -> None:
    assert exif_orientation(b"Exif\0\0II*\0\xff\xff\xff\xff") == 1
    assert exif_orientation(b"") == 1
    assert exif_orientation(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0") == 6


def filtered(pixels: np.ndarray, kinds: Sequence[int]) -> bytes:
    """Return the lines of a 16-bit PNG (rows, columns, channels), filtered by the ``kinds`` of the rows."""
    plain = np.pad(pixels.astype(">u2").view(np.uint8).astype(int), ((1, 0), (1, 0), (0, 0)))
    left, above, corner = plain[1:, :-1], plain[:-1, 1:], plain[:-1, :-1]
    guesses = np.stack([left, above, corner])
    nearest = np.abs(guesses - (left + above - corner)).argmin(axis=0)
    paeth = np.take_along_axis(guesses, nearest[None], axis=0)[0]
    taken = [0 * left, left, above, (left + above) // 2, paeth]
    lines = [(plain[row + 1, 1:] - taken[kind][row]).astype(np.uint8).tobytes() for row, kind in enumerate(kinds)]
    return b"".join(bytes([kind]) + line for kind, line in zip(kinds, lines, strict=True))


@pytest.mark.parametrize(("channels", "colour_type"), [(2, 4), (3, 2), (4, 6)])
def test_16_bit_png_of_several_channels(tmp_path: Path, channels: int, colour_type: int) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (12, 9, channels)).astype(np.uint16)
    kinds = [4, 3, 2, 1, 0, 4, 4, 3, 1, 2, 4, 3]
    path = png(tmp_path / "deep.png", (12, 9), 16, colour_type, filtered(deep, kinds))
    assert (agreed(path) == deep[..., : 3 if channels > 2 else 1]).all()
    for data in (filtered(deep, kinds)[:-1], filtered(deep, kinds) + b"x", b"\5" + filtered(deep, kinds)[1:]):
        with pytest.raises(DataError, match="cannot be read as a picture"):
            read_image(png(tmp_path / "wrong.png", (12, 9), 16, colour_type, data))


def interlaced(path: Path) -> Path:
    png(path, (1, 1), 16, 2, b"\0" + struct.pack(">HHH", 1, 300, 65535))
    whole = path.read_bytes()
    head = whole[12:28] + b"\1"
    path.write_bytes(whole[:12] + head + struct.pack(">I", zlib.crc32(head)) + whole[33:])
    return path


def test_interlaced_16_bit_rgb_png_is_refused_without_the_codecs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    path = interlaced(tmp_path / "deep.png")
    assert image_info(path).dtype == "uint16"
    with pytest.raises(DataError, match=r"unpool\[codecs\]"):
        read_image(path)


def test_interlaced_16_bit_rgb_png_is_read_by_the_codecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = np.array([[[1, 300, 65535]]], dtype=np.uint16)
    monkeypatch.setitem(sys.modules, "imagecodecs", types.SimpleNamespace(png_decode=lambda _: deep))
    assert (agreed(interlaced(tmp_path / "deep.png")) == deep).all()


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3), (5, 6, 7)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_round_trip(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    write_image(tmp_path / "t.tif", array)
    assert (agreed(tmp_path / "t.tif") == array.reshape(5, 6, -1)).all()


def test_tiff_with_channels_first_and_as_pages(tmp_path: Path) -> None:
    planes = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    tifffile.imwrite(tmp_path / "s.tif", planes, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "q.tif", planes, photometric="minisblack")
    tifffile.imwrite(tmp_path / "c.tif", planes, imagej=True, metadata={"axes": "CYX"})
    for name in ("s.tif", "q.tif", "c.tif"):
        assert (agreed(tmp_path / name) == np.moveaxis(planes, 0, 2)).all(), name


def test_a_tall_stack_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((17, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="save each page as a picture of its own"):
        read_image(tmp_path / "z.tif")
    with pytest.raises(DataError, match="a stack of 17 x 4 x 5"):
        image_info(tmp_path / "z.tif")


def test_tiff_number_types(tmp_path: Path) -> None:
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, np.array([[0.5, 2.0]]))
    assert agreed(path).dtype == np.float32
    tifffile.imwrite(path, np.array([[7, 300]], dtype=np.int16))
    assert agreed(path)[0, 1, 0] == 300
    tifffile.imwrite(path, np.array([[-7, 300]], dtype=np.int16))
    with pytest.raises(DataError, match="int16 from -7 to 300"):
        read_image(path)
    tifffile.imwrite(path, np.array([[1.0, np.nan]], dtype=np.float32))
    with pytest.raises(DataError, match="1 pixels are NaN"):
        read_image(path)


def test_arrays_take_a_stored_type() -> None:
    assert plain_pixels(np.array([True, False]), "a").tolist() == [255, 0]
    assert plain_pixels(np.array([1.5]), "a").dtype == np.float32
    swapped = plain_pixels(np.array([300], ">u2"), "a")
    assert (swapped.dtype.isnative, swapped.tolist()) == (True, [300])
    assert plain_pixels(np.zeros((0, 3), np.int64), "a").dtype == np.uint16
    for wrong, message in ((np.array([np.nan]), "array 3: 1 pixels are NaN"), (np.array([1j]), "type complex128")):
        with pytest.raises(DataError, match=message):
            plain_pixels(wrong, "array 3")


def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.png")
    with pytest.raises(DataError, match="a directory or a device"):
        read_image(tmp_path / "p.png")


def test_tiff_where_0_is_white(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "w.tif", np.array([[0, 255]], np.uint8), photometric="miniswhite")
    assert read_image(tmp_path / "w.tif").ravel().tolist() == [255, 0]


@pytest.mark.parametrize("name", ["c.png", "c.jpg", "c.bmp", "c.webp", "c.gif", "c.tif"])
def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path = saved(tmp_path / name, noise[..., 0] if name == "c.gif" else noise)
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match="cannot be read as a picture"):
            read_image(path)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    for content in (b"", b"hello world, this is text", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*" + bytes(30), b"GIF89a"):
        path.write_bytes(content)
        for reader in (read_image, image_info):
            with pytest.raises(DataError, match=r"x\.png"):
                reader(path)
    with pytest.raises(DataError, match="No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="directory"):
        read_image(tmp_path)


def test_a_header_that_claims_too_many_pixels_is_refused(tmp_path: Path) -> None:
    path = png(tmp_path / "bomb.png", (60_000, 60_000), 8, 0, b"")
    with pytest.raises(DataError, match="60000 x 60000 pixels"):
        read_image(path)


def test_pillow_limits_stay_as_they_are(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    path = png(tmp_path / "wide.png", (1, 200_000_000), 1, 0, bytes(1 + 25_000_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_info(path).columns == 200_000_000
    assert before == Image.MAX_IMAGE_PIXELS


def test_damaged_exif_gives_no_warning(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "e.jpg", GREY, exif=exif)
    whole = path.read_bytes()
    at = whole.index(b"\x01\x12")
    path.write_bytes(whole[: at + 4] + b"\xff" * 8 + whole[at + 12 :])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).shape == (3, 4, 1)


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="an animation"):
        read_image(tmp_path / "a.gif")


def test_a_png_is_written_for_pixels_that_it_can_hold(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", RGB)
    assert (read_image(tmp_path / "a.png") == RGB).all()
    with pytest.raises(UsageError, match="float32 pixels"):
        write_image(tmp_path / "a.png", RGB.astype(np.float32))
