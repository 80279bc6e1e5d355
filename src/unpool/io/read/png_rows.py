"""Bands of rows of a PNG: its one stream is inflated from the top, a band at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.io.placement import Placement
from unpool.io.png_chunks import chunk, chunk_pieces, png_head, read_chunks
from unpool.io.read.bitmaps import bitmap_header, bitmap_raster
from unpool.io.read.blocks import BLOCK_LIMIT, Rectangle, Shelf, block_parts
from unpool.io.read.deep_png import unfiltered
from unpool.io.read.raster import Header, decoding
from unpool.io.read.stored import Stored

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by PNG colour type."""

BAND_BYTES = 1 << 24
"""About how many stored bytes a band has."""


class _Form(NamedTuple):
    """How the pixels of a PNG are stored."""

    columns: int
    bits: int
    colour_type: int
    palette: bytes

    @property
    def pixel(self) -> int:
        """Bytes that a filter steps back for the pixel on the left."""
        return max(1, _SAMPLES[self.colour_type] * self.bits // 8)

    @property
    def stride(self) -> int:
        """Bytes of a row."""
        return -(-self.columns * _SAMPLES[self.colour_type] * self.bits // 8)


def stored_png(file: BinaryIO, path: Path, cache: int) -> Stored | None:
    """A PNG that is open for windows, or None where it has to be decoded whole. Raises DataError.

    It has to where it is interlaced, or turned so that rows are no rows, or not larger than what is kept anyway.
    Windows should go from the top to the bottom: one above what is kept starts again at the first row.
    """
    header = bitmap_header(file, path)
    with decoding(path):
        chunks = read_chunks(file, b"IHDR", b"PLTE")
        bits, colour_type, interlaced = (chunks[b"IHDR"][place] for place in (8, 9, 12))
        size = header.rows * header.columns * header.channels * np.dtype(header.dtype).itemsize
        form = _Form(header.columns, bits, colour_type, chunks.get(b"PLTE", b""))
    if interlaced or header.orientation > 2 or size <= cache or form.stride > BLOCK_LIMIT:
        return None
    bands = _Bands(file, path, header, form, cache)
    palette = bands.first().palette
    return Stored(header, bands.window, (bands.rows, header.columns), cache, palette, placement=Placement())


class _Bands:
    """Decoded bands and the stream they come from; one thread at a time goes on with it."""

    def __init__(self, file: BinaryIO, path: Path, header: Header, form: _Form, cache: int) -> None:
        self.rows = max(1, min(BAND_BYTES // (form.stride + 1), header.rows))
        self._file, self._path, self._header, self._form = file, path, header, form
        self._shelf = Shelf(cache)
        self._lock = Lock()
        self._stream = self._lines()
        self._next = 0

    def first(self) -> Any:
        """The raster of the first row, for its palette."""
        with decoding(self._path):
            blank = np.zeros((1, self._form.stride), np.uint8)
            return self._raster(blank)

    def window(self, span: Rectangle) -> NDArray[Any]:
        """Stored pixels of a window."""
        with self._lock, decoding(self._path):
            parts = [
                self._band(piece.row)[piece.source] for piece in block_parts(span, (self.rows, self._header.columns))
            ]
            return np.concatenate(parts)

    def _band(self, number: int) -> NDArray[Any]:
        kept = self._shelf.get(number)
        if kept is not None:
            return kept
        if number < self._next:
            self._stream, self._next = self._lines(), 0
        while self._next < number:
            self._next_lines()
        lines = self._next_lines()
        pixels: NDArray[Any] = self._raster(lines).pixels
        self._shelf.put(number, pixels)
        return pixels

    def _next_lines(self) -> NDArray[np.uint8]:
        lines = next(self._stream, None)
        if lines is None:  # it broke off here before
            raise ValueError("the pixels end early")
        self._next += 1
        return lines

    def _lines(self) -> Iterator[NDArray[np.uint8]]:
        """Rows as bytes without filters, uint8 (rows, bytes), a band at a time."""
        form, rows = self._form, self._header.rows
        above = np.zeros((1, form.stride), np.uint8)
        stream = _inflated(self._file, (form.stride + 1) * self.rows, rows * (form.stride + 1))
        for data in stream:
            stored = np.frombuffer(data, np.uint8).reshape(-1, form.stride + 1)
            kinds = np.concatenate([np.zeros((1, 1), np.uint8), stored[:, :1]])
            lines = np.concatenate([above, stored[:, 1:]]).reshape(len(kinds), -1, form.pixel)
            plain = unfiltered(kinds, lines).reshape(len(kinds), -1)[1:]
            above = plain[-1:].copy()
            yield plain

    def _raster(self, lines: NDArray[np.uint8]) -> Any:
        """Plain rows as the decoder of whole files reads them."""
        form = self._form
        data = zlib.compress(np.pad(lines, ((0, 0), (1, 0))).data, 0)
        palette = chunk(b"PLTE", form.palette) if form.palette else b""
        head = png_head(len(lines), form.columns, form.bits, form.colour_type)
        return bitmap_raster(BytesIO(head + palette + chunk(b"IDAT", data) + chunk(b"IEND", b"")), self._path)


def _inflated(file: BinaryIO, length: int, total: int) -> Iterator[bytes]:
    """The first ``total`` bytes of a PNG's stream, ``length`` at a time. Raises ValueError where there are fewer."""
    inflater = zlib.decompressobj()
    waiting = bytearray()
    given = 0
    for piece in chunk_pieces(file, b"IDAT"):
        rest = piece
        while rest and given < total:
            wanted = min(length, total - given)
            waiting += inflater.decompress(rest, wanted - len(waiting))
            rest = inflater.unconsumed_tail
            if len(waiting) == wanted:
                yield bytes(waiting)
                waiting.clear()
                given += wanted
    if given < total:
        raise ValueError(f"{given + len(waiting):,} bytes of pixels for {total:,}")
