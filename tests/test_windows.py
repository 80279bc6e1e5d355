"""A window is what ``read_image`` has there, in every format, and costs only the blocks that it touches."""

import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unpool.errors import DataError, UsageError
from unpool.io.placement import Axis
from unpool.io.read import png_windows
from unpool.io.read.blocks import BlockCache, block_parts
from unpool.io.read.images import image_info, read_image
from unpool.io.read.windows import open_picture
from unpool.io.write.suffix import mask_suffix

ALL = slice(None)


def noise(rows: int, columns: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, 256, (rows, columns, channels), dtype=np.uint8)


def same(path: Path, windows: list[tuple[slice, slice]], cache: int = 1 << 28) -> bool:
    """Check windows against the picture read at once; return whether it is in memory."""
    whole = read_image(path)
    with open_picture(path, cache) as picture:
        assert (picture.shape, picture.dtype) == (whole.shape, whole.dtype)
        for rows, columns in windows:
            window = picture.window(rows, columns)
            assert (window.dtype, window.shape) == (whole.dtype, whole[rows, columns].shape)
            assert (window == whole[rows, columns]).all(), (rows, columns)
        return picture.in_memory


PLACES = st.tuples(st.integers(0, 90), st.integers(0, 90)).map(lambda ends: slice(min(ends), max(ends)))
WINDOWS = st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=5)
LAYOUTS: list[dict[str, object]] = [
    {"tile": (16, 32)},
    {"tile": (32, 16), "compression": "zlib"},
    {"tile": (16, 16), "compression": "zlib", "predictor": True},
    {"rowsperstrip": 7, "compression": "zlib"},
    {"rowsperstrip": 7},
    {"tile": (32, 32), "compression": "zlib", "bigtiff": True, "byteorder": ">"},
    {"byteorder": ">"},
]
KINDS = ["grey", "white", "rgb", "planes", "pages", "rgba", "deep", "real", "bits", "palette", "many"]


