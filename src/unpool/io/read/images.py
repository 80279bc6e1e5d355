"""Pictures as a network takes them: any readable file becomes uint8, uint16 or float32 (rows, columns, channels)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unpool.errors import DataError
from unpool.io.read.exif import EXIF_ORIENTATIONS
from unpool.io.read.formats import read_header, read_raster
from unpool.io.read.raster import Header, Raster, decoding
from unpool.orientation import Orientation

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".svs"}
)
"""Suffixes, in lower case, by which picture files in a folder are recognised."""

_CHANNELS = {"grey-alpha": 1, "rgba": 3, "cmyk": 3, "palette": 3}


@dataclass(frozen=True)
class ImageInfo:
    """The facts of a picture that ``read_image`` returns, known from the header.

    Attributes
    ----------
    rows, columns: as displayed, with the EXIF orientation applied.
    channels: as ``read_image`` returns them.
    dtype: ``uint8``, ``uint16`` or ``float32``.
    form: the stored form: ``grey``, ``grey-alpha``, ``rgb``, ``rgba``, ``palette``, ``one-bit``, ``cmyk`` or
        ``channels``.
    exif_orientation: EXIF's number 1..8 that is applied; 1 changes nothing.
    missing: the value that the file declares as missing data; None where it declares none.
    """

    path: Path
    rows: int
    columns: int
    channels: int
    dtype: str
    form: str
    exif_orientation: int = 1
    missing: float | None = None

    @property
    def orientation(self) -> Orientation:
        """The orientation in which the stored pixels are displayed."""
        return EXIF_ORIENTATIONS[self.exif_orientation]


class Picture(NamedTuple):
    """A picture that was read.

    Attributes
    ----------
    pixels: uint8, uint16 or float32 (rows, columns, channels).
    transparent: whether an alpha channel hid some pixels.
    """

    pixels: NDArray[Any]
    info: ImageInfo
    transparent: bool


def image_info(path: Path) -> ImageInfo:
    """Read a picture's size and type from its header. Raises DataError."""
    return info_from_header(read_header(path), path)


def read_image(path: Path) -> NDArray[Any]:
    """Read a picture as it is displayed.

    Returns
    -------
    uint8, uint16 or float32 of shape (rows, columns, channels), colours in the order RGB. EXIF orientation is
    applied, alpha is dropped, palettes and CMYK become RGB, one-bit pictures 0 and 255, other whole numbers
    uint16, other floats float32.

    Raises
    ------
    DataError: the file is broken, too large or a stack, or its pixels do not fit those types.
    """
    return load_picture(path).pixels


def load_picture(path: Path, content: bytes | None = None) -> Picture:
    """Read a picture as ``read_image`` does, with its facts.

    Parameters
    ----------
    content: the file's bytes, if they are read already.

    Raises
    ------
    DataError: the file is broken, too large or a stack, or its pixels do not fit.
    """
    with decoding(path):
        raster = read_raster(path, content)
        info = info_from_header(raster.header, path)
        pixels, transparent = as_displayed(raster, path)
        return Picture(pixels, info, transparent)


def as_displayed(raster: Raster, path: Path) -> tuple[NDArray[Any], bool]:
    """Convert stored pixels to those that ``read_image`` returns. Raises DataError.

    Each pixel is converted alone, so the pixels of a window give that window, and windows need no rules of their own.

    Returns
    -------
    Pixels (rows, columns, channels), and whether an alpha channel hid some of them.
    """
    pixels, transparent = _without_alpha(raster)
    pixels = plain_pixels(pixels, path)
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    return raster.header.orientation.apply(pixels), transparent


def info_from_header(header: Header, path: Path) -> ImageInfo:
    """Return the facts of the picture that ``read_image`` makes of a file with this header."""
    rows, columns = header.orientation.size((header.rows, header.columns))
    channels = _CHANNELS.get(header.form, header.channels)
    if header.form == "cmyk" and header.dtype != "uint8":
        channels = header.channels  # only 8-bit inks are mixed to colours
    dtype = _plain_dtype(header)
    missing = None if header.white_is_zero or header.form == "palette" else header.missing
    return ImageInfo(path, rows, columns, channels, dtype, header.form, header.exif_orientation, missing)


