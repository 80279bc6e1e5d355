"""Masks as they are stored: integer values (rows, columns), or RGB colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import Colour, MaskKind, flatten_colours
from unpool.errors import DataError
from unpool.io.read.formats import read_header, read_raster
from unpool.io.read.images import full_alpha, palette_colours
from unpool.io.read.raster import Header, Raster, decoding
from unpool.wording import count_text


class MaskPicture(NamedTuple):
    """A mask that was read.

    Attributes
    ----------
    values: as ``read_mask`` returns them.
    palette: RGB colours by index; None where the file has none.
    """

    values: NDArray[Any]
    palette: tuple[Colour, ...] | None
    header: Header


def read_mask(path: Path, kind: MaskKind | None = None) -> NDArray[Any]:
    """Read a mask without changing its values.

    Parameters
    ----------
    kind: the form of the values. ``colours`` gives RGB from any form of file; ``values`` and ``instances`` give one
        channel where the three of an RGB file are equal, and ``instances`` the number 0xRRGGBB of every other
        colour; None gives the file's own form.

    Returns
    -------
    Integers (rows, columns): ids, greys or palette indices, one-bit masks as 0 and 1. Or uint8
    (rows, columns, 3) in the order RGB. EXIF orientation is applied. Values stay as stored where a TIFF shows 0
    white.

    Raises
    ------
    DataError: the file is broken, has transparent pixels, fractions, negative values, or channels that are
        neither grey nor RGB.
    """
    return load_mask(path, kind).values


def load_mask(path: Path, kind: MaskKind | None = None, content: bytes | None = None) -> MaskPicture:
    """Read a mask as ``read_mask`` does, with its palette and header.

    Parameters
    ----------
    content: the file's bytes, if they are read already.

    Raises
    ------
    DataError: the file is broken, or cannot be a mask.
    """
    with decoding(path):
        raster = read_raster(path, content)
        palette = None if raster.palette is None else tuple((int(r), int(g), int(b)) for r, g, b in raster.palette)
        values = _in_kind(stored_values(raster, path), raster, kind, path)
        return MaskPicture(raster.header.orientation.apply(values), palette, raster.header)


def mask_palette(path: Path) -> tuple[Colour, ...] | None:
    """Read the colours of a palette file, by index; return None for every other file. Raises DataError."""
    return load_mask(path).palette if read_header(path).form == "palette" else None


def value_among_colours(source: str, value: int) -> DataError:
    """Return the error of a mask with single values in a set of colour masks.

    Parameters
    ----------
    source: the file's name.
    value: a mask value above 255, which is no grey.
    """
    return DataError(
        f"{source}: mask value {value} among colour masks",
        "RGB colours, or greys up to 255",
        "save all masks of a set in one form",
    )


def stored_values(raster: Raster, path: Path) -> NDArray[Any]:
    """Return the values of a decoded mask, in the file's own form and direction. Raises DataError as ``read_mask``."""
    header, pixels = raster.header, raster.pixels
    if header.form in ("rgba", "grey-alpha"):
        pixels = _without_alpha(pixels, path)
    if pixels.ndim == 3 and (pixels.shape[2] != 3 or header.form not in ("rgb", "rgba") or pixels.dtype != np.uint8):
        raise DataError(
            f"{path}: a mask with {pixels.shape[2]} channels of type {pixels.dtype}",
            "one channel, or RGB of 8 bits",
            "save the mask as a single-channel PNG of class ids",
        )
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if header.form == "grey" and header.bits in (2, 4) and pixels.max() > (1 << header.bits) - 1:
        # Pillow stretches 2- and 4-bit greys to 0..255; the drawn values are 0..3 or 0..15
        return pixels // np.uint8(255 // ((1 << header.bits) - 1))
    return _whole_numbers(pixels, path)


def _without_alpha(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    alpha = pixels[..., -1]
    hidden = int((alpha != full_alpha(alpha)).sum())
    if hidden:
        raise DataError(
            f"{path}: {hidden:,} transparent pixels in a mask",
            "a mask without transparency",
            "give transparent pixels a value of their own, such as black, and save the mask without an alpha channel",
        )
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :-1]


def _whole_numbers(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype.kind not in "uif" or pixels.dtype == np.float16:
        raise DataError(
            f"{path}: a mask of type {pixels.dtype}"
            + (", which rounds above 2048" if pixels.dtype.kind == "f" else ""),
            "whole numbers from 0 in a mask",
            "save the mask as a single-channel PNG of class ids",
        )
    ids = "save the mask as a single-channel PNG of class ids"
    unmarked = f"if they are unmarked pixels, give them a value of their own, such as 255, to be ignored; {ids}"
    _refuse(pixels, ~np.isfinite(pixels), unmarked, path)
    _refuse(pixels, pixels != np.floor(pixels), f"{ids}; fractions come from smoothing or scaling", path)
    _refuse(pixels, pixels < 0, unmarked, path)
    _refuse(
        pixels, pixels >= 1 << 31, f"number the classes from 0: {ids}", path
    )  # 2^31 - 1 would be rounded to a float
    return pixels.astype(np.int32)


def _refuse(pixels: NDArray[Any], wrong: NDArray[np.bool_], repair: str, path: Path) -> None:
    """Refuse a mask with wrong pixels. Raises DataError."""
    if wrong.any():
        values = pixels[wrong]
        raise DataError(
            f"{path}: {count_text(values.size, 'mask pixel')} with values such as {values[0]:.10g}",
            f"whole numbers from 0 to {np.iinfo(np.int32).max} in a mask",
            repair,
        )


def _in_kind(values: NDArray[Any], raster: Raster, kind: MaskKind | None, path: Path) -> NDArray[Any]:
    if kind == "colours" and values.ndim == 2:
        if raster.palette is not None:
            return palette_colours(raster)
        top = 255 if raster.header.form == "one-bit" else 1
        if values.max() > 255:
            raise value_among_colours(str(path), int(values.max()))
        return np.repeat((values * top).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    if kind in ("values", "instances") and values.ndim == 3 and (values == values[..., :1]).all():
        return values[..., 0]
    return flatten_colours(values).astype(np.int32) if kind == "instances" and values.ndim == 3 else values
