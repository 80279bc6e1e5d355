"""One picture file as it is stored: pixels in file order, with what its header says about them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import DecompressionBombError

from unpool.errors import DataError

MAX_PIXELS = 500_000_000
"""Rows times columns a picture may claim in its header before it is decoded whole."""


@dataclass(frozen=True)
class Header:
    """What a file says about its picture before decoding.

    Attributes
    ----------
    rows, columns, channels: as stored, before ``orientation`` is applied; palette indices are one channel.
    dtype: pixel type as stored, in NumPy's word.
    bits: bits of one sample.
    form: ``grey``, ``grey-alpha``, ``rgb``, ``rgba``, ``palette``, ``one-bit``, ``cmyk`` or ``channels``.
    orientation: EXIF orientation 1..8, 1 where the file has none.
    lossy: the coding does not keep pixel values (JPEG, lossy WebP).
    white_is_zero: 0 is shown white and the largest value black (some scanned TIFFs).
    """

    rows: int
    columns: int
    channels: int
    dtype: str
    bits: int
    form: str
    orientation: int = 1
    lossy: bool = False
    white_is_zero: bool = False


@dataclass(frozen=True)
class Raster:
    """A decoded file: pixels (rows, columns) or (rows, columns, channels) as stored, not yet turned.

    ``palette`` is uint8 (entries, 3), where the file has one.
    """

    header: Header
    pixels: NDArray[Any]
    palette: NDArray[np.uint8] | None = None


@contextmanager
def decoding(path: Path, place: str = "") -> Iterator[None]:
    """Turn whatever a decoder raises on foreign bytes into a DataError that names the file, and the ``place`` in it."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path}: too large for this machine's memory",
            "a picture that fits",
            "cut the picture into tiles",
        ) from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        ArithmeticError,
        RuntimeError,
        DecompressionBombError,
        struct.error,
        zlib.error,
    ) as error:
        why = str(error).split("\n")[0] or type(error).__name__
        raise broken(path, f"{place}: {why}" if place else why) from error


def broken(path: Path, why: str) -> DataError:
    """The error of a file that cannot be decoded."""
    return DataError(
        f"{path}: cannot be read as a picture ({why})",
        "a whole PNG, JPEG, TIFF, BMP, GIF or WebP file",
        "open it in an image viewer; copy or save it again if it is damaged, or move it out of the folder",
    )


def check_size(path: Path, rows: int, columns: int, channels: int = 1) -> None:
    """Refuse a picture whose header claims more than ``MAX_PIXELS`` pixels, or four times that in samples."""
    if rows <= 0 or columns <= 0:
        raise broken(path, f"{rows} x {columns} pixels")
    if rows * columns > MAX_PIXELS or rows * columns * channels > 4 * MAX_PIXELS:
        raise DataError(
            f"{path}: {rows} x {columns} pixels with {channels} channels",
            f"at most {MAX_PIXELS:,} pixels in one picture that is read whole",
            "cut the picture into tiles",
        )


def exif_orientation(exif: bytes) -> int:
    """The orientation 1..8 in a block of EXIF data; 1 where it has none or is damaged."""
    exif = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * entry)
            if tag == 0x0112:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (rows, columns[, channels]) as they are displayed under an EXIF orientation 1..8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
