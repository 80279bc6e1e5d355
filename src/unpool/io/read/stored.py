"""A picture file that is open for reading by windows: what every format gives, before any conversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.io.placement import Placement
from unpool.io.read.blocks import Rectangle
from unpool.io.read.raster import Header, Raster


@dataclass(frozen=True)
class Stored:
    """An open file.

    Attributes
    ----------
    header: as of the whole picture.
    read: stored pixels (rows, columns[, channels]) of a window that is not empty; safe in several threads.
    block: rows and columns that are decoded together.
    held: the most bytes that stay in memory between windows.
    resident: the whole picture is in memory, because its format has no windows.
    """

    header: Header
    read: Callable[[Rectangle], NDArray[Any]]
    block: tuple[int, int]
    held: int
    palette: NDArray[np.uint8] | None = None
    resident: bool = False
    placement: Placement = field(default_factory=Placement)


def whole(raster: Raster, placement: Placement | None = None) -> Stored:
    """A picture that was decoded whole."""
    header, pixels = raster.header, raster.pixels
    return Stored(
        header,
        lambda span: pixels[span.top : span.bottom, span.left : span.right].copy(),
        (header.rows, header.columns),
        pixels.nbytes,
        raster.palette,
        resident=True,
        placement=placement or Placement(),
    )