def tiff(path: Path, pixels: np.ndarray, kind: str, layout: dict[str, object], orientation: int) -> None:
    grey = pixels[..., 0]
    first = np.moveaxis(pixels, 2, 0)
    forms: dict[str, tuple[np.ndarray, dict[str, object]]] = {
        "grey": (grey, {}),
        "white": (grey, {"photometric": "miniswhite"}),
        "rgb": (pixels, {"photometric": "rgb"}),
        "planes": (first, {"photometric": "rgb", "planarconfig": "separate"}),
        "pages": (first.astype(np.uint16) * 200, {"photometric": "minisblack"}),
        "rgba": (np.dstack([pixels, grey]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        "deep": (pixels.astype(np.int32) * 200, {"photometric": "minisblack", "planarconfig": "contig"}),
        "real": (grey.astype(np.float64) / 3, {}),
        "bits": (grey > 99, {"photometric": "minisblack"}),
        "palette": (grey, {"photometric": "palette", "colormap": np.arange(768, dtype=np.uint16).reshape(3, 256) * 80}),
        "many": (np.dstack([pixels] * 2), {"photometric": "minisblack", "planarconfig": "contig"}),
    }
    array, options = forms[kind]
    if kind in ("bits", "real"):
        layout = {key: value for key, value in layout.items() if key != "predictor"}
    if kind == "bits":
        layout = {"compression": "zlib"} | layout
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(path, array, **options, **layout, extratags=tags, metadata=None)


@settings(max_examples=120, deadline=None)
@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.sampled_from(KINDS),
    st.sampled_from(LAYOUTS),
    st.integers(1, 8),
    WINDOWS,
    st.sampled_from([0, 900, 1 << 28]),
)
def test_windows_of_a_tiff(
    rows: int,
    columns: int,
    kind: str,
    layout: dict[str, object],
    orientation: int,
    windows: list[tuple[slice, slice]],
    cache: int,
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.tif")
        tiff(path, noise(rows, columns), kind, layout, orientation)
        assert not same(path, windows, cache)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tiff_in_every_layout(tmp_path: Path, kind: str) -> None:
    for layout in LAYOUTS:
        tiff(tmp_path / "t.tif", noise(40, 50), kind, layout, 1)
        assert not same(tmp_path / "t.tif", [(slice(3, 30), slice(7, 45)), (ALL, ALL)])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_png_whose_rows_move_is_decoded_at_once(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(30, 40)).save(tmp_path / "p.png", exif=exif)
    assert same(tmp_path / "p.png", [(slice(3, 20), slice(7, 25))], 0) == (orientation > 2)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
    st.integers(1, 8),
    WINDOWS,
    st.sampled_from([0, 300, 1 << 28]),
)
def test_windows_of_a_png(
    rows: int, columns: int, mode: str, orientation: int, windows: list[tuple[slice, slice]], cache: int
) -> None:
    pixels = noise(rows, columns)
    picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200 if mode == "I;16" else pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    with TemporaryDirectory() as folder, mock.patch.object(png_windows, "BAND_BYTES", 200):
        path = Path(folder, "p.png")
        (picture if mode == "I;16" else picture.convert(mode)).save(path, exif=exif)
        in_memory = same(path, windows, cache)
        samples = {"LA": 2, "RGB": 3, "RGBA": 4, "I;16": 2}.get(mode, 1)
        assert in_memory == (orientation > 2 or rows * columns * samples <= cache)


@pytest.mark.parametrize(("channels", "colour_type"), [(2, 4), (3, 2), (4, 6)])
def test_windows_of_a_16_bit_png(tmp_path: Path, channels: int, colour_type: int) -> None:
    rows, columns = 40, 9
    lines = np.random.default_rng(0).integers(0, 256, (rows, 1 + columns * channels * 2), dtype=np.uint8)
    lines[:, 0] %= 5
    whole = png_windows.png_head(rows, columns, 16, colour_type)
    whole += png_windows.chunk(b"IDAT", zlib.compress(lines.tobytes())) + png_windows.chunk(b"IEND", b"")
    (tmp_path / "p.png").write_bytes(whole)
    with mock.patch.object(png_windows, "BAND_BYTES", 300):
        windows = [(slice(3, 11), slice(2, 5)), (slice(9, 40), ALL), (slice(0, 4), ALL)]
        assert not same(tmp_path / "p.png", windows, 0)


def test_windows_of_formats_that_are_decoded_at_once(tmp_path: Path) -> None:
    for name in ("p.jpg", "p.bmp", "p.gif", "p.webp"):
        Image.fromarray(noise(40, 50)).save(tmp_path / name)
        assert same(tmp_path / name, [(slice(3, 30), slice(7, 9))])
    Image.fromarray(noise(9, 9)).convert("CMYK").save(tmp_path / "k.tif")
    same(tmp_path / "k.tif", [(slice(3, 7), slice(2, 9))])
    tifffile.imwrite(tmp_path / "k.tif", noise(9, 9, 4).astype(np.uint16), photometric="separated")
    same(tmp_path / "k.tif", [(slice(3, 7), slice(2, 9))])
    assert image_info(tmp_path / "k.tif").channels == 4


def test_windows_of_ome_and_imagej(tmp_path: Path) -> None:
    pixels = noise(70, 50)
    with tifffile.TiffWriter(tmp_path / "o.ome.tif") as file:
        options = {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}
        file.write(pixels, subifds=1, metadata={"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}, **options)
        file.write(pixels[::2, ::2], subfiletype=1, **options)
    assert not same(tmp_path / "o.ome.tif", [(slice(3, 30), slice(20, 50))])
    with open_picture(tmp_path / "o.ome.tif") as picture:
        assert (picture.placement.levels, picture.placement.space) == (1, (Axis("µm", 0.25), Axis("µm", 0.5)))
    planes = np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(tmp_path / "i.tif", planes, imagej=True, metadata={"axes": "CYX"})
    assert not same(tmp_path / "i.tif", [(slice(3, 30), slice(20, 50))])


def test_windows_in_several_threads(tmp_path: Path) -> None:
    whole = noise(300, 400)
    tifffile.imwrite(tmp_path / "t.tif", whole, tile=(32, 32), compression="zlib", photometric="rgb")
    tifffile.imwrite(tmp_path / "u.tif", whole, photometric="rgb")
    Image.fromarray(whole).save(tmp_path / "p.png")
    places = [(slice(top, top + 70), slice(left, left + 90)) for top in range(0, 300, 50) for left in range(0, 400, 50)]
    for name in ("t.tif", "u.tif", "p.png"):
        with open_picture(tmp_path / name, cache=100_000) as picture, ThreadPoolExecutor(4) as threads:
            windows = threads.map(lambda place, picture=picture: picture.window(*place), places)
            assert all((window == whole[place]).all() for window, place in zip(windows, places, strict=True))


def damaged(path: Path, tile: int, **options: object) -> Path:
    """Write a TIFF of 16 tiles, one of them with inverted bytes."""
    tifffile.imwrite(path, noise(64, 64), tile=(16, 16), photometric="rgb", **options)
    with tifffile.TiffFile(path) as file:
        start, count = file.pages[0].dataoffsets[tile], file.pages[0].databytecounts[tile]
    content = bytearray(path.read_bytes())
    for place in range(start + count // 2, start + count):
        content[place] ^= 0xFF
    path.write_bytes(content)
    return path


def test_a_damaged_tile_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = damaged(tmp_path / "t.tif", 6, compression="zlib")
    with open_picture(path) as picture:
        assert (picture.window(slice(0, 16), ALL) == noise(64, 64)[:16]).all()
        with pytest.raises(DataError, match=r"t\.tif: cannot be read .*tile 6 at row 16, column 32: .*"):
            picture.window(slice(20, 30), slice(0, 40))


def test_a_short_tile_is_an_error(tmp_path: Path) -> None:
    def tiles() -> Iterator[bytes]:
        for index in range(16):
            yield zlib.compress(bytes(16 * 16 * (1 if index != 9 else 0)) + bytes(40 * (index == 9)))

    tifffile.imwrite(tmp_path / "t.tif", tiles(), shape=(64, 64), dtype="u1", tile=(16, 16), compression="zlib")
    with open_picture(tmp_path / "t.tif") as picture:
        assert not picture.window(slice(0, 32), ALL).any()
        with pytest.raises(DataError, match="tile 9 at row 32, column 16: corrupted tile"):
            picture.window(ALL, ALL)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    for name, options in (("t.tif", {"tile": (16, 16)}), ("u.tif", {}), ("s.tif", {"compression": "zlib"})):
        tifffile.imwrite(tmp_path / name, noise(64, 64), photometric="rgb", **options)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-200])
        with pytest.raises(DataError, match="cut off"), open_picture(tmp_path / name):
            pass
    Image.fromarray(noise(64, 64)).save(tmp_path / "p.png")
    content = (tmp_path / "p.png").read_bytes()
    (tmp_path / "p.png").write_bytes(content[: len(content) // 2])
    with mock.patch.object(png_windows, "BAND_BYTES", 1000), open_picture(tmp_path / "p.png", 0) as picture:
        assert (picture.window(slice(0, 9), ALL) == noise(64, 64)[:9]).all()
        for _ in range(2):
            with pytest.raises(DataError, match=r"p\.png: cannot be read"):
                picture.window(slice(60, 64), ALL)
        assert (picture.window(slice(0, 9), ALL) == noise(64, 64)[:9]).all()


def sparse(path: Path, side: int, tile: int) -> Path:
    """Write a TIFF that claims many rows and columns and stores nothing."""
    count = (-(-side // tile)) ** 2
    tiles = iter([b""] * count if count > 1 else [b"anything"])
    tifffile.imwrite(path, tiles, shape=(side, side), dtype="u1", tile=(tile, tile), compression="zlib")
    return path


def test_a_picture_of_any_size_is_opened_and_a_window_is_bounded(tmp_path: Path) -> None:
    path = sparse(tmp_path / "t.tif", 60_000, 1024)
    with pytest.raises(DataError, match="60000 x 60000 pixels"):
        read_image(path)
    with open_picture(path) as picture:
        assert picture.shape == (60_000, 60_000, 1)
        assert mask_suffix(picture) == ".tif"
        assert not picture.window(slice(59_000, 70_000), slice(3, 9)).any()
        with pytest.raises(DataError, match="60000 x 60000 pixels"):
            picture.window(ALL, ALL)
        with pytest.raises(UsageError, match="a step of 2"):
            picture.window(slice(0, 9, 2), ALL)


def test_bombs_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="32768 x 32768 pixels"),
        open_picture(sparse(tmp_path / "t.tif", 32_768, 32_768)),
    ):
        pass
    bomb = zlib.compress(bytes(10_000))
    tifffile.imwrite(tmp_path / "b.tif", iter([bomb]), shape=(16, 16), dtype="u1", tile=(16, 16), compression="zlib")
    refused = pytest.raises(DataError, match=r"tile 0 at row 0, column 0: it inflates to more than its pixels")
    with open_picture(tmp_path / "b.tif") as picture, refused:
        picture.window(ALL, ALL)


@pytest.mark.parametrize("compression", ["lzw", "jpeg", "zstd", "packbits"])
def test_damaged_tiles_of_other_codecs(tmp_path: Path, compression: str) -> None:
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "t.tif", noise(64, 64), tile=(16, 16), photometric="rgb", compression=compression)
    same(tmp_path / "t.tif", [(slice(3, 30), slice(20, 50))])
    path = damaged(tmp_path / "d.tif", 6, compression=compression)
    if compression == "jpeg":  # the others have no checksum: inverted bytes are other pixels
        with open_picture(path) as picture, pytest.raises(DataError, match="tile 6 at row 16, column 32"):
            picture.window(ALL, ALL)


def test_a_changed_byte_gives_pixels_or_a_data_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    options = {"photometric": "rgb", "tile": (16, 16), "compression": "zlib", "metadata": None}
    tifffile.imwrite(tmp_path / "t.tif", noise(64, 64), **options)
    Image.fromarray(noise(64, 64)).save(tmp_path / "p.png")
    for name in ("t.tif", "p.png"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(150):
            changed = bytearray(whole)
            changed[generator.integers(4, 500)] = generator.integers(256)
            (tmp_path / f"x{name}").write_bytes(changed)
            with suppress(DataError), open_picture(tmp_path / f"x{name}", cache=0) as picture:
                picture.window(slice(3, 40), slice(5, 50))


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.tif", "No such file"), (tmp_path, "directory")):
        with pytest.raises(DataError, match=message), open_picture(path):
            pass
    (tmp_path / "e.tif").write_bytes(b"")
    with pytest.raises(DataError, match="empty"), open_picture(tmp_path / "e.tif"):
        pass


def test_blocks_that_a_window_touches() -> None:
    parts = block_parts((slice(3, 7), slice(4, 6)), (5, 10))
    assert [tuple(part) for part in parts] == [
        (0, 0, (slice(3, 5), slice(4, 6)), (slice(0, 2), slice(0, 2))),
        (1, 0, (slice(0, 2), slice(4, 6)), (slice(2, 4), slice(0, 2))),
    ]


def test_the_cache_drops_the_block_not_used_for_longest() -> None:
    cache = BlockCache(20)
    for key in "ab":
        cache.put(key, np.zeros(10, np.uint8))
    assert cache.get("a") is not None
    cache.put("c", np.zeros(10, np.uint8))
    cache.put("d", np.zeros(21, np.uint8))
    assert [cache.get(key) is not None for key in "abcd"] == [True, False, True, False]


def test_the_suffix_of_a_mask(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", noise(9, 9), photometric="rgb")
    tifffile.imwrite(tmp_path / "t.tif", noise(9, 9), photometric="rgb", tile=(16, 16))
    tags = [(33550, "d", 3, (0.5, 0.5, 0.0), True)]
    tifffile.imwrite(tmp_path / "g.tif", noise(9, 9), photometric="rgb", extratags=tags)
    for name, suffix in (("s.tif", ".png"), ("t.tif", ".tif"), ("g.tif", ".tif")):
        with open_picture(tmp_path / name) as picture:
            assert mask_suffix(picture) == suffix


ON_LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")

READING = """
import sys
from pathlib import Path
from unpool.io.read.windows import open_picture
side = int(sys.argv[2])
with open_picture(Path(sys.argv[1]), cache=16 << 20) as picture:
    for top in range(0, side, 512):
        for left in range(0, side, 512):
            picture.window(slice(top, top + 600), slice(left, left + 600))
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])  # ru_maxrss would be the parent's
"""


def peak(script: str, *words: object) -> float:
    """Return the most memory that a script used, in MB."""
    call = [sys.executable, "-c", script, *map(str, words)]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    return int(done.stdout) / 1024


def large(path: Path, side: int) -> Path:
    tile = noise(512, 512)
    count = (-(-side // 512)) ** 2
    tiles = iter([tile] * count)
    shape = (side, side, 3)
    options = {"photometric": "rgb", "tile": (512, 512), "compression": "zlib", "compressionargs": {"level": 1}}
    tifffile.imwrite(path, tiles, shape=shape, dtype="u1", maxworkers=1, **options)
    return path


@ON_LINUX
def test_memory_does_not_grow_with_the_picture(tmp_path: Path) -> None:
    small, more = (peak(READING, large(tmp_path / f"{side}.tif", side), side) for side in (1500, 5000))
    assert more < small + 20  # the larger picture is 75 MB


@ON_LINUX
@pytest.mark.slow
def test_memory_of_20_000_rows_and_columns(tmp_path: Path) -> None:
    assert peak(READING, large(tmp_path / "t.tif", 20_000), 20_000) < 120  # 1,200 MB of pixels


def zarr_file(path: Path, pixels: np.ndarray, axes: str, version: int, chunks: tuple[int, ...] | None = None) -> Path:
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(path, zarr_format=version, overwrite=True)
    array = group.create_array("0", shape=pixels.shape, dtype=pixels.dtype, chunks=chunks or (16,) * pixels.ndim)
    array[...] = pixels
    scale = {"axes": [{"name": axis} for axis in axes], "datasets": [{"path": "0"}]}
    group.attrs.update(
        {"multiscales": [scale]} if version == 2 else {"ome": {"version": "0.5", "multiscales": [scale]}}
    )
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["yx", "cyx", "yxc", "tczyx"])
def test_windows_of_a_zarr(tmp_path: Path, axes: str, version: int) -> None:
    whole = noise(70, 50, 1 if axes == "yx" else 3)
    stored = {"yx": whole[..., 0], "yxc": whole, "cyx": np.moveaxis(whole, 2, 0)}
    stored["tczyx"] = stored["cyx"][None, :, None]
    with open_picture(zarr_file(tmp_path / "p.zarr", stored[axes], axes, version), cache=5000) as picture:
        assert (picture.shape, picture.block, picture.in_memory) == (whole.shape, (16, 16), False)
        assert mask_suffix(picture) == ".zarr"
        for rows, columns in ((ALL, ALL), (slice(3, 40), slice(15, 33)), (slice(69, 90), slice(0, 1))):
            assert (picture.window(rows, columns) == whole[rows, columns]).all()


def test_zarr_arrays_that_are_read_and_refused(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=noise(20, 30)[..., 0])
    with open_picture(path) as picture:
        assert (picture.window(ALL, ALL) == noise(20, 30)[..., :1]).all()
    zarr.create_array(path, data=noise(20, 30), overwrite=True)
    with pytest.raises(DataError, match=r"20 x 30 x 3 \(axes without names\)"), open_picture(path):
        pass
    for axes, shape in (("zyx", (2, 20, 30)), ("xy", (20, 30)), ("tcyx", (2, 3, 20, 30))):
        zarr_file(path, np.zeros(shape, np.uint8), axes, 3)
        with pytest.raises(DataError, match=f"axes {', '.join(axes)}"), open_picture(path):
            pass
    zarr.create_group(path, overwrite=True)
    with pytest.raises(DataError, match="no pictures"), open_picture(path):
        pass


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    path = zarr_file(tmp_path / "p.zarr", noise(40, 40)[..., 0], "yx", 2)
    (path / "0" / "1.2").write_bytes(b"\1\2\3")
    with open_picture(path) as picture:
        assert (picture.window(slice(0, 9), ALL) == noise(40, 40)[:9, :, :1]).all()
        with pytest.raises(DataError, match=r"p\.zarr: .*chunk 1, 2 at row 16, column 32: "):
            picture.window(ALL, ALL)


def test_a_zarr_that_would_unpickle_is_refused(tmp_path: Path) -> None:
    path = zarr_file(tmp_path / "p.zarr", noise(16, 16)[..., 0], "yx", 2)
    facts = (path / "0" / ".zarray").read_text()
    start = facts.index('"compressor"')
    end = facts.index("}", start) + 1
    (path / "0" / ".zarray").write_text(facts[:start] + '"compressor": {"id": "pickle"}' + facts[end:])
    with pytest.raises(DataError, match=r"p\.zarr: .*pickle"), open_picture(path):
        pass


def test_zarr_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    (tmp_path / "p.zarr").mkdir()
    with pytest.raises(DataError, match=r"unpool\[zarr\]"), open_picture(tmp_path / "p.zarr"):
        pass
