"""A decoder of PNGs with several channels of 16 bits, after the PNG specification. Pillow keeps only 8 of the bits."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from unpool.io.png_chunks import chunk, png_head

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG colour type of 8-bit samples, by bytes of a pixel."""


def decode_16_bit_png(data: bytes, rows: int, columns: int, channels: int) -> NDArray[np.uint16]:
    """Decode the joined IDAT chunks of a PNG that is not interlaced; never inflate more than the header claims.

    Returns
    -------
    uint16 (rows, columns, channels).

    Raises
    ------
    ValueError, zlib.error: the data is damaged.
    """
    stride = 1 + columns * channels * 2
    inflater = zlib.decompressobj()
    lines = inflater.decompress(data, rows * stride + 1)
    if len(lines) != rows * stride or not inflater.eof:
        raise ValueError(f"{len(lines):,} bytes of pixels for {rows * stride:,}")
    filtered = np.frombuffer(lines, np.uint8).reshape(rows, stride)
    plain = undo_filters(filtered[:, :1], filtered[:, 1:].reshape(rows, columns, channels * 2))
    return plain.view(">u2").astype(np.uint16)


def undo_filters(kinds: NDArray[np.uint8], filtered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the filters of a PNG's rows.

    A filter works on bytes: each byte of a pixel depends only on the same byte of its neighbours. So pixels of up to
    4 bytes are decoded as an 8-bit PNG, which Pillow does fast and exactly, and larger pixels as two such PNGs.

    Parameters
    ----------
    kinds: the filter of each row, uint8 (rows, 1).
    filtered: uint8 (rows, columns, bytes of a pixel).

    Returns
    -------
    uint8 (rows, columns, bytes of a pixel).
    """
    rows, columns, size = filtered.shape
    if size > 4:
        halves = [undo_filters(kinds, half) for half in np.split(filtered, 2, axis=2)]
        return np.concatenate(halves, axis=2)
    lines = np.concatenate([kinds, filtered.reshape(rows, -1)], axis=1)
    data = chunk(b"IDAT", zlib.compress(lines.data, 0)) + chunk(b"IEND", b"")
    picture = PngImageFile(BytesIO(png_head(rows, columns, 8, _COLOUR_TYPES[size]) + data))
    return np.array(picture).reshape(rows, columns, size)
