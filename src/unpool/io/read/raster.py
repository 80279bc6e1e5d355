"""One picture file as it is stored: its header, its pixels in file order, and the errors of broken files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.errors import DataError, UnpoolError
from unpool.io.read.exif import EXIF_ORIENTATIONS
from unpool.io.read.library_messages import quiet_libraries
from unpool.orientation import Orientation
from unpool.shapes import Size
from unpool.wording import bytes_text, count_text

MAX_BYTES = 1_000_000_000
"""The most bytes in memory of a picture that is decoded in one piece, as stored and as displayed.

While a picture is converted it is held twice, and its decoder may hold it once more. Three times this fits into the
memory of a small machine; a limit in pixels would not say so, because a pixel takes 1 byte or 32.
"""


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
    def pixel_bytes(self) -> int:
        """Bytes of a pixel in memory: as stored, or as the colours of a palette, whichever are more."""
        stored = self.channels * np.dtype(self.dtype).itemsize
        return max(stored, 3) if self.form == "palette" else stored

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
    """Raise a DataError in place of any error that a decoder raises, and show none of its warnings.

    Every decoder has errors of its own, and a damaged file finds more; so no list of them would be complete. The error
    that was raised stays its cause. The errors of this package pass, and so does what is no error: an interruption.

    Parameters
    ----------
    path: the file, which the error names.
    place: the part of the file that is decoded, in words.
    """
    try:
        with quiet_libraries():
            yield
    except UnpoolError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path}: too large for this machine's memory",
            "a picture that fits into memory",
            "cut the picture into tiles",
        ) from error
    except Exception as error:
        why = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise broken(path, f"{place}: {why}" if place else why) from error


def broken(path: Path, why: str) -> DataError:
    """Return the error of a file that cannot be decoded."""
    return DataError(
        f"{path}: cannot be read as a picture ({why})",
        "a complete PNG, JPEG, TIFF, BMP, GIF, WebP, PNM or NPY file",
        "open it in an image viewer; copy or save it again if it is damaged, or move it out of the folder",
    )


def check_size(path: Path, header: Header, size: Size | None = None) -> None:
    """Raise DataError where pixels would take more than ``MAX_BYTES`` in memory, or where there are none.

    Parameters
    ----------
    size: rows and columns of a window; None for the whole picture.
    """
    if min(header.rows, header.columns, header.channels) <= 0:
        raise broken(path, f"{header.rows} x {header.columns} pixels with {count_text(header.channels, 'channel')}")
    rows, columns = size or (header.rows, header.columns)
    count = rows * columns * header.pixel_bytes
    if count > MAX_BYTES:
        pixels = f"{rows} x {columns} pixels with {count_text(header.channels, 'channel')} of {header.dtype}"
        raise DataError(
            f"{path}: {pixels} take {bytes_text(count)} of memory",
            f"at most {bytes_text(MAX_BYTES)} in a picture that is read in one piece",
            "cut the picture into tiles",
        )
