"""The decoder of a picture file. The file's first bytes choose it, never its suffix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from unpool.errors import DataError
from unpool.io.read.arrays import array_header, array_raster, is_arrays
from unpool.io.read.bitmaps import bitmap_header, bitmap_raster
from unpool.io.read.pnm import is_pnm, pnm_header, pnm_raster
from unpool.io.read.raster import Header, Raster, broken, check_size
from unpool.io.read.tiff import tiff_header
from unpool.io.read.tiff_windows import tiff_raster

TIFF_MARKS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def read_header(path: Path) -> Header:
    """Read the header of a picture file, without decoding pixels. Raises DataError."""
    with open_file(path) as file:
        header = stored_header(file, path)
        check_size(path, header)
        return header


def stored_header(file: BinaryIO, path: Path) -> Header:
    """Read the header of an open picture file of any size. Raises DataError."""
    if is_tiff(file, path):
        return tiff_header(file, path)
    start = first_bytes(file)
    if is_pnm(start):
        return pnm_header(file, path)
    return array_header(file, path) if is_arrays(start) else bitmap_header(file, path)


def read_raster(path: Path, content: bytes | None = None) -> Raster:
    """Decode a picture file.

    Parameters
    ----------
    content: the file's bytes, if they are read already.

    Raises
    ------
    DataError: the file is broken or too large.
    """
    if content is not None:
        return _decode(BytesIO(content), path)
    with open_file(path) as file:
        return _decode(file, path)


def _decode(file: BinaryIO, path: Path) -> Raster:
    if is_tiff(file, path):
        return tiff_raster(file, path)
    raster = plain_raster(file, path)
    return bitmap_raster(file, path) if raster is None else raster


def plain_raster(file: BinaryIO, path: Path) -> Raster | None:
    """Decode a portable anymap or a file of arrays; return None for every other file. Raises DataError."""
    start = first_bytes(file)
    if is_pnm(start):
        return pnm_raster(file, path)
    return array_raster(file, path) if is_arrays(start) else None


def first_bytes(file: BinaryIO) -> bytes:
    """Return the first bytes of an open file, which show its format; the next read begins at its start again."""
    file.seek(0)
    start = file.read(128)
    file.seek(0)
    return start


def is_tiff(file: BinaryIO, path: Path) -> bool:
    """Return whether a file begins as a TIFF does. Raises DataError where it is empty."""
    start = file.read(4)
    file.seek(0)
    if not start:
        raise broken(path, "the file is empty")
    return start in TIFF_MARKS


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a picture file for reading. Raises DataError where the path is no readable file."""
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: a directory or a device", "a picture file", "give the path of a picture")
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror or error}",
            "a picture file that can be read",
            "check the path and the file's rights",
        ) from error
    with file:
        yield file
