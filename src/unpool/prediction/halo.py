"""The halo of a tile: the pixels that a tile reads around itself, so that tiles fit together without a seam.

Each tile is computed from a window: the tile and its halo. The halo holds every pixel that the tile's output depends
on, so the output equals that of the picture in one piece. ``NetworkStructure.halo`` (``unpool.nets``) counts these
pixels from the network's layers, and ``tile_of`` makes a tile's window from them. Windows start on the network's stride
grid, so that maxima are pooled from the same pixels as in the picture in one piece. At the edge of the picture the
window ends too, and the network pads there as it pads the picture. Batch normalisation in evaluation mode does not
depend on the tile.

Coordinates are the output's: output pixel o and input pixel o share a number. A network without padding loses pixels on
each side; its windows read as many more pixels at the bottom and right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from unpool.nets.network import NetworkStructure
from unpool.shapes import Region, Size
from unpool.tiling import multiple_above


class Halo(NamedTuple):
    """Pixels that a tile reads around itself, along each axis.

    Attributes
    ----------
    before: input pixels that are read before the tile's first pixel.
    after: input pixels that are read after the tile's last pixel.
    stride: the network's total pooling stride; windows start at its multiples.
    legal: returns the smallest side, at least as long as the given one, that the network can run on.
    """

    before: int
    after: int
    stride: int
    legal: Callable[[int], int]


@dataclass(frozen=True)
class Tile:
    """A tile of a picture and the window that it is computed from.

    Attributes
    ----------
    window: rows and columns of the input to read: the tile with its halo.
    kept: rows and columns of the picture that the tile fills.
    inside: rows and columns of ``kept`` within the window's output.
    """

    window: Region
    kept: Region
    inside: Region


def halo_of(structure: NetworkStructure) -> Halo | None:
    """Return the halo of a network's tiles; None for a network that takes a picture only in one piece."""
    read = structure.halo
    return read and Halo(read.before, read.after, structure.stride, structure.legal_size)


def tile_of(kept: Region, input_size: Size, halo: Halo) -> Tile:
    """Return the tile that fills a region, of any place and size.

    Parameters
    ----------
    kept: rows and columns of the picture.
    input_size: rows and columns of the input for the picture in one piece: a legal size, at least the picture's.
    """
    rows, columns = (_window_and_inside(side, limit, halo) for side, limit in zip(kept, input_size, strict=True))
    return Tile((rows[0], columns[0]), kept, (rows[1], columns[1]))


def _window_and_inside(kept: slice, limit: int, halo: Halo) -> tuple[slice, slice]:
    aligned = kept.start // halo.stride * halo.stride
    first = max(aligned - multiple_above(halo.before, halo.stride), 0)
    needed = multiple_above(kept.stop, halo.stride) + halo.after - first
    last = min(first + halo.legal(needed), limit)
    return slice(first, last), slice(kept.start - first, kept.stop - first)