def _plain_dtype(header: Header) -> str:
    dtype = np.dtype(header.dtype)
    if header.form in ("one-bit", "palette") or dtype == np.uint8:
        return "uint8"
    return "float32" if dtype.kind == "f" else "uint16"


def _without_alpha(raster: Raster) -> tuple[NDArray[Any], bool]:
    """Return the grey or the colours of stored pixels, and whether alpha hid some of them."""
    pixels, form = raster.pixels, raster.header.form
    if raster.header.white_is_zero:
        pixels = inverted(pixels, raster.header.bits)
    if form == "one-bit":
        return pixels != 0, False
    if form == "palette":
        return palette_colours(raster), False
    if form == "cmyk" and pixels.dtype == np.uint8:
        inks = Image.frombytes("CMYK", pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes())
        return np.array(inks.convert("RGB")), False
    if form in ("rgba", "grey-alpha"):
        alpha = pixels[..., -1]
        return pixels[..., :-1], bool((alpha != full_alpha(alpha)).any())
    return pixels, False


def full_alpha(alpha: NDArray[Any]) -> int:
    """Return the alpha value of a pixel that hides nothing, in the type of an alpha channel."""
    return int(np.iinfo(alpha.dtype).max) if alpha.dtype.kind in "ui" else 1


def inverted(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return pixels whose 0 is white as pixels whose 0 is black.

    Parameters
    ----------
    bits: bits of a sample in the file; a sample of 12 bits is 16 bits in memory.
    """
    if pixels.dtype.kind == "u":
        black: NDArray[Any] = pixels.dtype.type((1 << bits) - 1) - pixels
        return black
    return ~pixels if pixels.dtype.kind == "b" else pixels


def palette_colours(raster: Raster) -> NDArray[np.uint8]:
    """Return the RGB colours (rows, columns, 3) of a raster of palette indices (rows, columns)."""
    assert raster.palette is not None
    indices = raster.pixels.astype(np.uint8) if raster.pixels.dtype == np.bool_ else raster.pixels
    entries = np.zeros((max(256, len(raster.palette), int(indices.max()) + 1), 3), dtype=np.uint8)
    entries[: len(raster.palette)] = raster.palette
    colours = np.empty((*indices.shape, 3), dtype=np.uint8)
    for row, line in zip(colours, indices, strict=True):  # as one step, NumPy would hold 8 bytes for each index
        row[...] = entries[line]
    return colours


def plain_pixels(pixels: NDArray[Any], source: str | Path) -> NDArray[Any]:
    """Convert pixels of any number type to uint8, uint16 or float32.

    Returns
    -------
    uint8 and uint16 as they are, in this machine's byte order; booleans as 0 and 255; other whole numbers as uint16;
    other floats as float32.

    Raises
    ------
    DataError: NaN, infinity, whole numbers below 0 or above 65535, or no numbers; names ``source``.
    """
    if pixels.dtype == np.bool_:
        return np.where(pixels, np.uint8(255), np.uint8(0))
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype.kind == "f":
        return _finite(pixels, source)
    whole = pixels.dtype.kind in "ui"
    if whole and (not pixels.size or (pixels.min() >= 0 and pixels.max() <= 65535)):
        return pixels.astype(np.uint16)
    raise DataError(
        f"{source}: pixels of type {pixels.dtype}" + (f" from {pixels.min()} to {pixels.max()}" if whole else ""),
        "whole numbers 0 to 65535, or floating point",
        "save the picture with 8 or 16 bits, or as 32-bit floating point",
    )


def _finite(pixels: NDArray[Any], source: str | Path) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        single = pixels.astype(np.float32)
    if not np.isfinite(single).all():
        count = int((~np.isfinite(single)).sum())
        raise DataError(
            f"{source}: {count:,} pixels are NaN, infinite or beyond 32-bit floating point",
            "finite numbers",
            "replace them in the picture, and mark those pixels with an ignore value in the mask; for predict, a TIFF "
            "may declare a number as missing data, as gdalwarp -srcnodata nan -dstnodata -9999 does",
        )
    return single
