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

    ``.zarr`` for a Zarr folder; ``.tif`` where the picture is a tiled TIFF, has smaller copies or a place on the
    earth, or is longer than 30,000 pixels; else ``.png``.
    """
    return _suffix(max(picture.shape[:2]), picture.placement)


def mask_suffix_of_file(path: Path) -> str:
    """Return the suffix that a mask of a picture file has, as ``mask_suffix``; ``.png`` where it cannot be read.

    Only the header is read.
    """
    size, placement = size_and_placement(path)
    return _suffix(max(size), placement)


def _suffix(longest: int, placement: Placement) -> str:
    if placement.zarr:
        return ".zarr"
    windows = longest > PNG_SIDE or placement.tiled or placement.levels or placement.geography
    return ".tif" if windows else ".png"
