"""OME-Zarr folders and Zarr arrays with named axes, at full size (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.files import safe_child
from unpool.io.placement import Placement
from unpool.io.read.blocks import BLOCK_LIMIT, BlockCache, block_parts
from unpool.io.read.raster import Header, broken, check_size, decoding
from unpool.io.read.stored_picture import StoredPicture
from unpool.shapes import Region, Size, region_size
from unpool.wording import size_text

CODECS = frozenset(
    {
        *("bytes", "transpose", "sharding_indexed", "crc32c", "shuffle", "delta"),
        *("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"),
    }
)
"""Codecs that may be run. Others are refused: one of them unpickles data of the file."""


class _Multiscale(NamedTuple):
    """The full-size array of a picture.

    Attributes
    ----------
    axes: the name of each axis, in lower case.
    levels: smaller copies of the picture in the folder.
    pixel_size: physical size across and down with its unit; None where it is unknown.
    """

    array: Any
    axes: tuple[str, ...]
    levels: int
    pixel_size: tuple[float, float, str] | None


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder with the suffix ``.zarr``."""
    return path.suffix.lower() == ".zarr" and path.is_dir()


def zarr_package(path: Path) -> Any:
    """Import the optional package zarr. Raises DataError where it is not installed."""
    try:
        import zarr  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise DataError(
            f"{path}: a Zarr folder", "a TIFF or PNG, or the package zarr", "pip install 'unpool[zarr]'"
        ) from error
    return zarr


def open_zarr(path: Path, cache: int) -> StoredPicture:
    """Open a Zarr folder for windows; a chunk without a file has the fill value. Raises DataError.

    Parameters
    ----------
    cache: bytes of decoded chunks that may stay in memory.
    """
    zarr = zarr_package(path)
    with decoding(path):
        scales = _multiscale(zarr.open(path, mode="r"), path)
        _check_codecs(scales.array, path)
        header = _header(scales, path)
        chunks = _chunks(scales, path)
    placement = Placement(
        pixel_size=scales.pixel_size, tiled=True, levels=scales.levels, zarr=int(scales.array.metadata.zarr_format)
    )
    blocks = BlockCache(cache)

    def window(region: Region) -> NDArray[Any]:
        pixels = np.empty((*region_size(region), header.channels), scales.array.dtype)
        for part in block_parts(region, chunks):
            pixels[part.target] = _chunk(scales, blocks, (part.row, part.column), chunks, path)[part.source]
        return pixels[..., 0] if header.channels == 1 else pixels

    return StoredPicture(header, window, chunks, cache, placement=placement)


def _chunk(scales: _Multiscale, blocks: BlockCache, place: tuple[int, int], chunks: Size, path: Path) -> NDArray[Any]:
    """Return one chunk of all channels (rows, columns, channels)."""
    cached = blocks.get(place)
    if cached is not None:
        return cached
    at = {axis: slice(start * size, (start + 1) * size) for axis, start, size in zip("yx", place, chunks, strict=True)}
    with decoding(path, f"chunk {place[0]}, {place[1]} at row {at['y'].start}, column {at['x'].start}"):
        part = np.asarray(scales.array[tuple(at.get(axis, slice(None)) for axis in scales.axes)])
    order = [axis for axis in scales.axes if axis in "yx"] + [axis for axis in scales.axes if axis not in "yx"]
    pixels = np.moveaxis(part, [scales.axes.index(axis) for axis in order], range(part.ndim))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    blocks.put(place, pixels)
    return pixels


def _multiscale(node: Any, path: Path) -> _Multiscale:
    """Return the largest picture of an OME group, or an array without a group whose axes are known."""
    if hasattr(node, "dtype"):
        names = getattr(node.metadata, "dimension_names", None) or node.attrs.get("_ARRAY_DIMENSIONS")
        axes = tuple(str(name).lower() for name in names) if names else ("y", "x") if node.ndim == 2 else ()
        return _Multiscale(node, _checked(axes, node, path), 0, None)
    attributes = node.attrs.asdict()
    scales = attributes.get("ome", attributes).get("multiscales")
    if not scales or len(scales) != 1:
        raise _unclear(path, f"a Zarr group with {len(scales) if scales else 'no'} pictures (multiscales)")
    first = scales[0]["datasets"][0]
    safe_child(path, first["path"])
    array = node[first["path"]]
    axes = tuple(axis["name"].lower() for axis in scales[0]["axes"])
    return _Multiscale(array, _checked(axes, array, path), len(scales[0]["datasets"]) - 1, _pixel_size(scales[0]))


