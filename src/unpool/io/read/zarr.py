"""OME-Zarr folders and Zarr arrays with named axes, at full size (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3)."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.placement import Placement
from unpool.io.read.blocks import BLOCK_LIMIT, BlockCache, block_parts
from unpool.io.read.ngff import Multiscale, multiscale
from unpool.io.read.raster import MAX_BYTES, Header, check_size, decoding
from unpool.io.read.stored_picture import StoredPicture
from unpool.io.read.zarr_array import ZarrArray, check_held, open_array, too_large_chunks
from unpool.io.read.zarr_node import METADATA_FILES, read_node
from unpool.shapes import Region, region_size
from unpool.wording import size_text


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder with the suffix ``.zarr``, or one inside it that has metadata of Zarr."""
    if path.suffix.lower() == ".zarr":
        return path.is_dir()
    return any((path / name).is_file() for name in METADATA_FILES)


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
    zarr_package(path)  # its codecs read the chunks, and it writes the masks
    with decoding(path):
        scales = multiscale(read_node(path))
        array = open_array(scales.array)
        _check_axes(scales, array)
        check_held(array, MAX_BYTES)
        header = _header(scales, array, path)
        chunks = _Chunks(path, array, scales.axes, header.channels, cache)
    placement = Placement(tiled=True, levels=scales.levels, zarr=scales.array.format, space=scales.space)
    return StoredPicture(header, chunks.window, chunks.block, cache, placement=placement)


class _Chunks:
    """The chunks of a picture, of all channels together. It is safe in several threads."""

    def __init__(self, path: Path, array: ZarrArray, axes: tuple[str, ...], channels: int, cache: int) -> None:
        self._path, self._array, self._axes, self._channels = path, array, axes, channels
        sizes = dict(zip(axes, zip(array.chunks, array.shape, strict=True), strict=True))
        self.block = min(sizes["y"]), min(sizes["x"])
        if prod(self.block) * channels * array.dtype.itemsize > BLOCK_LIMIT:
            raise too_large_chunks(path, (*self.block, channels))
        self._chunk_channels = sizes["c"][0] if "c" in sizes else 1
        self._cache = BlockCache(cache)

    def window(self, region: Region) -> NDArray[Any]:
        """Return the pixels of a window, (rows, columns[, channels])."""
        pixels = np.empty((*region_size(region), self._channels), self._array.dtype)
        for part in block_parts(region, self.block):
            pixels[part.target] = self._block(part.row, part.column)[part.source]
        return pixels[..., 0] if self._channels == 1 else pixels

    def _block(self, row: int, column: int) -> NDArray[Any]:
        """Return a block of all channels, (rows, columns, channels)."""
        cached = self._cache.get((row, column))
        if cached is not None:
            return cached
        block = np.empty((*self.block, self._channels), self._array.dtype)
        top, left = row * self.block[0], column * self.block[1]
        with decoding(self._path, f"chunk {row}, {column} at row {top}, column {left}"):
            for first in range(0, self._channels, self._chunk_channels):
                pixels = self._chunk({"y": row, "x": column, "c": first // self._chunk_channels})
                block[..., first : first + self._chunk_channels] = pixels[..., : self._channels - first]
        self._cache.put((row, column), block)
        return block

    def _chunk(self, place: Mapping[str, int]) -> NDArray[Any]:
        """Return one chunk as a block, (rows, columns, channels); axes of length 1 have their first place only."""
        chunk = self._array.chunk([place.get(axis, 0) for axis in self._axes])
        kept = chunk[tuple(slice(None) if axis in "yxc" else 0 for axis in self._axes)]
        axes = [axis for axis in self._axes if axis in "yxc"]
        if "c" not in axes:
            kept, axes = kept[..., np.newaxis], [*axes, "c"]
        return kept.transpose([axes.index(axis) for axis in "yxc"])[: self.block[0], : self.block[1]]


def _check_axes(scales: Multiscale, array: ZarrArray) -> None:
    """Raise DataError where the axes are not those of one picture."""
    axes, shape = scales.axes, array.shape
    long = [axis for axis, size in zip(axes, shape, strict=False) if size != 1 and axis not in ("y", "x")]
    rows_first = "y" in axes and "x" in axes and axes.index("y") < axes.index("x")
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or not rows_first or long not in ([], ["c"]):
        raise DataError(
            f"{array.node.root}: a Zarr array of {size_text(shape)} (axes {', '.join(axes) or 'without names'})",
            "one picture with the axes y, x and perhaps c; t and z of length 1",
            "save one plane with named axes, or as a TIFF",
        )


def _header(scales: Multiscale, array: ZarrArray, path: Path) -> Header:
    sizes = dict(zip(scales.axes, array.shape, strict=True))
    dtype, channels = array.dtype, sizes.get("c", 1)
    form = "one-bit" if dtype == np.bool_ else "rgb" if channels == 3 else "grey" if channels == 1 else "channels"
    header = Header(sizes["y"], sizes["x"], channels, dtype.name, dtype.itemsize * 8, form)
    check_size(path, header, (1, 1))
    return header
