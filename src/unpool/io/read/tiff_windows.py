"""Windows of a TIFF: only the tiles or strips that a window touches are read and decoded."""

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
from unpool.io.read.blocks import BLOCK_LIMIT, Rectangle, Shelf, block_parts
from unpool.io.read.raster import Header, broken, decoding
from unpool.io.read.stored import Stored, whole
from unpool.io.read.tiff import TiffPicture, check_complete, codecs_named, tiff_picture, whole_raster

DEFLATE_RATIO = 1032
"""How many times its size deflated data can become at most."""

HARM = 1 << 30
"""Bytes that a block may inflate to before it is looked at twice."""

_DEFLATE = (8, 32946)
_JPEG = (6, 7, 34892, 33007)


def stored_tiff(file: BinaryIO, path: Path, cache: int) -> Stored:
    """A TIFF that is open for windows. ``file`` stays open for as long as they are read. Raises DataError."""
    with decoding(path):
        tiff = tifffile.TiffFile(file, name=str(path))
        picture = tiff_picture(tiff, path)
        check_complete(picture.series, path)
        placement = tiff_placement(tiff, picture.series)
        if not _has_windows(picture):
            return whole(whole_raster(picture, path), placement)
        header, planes = picture.header, _planes(picture.series)
        if planes[0].page.keyframe.is_final:
            read, block, cache = _Rows(file, path, planes, header).window, (1, header.columns), 0
        else:
            read = _Blocks(file, path, picture.series, planes, header, Shelf(cache)).window
            block = _block(planes[0].page)
        return Stored(header, read, block, cache, picture.palette, placement=placement)


@dataclass(frozen=True)
class _Plane:
    """A page, or one of the planes of its samples, and the channels of the picture that it holds."""

    page: Any
    sample: int
    channels: slice


def _planes(series: tifffile.TiffPageSeries) -> list[_Plane]:
    """The planes of a picture in the order of its channels."""
    separate, _, _, _, together = series.keyframe.shaped
    pairs = [(page, sample) for page in series.pages for sample in range(separate)]
    return [_Plane(*pair, slice(place * together, (place + 1) * together)) for place, pair in enumerate(pairs)]


def _block(page: Any) -> tuple[int, int]:
    """Rows and columns of a tile or strip."""
    frame = page.keyframe
    if frame.is_tiled:
        return int(frame.tilelength), int(frame.tilewidth)
    return min(int(frame.rowsperstrip), int(frame.imagelength)), int(frame.imagewidth)


def _has_windows(picture: TiffPicture) -> bool:
    """Whether the picture is a row of flat pages whose blocks can be decoded one by one, and are not too large."""
    series, header = picture.series, picture.header
    frame = series.keyframe
    flat = frame.shaped[1] == 1 and frame.shaped[2:4] == (header.rows, header.columns)
    complete = len(series.pages) * prod(frame.shaped) == prod(series.shape)
    alone = series.transform is None and frame.jpegheader is None
    return flat and complete and alone and (bool(frame.is_final) or 0 < _nominal(frame) <= BLOCK_LIMIT)


def _nominal(frame: Any) -> int:
    """Bytes of a whole block once it is decoded."""
    return int(prod(_block(frame)) * frame.shaped[4] * np.dtype(frame.dtype).itemsize)


def _empty(span: Rectangle, header: Header, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.empty((*span.shape, header.channels), dtype)


def _as_stored(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


@dataclass(frozen=True)
class _Rows:
    """Pixels that lie in the file as they are: each row of a window is one read."""

    file: BinaryIO
    path: Path
    planes: list[_Plane]
    header: Header
    lock: Lock = field(default_factory=Lock)

    def window(self, span: Rectangle) -> NDArray[Any]:
        """Stored pixels of a window."""
        with decoding(self.path):
            frame = self.planes[0].page.keyframe
            dtype = np.dtype(frame.parent.byteorder + frame._dtype.char)
            pixels = _empty(span, self.header, dtype)
            for plane in self.planes:
                pixels[..., plane.channels] = self._plane(plane, span, dtype)
            return _as_stored(pixels)

    def _plane(self, plane: _Plane, span: Rectangle, dtype: np.dtype[Any]) -> NDArray[Any]:
        together = plane.page.keyframe.shaped[4]
        pixel = together * dtype.itemsize
        part = np.empty((*span.shape, together), dtype)
        first = plane.page.dataoffsets[0] + plane.sample * self.header.rows * self.header.columns * pixel
        for row in range(span.top, span.bottom):
            start = first + (row * self.header.columns + span.left) * pixel
            line = part[row - span.top].view(np.uint8).reshape(-1)
            with self.lock:
                self.file.seek(start)
                count = self.file.readinto(line.data)  # type: ignore[attr-defined]
            if count != line.nbytes:
                raise broken(self.path, f"the file is cut off in row {row}")
        return part


@dataclass(frozen=True)
class _Blocks:
    """Tiles or strips, read under a lock, decoded outside it and kept on a shelf."""

    file: BinaryIO
    path: Path
    series: tifffile.TiffPageSeries
    planes: list[_Plane]
    header: Header
    shelf: Shelf
    lock: Lock = field(default_factory=Lock)

    def window(self, span: Rectangle) -> NDArray[Any]:
        """Stored pixels of a window."""
        pixels = _empty(span, self.header, np.dtype(self.series.dtype))
        block = _block(self.planes[0].page)
        across = -(-self.header.columns // block[1])
        for number, plane in enumerate(self.planes):
            for piece in block_parts(span, block):
                index = piece.row * across + piece.column
                pixels[(*piece.target, plane.channels)] = self._block(number, index)[piece.source]
        return _as_stored(pixels)

    def _block(self, number: int, index: int) -> NDArray[Any]:
        kept = self.shelf.get((number, index))
        if kept is not None:
            return kept
        plane = self.planes[number]
        block = _block(plane.page)
        a_plane = -(-self.header.columns // block[1]) * -(-self.header.rows // block[0])
        with decoding(self.path, _place(plane.page, index)), codecs_named(self.series, self.path):
            pixels = self._decoded(plane.page, plane.sample * a_plane + index)
        self.shelf.put((number, index), pixels)
        return pixels

    def _decoded(self, page: Any, segment: int) -> NDArray[Any]:
        frame = page.keyframe
        data, nominal = self._bytes(page, segment), _nominal(frame)
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


def _place(page: Any, index: int) -> str:
    """A block in words."""
    rows, columns = _block(page)
    down, right = divmod(index, -(-int(page.keyframe.imagewidth) // columns))
    kind = "tile" if page.keyframe.is_tiled else "strip"
    return f"{kind} {index} at row {down * rows}, column {right * columns}"


def _check_inflation(data: bytes, nominal: int) -> None:
    """Refuse deflated data that grows far beyond its block; looked at only where there is enough of it to do harm."""
    if len(data) * DEFLATE_RATIO <= HARM:
        return
    if len(zlib.decompressobj().decompress(data, 2 * nominal + 1)) > 2 * nominal:
        raise ValueError("it inflates to more than its pixels")
