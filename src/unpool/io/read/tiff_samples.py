"""Samples of a TIFF's block, made from its bytes: of 2 and 4 bits, and floating point behind its predictor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.shapes import Size

FLOAT_PREDICTOR = 3
"""TIFF's number of the predictor for floating point."""


def makes_samples(frame: Any) -> bool:
    """Return whether the samples of a page (of tifffile) are made here, from bytes without compression."""
    bits, predictor = int(frame.bitspersample), int(frame.predictor)
    if predictor == FLOAT_PREDICTOR:
        return bool(np.dtype(frame.dtype).kind == "f")
    return bits in (2, 4) and predictor == 1 and bool(np.dtype(frame.dtype) == np.uint8)


def samples_of_block(data: bytes, frame: Any, size: Size) -> NDArray[Any]:
    """Return the pixels (rows, columns, channels) of a block.

    Parameters
    ----------
    data: its bytes, without compression.
    size: rows and columns.

    Raises
    ------
    ValueError: there are fewer bytes than that.
    """
    (rows, columns), channels, bits = size, int(frame.shaped[4]), int(frame.bitspersample)
    values = columns * channels
    line = -(-values * bits // 8)
    if len(data) < rows * line:
        raise ValueError(f"it has {len(data):,} of {rows * line:,} bytes")
    lines = np.frombuffer(data, np.uint8, rows * line).reshape(rows, line)
    if bits in (2, 4):
        shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        samples = (lines[..., np.newaxis] >> shifts & np.uint8((1 << bits) - 1)).reshape(rows, -1)[:, :values]
    else:
        samples = _floats(lines, channels, bits // 8)
    return samples.reshape(rows, columns, channels)


def _floats(lines: NDArray[np.uint8], stride: int, size: int) -> NDArray[Any]:
    """Undo the predictor of Adobe's technical note 3: differences of bytes, which are sorted by their weight."""
    sums = np.cumsum(lines.reshape(len(lines), -1, stride), axis=1, dtype=np.uint8)
    weights = sums.reshape(len(lines), size, -1)  # the heaviest bytes of all values come first
    return np.ascontiguousarray(np.moveaxis(weights, 1, 2)).view(f">f{size}")[..., 0].astype(f"f{size}")
