"""Cutting a picture into tiles whose results fit together without a seam.

Each tile is computed from a window that is larger by a halo, so that every pixel kept has seen all the context it
would have seen in the whole picture. Windows start on the network's stride grid, so that pooling windows fall
where they would have fallen. At the true edge of the picture the window ends where the picture ends, so the
network's own padding acts there exactly as it does on the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Size = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """One tile of a picture.

    Attributes
    ----------
    window: rows and columns of the picture to read.
    kept: rows and columns of the picture that this tile's result fills.
    inside: where ``kept`` lies within the window's result.
    """

    window: tuple[slice, slice]
    kept: tuple[slice, slice]
    inside: tuple[slice, slice]


def tiles(size: Size, tile: Size, halo: int, stride: int) -> Iterator[Tile]:
    """Tiles that cover a picture of ``size`` (rows, columns) once, row by row.

    Parameters
    ----------
    tile: rows and columns kept of each tile; rounded up to the stride.
    halo: context in pixels on each side; rounded up to the stride.
    stride: the network's total pooling stride.
    """
    rows, columns = (list(_spans(length, step, halo, stride)) for length, step in zip(size, tile, strict=True))
    for row_window, row_kept, row_inside in rows:
        for column_window, column_kept, column_inside in columns:
            yield Tile((row_window, column_window), (row_kept, column_kept), (row_inside, column_inside))


def _spans(length: int, step: int, halo: int, stride: int) -> Iterator[tuple[slice, slice, slice]]:
    step, halo = multiple_above(step, stride), multiple_above(halo, stride)
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = max(start - halo, 0), min(stop + halo, length)
        yield slice(first, last), slice(start, stop), slice(start - first, stop - first)


def multiple_above(size: int, step: int) -> int:
    """The smallest multiple of ``step`` that is at least ``size``."""
    return -(-size // step) * step
