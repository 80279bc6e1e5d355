"""Kinds of TIFF: the same pixels as stored, at once and by windows; and what is refused, with the reason."""

import lzma
import struct
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiff_files import COMPRESSIONS, LONG, LONG8, SHORT, SIGNED, grey_tags, packed, tiff
from unpool.errors import DataError
from unpool.io.read import tiff_coding, tiff_directories
from unpool.io.read.file_facts import picture_size
from unpool.io.read.images import image_info, read_image
from unpool.io.read.masks import load_mask, read_mask
from unpool.io.read.raster import MAX_BYTES
from unpool.io.read.windows import open_picture

NO_CODECS = pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs is installed")
ALL = slice(None)
RAMP = np.arange(20, dtype=np.uint8).reshape(4, 5)


def refused(path: Path, message: str) -> None:
    """Check that each way to the pixels refuses a file with the same message, and that none warns."""

    def window() -> None:
        with open_picture(path) as picture:
            picture.window(slice(0, 2), slice(0, 2))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (lambda: read_image(path), lambda: load_mask(path), window):
            with pytest.raises(DataError, match=message) as raised:
                read()
            assert path.name in str(raised.value)
        picture_size(path)


def blocks_of(pixels: np.ndarray, block: tuple[int, int], tiled: bool) -> list[np.ndarray]:
    """Cut pixels (rows, columns, samples) into tiles, filled up at the borders, or into strips."""
    rows, columns = pixels.shape[:2]
    parts = []
    for top in range(0, rows, block[0]):
        for left in range(0, columns, block[1]):
            part = pixels[top : top + block[0], left : left + block[1]]
            if tiled:
                part = np.pad(part, [(0, b - n) for b, n in zip(block, part.shape[:2], strict=True)] + [(0, 0)])
            parts.append(part)
    return parts


