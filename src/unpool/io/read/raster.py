"""One picture file as it is stored: its header, its pixels in file order, and the errors of broken files."""

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
from unpool.io.read.exif import EXIF_ORIENTATIONS
from unpool.orientation import Orientation

MAX_PIXELS = 500_000_000
"""Rows times columns that a header may claim for a picture that is decoded in one piece."""


@dataclass(frozen=True)
class Header:
    """What a file states about its picture, known before decoding.

    Attributes
    ----------
    rows, columns, channels: as stored, before the orientation is applied. Palette indices are one channel.
    dtype: NumPy's name of the stored pixel type.
    bits: bits of one sample.
    form: ``grey``, ``grey-alpha``, ``rgb``, ``rgba``, ``palette``, ``one-bit``, ``cmyk`` or ``channels``.
    exif_orientation: EXIF's number 1..8; 1 where the file has none.
    lossy: the coding does not keep pixel values (JPEG, lossy WebP).
    white_is_zero: 0 is shown white and the largest value black (some scanned TIFFs).
    missing: the value that the file declares as missing data; None where it declares none.
    """

    rows: int
    columns: int
    channels: int
    dtype: str
    bits: int
    form: str
    exif_orientation: int = 1
    lossy: bool = False
    white_is_zero: bool = False
    missing: float | None = None

    @property
    def orientation(self) -> Orientation:
        """The orientation in which the stored pixels are displayed."""
        return EXIF_ORIENTATIONS[self.exif_orientation]


@dataclass(frozen=True)
class Raster:
    """A decoded file.

    Attributes
    ----------
    pixels: (rows, columns) or (rows, columns, channels) as stored, before the orientation is applied.
    palette: RGB colours by index, uint8 (entries, 3); None where the file has none.
    """

    header: Header
    pixels: NDArray[Any]
    palette: NDArray[np.uint8] | None = None


@contextmanager
def decoding(path: Path, place: str = "") -> Iterator[None]:
    """Raise a DataError in place of the errors that decoders raise on damaged files.

    Parameters
    ----------
    path: the file, which the error names.
    place: the part of the file that is decoded, in words.
    """
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path}: too large for this machine's memory",
            "a picture that fits into memory",
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
    """Return the error of a file that cannot be decoded."""
    return DataError(
        f"{path}: cannot be read as a picture ({why})",
        "a complete PNG, JPEG, TIFF, BMP, GIF or WebP file",
        "open it in an image viewer; copy or save it again if it is damaged, or move it out of the folder",
    )


def check_size(path: Path, rows: int, columns: int, channels: int = 1) -> None:
    """Raise DataError where a header claims more than ``MAX_PIXELS`` pixels, or four times that in samples."""
    if rows <= 0 or columns <= 0:
        raise broken(path, f"{rows} x {columns} pixels")
    if rows * columns > MAX_PIXELS or rows * columns * channels > 4 * MAX_PIXELS:
        raise DataError(
            f"{path}: {rows} x {columns} pixels with {channels} channels",
            f"at most {MAX_PIXELS:,} pixels in a picture that is read in one piece",
            "cut the picture into tiles",
        )
