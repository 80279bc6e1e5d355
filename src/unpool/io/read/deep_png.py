"""PNG of several channels of 16 bits, of which Pillow keeps only 8: an exact decoder, from the PNG specification."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from unpool.io.png_chunks import chunk, png_head

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG colour type by bytes a pixel, with 8 bits a sample."""


def deep_png(data: bytes, rows: int, columns: int, channels: int) -> NDArray[np.uint16]:
    """Decode the joined IDAT chunks of a PNG that is not interlaced.

    Returns uint16 (rows, columns, channels). Raises ValueError or zlib.error on foreign data; never inflates more
    than the header claims.
    """
    stride = 1 + columns * channels * 2
    inflater = zlib.decompressobj()
    lines = inflater.decompress(data, rows * stride + 1)
    if len(lines) != rows * stride or not inflater.eof:
        raise ValueError(f"{len(lines):,} bytes of pixels for {rows * stride:,}")
    stored = np.frombuffer(lines, np.uint8).reshape(rows, stride)
    plain = unfiltered(stored[:, :1], stored[:, 1:].reshape(rows, columns, channels * 2))
    return plain.view(">u2").astype(np.uint16)


def unfiltered(kinds: NDArray[np.uint8], stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the filters of a PNG's rows.

    A filter works on bytes, and each byte of a pixel knows only the same byte of its neighbours. So pixels of up to
    4 bytes are those of an 8-bit PNG, which Pillow decodes fast and exactly, and larger ones those of two.

    Parameters
    ----------
    kinds: the filter of each row, uint8 (rows, 1).
    stored: filtered bytes, uint8 (rows, columns, bytes a pixel).

    Returns
    -------
    uint8 (rows, columns, bytes a pixel).
    """
    rows, columns, size = stored.shape
    if size > 4:
        halves = [unfiltered(kinds, half) for half in np.split(stored, 2, axis=2)]
        return np.concatenate(halves, axis=2)
    lines = np.concatenate([kinds, stored.reshape(rows, -1)], axis=1)
    data = chunk(b"IDAT", zlib.compress(lines.data, 0)) + chunk(b"IEND", b"")
    picture = PngImageFile(BytesIO(png_head(rows, columns, 8, _COLOUR_TYPES[size]) + data))
    return np.array(picture).reshape(rows, columns, size)
