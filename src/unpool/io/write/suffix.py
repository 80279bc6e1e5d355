"""The suffix, and so the format, that a predicted mask of a picture has."""

from __future__ import annotations

from pathlib import Path

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


def mask_suffix_of_file(path: Path) -> str:
    """Return the suffix that a mask of a picture file has, as ``mask_suffix``; ``.png`` where it cannot be read.

    Only the header is read.
    """
    size, placement = size_and_placement(path)
    return _suffix(max(size), placement)


def shown_suffix_of_file(path: Path) -> str:
    """Return the suffix of a picture to look at: ``.tif`` where it is large, read by windows or placed on the earth."""
    size, placement = size_and_placement(path)
    return ".tif" if placement.zarr or _by_windows(max(size), placement) else ".png"


def _suffix(longest: int, placement: Placement) -> str:
    if placement.zarr:
        return ".zarr"
    in_units = placement.space or placement.imagej_unit or placement.missing is not None
    return ".tif" if in_units or _by_windows(longest, placement) else ".png"


def _by_windows(longest: int, placement: Placement) -> bool:
    return bool(longest > PNG_SIDE or placement.tiled or placement.levels or placement.geography)
