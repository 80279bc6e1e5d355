"""Pictures of any size, read by windows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unpool.errors import UsageError
from unpool.io.placement import Placement
from unpool.io.png_chunks import PNG_MARK
from unpool.io.read.bitmaps import bitmap_raster
from unpool.io.read.blocks import Rectangle
from unpool.io.read.formats import is_tiff, opened
from unpool.io.read.images import ImageInfo, info_of, shown
from unpool.io.read.png_rows import stored_png
from unpool.io.read.raster import Raster, check_size, decoding
from unpool.io.read.stored import Stored, whole
from unpool.io.read.tiff_windows import stored_tiff
from unpool.io.read.zarr import is_zarr, stored_zarr

CACHE = 1 << 28
"""Bytes of decoded tiles, strips, chunks or bands that stay in memory between windows."""


@dataclass(frozen=True)
class PictureFile:
    """A picture that is open, see ``open_picture``.

    Attributes
    ----------
    info: what ``image_info`` says, for pictures of any size.
    shape: rows, columns and channels, as displayed.
    dtype: uint8, uint16 or float32.
    block: rows and columns that are decoded together; windows on this grid cost least.
    held: the most bytes that stay in memory between windows.
    resident: the whole picture is in memory, because its format has no windows.
    placement: what else the file says: resolution, place on the earth, how it is stored.
    """

    info: ImageInfo
    stored: Stored

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels, as displayed."""
        return self.info.rows, self.info.columns, self.info.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, uint16 or float32."""
        return np.dtype(self.info.dtype)

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns that are decoded together."""
        rows, columns = self.stored.block
        return (columns, rows) if self.info.orientation >= 5 else (rows, columns)

    @property
    def held(self) -> int:
        """The most bytes that stay in memory between windows."""
        header = self.stored.header
        return min(
            self.stored.held, prod((header.rows, header.columns, header.channels, np.dtype(header.dtype).itemsize))
        )

    @property
    def resident(self) -> bool:
        """Whether the whole picture is in memory."""
        return self.stored.resident

    @property
    def placement(self) -> Placement:
        """What a mask of this picture keeps."""
        return self.stored.placement

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        """``window`` in an array's words, so that whoever takes parts of an array may take them from a file."""
        return self.window(*part)

    def window(self, rows: slice, columns: slice) -> NDArray[Any]:
        """A part of the picture: exactly ``read_image(path)[rows, columns]``. Safe in several threads.

        Raises
        ------
        DataError: the file is damaged there (it says which tile), or the window is too large for one array.
        UsageError: slices with a step.
        """
        span = Rectangle(*_bounds(rows, self.info.rows), *_bounds(columns, self.info.columns))
        if 0 in span.shape:
            return np.empty((*span.shape, self.info.channels), self.dtype)
        check_size(self.info.path, *span.shape, self.info.channels)
        header = self.stored.header
        with decoding(self.info.path):
            pixels = self.stored.read(_turned_back(span, self.info))
            return shown(Raster(header, pixels, self.stored.palette), self.info.path)[0]


@contextmanager
def open_picture(path: Path, cache: int = CACHE) -> Iterator[PictureFile]:
    """Open a picture of any size for reading by windows.

    Tiled and striped TIFFs (BigTIFF and OME-TIFF too, at full size), uncompressed TIFFs and Zarr folders decode what
    a window touches; a PNG is decoded once, by bands of rows. Everything else is decoded whole here, and is then
    bounded as in ``read_image``; so are TIFFs of one large strip and interlaced PNGs. PNGs that fit ``cache`` are
    decoded whole too.

    Parameters
    ----------
    cache: bytes of decoded blocks that may stay in memory between windows.

    Raises
    ------
    DataError: as ``read_image``; a Zarr folder whose axes are unclear, or without the package that reads it.
    """
    if is_zarr(path):
        stored = stored_zarr(path, cache)
        yield PictureFile(info_of(stored.header, path), stored)
        return
    with opened(path) as file:
        stored = _stored(file, path, cache)
        yield PictureFile(info_of(stored.header, path), stored)


def _stored(file: BinaryIO, path: Path, cache: int) -> Stored:
    if is_tiff(file, path):
        return stored_tiff(file, path, cache)
    start = file.read(len(PNG_MARK))
    file.seek(0)
    streamed = stored_png(file, path, cache) if start == PNG_MARK else None
    if streamed is not None:
        return streamed
    file.seek(0)
    return whole(bitmap_raster(file, path))


def _bounds(part: slice, size: int) -> tuple[int, int]:
    start, stop, step = part.indices(size)
    if step != 1:
        raise UsageError(f"a window with a step of {step}", "slices without a step", "take every pixel, then thin them")
    return start, max(start, stop)


def _turned_back(span: Rectangle, info: ImageInfo) -> Rectangle:
    """The stored place of a window of the displayed picture: ``raster.turn`` in reverse."""
    top, bottom, left, right = span
    if info.orientation in (2, 3, 6, 7):
        left, right = info.columns - right, info.columns - left
    if info.orientation in (3, 4, 7, 8):
        top, bottom = info.rows - bottom, info.rows - top
    return Rectangle(left, right, top, bottom) if info.orientation >= 5 else Rectangle(top, bottom, left, right)