def _checked(axes: tuple[str, ...], array: Any, path: Path) -> tuple[str, ...]:
    """Return the axes. Raises DataError where they are not those of one picture."""
    long = [axis for axis, size in zip(axes, array.shape, strict=False) if size != 1 and axis not in "yx"]
    rows_first = "y" in axes and "x" in axes and axes.index("y") < axes.index("x")
    if len(axes) != array.ndim or len(set(axes)) != len(axes) or not rows_first or long not in ([], ["c"]):
        raise _unclear(path, f"a Zarr array of {size_text(array.shape)} (axes {', '.join(axes) or 'without names'})")
    return axes


def _unclear(path: Path, found: str) -> DataError:
    return DataError(
        f"{path}: {found}",
        "one picture with the axes y, x and perhaps c; t and z of length 1",
        "save one plane with named axes, or as a TIFF",
    )


def _pixel_size(scale: Mapping[str, Any]) -> tuple[float, float, str] | None:
    units = {axis["name"].lower(): axis.get("unit") for axis in scale["axes"]}
    names = list(units)
    for change in scale["datasets"][0].get("coordinateTransformations", ()):
        if change.get("type") == "scale" and units.get("x"):
            return float(change["scale"][names.index("x")]), float(change["scale"][names.index("y")]), str(units["x"])
    return None


def _header(scales: _Multiscale, path: Path) -> Header:
    sizes = dict(zip(scales.axes, scales.array.shape, strict=True))
    dtype = np.dtype(scales.array.dtype)
    if dtype.kind not in "buif":
        raise broken(path, f"pixels of type {dtype}")
    channels = int(sizes.get("c", 1))
    form = "one-bit" if dtype == np.bool_ else "rgb" if channels == 3 else "grey" if channels == 1 else "channels"
    header = Header(int(sizes["y"]), int(sizes["x"]), channels, str(dtype), dtype.itemsize * 8, form)
    check_size(path, header, (min(header.rows, 1), min(header.columns, 1)))
    return header


def _chunks(scales: _Multiscale, path: Path) -> Size:
    """Return the rows and columns of a chunk. Raises DataError where a chunk is too large."""
    sizes = dict(zip(scales.axes, zip(scales.array.chunks, scales.array.shape, strict=True), strict=True))
    rows, columns = (max(1, min(sizes[axis])) for axis in "yx")
    if prod((rows, columns, sizes.get("c", (1, 1))[1])) * scales.array.dtype.itemsize > BLOCK_LIMIT:
        raise DataError(
            f"{path}: chunks of {rows} x {columns} pixels",
            f"chunks of at most {BLOCK_LIMIT >> 20} MiB with all channels",
            "save it with chunks of 512 x 512",
        )
    return rows, columns


def _check_codecs(array: Any, path: Path) -> None:
    wrong = sorted(set(_codecs(array.metadata.to_dict())) - CODECS)
    if wrong:
        raise DataError(
            f"{path}: chunks coded with {', '.join(wrong)}",
            f"one of {', '.join(sorted(CODECS))}",
            "save it with blosc",
        )


def _codecs(metadata: Any) -> Iterator[str]:
    """Yield the names of all codecs in an array's metadata, nested ones too."""
    groups = [metadata.get(key) for key in ("compressor", "filters", "codecs", "index_codecs")]
    for codec in [codec for group in groups if group for codec in ([group] if isinstance(group, Mapping) else group)]:
        yield str(codec.get("id") or codec.get("name")).removeprefix("numcodecs.")
        yield from _codecs(codec.get("configuration", {}))
