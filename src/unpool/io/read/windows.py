"""Pictures of any size, read by windows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unpool.errors import UsageError
from unpool.io.placement import Placement
from unpool.io.png_chunks import PNG_MARK
from unpool.io.read.arrays import is_arrays
from unpool.io.read.bitmaps import open_bitmap
from unpool.io.read.formats import first_bytes, is_tiff, open_file, plain_raster, stored_header
from unpool.io.read.images import ImageInfo, as_displayed, info_from_header
from unpool.io.read.png_windows import open_png
from unpool.io.read.pnm import is_pnm
from unpool.io.read.raster import Raster, check_size, decoding
from unpool.io.read.stored_picture import StoredPicture, check_allowed, decoded_picture
from unpool.io.read.tiff_windows import open_tiff
from unpool.io.read.zarr import is_zarr, open_zarr
from unpool.shapes import Region, Size, region_size
from unpool.wording import size_text

CACHE = 1 << 28
"""Bytes of decoded tiles, strips, chunks or bands that may stay in memory between windows."""


@dataclass(frozen=True)
class PictureFile:
    """A picture that ``open_picture`` opened.

    Attributes
    ----------
    info: as ``image_info`` returns it, for pictures of any size.
    stored: the open file.
    """

    info: ImageInfo
    stored: StoredPicture

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels, as displayed."""
        return self.info.rows, self.info.columns, self.info.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """The pixel type: uint8, uint16 or float32."""
        return np.dtype(self.info.dtype)

    @property
    def block(self) -> Size:
        """Rows and columns, as displayed, that are decoded together; windows on this grid cost least."""
        return self.info.orientation.size(self.stored.block)

    @property
    def cached_bytes(self) -> int:
        """The most bytes that stay in memory between windows."""
        header = self.stored.header
        picture = prod((header.rows, header.columns, header.channels, np.dtype(header.dtype).itemsize))
        return min(self.stored.cached_bytes, picture)

    @property
    def in_memory(self) -> bool:
        """Whether all pixels are in memory, because the format has no windows."""
        return self.stored.in_memory

    @property
    def placement(self) -> Placement:
        """Resolution, place on the earth and way of storage, which a mask of this picture keeps."""
        return self.stored.placement

    @property
    def lacks_data(self) -> bool:
        """Whether the file says of some pixels that they have no data, see ``absent``."""
        return self.info.missing is not None or self.placement.transparent

    def __getitem__(self, region: Region) -> NDArray[Any]:
        """Return a window, as an array would: ``picture[rows, columns]``."""
        return self.window(*region)

    def window(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a part of the picture: exactly ``read_image(path)[rows, columns]``. It is safe in several threads.

        Raises
        ------
        DataError: the file is damaged there (the message names the tile), or the window is too large for one array.
        UsageError: slices with a step.
        """
        region = _bounded(rows, self.info.rows), _bounded(columns, self.info.columns)
        size = region_size(region)
        if 0 in size:
            return np.empty((*size, self.info.channels), self.dtype)
        check_size(self.info.path, self.stored.header, size)
        stored_region = self.info.orientation.inverse.region(region, (self.info.rows, self.info.columns))
        with decoding(self.info.path):
            pixels = self.stored.read(stored_region)
            return as_displayed(Raster(self.stored.header, pixels, self.stored.palette), self.info.path)[0]

    def absent(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """Return which pixels of a window have no data, (rows, columns); None where the file says so of none.

        They have the declared value of missing data in every channel, or alpha hides them in a picture with a place on
        the earth. Parameters and errors are those of ``window``.
        """
        absent: NDArray[np.bool_] | None = None
        if self.info.missing is not None:
            absent = (self.window(rows, columns) == self.info.missing).all(axis=2)
        if self.placement.transparent:
            with decoding(self.info.path):
                region = _bounded(rows, self.info.rows), _bounded(columns, self.info.columns)
                hidden = self.stored.read(region)[..., -1] == 0
            absent = hidden if absent is None else absent | hidden
        return absent


@contextmanager
def open_picture(path: Path, cache: int = CACHE, allowed: float = inf) -> Iterator[PictureFile]:
    """Open a picture of any size for reading by windows.

    TIFFs with tiles or strips (BigTIFF and OME-TIFF too, at full size), uncompressed TIFFs and Zarr folders decode only
    the blocks that a window touches. A PNG larger than ``cache`` is decoded once, by bands of rows. All other files
    are decoded in one piece here and bounded as ``read_image`` bounds them; so are TIFFs of one large strip and
    interlaced PNGs.

    Parameters
    ----------
    cache: bytes of decoded blocks that may stay in memory between windows.
    allowed: bytes that may be taken by a picture without windows, or by one block, if it does not fit the cache.

    Raises
    ------
    DataError: the file is broken, too large or a stack; or decoding takes more than is allowed; or a Zarr folder whose
        axes are unclear, or for which the package zarr is not installed.
    """
    with ExitStack() as stack:
        if is_zarr(path):
            stored = open_zarr(path, cache)
        else:
            stored = _stored_picture(stack.enter_context(open_file(path)), path, cache, allowed)
        if not stored.in_memory:
            what = f"file's block of {size_text(stored.block)} pixels"
            check_allowed(path, what, 2 * prod(stored.block) * stored.header.pixel_bytes, cache, allowed)
        yield PictureFile(info_from_header(stored.header, path), stored)


def _stored_picture(file: BinaryIO, path: Path, cache: int, allowed: float) -> StoredPicture:
    if is_tiff(file, path):
        return open_tiff(file, path, cache, allowed)
    start = first_bytes(file)
    if is_pnm(start) or is_arrays(start):
        header = stored_header(file, path)
        needed = 2 * header.rows * header.columns * header.pixel_bytes
        check_allowed(path, f"{path.suffix[1:].upper()} file", needed, cache, allowed)
        raster = plain_raster(file, path)
        assert raster is not None
        return decoded_picture(raster)
    png = open_png(file, path, cache) if start.startswith(PNG_MARK) else None
    if png is not None:
        return png
    file.seek(0)
    return open_bitmap(file, path, cache, allowed)


def _bounded(span: slice, length: int) -> slice:
    """Return a slice with its bounds inside an axis of this length, as NumPy reads them."""
    start, stop, step = span.indices(length)
    if step != 1:
        raise UsageError(
            f"a window with a step of {step}", "slices without a step", "read every pixel, then leave pixels out"
        )
    return slice(start, max(start, stop))
