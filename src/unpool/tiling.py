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

Size = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """One tile of a picture.

    Attributes
    ----------
    window: rows and columns of the input to read.
    kept: rows and columns of the picture that this tile's result fills.
    inside: where ``kept`` lies within the window's result.
    """

    window: tuple[slice, slice]
    kept: tuple[slice, slice]
    inside: tuple[slice, slice]


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


def tiles(picture: Size, given: Size, tile: Size, reach: Reach) -> Iterator[Tile]:
    """Tiles that cover a picture once, row by row.

    Parameters
    ----------
    picture: rows and columns that the result must fill.
    given: rows and columns of the input, a legal size at least as large.
    tile: rows and columns kept of each tile; rounded up to the stride.
    """
    rows, columns = (
        list(_spans(length, limit, step, reach)) for length, limit, step in zip(picture, given, tile, strict=True)
    )
    for row_window, row_kept, row_inside in rows:
        for column_window, column_kept, column_inside in columns:
            yield Tile((row_window, column_window), (row_kept, column_kept), (row_inside, column_inside))


def _spans(length: int, limit: int, step: int, reach: Reach) -> Iterator[tuple[slice, slice, slice]]:
    step, before = multiple_above(step, reach.stride), multiple_above(reach.before, reach.stride)
    for start in range(0, length, step):
        stop = min(start + step, length)
        first = max(start - before, 0)
        last = min(first + reach.legal(start + step + reach.after - first), limit)
        yield slice(first, last), slice(start, stop), slice(start - first, stop - first)


def multiple_above(size: int, step: int) -> int:
    """The smallest multiple of ``step`` that is at least ``size``."""
    return -(-size // step) * step
