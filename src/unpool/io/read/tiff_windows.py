"""The pixels of a TIFF, all or a window. Only the tiles or strips that a window touches are read and decoded."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, FILLORDER

from unpool.io.read.blocks import BLOCK_LIMIT, BlockCache, block_parts
from unpool.io.read.pillow_blocks import BYTE_CODES, bytes_of_block, picture_of_block, pillow_decodes
from unpool.io.read.raster import MAX_BYTES, Header, Raster, broken, check_size, decoding
from unpool.io.read.stored_picture import StoredPicture, check_allowed, decoded_picture
from unpool.io.read.tiff import TiffPicture, TiffStack, block_size, tiff_picture
from unpool.io.read.tiff_coding import (
    JPEG,
    check_coded_size,
    check_coding,
    inflated,
    is_inflated,
    is_sampled_here,
    require_jpeg_end,
)
from unpool.io.read.tiff_samples import samples_of_block
from unpool.shapes import Region, region_size
from unpool.wording import size_text

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def tiff_raster(file: BinaryIO, path: Path) -> Raster:
    """Decode a TIFF file. Raises DataError."""
    with decoding(path):
        picture = tiff_picture(file, path)
        return _raster(
            picture, _reader(file, path, picture, _planes(picture, picture.header.channels), BlockCache(0)), path
        )


def open_tiff(file: BinaryIO, path: Path, cache: int, allowed: float) -> StoredPicture:
    """Open a TIFF for windows. Raises DataError.

    Parameters
    ----------
    file: stays open as long as windows are read.
    cache: bytes of decoded blocks that may stay in memory.
    allowed: bytes that a picture without windows may take, if it does not fit the cache.
    """
    with decoding(path):
        picture = tiff_picture(file, path)
        frame, header = picture.series.keyframe, picture.header
        read = _reader(file, path, picture, _planes(picture, header.channels), BlockCache(cache))
        if frame.is_final:
            return StoredPicture(header, read, (1, header.columns), 0, picture.palette, placement=picture.placement)
        if _block_bytes(frame) > BLOCK_LIMIT:
            needed = _block_bytes(frame) + 2 * header.rows * header.columns * header.pixel_bytes
            check_allowed(path, "TIFF of one large strip or tile", needed, cache, allowed)
            return decoded_picture(_raster(picture, read, path), picture.placement)
        return StoredPicture(header, read, block_size(frame), cache, picture.palette, placement=picture.placement)


def tiff_page_reader(file: BinaryIO, path: Path, stack: TiffStack) -> Callable[[int], Raster]:
    """Return a function from the number of a page, from 0, to its pixels. Raises DataError as ``tiff_raster``.

    Parameters
    ----------
    file: stays open as long as pages are read.
    """
    picture = stack.picture
    check_size(path, picture.header)
    with decoding(path):
        planes = _planes(picture, picture.header.channels * len(stack.pages))
        _reader(file, path, picture, planes, BlockCache(0))

    def page(number: int) -> Raster:
        own = [planes[k] for k in stack.pages[number]]
        width = own[0].channels.stop - own[0].channels.start
        own = [each._replace(channels=slice(k * width, (k + 1) * width)) for k, each in enumerate(own)]
        with decoding(path):
            return _raster(picture, _reader(file, path, picture, own, BlockCache(0)), path)

    return page


def _reader(
    file: BinaryIO, path: Path, picture: TiffPicture, planes: list[_Plane], cache: BlockCache
) -> Callable[[Region], NDArray[Any]]:
    """Return a function from a region to its stored pixels. Raises DataError where nothing here can decode them."""
    frame, change = picture.series.keyframe, picture.series.transform
    if frame.is_final:
        read = _Rows(file, path, picture.header, planes).window
    else:
        check_coding(frame, path)
        read = _Blocks(file, path, picture.header, planes, cache, _decoder(frame)).window
    return read if change is None else lambda region: change(read(region))


def _raster(picture: TiffPicture, read: Callable[[Region], NDArray[Any]], path: Path) -> Raster:
    header, frame = picture.header, picture.series.keyframe
    check_size(path, header)
    if not frame.is_final and _block_bytes(frame) > MAX_BYTES:
        raise broken(path, f"a tile or strip of {size_text(block_size(frame))} pixels")
    return Raster(header, read((slice(0, header.rows), slice(0, header.columns))), picture.palette)


class _Plane(NamedTuple):
    """A page, or one plane of a page whose channels are stored apart.

    Attributes
    ----------
    sample: the number of the plane in its page.
    channels: the channels of the picture that the plane holds.
    """

    page: Any
    sample: int
    channels: slice


def _planes(picture: TiffPicture, channels: int) -> list[_Plane]:
    """Return the planes of a file in the order of its channels, of which all pages together have this many."""
    _, _, _, _, together = picture.series.keyframe.shaped
    separate = channels // together // len(picture.series.pages)
    pairs = [(page, sample) for page in picture.series.pages for sample in range(separate)]
    return [_Plane(*pair, slice(place * together, (place + 1) * together)) for place, pair in enumerate(pairs)]


def _block_bytes(frame: Any) -> int:
    """Return the bytes of a full block once it is decoded."""
    return int(prod(block_size(frame)) * frame.shaped[4] * frame.dtype.itemsize)


def _joined(planes: list[_Plane], region: Region, read: Callable[[_Plane], NDArray[Any]]) -> NDArray[Any]:
    """Return the pixels of all planes (rows, columns[, channels]). A single plane is not copied."""
    if len(planes) == 1:
        pixels = read(planes[0])
    else:
        for plane in planes:
            part = read(plane)
            if plane is planes[0]:
                pixels = np.empty((*region_size(region), planes[-1].channels.stop), part.dtype)
            pixels[..., plane.channels] = part
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


@dataclass(frozen=True)
class _Rows:
    """Pixels that are stored without coding: the rows of a window are read from the file as they are."""

    file: BinaryIO
    path: Path
    header: Header
    planes: list[_Plane]
    lock: Lock = field(default_factory=Lock)

    def window(self, region: Region) -> NDArray[Any]:
        """Return the stored pixels of a window."""
        with decoding(self.path):
            return _joined(self.planes, region, lambda plane: self._plane(plane, region))

    def _plane(self, plane: _Plane, region: Region) -> NDArray[Any]:
        frame = plane.page.keyframe
        dtype, together = np.dtype(frame.parent.byteorder + frame.dtype.char), frame.shaped[4]
        pixel = together * dtype.itemsize
        part = np.empty((*region_size(region), together), dtype)
        first = plane.page.dataoffsets[0] + plane.sample * self.header.rows * self.header.columns * pixel
        rows, columns = region
        whole = region_size(region)[1] == self.header.columns
        for row in (rows.start,) if whole else range(rows.start, rows.stop):
            start = first + (row * self.header.columns + columns.start) * pixel
            lines = part if whole else part[row - rows.start]
            data = lines.reshape(-1).view(np.uint8)
            with self.lock:
                self.file.seek(start)
                count = self.file.readinto(data.data)  # type: ignore[attr-defined]
            if count != data.nbytes:
                raise broken(self.path, f"the file is cut off in row {row}")
        return part


@dataclass(frozen=True)
class _Blocks:
    """Tiles or strips. They are read under a lock, decoded outside it (by several threads together), and cached."""

    file: BinaryIO
    path: Path
    header: Header
    planes: list[_Plane]
    cache: BlockCache
    decode: Callable[[bytes | None, Any, int], NDArray[Any]]
    lock: Lock = field(default_factory=Lock)

    def window(self, region: Region) -> NDArray[Any]:
        """Return the stored pixels of a window."""
        return _joined(self.planes, region, lambda plane: self._plane(plane, region))

    def _plane(self, plane: _Plane, region: Region) -> NDArray[Any]:
        frame = plane.page.keyframe
        block = block_size(frame)
        across = -(-self.header.columns // block[1])
        pixels = np.empty((*region_size(region), frame.shaped[4]), frame.dtype)
        for part in block_parts(region, block):
            pixels[part.target] = self._block(plane, part.row * across + part.column)[part.source]
        return pixels

    def _block(self, plane: _Plane, index: int) -> NDArray[Any]:
        key = (plane.channels.start, index)
        cached = self.cache.get(key)
        if cached is not None:
            return cached
        block = block_size(plane.page.keyframe)
        a_plane = -(-self.header.columns // block[1]) * -(-self.header.rows // block[0])
        segment = plane.sample * a_plane + index
        with decoding(self.path, _place_text(plane.page, index)):
            pixels = self.decode(self._bytes(plane.page, segment), plane.page, segment)
        self.cache.put(key, pixels)
        return pixels

    def _bytes(self, page: Any, segment: int) -> bytes | None:
        """Return the bytes of a block as stored; None where it was never written."""
        offset, count = page.dataoffsets[segment], page.databytecounts[segment]
        if not count:
            return None
        with self.lock:
            self.file.seek(offset)
            data = self.file.read(count)
        if len(data) != count:
            raise ValueError("the file is cut off")
        return data


def _decoder(frame: Any) -> Callable[[bytes | None, Any, int], NDArray[Any]]:
    """Return a function from the bytes of a block, its page and its number to its pixels (rows, columns, channels)."""
    if pillow_decodes(frame) and int(frame.compression) not in BYTE_CODES:
        return _picture_decoder(frame)
    if is_sampled_here(frame):
        return _sample_decoder(frame)
    plain = frame
    if is_inflated(frame.compression):
        # inflated here, within bounds; tifffile decodes the rest as it decodes a page without compression
        plain = copy(frame)
        plain.compression, plain.fillorder = COMPRESSION.NONE, FILLORDER.MSB2LSB
        for stale in ("decode", "hash"):
            plain.__dict__.pop(stale, None)
    plain.init_decode()

    def decoded(data: bytes | None, page: Any, segment: int) -> NDArray[Any]:
        options = {}
        if data is not None and plain is not frame:
            data = _plain_bytes(data, frame, segment)
        elif data is not None and frame.compression in JPEG:
            options = {"jpegtables": page.jpegtables, "jpegheader": frame.jpegheader}
            if frame.jpegheader is None:
                require_jpeg_end(data)
        if data is not None and frame.jpegheader is None:
            check_coded_size(data, frame.compression, block_size(frame))
        pixels, _, shape = plain.decode(data, segment, **options)
        if pixels is None:
            return np.full(shape[1:], frame.nodata, frame.dtype)
        block: NDArray[Any] = pixels[0]
        return block

    return decoded


def _plain_bytes(data: bytes, frame: Any, segment: int) -> bytes:
    """Return the bytes of a block, without compression and in the usual order of bits."""
    rows, columns = block_size(frame)
    row_bytes = -(-columns * frame.shaped[4] * frame.bitspersample // 8)
    data = data.translate(_REVERSED_BITS) if frame.fillorder == 2 else data
    if frame.compression == 1:
        return data
    if pillow_decodes(frame):
        return bytes_of_block(data, frame.compression, (_rows_of(frame, segment), row_bytes))
    return inflated(data, frame.compression, rows * row_bytes)


def _sample_decoder(frame: Any) -> Callable[[bytes | None, Any, int], NDArray[Any]]:
    """Return a function as ``_decoder`` does, for blocks whose samples are made here."""

    def decoded(data: bytes | None, page: Any, segment: int) -> NDArray[Any]:
        size = _rows_of(frame, segment), block_size(frame)[1]
        if data is None:
            return np.full((*size, frame.shaped[4]), frame.nodata, frame.dtype)
        return samples_of_block(_plain_bytes(data, frame, segment), frame, size)

    return decoded


def _picture_decoder(frame: Any) -> Callable[[bytes | None, Any, int], NDArray[Any]]:
    """Return a function as ``_decoder`` does, for blocks that are a JPEG, or in fax codes, which Pillow decodes."""
    columns, is_jpeg = block_size(frame)[1], frame.compression in JPEG

    def decoded(data: bytes | None, page: Any, segment: int) -> NDArray[Any]:
        size = _rows_of(frame, segment), columns
        if data is None:
            return np.full((*size, frame.shaped[4]), frame.nodata, frame.dtype)
        if is_jpeg:
            require_jpeg_end(data)
            check_coded_size(data, frame.compression, block_size(frame))
        elif frame.fillorder == 2:
            data = data.translate(_REVERSED_BITS)
        return picture_of_block(data, frame, page.jpegtables if is_jpeg else None, size)

    return decoded


def _rows_of(frame: Any, segment: int) -> int:
    """Return the rows of a block; the last strip of a plane has fewer than the others."""
    height = block_size(frame)[0]
    if frame.is_tiled:
        return height
    rows = int(frame.shaped[2])
    return min(height, rows - segment % -(-rows // height) * height)


def _place_text(page: Any, index: int) -> str:
    """Return the name and place of a block: ``tile 6 at row 16, column 32``."""
    rows, columns = block_size(page.keyframe)
    down, right = divmod(index, -(-int(page.keyframe.imagewidth) // columns))
    kind = "tile" if page.keyframe.is_tiled else "strip"
    return f"{kind} {index} at row {down * rows}, column {right * columns}"
