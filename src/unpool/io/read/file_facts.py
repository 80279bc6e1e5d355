"""The size and placement of a picture file, read from its header without decoding pixels."""

from __future__ import annotations

from pathlib import Path

from unpool.errors import DataError
from unpool.io.placement import Placement
from unpool.io.read.formats import is_tiff, open_file, read_header, stored_header
from unpool.io.read.tiff import tiff_picture
from unpool.io.read.windows import open_picture
from unpool.io.read.zarr import is_zarr
from unpool.shapes import Size


def picture_size(path: Path) -> Size:
    """Read the rows and columns of a picture, as stored; 0 and 0 where the file cannot be read."""
    return size_and_placement(path)[0]


def size_and_placement(path: Path) -> tuple[Size, Placement]:
    """Read the rows and columns of a picture, as stored, and its placement; 0 and 0 where the file cannot be read."""
    try:
        if is_zarr(path):
            with open_picture(path) as picture:
                return picture.shape[:2], picture.placement
        with open_file(path) as file:
            if not is_tiff(file, path):
                header, placement = stored_header(file, path), Placement()
            else:
                _, header, _, placement = tiff_picture(file, path)
    except DataError:
        return (0, 0), Placement()
    return (header.rows, header.columns), placement


def is_oriented(path: Path) -> bool:
    """Return whether a picture file has an EXIF orientation that changes its axes; a file that is not read has none."""
    try:
        return not is_zarr(path) and read_header(path).exif_orientation != 1
    except DataError:
        return False
