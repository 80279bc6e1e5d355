"""TIFF blocks that Pillow decodes: the pixels that were written, or those of a second decoder; and damaged ones."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, features

from tiff_files import LONG, SHORT, grey_tags, tiff
from unpool.errors import DataError
from unpool.io.read import pillow_blocks
from unpool.io.read.formats import read_raster
from unpool.io.read.images import read_image
from unpool.io.read.masks import read_mask
from unpool.io.read.windows import open_picture

GENERATOR = np.random.default_rng(0)
SMOOTH = np.kron(GENERATOR.integers(0, 255, (6, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
ZSTD = "zstd" if pillow_blocks._has_code(pillow_blocks.ZSTD) else None


def lzw(data: bytes) -> bytes:
    """Code bytes as TIFF's LZW (TIFF 6.0, section 13), with a clear code before each 200, so that codes have 9 bits."""
    codes = [code for start in range(0, len(data), 200) for code in [256, *data[start : start + 200]]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def raw_zstd(data: bytes) -> bytes:
    """Code bytes as one raw block of Zstandard (RFC 8878, section 3.1)."""
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data)) + (1 | len(data) << 3).to_bytes(3, "little") + data


CODES = {5: lzw, **({50000: raw_zstd, 34926: raw_zstd} if ZSTD else {})}


@pytest.mark.parametrize("compression", sorted(CODES))
@pytest.mark.parametrize(("dtype", "kind"), [("uint8", 1), ("uint16", 1), ("float32", 3), ("int32", 2)])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("predictor", [1, 2])
def test_codes_of_bytes(tmp_path: Path, compression: int, dtype: str, kind: int, order: str, predictor: int) -> None:
    pixels = GENERATOR.integers(0, 200, (11, 7)).astype(dtype)
    predictor = 1 if kind == 3 else predictor
    stored = np.diff(pixels, axis=1, prepend=np.zeros_like(pixels[:, :1])) if predictor == 2 else pixels
    data = stored.astype(np.dtype(dtype).newbyteorder(order))
    blocks = [CODES[compression](data[top : top + 4].tobytes()) for top in (0, 4, 8)]  # the last strip has 3 rows
    changes: dict[str, Any] = {"t259": (SHORT, [compression]), "t278": (LONG, [4])}
    changes |= {"t317": (SHORT, [predictor]), "t339": (SHORT, [kind])}
    tags = grey_tags(11, 7, 8 * pixels.itemsize, **changes)
    path = tiff(tmp_path / "p.tif", [(tags, blocks)], order)
    assert (read_mask(path) == pixels).all()
    assert (read_raster(path).pixels == pixels).all()
    with open_picture(path) as picture:
        assert not picture.in_memory
        assert (picture.window(slice(3, 10), slice(2, 6))[..., 0] == pixels[3:10, 2:6]).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "I;16", "CMYK"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", ZSTD])
def test_files_of_pillow(tmp_path: Path, mode: str, compression: str | None) -> None:
    if compression is None:
        pytest.skip("this build of Pillow has no ZSTD")
    image = Image.fromarray(SMOOTH).convert("L" if mode == "I;16" else mode)
    image = image.convert("I;16") if mode == "I;16" else image
    image.save(tmp_path / "p.tif", compression=compression)
    assert (read_raster(tmp_path / "p.tif").pixels == np.asarray(image)).all()


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_codes(tmp_path: Path, compression: str) -> None:
    image = Image.fromarray(SMOOTH[..., 0] > 100)
    image.save(tmp_path / "p.tif", compression=compression)
    assert (read_image(tmp_path / "p.tif")[..., 0] == np.where(SMOOTH[..., 0] > 100, 255, 0)).all()
    if compression == "group4":
        with open_picture(tmp_path / "p.tif") as picture:
            assert (picture.window(slice(5, 20), slice(3, 40))[..., 0] > 0).tolist() == (
                SMOOTH[5:20, 3:40, 0] > 100
            ).tolist()


@pytest.mark.parametrize("mode", ["RGB", "L", "YCbCr", "CMYK"])
def test_jpeg_blocks_are_those_that_pillow_reads(tmp_path: Path, mode: str) -> None:
    Image.fromarray(SMOOTH).convert(mode).save(tmp_path / "p.tif", compression="jpeg")
    with Image.open(tmp_path / "p.tif") as image:
        expected = np.asarray(image)
    assert (read_raster(tmp_path / "p.tif").pixels == expected).all()
    assert np.abs(read_image(tmp_path / "p.tif").astype(int).mean() - SMOOTH.mean()) < 3 or mode == "CMYK"


@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("compression", ["lzw", "zstd", "jpeg"])
def test_the_pixels_of_a_second_decoder(tmp_path: Path, compression: str, tile: tuple[int, int] | None) -> None:
    pytest.importorskip("imagecodecs", reason="the second decoder is in the package imagecodecs")
    for pixels in (SMOOTH, SMOOTH[..., 0]):
        tifffile.imwrite(tmp_path / "p.tif", pixels, tile=tile, compression=compression, rowsperstrip=None)
        expected = tifffile.imread(tmp_path / "p.tif")
        assert (read_raster(tmp_path / "p.tif").pixels == expected).all()


@pytest.mark.parametrize("compression", sorted(CODES))
def test_codes_that_end_early(tmp_path: Path, compression: int) -> None:
    coded = CODES[compression](GENERATOR.bytes(20))
    for data in (coded[:-9], b"", b"\0" * 30):
        path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, t259=(SHORT, [compression])), [data or b"x"])])
        with pytest.raises(DataError, match="strip 0 at row 0, column 0: "):
            read_image(path)


def test_a_jpeg_without_its_end_and_one_of_another_size(tmp_path: Path) -> None:
    Image.fromarray(SMOOTH[..., 0]).save(tmp_path / "p.jpg")
    whole = (tmp_path / "p.jpg").read_bytes()
    rows, columns = SMOOTH.shape[:2]
    for data, message in ((whole[:-40], "no end"), (whole, "")):
        path = tiff(tmp_path / "p.tif", [(grey_tags(rows, columns, t259=(SHORT, [7])), [data])])
        if message:
            with pytest.raises(DataError, match=message):
                read_image(path)
        else:
            assert read_image(path).shape == (rows, columns, 1)
    path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, t259=(SHORT, [7])), [whole])])
    with pytest.raises(DataError, match=f"it is a picture of {rows} x {columns} pixels"):
        read_image(path)


def test_a_block_takes_the_memory_of_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = lzw(bytes(100_000))
    path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, t259=(SHORT, [5])), [many])])
    assert (read_image(path) == 0).all()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)  # the limit of another program is not ours
    assert (read_image(path) == 0).all()


def test_pillow_without_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check_codec", lambda name: False)
    monkeypatch.setattr("unpool.io.read.tiff_coding.find_spec", lambda name: None)
    path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, t259=(SHORT, [5])), [lzw(bytes(20))])])
    with pytest.raises(DataError, match=r"compressed as LZW\n.*\n.*pip install 'unpool\[codecs\]', or save"):
        read_image(path)


def test_a_damaged_block_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="decoder"):
        pillow_blocks.bytes_of_block(b"\xff\xfe\x11\x22\x33\x44" * 5, pillow_blocks.LZW, (4, 100))
    assert capfd.readouterr() == ("", "")
