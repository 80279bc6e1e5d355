"""Rows, columns and regions of a picture, and how a picture is cut into regions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unpool.shapes import Region, Size


def extent(size: Size) -> Region:
    """Return the region of all rows and columns."""
    return slice(0, size[0]), slice(0, size[1])


def regions(picture: Size, tile: Size, stride: int, rows: range | None = None) -> Iterator[Region]:
    """Yield regions that cover a picture once, row by row.

    Parameters
    ----------
    picture: rows and columns.
    tile: rows and columns of each region; rounded up to the stride.
    rows: numbers of the rows of regions to yield; all by default.
    """
    row_spans, columns = (
        [slice(start, min(start + step, length)) for start in range(0, length, step)]
        for length, step in zip(picture, (multiple_above(side, stride) for side in tile), strict=True)
    )
    for row_span in row_spans if rows is None else [row_spans[number] for number in rows]:
        for column_span in columns:
            yield row_span, column_span


def mirrored(span: slice, length: int) -> NDArray[np.intp]:
    """Return the pixel numbers of a span on an axis that is mirrored about its ends, as often as needed.

    The pixels at the ends are not repeated.

    Parameters
    ----------
    span: may begin before 0 and end after ``length``.
    length: pixels of the axis.
    """
    period = max(2 * (length - 1), 1)
    places = np.arange(span.start, span.stop) % period
    return np.minimum(places, period - places) if length > 1 else places


def multiple_above(size: int, step: int) -> int:
    """Return the smallest multiple of ``step`` that is at least ``size``."""
    return -(-size // step) * step
