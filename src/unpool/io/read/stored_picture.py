"""A picture file that is open for reading by windows, with its pixels as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.io.placement import Placement
from unpool.io.read.raster import Header, Raster
from unpool.shapes import Region, Size


@dataclass(frozen=True)
class StoredPicture:
    """An open file. Every format gives one, and ``windows.PictureFile`` converts its pixels.

    Attributes
    ----------
    read: a function from a region that is not empty to its stored pixels (rows, columns[, channels]). It is safe in
        several threads.
    block: rows and columns that are decoded together.
    cached_bytes: the most bytes that stay in memory between windows.
    palette: RGB colours by index, uint8 (entries, 3); None where the file has none.
    in_memory: the whole picture is decoded, because its format has no windows.
    """

    header: Header
    read: Callable[[Region], NDArray[Any]]
    block: Size
    cached_bytes: int
    palette: NDArray[np.uint8] | None = None
    in_memory: bool = False
    placement: Placement = field(default_factory=Placement)


def decoded_picture(raster: Raster, placement: Placement | None = None) -> StoredPicture:
    """Return a picture whose pixels are all in memory."""
    header, pixels = raster.header, raster.pixels
    return StoredPicture(
        header,
        lambda region: pixels[region].copy(),
        (header.rows, header.columns),
        pixels.nbytes,
        raster.palette,
        in_memory=True,
        placement=placement or Placement(),
    )
