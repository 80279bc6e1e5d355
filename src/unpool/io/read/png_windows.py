"""Windows of a PNG. Its one stream is inflated from the top, one band of rows at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.io.png_chunks import SAMPLES, chunk, chunk_data, png_head, read_chunks
from unpool.io.read.bitmaps import bitmap_header, bitmap_placement, bitmap_raster
from unpool.io.read.blocks import BLOCK_LIMIT, BlockCache, block_parts
from unpool.io.read.png_16_bit import undo_filters
from unpool.io.read.raster import Header, Raster, decoding
from unpool.io.read.stored_picture import StoredPicture
from unpool.shapes import Region

BAND_BYTES = 1 << 24
"""Stored bytes of a band, about."""


class _Form(NamedTuple):
    """The stored form of a PNG's pixels.

    Attributes
    ----------
    bits: bits of a sample.
    palette: the contents of the PLTE chunk; empty where there is none.
    """

    columns: int
    bits: int
    colour_type: int
    palette: bytes

    @property
    def pixel(self) -> int:
        """Bytes from a byte to the same byte of the pixel on the left, for filters."""
        return max(1, SAMPLES[self.colour_type] * self.bits // 8)

    @property
    def stride(self) -> int:
        """Bytes of a row, without the byte that names its filter."""
        return -(-self.columns * SAMPLES[self.colour_type] * self.bits // 8)


def open_png(file: BinaryIO, path: Path, cache: int) -> StoredPicture | None:
    """Open a PNG for windows. Raises DataError.

    Read windows from the top to the bottom: a window above the cached bands starts again at the first row.

    Parameters
    ----------
    cache: bytes of decoded bands that may stay in memory.

    Returns
    -------
    None where the PNG has to be decoded in one piece: it is interlaced, its EXIF orientation changes the order of rows,
    it fits the cache, or one row is too large.
    """
    header = bitmap_header(file, path)
    with decoding(path):
        chunks = read_chunks(file, b"IHDR", b"PLTE")
        bits, colour_type, interlaced = (chunks[b"IHDR"][place] for place in (8, 9, 12))
        size = header.rows * header.columns * header.channels * np.dtype(header.dtype).itemsize
        form = _Form(header.columns, bits, colour_type, chunks.get(b"PLTE", b""))
    rows_move = header.orientation.exchanged or header.orientation.rows
    if interlaced or rows_move or size <= cache or form.stride > BLOCK_LIMIT:
        return None
    bands = _Bands(file, path, header, form, cache)
    palette = bands.first().palette
    file.seek(0)
    placement = bitmap_placement(file, path, header)
    return StoredPicture(header, bands.window, (bands.rows, header.columns), cache, palette, placement=placement)


class _Bands:
    """The decoded bands of a PNG and the stream of its rows. One thread at a time reads the stream."""

    def __init__(self, file: BinaryIO, path: Path, header: Header, form: _Form, cache: int) -> None:
        self.rows = max(1, min(BAND_BYTES // (form.stride + 1), header.rows))
        self._file, self._path, self._header, self._form = file, path, header, form
        self._cache = BlockCache(cache)
        self._lock = Lock()
        self._stream = self._lines()
        self._next = 0

    def first(self) -> Raster:
        """Return the raster of one blank row, for its palette."""
        with decoding(self._path):
            blank = np.zeros((1, self._form.stride), np.uint8)
            return self._raster(blank)

    def window(self, region: Region) -> NDArray[Any]:
        """Return the stored pixels of a window."""
        with self._lock, decoding(self._path):
            parts = block_parts(region, (self.rows, self._header.columns))
            return np.concatenate([self._band(part.row)[part.source] for part in parts])

    def _band(self, number: int) -> NDArray[Any]:
        cached = self._cache.get(number)
        if cached is not None:
            return cached
        if number < self._next:
            self._stream, self._next = self._lines(), 0
        while self._next < number:
            self._next_lines()
        lines = self._next_lines()
        pixels = self._raster(lines).pixels
        self._cache.put(number, pixels)
        return pixels

    def _next_lines(self) -> NDArray[np.uint8]:
        lines = next(self._stream, None)
        if lines is None:  # the stream broke off here in an earlier window
            raise ValueError("the pixels end early")
        self._next += 1
        return lines

    def _lines(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the rows of each band as bytes without filters, uint8 (rows, bytes)."""
        form, rows = self._form, self._header.rows
        above = np.zeros((1, form.stride), np.uint8)
        stream = _inflated(self._file, (form.stride + 1) * self.rows, rows * (form.stride + 1))
        for data in stream:
            filtered = np.frombuffer(data, np.uint8).reshape(-1, form.stride + 1)
            kinds = np.concatenate([np.zeros((1, 1), np.uint8), filtered[:, :1]])
            lines = np.concatenate([above, filtered[:, 1:]]).reshape(len(kinds), -1, form.pixel)
            plain = undo_filters(kinds, lines).reshape(len(kinds), -1)[1:]
            above = plain[-1:].copy()
            yield plain

    def _raster(self, lines: NDArray[np.uint8]) -> Raster:
        """Decode rows without filters as the decoder of complete files does, by making a file of them."""
        form = self._form
        data = zlib.compress(np.pad(lines, ((0, 0), (1, 0))).data, 0)
        palette = chunk(b"PLTE", form.palette) if form.palette else b""
        head = png_head(len(lines), form.columns, form.bits, form.colour_type)
        return bitmap_raster(BytesIO(head + palette + chunk(b"IDAT", data) + chunk(b"IEND", b"")), self._path)


def _inflated(file: BinaryIO, length: int, total: int) -> Iterator[bytes]:
    """Yield ``total`` bytes of a PNG's pixels, ``length`` at a time. Raises ValueError where they end early."""
    inflater = zlib.decompressobj()
    waiting = bytearray()
    given = 0
    for data in chunk_data(file, b"IDAT"):
        rest = data
        while rest and given < total:
            missing = min(length, total - given)
            waiting += inflater.decompress(rest, missing - len(waiting))
            rest = inflater.unconsumed_tail
            if len(waiting) == missing:
                yield bytes(waiting)
                waiting.clear()
                given += missing
    if given < total:
        raise ValueError(f"{given + len(waiting):,} bytes of pixels for {total:,}")
