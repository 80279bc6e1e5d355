"""The suffix, and so the format, that a predicted mask of a picture has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from unpool.io.placement import Placement
from unpool.io.read.file_facts import size_and_placement
from unpool.io.read.windows import PictureFile

PNG_SIDE = 30_000
"""Rows or columns above which a mask is written as a TIFF: few programs open larger PNGs, and none by windows."""


def mask_suffix(picture: PictureFile) -> str:
    """Return the suffix that a mask of a picture has.

    ``.zarr`` for a Zarr folder; ``.tif`` where the picture is a tiled TIFF, has smaller copies, a place on the
    earth, a physical size of ImageJ or OME or a value of missing data, or is longer than 30,000 pixels; else ``.png``,
    which keeps a resolution.
    """
    return _suffix(max(picture.shape[:2]), picture.placement)


class OutputSuffixes(NamedTuple):
    """The suffixes of what is predicted for a picture: of its mask, and of pictures to look at."""

    mask: str
    shown: str


def output_suffixes(path: Path) -> OutputSuffixes:
    """Return the suffixes of the outputs of a picture file; ``.png`` where it cannot be read. Only its header is read.

    The mask has that of ``mask_suffix``. A picture to look at is a ``.tif`` only where the picture is large, read by
    windows or placed on the earth.
    """
    size, placement = size_and_placement(path)
    by_windows = bool(placement.zarr) or _by_windows(max(size), placement)
    return OutputSuffixes(_suffix(max(size), placement), ".tif" if by_windows else ".png")


def _suffix(longest: int, placement: Placement) -> str:
    if placement.zarr:
        return ".zarr"
    in_units = placement.space or placement.imagej_unit or placement.may_lack_data
    return ".tif" if in_units or _by_windows(longest, placement) else ".png"


def _by_windows(longest: int, placement: Placement) -> bool:
    return bool(longest > PNG_SIDE or placement.tiled or placement.levels or placement.geography)
