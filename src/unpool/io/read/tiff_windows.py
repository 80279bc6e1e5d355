"""Windows of a TIFF. Only the tiles or strips that a window touches are read and decoded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from unpool.io.placement import tiff_placement
from unpool.io.read.blocks import BLOCK_LIMIT, BlockCache, block_parts
from unpool.io.read.raster import Header, broken, decoding
from unpool.io.read.stored_picture import StoredPicture, check_allowed, decoded_picture
from unpool.io.read.tiff import TiffPicture, check_complete, decode_picture, naming_the_codec, tiff_picture
from unpool.shapes import Region, Size, region_size

DEFLATE_RATIO = 1032
"""The most times its size that deflated data can become."""

UNCHECKED_BYTES = 1 << 30
"""Bytes to which the data of a block may inflate without a check."""

_DEFLATE = (8, 32946)
_JPEG = (6, 7, 34892, 33007)


def open_tiff(file: BinaryIO, path: Path, cache: int, allowed: float) -> StoredPicture:
    """Open a TIFF for windows. Raises DataError.

    Parameters
    ----------
    file: stays open as long as windows are read.
    cache: bytes of decoded blocks that may stay in memory.
    allowed: bytes that a picture without windows may take, if it does not fit the cache.
    """
    with decoding(path):
        tiff = tifffile.TiffFile(file, name=str(path))
        picture = tiff_picture(tiff, path)
        check_complete(picture.series, path)
        placement = tiff_placement(tiff, picture.series)
        if not _has_windows(picture):
            pixels = picture.header.rows * picture.header.columns * picture.header.pixel_bytes
            check_allowed(path, "TIFF of one strip", 3 * pixels, cache, allowed)
            return decoded_picture(decode_picture(picture, path), placement)
        header, planes = picture.header, _planes(picture.series)
        if planes[0].page.keyframe.is_final:
            read, block, cache = _Rows(file, path, planes, header).window, (1, header.columns), 0
        else:
            read = _Blocks(file, path, picture.series, planes, header, BlockCache(cache)).window
            block = _block(planes[0].page)
        return StoredPicture(header, read, block, cache, picture.palette, placement=placement)


@dataclass(frozen=True)
class _Plane:
    """A page, or one plane of a page whose channels are stored apart.

    Attributes
    ----------
    sample: the number of the plane in its page.
    channels: the channels of the picture that the plane holds.
    """

    page: Any
    sample: int
    channels: slice


def _planes(series: tifffile.TiffPageSeries) -> list[_Plane]:
    """Return the planes of a picture in the order of its channels."""
    separate, _, _, _, together = series.keyframe.shaped
    pairs = [(page, sample) for page in series.pages for sample in range(separate)]
    return [_Plane(*pair, slice(place * together, (place + 1) * together)) for place, pair in enumerate(pairs)]


def _block(page: Any) -> Size:
    """Return the rows and columns of a tile or strip."""
    frame = page.keyframe
    if frame.is_tiled:
        return int(frame.tilelength), int(frame.tilewidth)
    return min(int(frame.rowsperstrip), int(frame.imagelength)), int(frame.imagewidth)


def _has_windows(picture: TiffPicture) -> bool:
    """Return whether the pages are two-dimensional and their blocks can be decoded alone and are not too large."""
    series, header = picture.series, picture.header
    frame = series.keyframe
    flat = frame.shaped[1] == 1 and frame.shaped[2:4] == (header.rows, header.columns)
    complete = len(series.pages) * prod(frame.shaped) == prod(series.shape)
    alone = series.transform is None and frame.jpegheader is None
    return flat and complete and alone and (bool(frame.is_final) or 0 < _block_bytes(frame) <= BLOCK_LIMIT)


def _block_bytes(frame: Any) -> int:
    """Return the bytes of a full block once it is decoded."""
    return int(prod(_block(frame)) * frame.shaped[4] * np.dtype(frame.dtype).itemsize)


def _empty(region: Region, header: Header, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.empty((*region_size(region), header.channels), dtype)


def _without_single_channel(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


@dataclass(frozen=True)
class _Rows:
    """Pixels that are stored without coding: each row of a window is one read from the file."""

    file: BinaryIO
    path: Path
    planes: list[_Plane]
    header: Header
    lock: Lock = field(default_factory=Lock)

    def window(self, region: Region) -> NDArray[Any]:
        """Return the stored pixels of a window."""
        with decoding(self.path):
            frame = self.planes[0].page.keyframe
            dtype = np.dtype(frame.parent.byteorder + frame._dtype.char)
            pixels = _empty(region, self.header, dtype)
            for plane in self.planes:
                pixels[..., plane.channels] = self._plane(plane, region, dtype)
            return _without_single_channel(pixels)

    def _plane(self, plane: _Plane, region: Region, dtype: np.dtype[Any]) -> NDArray[Any]:
        together = plane.page.keyframe.shaped[4]
        pixel = together * dtype.itemsize
        part = np.empty((*region_size(region), together), dtype)
        first = plane.page.dataoffsets[0] + plane.sample * self.header.rows * self.header.columns * pixel
        rows, columns = region
        for row in range(rows.start, rows.stop):
            start = first + (row * self.header.columns + columns.start) * pixel
            line = part[row - rows.start].view(np.uint8).reshape(-1)
            with self.lock:
                self.file.seek(start)
                count = self.file.readinto(line.data)  # type: ignore[attr-defined]
            if count != line.nbytes:
                raise broken(self.path, f"the file is cut off in row {row}")
        return part


@dataclass(frozen=True)
class _Blocks:
    """Tiles or strips. They are read under a lock, decoded outside it (by several threads together), and cached."""

    file: BinaryIO
    path: Path
    series: tifffile.TiffPageSeries
    planes: list[_Plane]
    header: Header
    cache: BlockCache
    lock: Lock = field(default_factory=Lock)

    def window(self, region: Region) -> NDArray[Any]:
        """Return the stored pixels of a window."""
        pixels = _empty(region, self.header, np.dtype(self.series.dtype))
        block = _block(self.planes[0].page)
        across = -(-self.header.columns // block[1])
        for number, plane in enumerate(self.planes):
            for part in block_parts(region, block):
                index = part.row * across + part.column
                pixels[(*part.target, plane.channels)] = self._block(number, index)[part.source]
        return _without_single_channel(pixels)

    def _block(self, number: int, index: int) -> NDArray[Any]:
        cached = self.cache.get((number, index))
        if cached is not None:
            return cached
        plane = self.planes[number]
        block = _block(plane.page)
        a_plane = -(-self.header.columns // block[1]) * -(-self.header.rows // block[0])
        with decoding(self.path, _place_text(plane.page, index)), naming_the_codec(self.series, self.path):
            pixels = self._decoded(plane.page, plane.sample * a_plane + index)
        self.cache.put((number, index), pixels)
        return pixels

    def _decoded(self, page: Any, segment: int) -> NDArray[Any]:
        frame = page.keyframe
        data, nominal = self._bytes(page, segment), _block_bytes(frame)
        options = {}
        if frame.compression in _JPEG:
            options["jpegtables"] = page.jpegtables
            if data is not None and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
                raise ValueError("its JPEG data has no end")  # the decoder would paint the rest grey
        if data is not None and frame.compression in _DEFLATE:
            _check_inflation(data, nominal)
        pixels, _, shape = frame.decode(data, segment, **options)
        if pixels is None:  # a block that was never written
            return np.full(shape[1:], frame.nodata, self.series.dtype)
        decoded: NDArray[Any] = pixels[0]
        return decoded

    def _bytes(self, page: Any, segment: int) -> bytes | None:
        offset, count = page.dataoffsets[segment], page.databytecounts[segment]
        if not count:
            return None
        with self.lock:
            self.file.seek(offset)
            data = self.file.read(count)
        if len(data) != count:
            raise ValueError("the file is cut off")
        return data


def _place_text(page: Any, index: int) -> str:
    """Return the name and place of a block: ``tile 6 at row 16, column 32``."""
    rows, columns = _block(page)
    down, right = divmod(index, -(-int(page.keyframe.imagewidth) // columns))
    kind = "tile" if page.keyframe.is_tiled else "strip"
    return f"{kind} {index} at row {down * rows}, column {right * columns}"


def _check_inflation(data: bytes, nominal: int) -> None:
    """Raise ValueError where deflated data that may exceed ``UNCHECKED_BYTES`` grows beyond twice its block."""
    if len(data) * DEFLATE_RATIO <= UNCHECKED_BYTES:
        return
    if len(zlib.decompressobj().decompress(data, 2 * nominal + 1)) > 2 * nominal:
        raise ValueError("it inflates to more than its pixels")