@st.composite
def pictures(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw pixels (rows, columns, channels), and how they are stored."""
    bits, kind = draw(st.sampled_from([(1, "u"), (8, "u"), (16, "u"), (32, "u"), (16, "f"), (32, "f"), (64, "f")]))
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    channels = 1 if bits == 1 else draw(st.sampled_from([1, 3, 5]))
    whole = np.random.default_rng(draw(st.integers(0, 9))).integers(0, min(1 << bits, 2000), (rows, columns, channels))
    pixels = whole.astype(bool if bits == 1 else f"{kind}{bits // 8}")
    stored = {
        "bits": bits,
        "kind": kind,
        "compression": draw(st.sampled_from(sorted(COMPRESSIONS))),
        "predictor": draw(st.sampled_from([1, 2])) if kind == "u" and bits > 1 else 1,
        "separate": channels > 1 and draw(st.booleans()),
        "tiled": draw(st.booleans()),
        "height": draw(st.sampled_from([16, 32, 40])),
        "order": draw(st.sampled_from("<>")),
        "reversed": draw(st.booleans()),
    }
    return pixels, stored


def written(path: Path, pixels: np.ndarray, stored: dict[str, Any]) -> Path:
    rows, columns, channels = pixels.shape
    bits, order = stored["bits"], stored["order"]
    block = (stored["height"], 16 if stored["tiled"] else columns)
    planes = np.split(pixels, channels, axis=2) if stored["separate"] else [pixels]
    coded = []
    for part in [part for plane in planes for part in blocks_of(plane, block, stored["tiled"])]:
        plain = part
        if stored["predictor"] == 2:
            plain = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1]))
        data = packed(plain[..., 0], 1) if bits == 1 else plain.astype(plain.dtype.newbyteorder(order)).tobytes()
        data = COMPRESSIONS[stored["compression"]](data)
        coded.append(bytes(int(f"{byte:08b}"[::-1], 2) for byte in data) if stored["reversed"] else data)
    tags = grey_tags(
        rows,
        columns,
        t258=(SHORT, [bits] * channels),
        t259=(SHORT, [stored["compression"]]),
        t262=(SHORT, [2 if channels == 3 else 1]),
        t266=(SHORT, [2 if stored["reversed"] else 1]),
        t277=(SHORT, [channels]),
        t278=(LONG, [block[0]]),
        t284=(SHORT, [2 if stored["separate"] else 1]),
        t317=(SHORT, [stored["predictor"]]),
        t339=(SHORT, [3 if stored["kind"] == "f" else 1] * channels),
    )
    if stored["tiled"]:
        tags = {code: tag for code, tag in tags.items() if code != 278} | {322: (SHORT, [16]), 323: (SHORT, [block[0]])}
    return tiff(path, [(tags, coded)], order)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pictures(), st.data())
def test_the_same_pixels_at_once_and_by_windows(
    tmp_path: Path, drawn: tuple[np.ndarray, dict[str, Any]], data: st.DataObject
) -> None:
    pixels, stored = drawn
    path = written(tmp_path / "p.tif", pixels, stored)
    expected = pixels.astype(np.uint8) * 255 if stored["bits"] == 1 else pixels
    assert (read_image(path) == expected).all()
    assert image_info(path).channels == pixels.shape[2]
    with open_picture(path) as picture:
        assert not picture.in_memory
        for _ in range(3):
            rows, columns = (
                slice(first, data.draw(st.integers(first + 1, length)))
                for length in pixels.shape[:2]
                for first in [data.draw(st.integers(0, length - 1))]
            )
            assert (picture.window(rows, columns) == expected[rows, columns]).all()


@NO_CODECS
@pytest.mark.parametrize(
    ("reason", "tags"),
    [
        (r"compressed as JPEG2000\n", {"t259": (SHORT, [34712])}),
        (r"compressed as WEBP\n", {"t259": (SHORT, [50001])}),
        (r"compressed as OJPEG\n", {"t259": (SHORT, [6])}),
        (r"compressed as JPEG\n", {"t259": (SHORT, [7]), "t258": (SHORT, [12])}),
        (r"compressed as CCITTFAX4 and with samples of 2 bits\n", {"t259": (SHORT, [4]), "t258": (SHORT, [2])}),
        (r"with samples of 4 bits\n", {"t258": (SHORT, [4]), "t317": (SHORT, [2]), "t259": (SHORT, [8])}),
        (r"with samples of 12 bits\n", {"t258": (SHORT, [12])}),
        (
            r"with a predictor for floating point\n",
            {"t317": (SHORT, [3]), "t258": (SHORT, [32]), "t339": (SHORT, [1]), "t259": (SHORT, [8])},
        ),
    ],
)
def test_the_package_that_is_missing_is_named(tmp_path: Path, reason: str, tags: dict[str, Any]) -> None:
    path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, **tags), [bytes(100)])])
    refused(path, f"a TIFF {reason}.*\n.*pip install 'unpool\\[codecs\\]', or save the file uncompressed")
    assert picture_size(path) == (4, 5)


@pytest.mark.parametrize("compression", [34887, 50002, 33003, 34676, 12345])
def test_a_compression_that_cannot_be_bounded_is_refused(tmp_path: Path, compression: int) -> None:
    tags = grey_tags(4, 5, t259=(SHORT, [compression]))
    refused(tiff(tmp_path / "p.tif", [(tags, [bytes(20)])]), "compressed as .*, which is not read")


@pytest.mark.parametrize("bits", [2, 4, 12])
def test_samples_of_few_bits(tmp_path: Path, bits: int) -> None:
    if bits == 12:
        pytest.importorskip("imagecodecs")
    samples = np.random.default_rng(0).integers(0, 1 << bits, (9, 7))
    for white in (0, 1):
        tags = grey_tags(9, 7, bits, t262=(SHORT, [white]))
        path = tiff(tmp_path / "p.tif", [(tags, [packed(samples, bits)])])
        assert (read_mask(path) == samples).all()
        assert (read_image(path)[..., 0] == (samples if white else (1 << bits) - 1 - samples)).all()


@pytest.mark.parametrize("compression", [1, 8, 32773])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_predictor_for_floating_point(tmp_path: Path, compression: int, kind: str, channels: int) -> None:
    pixels = np.random.default_rng(0).normal(size=(9, 7, channels)).astype(kind)
    size = pixels.itemsize
    lines = pixels.astype(f">{kind}").view(np.uint8).reshape(9, 7 * channels, size)
    lines = np.moveaxis(lines, 2, 1).reshape(9, -1, channels)  # the heaviest bytes first, then differences
    lines = np.diff(lines, axis=1, prepend=np.zeros_like(lines[:, :1])).reshape(9, -1)
    blocks = [COMPRESSIONS[compression](lines[top : top + 4].tobytes()) for top in (0, 4, 8)]
    changes: dict[str, Any] = {"t259": (SHORT, [compression]), "t278": (LONG, [4]), "t317": (SHORT, [3])}
    changes |= {"t277": (SHORT, [channels]), "t258": (SHORT, [8 * size] * channels), "t339": (SHORT, [3] * channels)}
    path = tiff(tmp_path / "p.tif", [(grey_tags(9, 7, **changes), blocks)])
    assert (read_image(path) == pixels.astype(np.float32)).all()
    with open_picture(path) as picture:
        assert (picture.window(slice(2, 9), slice(3, 6)) == pixels[2:9, 3:6].astype(np.float32)).all()


@pytest.mark.parametrize("compression", [5, 8, 32773, 34925, 50000, 7, 34712, 50001])
def test_blocks_by_the_package(tmp_path: Path, compression: int) -> None:
    pytest.importorskip("imagecodecs")
    pixels = np.kron(np.random.default_rng(0).integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    options = {"photometric": "rgb", "tile": (16, 16), "compression": compression}
    tifffile.imwrite(tmp_path / "p.tif", pixels, **options)
    whole = tifffile.imread(tmp_path / "p.tif")
    assert (read_image(tmp_path / "p.tif") == whole).all()
    with open_picture(tmp_path / "p.tif") as picture:
        assert (picture.window(slice(3, 40), slice(10, 50)) == whole[3:40, 10:50]).all()


def test_a_one_bit_palette(tmp_path: Path) -> None:
    bits = np.arange(40).reshape(4, 10) % 3 == 0
    colours = [300, 65535, 0, 0, 512, 40000]  # red of both indices, then green, then blue
    tags = grey_tags(4, 10, 1, t262=(SHORT, [3]), t320=(SHORT, colours))
    path = tiff(tmp_path / "p.tif", [(tags, [packed(bits, 1)])])
    assert (read_image(path) == np.array([[1, 0, 2], [255, 0, 156]], np.uint8)[bits.astype(int)]).all()
    mask = load_mask(path)
    assert (mask.values == bits).all()
    assert mask.palette == ((1, 0, 2), (255, 0, 156))
    assert (read_mask(path, "colours")[..., 2] == np.where(bits, 156, 2)).all()


def test_a_palette_of_8_bit_colours_is_not_black(tmp_path: Path) -> None:
    colours = [*range(256)] * 3
    tags = grey_tags(4, 5, t262=(SHORT, [3]), t320=(SHORT, colours))
    path = tiff(tmp_path / "p.tif", [(tags, [RAMP.tobytes()])])
    assert (read_image(path) == RAMP[..., None]).all()


@pytest.mark.parametrize(
    ("bits", "sample_format", "colours"), [(32, 1, 256), (32, 3, 256), (8, 2, 256), (8, 1, 16), (8, 1, 0), (16, 1, 256)]
)
def test_odd_palettes_are_refused(tmp_path: Path, bits: int, sample_format: int, colours: int) -> None:
    tags = grey_tags(4, 5, bits, t262=(SHORT, [3]), t339=(SHORT, [sample_format]), t320=(SHORT, [7] * 3 * colours))
    if not colours:
        del tags[320]
    path = tiff(tmp_path / "p.tif", [(tags, [bytes(20 * bits // 8)])])
    refused(path, rf"a palette of {colours} colours for 1 channel .*\({bits} bits\)")


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("4 x 0 pixels", {"t256": (LONG, [0])}),
        ("0 x 5 pixels", {"t257": (LONG, [0])}),
        (r"its tag 256 \(width\) holds no whole numbers", {"t256": (SIGNED, [-64])}),
        (r"its tag 279 \(strip byte counts\) holds no whole numbers", {"t279": (SIGNED, [-5])}),
        (r"its tag 273 \(strip offsets\) holds no whole numbers", {"t273": (11, [8.5])}),
        ("complex numbers of 64 bits", {"t258": (SHORT, [64]), "t339": (SHORT, [6])}),
        ("complex numbers of 32 bits", {"t258": (SHORT, [32]), "t339": (SHORT, [5])}),
        ("unknown numbers of 7 bits", {"t258": (SHORT, [7]), "t339": (SHORT, [3])}),
        ("the file is cut off", {"t279": (LONG, [1 << 31])}),
        ("its strips have 3 of 20 bytes", {"t279": (LONG, [3])}),
        ("it announces 4 tiles or strips, and lists 1", {"t278": (LONG, [1]), "t259": (SHORT, [8])}),
        ("colours stored as CIELAB", {"t262": (SHORT, [8])}),
        ("colours stored as YCBCR", {"t262": (SHORT, [6])}),
        (r"announces 15000 x 15000 pixels and has \d+ bytes", {"t256": (LONG, [15_000]), "t257": (LONG, [15_000])}),
    ],
)
def test_odd_numbers_are_refused(tmp_path: Path, message: str, changes: dict[str, Any]) -> None:
    refused(tiff(tmp_path / "p.tif", [(grey_tags(4, 5, **changes), [RAMP.tobytes()])]), message)


def test_a_picture_that_does_not_state_its_colours_is_refused(tmp_path: Path) -> None:
    tags = {code: tag for code, tag in grey_tags(4, 5).items() if code != 262}
    refused(tiff(tmp_path / "p.tif", [(tags, [RAMP.tobytes()])]), "whether 0 is black or white")


def test_rows_without_strips_are_refused_at_opening(tmp_path: Path) -> None:
    tags = grey_tags(4, 70, t257=(LONG8, [936_321_024_003]), t278=(LONG, [12_887]), t259=(SHORT, [8]))
    refused(
        tiff(tmp_path / "p.tif", [(tags, [zlib.compress(bytes(280))] * 5)]),
        "it announces 936321024003 x 70 pixels and has 236 bytes",
    )


def bomb(compression: int) -> bytes:
    if compression == 32773:
        return b"\x81\0" * 30_000
    return COMPRESSIONS[compression](bytes(4_000_000))


@pytest.mark.parametrize("compression", [8, 32773, 32946, 34925])
def test_a_block_inflates_to_its_pixels_only(tmp_path: Path, compression: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, t259=(SHORT, [compression])), [bomb(compression)])])
    refused(path, "strip 0 at row 0, column 0: it inflates to more than its pixels")


@pytest.mark.parametrize("compression", [8, 34925])
def test_compressed_data_that_ends_early_is_refused(tmp_path: Path, compression: int) -> None:
    coded = COMPRESSIONS[compression](np.random.default_rng(0).bytes(20))
    path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, t259=(SHORT, [compression])), [coded[:-9]])])
    refused(path, "strip 0 at row 0, column 0: ")


def test_a_dictionary_of_lzma_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 22}]
    coded = lzma.compress(bytes(20), filters=filters)
    monkeypatch.setattr(tiff_coding, "_LZMA_MEMORY", 1 << 20)
    path = tiff(tmp_path / "p.tif", [(grey_tags(4, 5, t259=(SHORT, [34925])), [coded])])
    refused(path, "[Mm]emory")


def test_directories_in_a_loop_are_refused(tmp_path: Path) -> None:
    pages = [(grey_tags(4, 5), [RAMP.tobytes()])] * 150
    path = tiff(tmp_path / "p.tif", pages)
    data = bytearray(path.read_bytes())
    place, places = struct.unpack_from("<I", data, 4)[0], []
    while place:
        places.append(place)
        link = place + 2 + 12 * struct.unpack_from("<H", data, place)[0]
        place = struct.unpack_from("<I", data, link)[0]
    struct.pack_into("<I", data, link, places[20])
    path.write_bytes(data)
    refused(path, f"its directory at byte {places[20]} leads to itself")
    struct.pack_into("<I", data, link, len(data) + 9)
    path.write_bytes(data)
    refused(path, "the file is cut off")


def test_many_directories_and_large_tables_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_directories, "MAX_DIRECTORIES", 200)
    path = tiff(tmp_path / "p.tif", [(grey_tags(1, 1), [b"x"])] * 201)
    refused(path, "more than 200 pages")
    monkeypatch.setattr(tiff_directories, "MAX_NUMBERS", 2000)
    tags = grey_tags(4, 5, t273=(LONG, [8] * 1999))
    refused(tiff(path, [(tags, [RAMP.tobytes()])]), "tables of 2,00. numbers")
    text = (2, b"x" * 100_000)
    pages = [(grey_tags(4, 5, t270=text), [RAMP.tobytes()])] * 40
    path = tiff(path, pages)
    data, place = bytearray(path.read_bytes()), struct.unpack_from("<I", path.read_bytes(), 4)[0]
    while place:  # all descriptions lie in the same bytes, so a small file announces many
        count = struct.unpack_from("<H", data, place)[0]
        for start in range(place + 2, place + 2 + 12 * count, 12):
            if struct.unpack_from("<H", data, start)[0] == 270:
                struct.pack_into("<II", data, start + 4, len(data) - 8, 8)
        place = struct.unpack_from("<I", data, place + 2 + 12 * count)[0]
    path.write_bytes(data)
    refused(path, r"its directories announce .* MB, and it has 4\.0 MB")


def test_the_picture_of_a_slide_is_its_scan(tmp_path: Path) -> None:
    scan = np.random.default_rng(0).integers(0, 255, (90, 70, 3)).astype(np.uint8)
    about = "Aperio Image Library v10\r\n70x90 (16x16) JPEG/RGB Q=70|AppMag = 20|MPP = 0.5"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None, "compression": "zlib"}
    with tifffile.TiffWriter(tmp_path / "s.svs") as writer:
        writer.write(scan, tile=(16, 16), description=about, **options)
        writer.write(scan[::5, ::5], description="Aperio Image Library v10\r\n70x90 -> 14x18", **options)
        writer.write(scan[::4, ::4], tile=(16, 16), description=about, **options)
        writer.write(scan[:30, :30], subfiletype=1, description="Aperio label 30x30", **options)
        writer.write(scan[:30, :60], subfiletype=9, description="Aperio macro 60x30", **options)
    assert (read_image(tmp_path / "s.svs") == scan).all()
    with open_picture(tmp_path / "s.svs") as picture:
        assert picture.block == (16, 16)
        assert (picture.window(slice(20, 50), slice(3, 60)) == scan[20:50, 3:60]).all()


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "PYX", "ZCYX", "YXZ"])
def test_named_axes_are_no_channels(tmp_path: Path, axes: str) -> None:
    shape = [{"Y": 20, "X": 30, "C": 2}.get(axis, 3) for axis in axes]
    pixels = np.zeros(shape, np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", pixels, photometric="minisblack", metadata={"axes": axes})
    refused(tmp_path / "s.tif", rf"a stack of {' x '.join(map(str, shape))} \(axes {axes}\)")


@pytest.mark.parametrize("form", ["imagej", "ome"])
@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_slices_and_frames_of_other_programs_are_no_channels(tmp_path: Path, form: str, axes: str) -> None:
    pixels = np.zeros((3, 20, 30), np.uint8)
    path = tmp_path / ("s.ome.tif" if form == "ome" else "s.tif")
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": axes}, **{form: True})
    refused(path, rf"a stack of 3 x 20 x 30 \(axes {axes}\)\n.*\(Z\).*\(T\)")
    tifffile.imwrite(path, pixels[:1], photometric="minisblack", metadata={"axes": axes}, **{form: True})
    assert read_image(path).shape == (20, 30, 1)


def test_large_hyperstacks_of_imagej_are_read_from_one_directory(tmp_path: Path) -> None:
    planes = np.arange(60, dtype=">u2").reshape(3, 4, 5)
    text = b"ImageJ=1.53t\nimages=3\nchannels=3\nhyperstack=true\n\0"
    tags = grey_tags(4, 5, 16, t270=(2, text), t279=(LONG, [40]))
    path = tiff(tmp_path / "p.tif", [(tags, [planes.tobytes()])], ">")
    assert (read_image(path) == np.moveaxis(planes, 0, 2)).all()
    with open_picture(path) as picture:
        assert not picture.in_memory
        assert (picture.window(slice(1, 3), slice(2, 5)) == np.moveaxis(planes, 0, 2)[1:3, 2:5]).all()


def test_pages_that_are_not_stored_alike_are_refused(tmp_path: Path) -> None:
    planes = np.arange(40, dtype=np.uint8).reshape(2, 4, 5)
    path = tmp_path / "s.ome.tif"
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "CYX"}, ome=True, compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[1].aspage().tags[259].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 2] = struct.pack("<H", 32946)
    path.write_bytes(data)
    refused(path, "its pages are not stored alike")


OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
    'UUID="urn:uuid:a"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="5" '
    'SizeY="4" SizeC="{count}" SizeZ="1" SizeT="1"><TiffData FirstC="0" IFD="0" PlaneCount="1"><UUID '
    'FileName="{name}">urn:uuid:a</UUID></TiffData>{more}</Pixels></Image></OME>'
)
ELSEWHERE = '<TiffData FirstC="1" IFD="0" PlaneCount="1"><UUID FileName="{}">urn:uuid:b</UUID></TiffData>'


def ome(path: Path, count: int, more: str = "", name: str = "", head: str = "") -> Path:
    text = OME.format(count=count, more=more, name=name or path.name).replace("?><OME", f"?>{head}<OME")
    return tiff(path, [(grey_tags(4, 5, t270=(2, text.encode() + b"\0")), [RAMP.tobytes()])])


def test_pages_in_other_files_are_refused_and_no_other_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ome(tmp_path / "b.ome.tif", 1)
    for name in ("b.ome.tif", "../b.ome.tif", str(tmp_path / "b.ome.tif")):
        path = ome(tmp_path / "a.ome.tif", 2, ELSEWHERE.format(name))
        refused(path, r"a\.ome\.tif: an OME-TIFF with pages in other files \(.*b\.ome\.tif\)")


def test_an_ome_file_with_another_name_is_read(tmp_path: Path) -> None:
    assert (read_image(ome(tmp_path / "renamed.tif", 1, name="first.ome.tif"))[..., 0] == RAMP).all()


def test_ome_metadata_that_announce_too_much_are_refused(tmp_path: Path) -> None:
    refused(ome(tmp_path / "p.ome.tif", 2_000_000_000), "announces 2,000,000,000 planes")
    refused(ome(tmp_path / "p.ome.tif", 1, '<TiffData IFD="0" PlaneCount="2000000000"/>'), "announces")
    entities = '<!DOCTYPE a [<!ENTITY a "aaaa">]>'
    refused(ome(tmp_path / "p.ome.tif", 1, head=entities), "declares entities")


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_smaller_copies_and_masks_of_gdal_are_no_pictures(tmp_path: Path, kind: int) -> None:
    mask = grey_tags(4, 5, 1, t254=(LONG, [kind]), t262=(SHORT, [4 if kind & 4 else 1]))
    page = (grey_tags(4, 5), [RAMP.tobytes()])
    path = tiff(tmp_path / "p.tif", [page, (mask, [b"\xff" * 4])])
    assert (read_image(path)[..., 0] == RAMP).all()
    refused(tiff(tmp_path / "q.tif", [page, (grey_tags(3, 7), [bytes(21)])]), "2 pictures of different sizes")


@pytest.mark.parametrize(
    ("dtype", "message"),
    [("float16", "a mask of type float16, which rounds above 2048"), ("float32", "mask pixels with values")],
)
def test_float_masks_that_are_refused(tmp_path: Path, dtype: str, message: str) -> None:
    tifffile.imwrite(tmp_path / "m.tif", np.full((4, 5), 2.0**31 if dtype == "float32" else 1, dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=message):
            read_mask(tmp_path / "m.tif")


def test_memory_is_bounded_in_bytes(tmp_path: Path) -> None:
    side = int((MAX_BYTES / 8) ** 0.5) + 1000
    blocks = [b""] * (-(-side // 512)) ** 2
    tags = grey_tags(side, side, t277=(SHORT, [4]), t258=(SHORT, [16] * 4), t259=(SHORT, [8]), t322=(SHORT, [512]))
    tags = {**tags, 323: (SHORT, [512]), 262: (SHORT, [2]), 338: (SHORT, [2])}
    del tags[278]
    path = tiff(tmp_path / "p.tif", [(tags, blocks)])
    with pytest.raises(DataError, match=rf"{side} x {side} pixels with 4 channels of uint16 take 1\.. GB of memory"):
        read_image(path)
    with open_picture(path) as picture:
        assert picture.window(slice(0, 3), slice(side - 3, side)).shape == (3, 3, 3)


def test_a_tile_larger_than_memory_is_refused(tmp_path: Path) -> None:
    tags = grey_tags(4, 5, t259=(SHORT, [8]), t322=(LONG, [1 << 20]), t323=(LONG, [1 << 20]))
    del tags[278]
    refused(tiff(tmp_path / "p.tif", [(tags, [zlib.compress(b"x")])]), "a tile or strip of 1048576 x 1048576 pixels")
