"""A picture file that is open for reading by windows, with its pixels as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError
from unpool.io.placement import Placement
from unpool.io.read.raster import Header, Raster
from unpool.shapes import Region, Size
from unpool.wording import bytes_text


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


def check_allowed(path: Path, kind: str, needed: float, cache: int, allowed: float) -> None:
    """Raise DataError where a picture that has no windows takes more memory than it may.

    Parameters
    ----------
    kind: the format, such as JPEG.
    needed: bytes that decoding takes.
    cache: bytes that any picture may take.
    allowed: bytes that are left for this one; below 0 where more is taken already.
    """
    if needed > max(cache, allowed):
        left = f"{bytes_text(allowed)} are left" if allowed > 0 else "nothing is left"
        raise DataError(
            f"{path}: this {kind} is decoded in one piece, which takes {bytes_text(needed)} of memory; "
            f"{left} of the memory that prediction may take",
            "a picture that is read by windows, or memory for all of it",
            f"save it as a tiled TIFF or as a PNG that is not interlaced, or give {bytes_text(needed - allowed)} more "
            "with --memory",
        )
