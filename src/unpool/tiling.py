"""Cutting a picture into tiles whose results fit together without a seam.

Each tile is computed from a window that is larger by the context its pixels see, so that every pixel kept is computed
from what it would have been computed from in the whole picture. Windows start on the network's stride grid, so that
pooling windows fall where they would have fallen. At the true edge the window ends where the picture ends, so the
network's own padding acts there exactly as it does on the whole picture.

Coordinates are the output's: output pixel o and input pixel o share a number, and a network that takes something away
on each side reads as many more input pixels after o.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.shapes import Region, Size


@dataclass(frozen=True)
class Tile:
    """One tile of a picture.

    Attributes
    ----------
    window: rows and columns of the input to read.
    kept: rows and columns of the picture that this tile's result fills.
    inside: where ``kept`` lies within the window's result.
    """

    window: Region
    kept: Region
    inside: Region


class Reach(NamedTuple):
    """What a tile reads beyond what it keeps.

    Attributes
    ----------
    before, after: pixels of input that kept pixels read before the first and after the last.
    stride: the network's total pooling stride; windows start at its multiples.
    legal: the smallest side at or above a given one that the network can run on.
    """

    before: int
    after: int
    stride: int
    legal: Callable[[int], int]


def extent(size: Size) -> Region:
    """All rows and columns."""
    return slice(0, size[0]), slice(0, size[1])


def regions(picture: Size, tile: Size, stride: int, rows: range | None = None) -> Iterator[Region]:
    """Regions that cover a picture once, row by row.

    Parameters
    ----------
    picture: rows and columns.
    tile: rows and columns of each region; rounded up to the stride.
    rows: only the rows of regions of these numbers; all by default.
    """
    row_spans, columns = (
        [slice(start, min(start + step, length)) for start in range(0, length, step)]
        for length, step in zip(picture, (multiple_above(side, stride) for side in tile), strict=True)
    )
    for row_span in row_spans if rows is None else [row_spans[number] for number in rows]:
        for column_span in columns:
            yield row_span, column_span


def tile_of(kept: Region, given: Size, reach: Reach) -> Tile:
    """The tile that computes a region of any place and size.

    Parameters
    ----------
    kept: rows and columns of the picture.
    given: rows and columns of the input, a legal size at least as large as the picture.
    """
    rows, columns = (_span(side, limit, reach) for side, limit in zip(kept, given, strict=True))
    return Tile((rows[0], columns[0]), kept, (rows[1], columns[1]))


def _span(kept: slice, limit: int, reach: Reach) -> tuple[slice, slice]:
    """What to read along one axis, and where ``kept`` lies in its result."""
    aligned = kept.start // reach.stride * reach.stride
    first = max(aligned - multiple_above(reach.before, reach.stride), 0)
    wanted = multiple_above(kept.stop, reach.stride) + reach.after - first
    last = min(first + reach.legal(wanted), limit)
    return slice(first, last), slice(kept.start - first, kept.stop - first)


def mirrored(span: slice, length: int) -> NDArray[np.intp]:
    """The pixels of an axis of ``length`` that stand at the places of a span, mirrored about its ends again and again.

    The span may begin before 0 and end after ``length``; the pixels at the ends are not repeated.
    """
    period = max(2 * (length - 1), 1)
    places = np.arange(span.start, span.stop) % period
    return np.minimum(places, period - places) if length > 1 else places


def multiple_above(size: int, step: int) -> int:
    """The smallest multiple of ``step`` that is at least ``size``."""
    return -(-size // step) * step
