"""PNG of several channels of 16 bits, of which Pillow keeps only 8: an exact decoder, from the PNG specification."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    plain = _unfiltered(stored[:, :1], stored[:, 1:].reshape(rows, columns, channels * 2))
    return plain.view(">u2").astype(np.uint16)


def _unfiltered(kinds: NDArray[np.uint8], stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the filters of all rows at once, along one diagonal after the other.

    A pixel needs its left, upper and upper left neighbour, which lie on the two diagonals before.
    """
    if kinds.max() > 4:
        raise ValueError(f"a row of filter {kinds.max()}")
    rows, columns, size = stored.shape
    plain = np.zeros((rows + 1, columns + 1, size), np.uint8)
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        column = diagonal - row
        left, above, corner = (
            plain[row + down, column + right].astype(np.int16) for down, right in ((1, 0), (0, 1), (0, 0))
        )
        guesses: list[Any] = [np.zeros_like(left), left, above, (left + above) >> 1, _paeth(left, above, corner)]
        plain[row + 1, column + 1] = (stored[row, column] + np.choose(kinds[row], guesses)) & 255
    return np.ascontiguousarray(plain[1:, 1:])


def _paeth(left: NDArray[np.int16], above: NDArray[np.int16], corner: NDArray[np.int16]) -> NDArray[np.int16]:
    """Whichever neighbour is nearest to left + above - corner; of equals the first of left, above, corner."""
    target = left + above - corner
    near_left, near_above, near_corner = (np.abs(target - value) for value in (left, above, corner))
    first = (near_left <= near_above) & (near_left <= near_corner)
    return np.where(first, left, np.where(near_above <= near_corner, above, corner))
