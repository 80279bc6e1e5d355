"""The physical size of a pixel: as a person gives it, or as a picture file states it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from unpool.errors import DataError, UsageError
from unpool.io.placement import UNIT_SYMBOLS, Placement
from unpool.io.png_chunks import PNG_MARK, read_chunks
from unpool.io.read.exif import ORIENTATION_TAG
from unpool.io.read.formats import is_tiff, open_file
from unpool.io.read.tiff import tiff_picture
from unpool.io.read.zarr import is_zarr

LengthUnit = Literal["um", "m"]
"""Micrometres, or metres on the earth."""

_MICROMETRES: Mapping[str, float] = {
    **{"pm": 1e-6, "å": 1e-4, "nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0},
    **{"micrometer": 1.0, "micrometre": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "km": 1e9, "in": 25400.0, "inch": 25400.0},
    **{"ft": 304800.0, "yd": 914400.0, "\\u00b5m": 1.0},
}
"""Micrometres in a unit of length, by its names in small letters."""

_USUAL_DPI = (72, 75, 90, 96, 100, 120, 150, 180, 200, 220, 240, 300)
"""Pixels an inch that programs write for a screen or a printer, without a measurement."""

_PER_INCH = 25400.0
_METRE, _PROJECTED, _GEOGRAPHIC, _WEB_MERCATOR = 9001, 1, 2, (3857, 3785, 900913)


class PixelSize(NamedTuple):
    """The distance between two rows and between two columns, in a unit of length."""

    row: float
    column: float
    unit: LengthUnit = "um"

    @property
    def isotropic(self) -> bool:
        """Whether pixels are as high as they are wide, to a thousandth."""
        return math.isclose(self.row, self.column, rel_tol=1e-3)

    def describe(self) -> str:
        """Return the size in words: ``0.65 um``."""
        sides = f"{self.row:.6g}" if self.isotropic else f"{self.row:.6g} x {self.column:.6g}"
        return f"{sides} {self.unit}"


class StatedSize(NamedTuple):
    """The size that a file states; None with the reason where it states none that can be used."""

    size: PixelSize | None
    reason: str = ""


def pixel_size_of(text: str | None) -> PixelSize | None:
    """Return the size that ``--pixel-size`` names, such as 0.65um or 0.5m; None for None.

    Metres are those of a map; every smaller unit is given in micrometres.

    Raises
    ------
    UsageError: the text is no length above 0 with its unit.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([^\s0-9]+)\s*", text)
    unit = found[2].lower() if found else ""
    length = float(found[1]) * _MICROMETRES.get(unit, 0.0) if found else 0.0
    if not 0 < length < math.inf:
        raise UsageError(
            f"--pixel-size {text}",
            "a length above 0 with its unit: nm, um, mm, cm or m",
            "give for example --pixel-size 0.65um",
        )
    if unit in ("m", "km"):
        return PixelSize(length / 1e6, length / 1e6, "m")
    return PixelSize(length, length)


def stated_pixel_size(path: Path, placement: Placement) -> StatedSize:
    """Return the size of a pixel that a file states: OME, GeoTIFF, ImageJ, TIFF's resolution or PNG's pHYs.

    Parameters
    ----------
    placement: of the file, as ``unpool.io.read.windows.open_picture`` gives it.
    """
    if placement.space is not None:
        return _of_space(placement)
    if placement.geography:
        return _of_geography({code: value for code, _, _, value in placement.geography})
    if placement.resolution is not None and placement.unit in (2, 3):
        inch = 1.0 if placement.unit == 2 else 2.54
        return _of_density(*(each * inch for each in placement.resolution))
    if is_zarr(path):
        return StatedSize(None)
    try:
        with open_file(path) as file:
            if is_tiff(file, path):
                return _of_imagej(file, path, placement)
            return _of_png(file)
    except (DataError, OSError):
        return StatedSize(None)


def _of_space(placement: Placement) -> StatedSize:
    assert placement.space is not None
    sides = []
    for axis in placement.space:
        symbol = UNIT_SYMBOLS.get(axis.unit or "", axis.unit or "")
        length = axis.pixel_size * _MICROMETRES.get(symbol.lower(), 0.0)
        if not 0 < length < math.inf:
            return StatedSize(None, f"its unit of length is '{symbol}'" if symbol else "it states no unit of length")
        sides.append(length)
    return StatedSize(PixelSize(sides[0], sides[1]))


def _of_geography(tags: Mapping[int, object]) -> StatedSize:
    keys = tags.get(34735)
    directory = list(keys) if isinstance(keys, tuple | list) else []
    facts = {directory[k]: directory[k + 3] for k in range(4, len(directory) - 3, 4) if directory[k + 1] == 0}
    if facts.get(1024) not in (_PROJECTED, _GEOGRAPHIC):
        return StatedSize(None, "it does not name the system of its map")
    if facts.get(1024) == _GEOGRAPHIC:
        return StatedSize(None, "its place on the earth is in degrees, which are no lengths")
    if facts.get(3076) != _METRE:
        return StatedSize(None, "it does not state that the unit of its map is the metre")
    if facts.get(3072) in _WEB_MERCATOR:
        return StatedSize(None, "a metre of its map (Web Mercator) is no metre on the ground")
    scale, matrix = tags.get(33550), tags.get(34264)
    if isinstance(scale, tuple) and len(scale) >= 2:
        column, row = (abs(float(each)) for each in scale[:2])
    elif isinstance(matrix, tuple) and len(matrix) >= 8:
        column, row = math.hypot(matrix[0], matrix[4]), math.hypot(matrix[1], matrix[5])
    else:
        return StatedSize(None, "it states no size of its pixels")
    if not (0 < row < math.inf and 0 < column < math.inf):
        return StatedSize(None, "it states pixels without a size")
    return StatedSize(PixelSize(row, column, "m"))


def _of_density(across: float, down: float) -> StatedSize:
    """Return the size at pixels an inch; the usual densities of screens and printers are no measurements."""
    if not (0 < across < math.inf and 0 < down < math.inf):
        return StatedSize(None)
    if any(abs(across - usual) < 0.02 for usual in _USUAL_DPI):
        return StatedSize(None, f"its {across:.4g} pixels an inch are usual for a screen or a printer")
    return StatedSize(PixelSize(_PER_INCH / down, _PER_INCH / across))


def _of_imagej(file: BinaryIO, path: Path, placement: Placement) -> StatedSize:
    if placement.resolution is None:
        return StatedSize(None)
    page = tiff_picture(file, path).series.keyframe
    if not str(page.description).startswith("ImageJ=") or page.tags.valueof(ORIENTATION_TAG, 1) != 1:
        return StatedSize(None)
    found = re.search(r"^unit=(.*)$", page.description, re.MULTILINE)
    unit = found[1].strip() if found else ""
    length = _MICROMETRES.get(unit.lower(), 0.0)
    if not length:
        named = unit and unit.lower() not in ("pixel", "pixels")
        return StatedSize(None, f"its unit of length is '{unit}'" if named else "")
    across, down = placement.resolution
    return StatedSize(PixelSize(length / down, length / across))


def _of_png(file: BinaryIO) -> StatedSize:
    if file.read(len(PNG_MARK)) != PNG_MARK:
        return StatedSize(None)
    content = read_chunks(file, b"pHYs").get(b"pHYs", b"")
    if len(content) != 9:
        return StatedSize(None)
    across, down, unit = struct.unpack(">IIB", content)
    return _of_density(across * 0.0254, down * 0.0254) if unit == 1 else StatedSize(None)
