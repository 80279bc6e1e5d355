"""The windows of a picture, in every orientation that is averaged, each read while the one before is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from unpool.orientation import UPRIGHT, Orientation
from unpool.prediction.halo import Halo, Tile, tile_of
from unpool.read_ahead import read_ahead
from unpool.segmenter import Frame, Segmenter
from unpool.shapes import Pixels, Region
from unpool.tiling import extent


class WindowPixels(NamedTuple):
    """A window of a picture in one orientation, as it was read.

    Attributes
    ----------
    region: the tile's rows and columns in the picture as stored.
    orientation: how the picture is rotated or mirrored for this window.
    inside: the tile's rows and columns within the network's output for the window.
    pixels: (rows, columns, channels) in the picture's own pixel type.
    """

    region: Region
    orientation: Orientation
    inside: Region
    pixels: NDArray[Any]


def read_windows(
    segmenter: Segmenter,
    image: Pixels,
    regions: Sequence[Region],
    orientations: Sequence[Orientation],
    halo: Halo | None,
) -> Iterator[WindowPixels]:
    """Yield the window of each region in each orientation, the orientations of one region one after the other.

    Each window lies on the stride grid of the oriented picture. So the mean over exact tiles is the mean over oriented
    pictures predicted in one piece, and averaging needs memory for one region only.

    Parameters
    ----------
    halo: None where the region is all of the picture, which is read in one piece.
    """
    size = (int(image.shape[0]), int(image.shape[1]))

    def read(place: tuple[Region, Orientation]) -> WindowPixels:
        region, orientation = place
        frame = segmenter.frame(orientation.size(size))
        tile = _tile(orientation.region(region, size), frame, halo)
        return WindowPixels(region, orientation, tile.inside, segmenter.window(image, tile.window, orientation))

    return read_ahead(read, ((region, orientation) for region in regions for orientation in orientations))


def _tile(kept: Region, frame: Frame, halo: Halo | None) -> Tile:
    if halo:
        return tile_of(kept, frame.size, halo)
    rows, columns = (slice(side.start + by, side.stop + by) for side, by in zip(kept, frame.offset, strict=True))
    return Tile(extent(frame.size), kept, (rows, columns))


def as_stored(rows: Iterator[Tensor], orientation: Orientation) -> Iterator[Tensor]:
    """Yield logits of an oriented picture as logits of the picture as stored.

    Parameters
    ----------
    rows: (K, rows, columns), some rows at a time from the top; put together where the picture is not upright.
    """
    if orientation == UPRIGHT:
        yield from rows
        return
    logits = join_rows(rows)
    axes = [axis for axis, reversed_ in ((1, orientation.rows), (2, orientation.columns)) if reversed_]
    logits = logits.flip(axes) if axes else logits
    yield logits.transpose(1, 2) if orientation.exchanged else logits


def join_rows(rows: Iterator[Tensor]) -> Tensor:
    """Return (K, rows, columns) from parts of its rows; the parts are freed when this returns."""
    parts = list(rows)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
