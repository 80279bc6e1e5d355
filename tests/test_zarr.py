"""Zarr folders: the pixels that other programs stored, bounds before decoding, and the place of a picture in space."""

import bz2
import gzip
import json
import lzma
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.errors import DataError
from unpool.io.placement import Axis, Placement
from unpool.io.read import zarr as zarr_reading
from unpool.io.read.file_facts import size_and_placement
from unpool.io.read.windows import open_picture
from unpool.io.read.zarr_codecs import decoded
from unpool.io.write.band_form import BandForm
from unpool.io.write.bands import open_band_writer

ALL = slice(None)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
ARRAY: dict[str, Any] = {
    **{"zarr_format": 2, "shape": [40, 50], "chunks": [16, 16], "dtype": "|u1", "order": "C", "filters": None},
    **{"compressor": None, "fill_value": 9, "dimension_separator": "."},
}
SPACE = {"type": "space", "unit": "micrometer"}
SCALE = {"type": "scale", "scale": [0.5, 0.25]}
MOVED = {"type": "translation", "translation": [100, 200]}


@pytest.fixture(autouse=True)
def without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read without the package zarr, whose codecs are needed only by the tests that ask for it."""
    monkeypatch.setattr(zarr_reading, "zarr_package", lambda path: None)


def group(path: Path, scale: dict[str, Any] | None = None, array: dict[str, Any] | None = None) -> Path:
    """Write a group of OME-NGFF 0.4 with one picture, chunk by chunk."""
    facts = {
        "axes": [{"name": "y", **SPACE}, {"name": "x", **SPACE}],
        "datasets": [{"path": "0", "coordinateTransformations": [SCALE]}],
    }
    write_json(path / ".zgroup", {"zarr_format": 2})
    write_json(path / ".zattrs", {"multiscales": [facts | (scale or {})]})
    write_json(path / "0" / ".zarray", ARRAY | (array or {}))
    padded = np.pad(PIXELS, ((0, 8), (0, 14)))
    for row, column in np.ndindex(3, 4):
        chunk = padded[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        (path / "0" / f"{row}.{column}").write_bytes(chunk.tobytes())
    return path


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def pixels_of(path: Path) -> np.ndarray:
    with open_picture(path, cache=1000) as picture:
        return picture.stored.read((slice(0, picture.shape[0]), slice(0, picture.shape[1])))


def refused(path: Path, match: str) -> DataError:
    """Open a picture and read all of it, which must be refused; return the error."""
    with pytest.raises(DataError, match=match) as caught:
        pixels_of(path)
    assert str(path) in str(caught.value)
    return caught.value


def test_chunks_that_are_there_and_missing(tmp_path: Path) -> None:
    path = group(tmp_path / "p.zarr")
    assert (pixels_of(path) == PIXELS).all()
    (path / "0" / "1.2").unlink()
    expected = PIXELS.copy()
    expected[16:32, 32:48] = 9
    assert (pixels_of(path) == expected).all()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma"]),
    st.sampled_from(["uint8", ">u2", "int32", "float32", "bool"]),
    st.sampled_from("CF"),
    st.sampled_from("./"),
    st.sampled_from([None, "shuffle", "delta"]),
)
def test_format_2_as_the_package_writes_it(
    tmp_path_factory: pytest.TempPathFactory,
    coder: str,
    dtype: str,
    order: str,
    separator: str,
    filtered: str | None,
) -> None:
    zarr, numcodecs = pytest.importorskip("zarr"), pytest.importorskip("numcodecs")
    data = (np.random.default_rng(1).random((35, 27, 3)) * 200).astype(dtype)
    filters = {"shuffle": [{"id": "shuffle", "elementsize": data.itemsize}], "delta": [{"id": "delta", "dtype": dtype}]}
    used = filters.get(filtered or "", []) if dtype in ("uint8", "int32") else []
    path = tmp_path_factory.mktemp("two") / "p.zarr"
    array = zarr.create_array(
        path,
        shape=data.shape,
        dtype=data.dtype,
        chunks=(16, 10, 2),
        zarr_format=2,
        order=order,
        compressors=numcodecs.get_codec({"id": coder}),
        filters=[numcodecs.get_codec(each) for each in used] or None,
        chunk_key_encoding={"name": "v2", "separator": separator},
        attributes={"_ARRAY_DIMENSIONS": ["y", "x", "c"]},
        fill_value=1,
    )
    array[:20] = data[:20]
    assert (pixels_of(path) == array[...]).all()


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("shards", [None, "start", "end"])
@pytest.mark.parametrize("coder", ["none", "gzip", "zstd", "blosc", "crc32c"])
def test_format_3_as_the_package_writes_it(tmp_path: Path, coder: str, shards: str | None, endian: str) -> None:
    zarr = pytest.importorskip("zarr")
    codecs = pytest.importorskip("zarr.codecs")
    data = np.random.default_rng(1).integers(0, 9999, (3, 35, 27), dtype=np.uint16)
    coders = {
        "none": (),
        "gzip": codecs.GzipCodec(),
        "zstd": codecs.ZstdCodec(),
        "blosc": codecs.BloscCodec(),
        "crc32c": codecs.Crc32cCodec(),
    }
    array = zarr.create_array(
        tmp_path / "p.zarr",
        shape=data.shape,
        dtype=data.dtype,
        chunks=(3, 8, 10),
        shards={"shape": (3, 16, 20), "index_location": shards} if shards else None,
        compressors=coders[coder],
        filters=() if shards else codecs.TransposeCodec(order=(2, 0, 1)),
        serializer=codecs.BytesCodec(endian=endian),
        dimension_names=["c", "y", "x"],
        fill_value=7,
    )
    array[:, :20] = data[:, :20]
    assert (pixels_of(tmp_path / "p.zarr") == np.moveaxis(array[...], 0, 2)).all()


def test_a_frame_of_zstandard_whose_size_is_unknown() -> None:
    pytest.importorskip("numcodecs")
    raw = b"\x28\xb5\x2f\xfd\x00\x58" + (5 << 3 | 1).to_bytes(3, "little") + b"pixel"
    assert decoded("zstd", {}, raw, 5) == b"pixel"
    with pytest.raises(ValueError, match="behind the frame"):
        decoded("zstd", {}, raw + raw, 10)


ZEROS = bytes(1 << 24)
BOMBS: dict[str, Callable[[], bytes]] = {
    "zlib": lambda: zlib.compress(ZEROS),
    "gzip": lambda: gzip.compress(ZEROS),
    "bz2": lambda: bz2.compress(ZEROS),
    "lzma": lambda: lzma.compress(ZEROS, preset=0),
    "lz4": lambda: struct.pack("<I", 1 << 31) + bytes(20),
    "blosc": lambda: bytes([2, 1, 0, 1]) + struct.pack("<III", 1 << 31, 1 << 20, 36) + bytes(20),
    "zstd": lambda: b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 1 << 31) + bytes(9),
    "zstd-unknown": lambda: b"\x28\xb5\x2f\xfd\x00\x58" + 3000 * (2 | (1 << 17) << 3).to_bytes(3, "little") + b"\1\0\0",
}


@pytest.mark.parametrize("coder", BOMBS)
def test_a_chunk_that_inflates_beyond_its_pixels(tmp_path: Path, coder: str) -> None:
    path = group(tmp_path / "p.zarr", array={"compressor": {"id": coder.split("-", maxsplit=1)[0]}})
    (path / "0" / "0.0").write_bytes(BOMBS[coder]())
    tracemalloc.start()
    refused(path, r"p\.zarr: .*chunk 0, 0 at row 0, column 0: .*(inflates|early)")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_filters_are_bounded_too(tmp_path: Path) -> None:
    twice = {"compressor": {"id": "zlib"}, "filters": [{"id": "zlib"}]}
    path = group(tmp_path / "p.zarr", array=twice)
    (path / "0" / "0.0").write_bytes(zlib.compress(zlib.compress(ZEROS)))
    refused(path, "inflates")
    with pytest.raises(ValueError, match="inflates"):
        decoded("delta", {"dtype": "<i8", "astype": "|i1"}, bytes(1000), 1000)


def test_an_array_that_announces_what_its_folder_does_not_hold(tmp_path: Path) -> None:
    path = group(tmp_path / "tall.zarr", array={"shape": [10**13, 100]})
    refused(path, r"10000000000000 x 100 pixels in 4,375,000,000,000 files of chunks, and the folder holds 12")
    assert size_and_placement(path)[0] == (0, 0)


def test_a_large_picture_may_lack_most_of_its_chunks(tmp_path: Path) -> None:
    path = group(tmp_path / "p.zarr", array={"shape": [40_000, 40_000], "chunks": [4000, 4000]})
    for name in path.glob("0/[0-9]*"):
        name.unlink()
    refused(path, "the folder holds 0")
    (path / "0" / "3.3").write_bytes(bytes(16_000_000))
    with open_picture(path) as picture:
        assert picture.window(slice(0, 4), slice(0, 4)).mean() == 9
        assert picture.window(slice(12_000, 12_004), slice(12_000, 12_004)).mean() == 0


ODD_ARRAYS: list[tuple[dict[str, Any], str]] = [
    ({"shape": [0, 50]}, "shape"),
    ({"shape": "40"}, "shape"),
    ({"shape": [40.0, 50]}, "shape"),
    ({"shape": [True, 50]}, "shape"),
    ({"shape": [40]}, "chunks"),
    ({"chunks": [16, -16]}, "chunks"),
    ({"chunks": [16]}, "chunks"),
    ({"chunks": None}, "chunks"),
    ({"chunks": [1 << 20, 1 << 20]}, "chunks of 1048576 x 1048576"),
    ({"dtype": "|O"}, "type"),
    ({"dtype": "<U4"}, "type"),
    ({"dtype": "<M8[ns]"}, "type"),
    ({"dtype": "<c8"}, "type"),
    ({"dtype": "(4,)u1"}, "type"),
    ({"dtype": [["r", "|u1"]]}, "type"),
    ({"fill_value": 300}, "fill value"),
    ({"fill_value": "x"}, "fill value"),
    ({"fill_value": 0.5}, "fill value"),
    ({"compressor": {"id": "pickle"}}, "pickle"),
    ({"compressor": {"id": 3}}, "codec"),
    ({"compressor": ["zlib"]}, "codec"),
    ({"filters": [{"id": "vlen-utf8"}]}, "vlen-utf8"),
    ({"filters": [{"id": "delta", "dtype": "|O"}]}, "type"),
    ({"dimension_separator": "../"}, "separated"),
]


@pytest.mark.parametrize(("array", "match"), ODD_ARRAYS)
def test_odd_metadata_of_an_array(tmp_path: Path, array: dict[str, Any], match: str) -> None:
    refused(group(tmp_path / "p.zarr", array=array), match)


ODD_SCALES: list[tuple[dict[str, Any], str]] = [
    ({"axes": "yx"}, "axes"),
    ({"axes": [{"name": 3}, {"name": "x"}]}, "name"),
    ({"axes": [{"name": "y", "unit": ["m"]}, {"name": "x"}]}, "unit"),
    ({"axes": [{"name": "y"}]}, "axis|axes"),
    ({"axes": [{"name": "y"}, {"name": "y"}]}, "axes y, y"),
    ({"datasets": []}, "datasets"),
    ({"datasets": {"path": "0"}}, "datasets"),
    ({"datasets": [{"path": None}]}, "path"),
    ({"datasets": [{"path": "../other.zarr/0"}]}, "path"),
    ({"datasets": [{"path": "/etc"}]}, "path"),
    ({"datasets": [{"path": "."}]}, "path"),
    ({"datasets": [{"path": "7"}]}, "7 has no"),
    ({"coordinateTransformations": [{"type": "scale", "scale": [1]}]}, "scale"),
    ({"coordinateTransformations": [{"type": "scale", "scale": ["1", 2]}]}, "scale"),
    ({"coordinateTransformations": [{"type": "scale", "scale": [0, 1]}]}, "scale"),
    ({"coordinateTransformations": [{"type": "scale", "scale": [float("nan"), 1]}]}, "finite"),
    ({"coordinateTransformations": [{"type": "scale", "scale": [10**400, 1]}]}, "64 bits"),
    ({"coordinateTransformations": [{"type": "scale", "path": "scales"}]}, "scale"),
    ({"coordinateTransformations": [{"type": "affine", "affine": [[1, 0, 0], [0, 1, 0]]}]}, "affine"),
    ({"coordinateTransformations": {"type": "scale"}}, "coordinateTransformations"),
]


@pytest.mark.parametrize(("scale", "match"), ODD_SCALES)
def test_odd_metadata_of_a_group(tmp_path: Path, scale: dict[str, Any], match: str) -> None:
    refused(group(tmp_path / "p.zarr", scale), match)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"\xff\xfe"])
@pytest.mark.parametrize("name", [".zattrs", "0/.zarray"])
def test_metadata_that_are_no_object(tmp_path: Path, name: str, content: bytes) -> None:
    path = group(tmp_path / "p.zarr")
    (path / name).write_bytes(content)
    refused(path, name.rsplit("/", 1)[-1])


def test_a_chunk_that_does_not_fit_the_memory_given(tmp_path: Path) -> None:
    path = group(tmp_path / "p.zarr", array={"shape": [4000, 4000], "chunks": [4000, 4000]})
    with open_picture(path, 0, 4e7) as picture:
        assert picture.shape == (4000, 4000, 1)
    with pytest.raises(DataError, match="block of 4000 x 4000 pixels is decoded in one piece"):
        open_picture(path, 0, 3e7).__enter__()


def test_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    path = group(tmp_path / "p.zarr")
    (tmp_path / "secret").write_bytes(bytes(256))
    (path / "0" / "0.0").unlink()
    (path / "0" / "0.0").symlink_to(tmp_path / "secret")
    refused(path, "leads out")
    (path / "0" / "0.0").unlink()
    (path / "0" / "0.0").mkdir()
    refused(path, "no file")
    shutil.move(path / "0", tmp_path / "elsewhere")
    (path / "0").symlink_to(tmp_path / "elsewhere")
    refused(path, "leads out")


def test_consolidated_metadata_are_not_believed(tmp_path: Path) -> None:
    path = group(tmp_path / "p.zarr")
    other = {"zarr_consolidated_format": 1, "metadata": {"0/.zarray": ARRAY | {"shape": [10, 10]}}}
    write_json(path / ".zmetadata", other)
    assert (pixels_of(path) == PIXELS).all()


def test_the_layout_of_bioformats2raw(tmp_path: Path) -> None:
    path = tmp_path / "slide.zarr"
    write_json(path / ".zgroup", {"zarr_format": 2})
    write_json(path / ".zattrs", {"bioformats2raw.layout": 3})
    group(path / "0")
    assert (pixels_of(path) == PIXELS).all()
    group(path / "1")
    error = refused(path, r"2 pictures in the layout of bioformats2raw \(0, 1\)")
    given_instead = error.repair.removeprefix("give one of them, such as ")
    assert (pixels_of(Path(given_instead)) == PIXELS).all()
    write_json(path / "OME" / ".zgroup", {"zarr_format": 2})
    for series, match in (["1"], ""), ([""], "path"), (["."], "path"), (["../x"], "path"), ([3], "names"):
        write_json(path / "OME" / ".zattrs", {"series": series})
        if match:
            refused(path, match)
        else:
            assert (pixels_of(path) == PIXELS).all()


def test_copies_in_the_wrong_order(tmp_path: Path) -> None:
    small = {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5]}]}
    large = {"path": "0", "coordinateTransformations": [SCALE]}
    assert (pixels_of(group(tmp_path / "p.zarr", {"datasets": [large, small]})) == PIXELS).all()
    refused(group(tmp_path / "q.zarr", {"datasets": [small | {"path": "0"}, large]}), "not the largest")


PLACES: list[tuple[dict[str, Any], tuple[Axis, Axis]]] = [
    ({}, (Axis("micrometer", 0.5), Axis("micrometer", 0.25))),
    ({"axes": [{"name": "y"}, {"name": "x"}]}, (Axis(None, 0.5), Axis(None, 0.25))),
    (
        {"datasets": [{"path": "0", "coordinateTransformations": [SCALE, MOVED]}]},
        (Axis("micrometer", 0.5, 100), Axis("micrometer", 0.25, 200)),
    ),
    (  # the translation is scaled where it comes first
        {"datasets": [{"path": "0", "coordinateTransformations": [MOVED, SCALE]}]},
        (Axis("micrometer", 0.5, 50), Axis("micrometer", 0.25, 50)),
    ),
    (
        {"coordinateTransformations": [{"type": "identity"}, SCALE, MOVED]},
        (Axis("micrometer", 0.5, 0, (0.5, 100)), Axis("micrometer", 0.25, 0, (0.25, 200))),
    ),
]


@pytest.mark.parametrize(("scale", "space"), PLACES)
def test_the_place_of_a_picture_in_space(tmp_path: Path, scale: dict[str, Any], space: tuple[Axis, Axis]) -> None:
    path = group(tmp_path / "p.zarr", scale)
    assert size_and_placement(path) == ((40, 50), Placement(tiled=True, zarr=2, space=space))


@pytest.mark.parametrize("version", [2, 3])
def test_a_mask_keeps_the_place_of_its_picture(tmp_path: Path, version: int) -> None:
    pytest.importorskip("zarr")
    space = Axis("micrometer", 0.5, 100, (2, 7)), Axis(None, 0.25, 200, (1, 0))
    placement = Placement(zarr=version, tiled=True, levels=1, space=space)
    with open_band_writer(tmp_path / "m.zarr", BandForm(900, 700, placement=placement)) as writer:
        writer.write(np.zeros((900, 700), np.uint8))
        writer.finish()
    name = ".zattrs" if version == 2 else "zarr.json"
    facts = json.loads((tmp_path / "m.zarr" / name).read_text())
    (scale,) = (facts if version == 2 else facts["attributes"]["ome"])["multiscales"]
    assert scale["axes"] == [{"name": "y", **SPACE}, {"name": "x", "type": "space"}]
    full, half = [each["coordinateTransformations"] for each in scale["datasets"]]
    assert full == [{"type": "scale", "scale": [0.5, 0.25]}, {"type": "translation", "translation": [100, 200]}]
    # the first row of the copy covers the rows at 100 and 100.5
    assert half == [{"type": "scale", "scale": [1, 0.5]}, {"type": "translation", "translation": [100.25, 200.125]}]
    shared = [{"type": "scale", "scale": [2, 1]}, {"type": "translation", "translation": [7, 0]}]
    assert scale["coordinateTransformations"] == shared
    with open_picture(tmp_path / "m.zarr") as picture:
        assert picture.placement == placement
