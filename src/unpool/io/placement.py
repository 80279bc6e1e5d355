"""The facts of a picture that its masks keep: place on the earth, size of the pixels, way of storage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import tifffile

from unpool.io.read.exif import ORIENTATION_TAG

Tag: TypeAlias = tuple[int, int, int, Any]
"""A TIFF tag: its code, the number of its type, its count and its value."""

GEO_TAGS = {33550: 12, 33922: 12, 34264: 12, 34735: 3, 34736: 12, 34737: 2}
"""Types by code of the tags of OGC GeoTIFF 1.1: pixel scale, tie points, transformation and three tags of keys."""

GDAL_NODATA = 42113
"""The TIFF tag in which GDAL writes the value of missing data, as text."""

UNIT_SYMBOLS: Mapping[str, str] = {
    **{"kilometer": "km", "meter": "m", "centimeter": "cm", "millimeter": "mm", "micrometer": "µm"},
    **{"nanometer": "nm", "angstrom": "Å", "picometer": "pm", "inch": "in", "foot": "ft", "yard": "yd", "mile": "mi"},
}
"""The symbols that OME-TIFF has for the units of length that OME-Zarr names."""


IMAGEJ_UNITS: Mapping[str, str] = {
    **dict.fromkeys(("um", "µm", "μm", r"\u00b5m", r"\u03bcm", "micron", "microns", "micrometer", "micrometre"), "µm"),
    **{"nm": "nm", "nanometer": "nm", "mm": "mm", "millimeter": "mm", "cm": "cm", "centimeter": "cm"},
    **{"m": "m", "meter": "m", "inch": "in", "in": "in", "inches": "in"},
}
"""The symbols that OME-TIFF has for the units of length that ImageJ and its users write, in lower case."""


@dataclass(frozen=True)
class Axis:
    """The place of a picture's rows or columns in space: row or column i lies at scale * i + translation.

    Attributes
    ----------
    unit: the unit of length, as OME-TIFF or OME-Zarr writes it; None where the file has none.
    shared: the scale and the translation that OME-Zarr applies afterwards, to a picture and all its smaller copies.
    """

    unit: str | None = None
    scale: float = 1.0
    translation: float = 0.0
    shared: tuple[float, float] = (1.0, 0.0)

    @property
    def pixel_size(self) -> float:
        """The distance between two rows or columns."""
        return self.scale * self.shared[0]


Space: TypeAlias = tuple[Axis, Axis]
"""The place of a picture's rows and of its columns."""


@dataclass(frozen=True)
class Placement:
    """The facts of a picture that its file states apart from the pixels.

    Attributes
    ----------
    resolution: pixels in each unit of length, across and down; None where the file has none.
    unit: the unit of length by TIFF's numbers: 1 no absolute unit, 2 inch, 3 centimetre.
    geography: GeoTIFF's tags, without GDAL's value for missing data, which would hide a class in a mask.
    space: physical size and place of rows and columns, from OME metadata; None where the file has none.
    tiled: the file is stored for reading by windows; results of the picture are stored so too.
    levels: number of smaller copies of the picture in the file.
    zarr: the format of a Zarr folder, 2 or 3; None for a file.
    imagej_unit: the unit of length as ImageJ wrote it, in which ``resolution`` counts; None for other programs.
    missing: the value that GDAL declares as missing data; None where the file declares none.
    transparent: the picture has a place on the earth and an alpha channel, which hides pixels without data.
    """

    resolution: tuple[float, float] | None = None
    unit: int = 1
    geography: tuple[Tag, ...] = ()
    space: Space | None = None
    tiled: bool = False
    levels: int = 0
    zarr: int | None = None
    imagej_unit: str | None = None
    missing: float | None = None
    transparent: bool = False

    @property
    def may_lack_data(self) -> bool:
        """Whether the file says of some pixels that they have no data."""
        return self.missing is not None or self.transparent


def tiff_placement(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, missing: float | None = None) -> Placement:
    """Read the facts of a TIFF. A picture with an EXIF orientation has no place, because its axes change.

    Parameters
    ----------
    missing: the value that the file declares as missing data.
    """
    page = series.keyframe
    # copies are sub-pages of the picture, or pages behind it that are marked as smaller
    levels = len(series.levels) - 1 or sum(other.keyframe.is_reduced for other in tiff.series)
    tiled = bool(page.is_tiled)
    if page.tags.valueof(ORIENTATION_TAG, 1) != 1:
        return Placement(tiled=tiled, levels=levels, missing=missing)
    resolution = _ratio(page.tags.valueof(282)), _ratio(page.tags.valueof(283))
    unit = page.tags.valueof(296, 2)
    # programs that know no resolution write 1 without a unit
    known = all(resolution) and unit in (1, 2, 3) and (resolution, unit) != ((1.0, 1.0), 1)
    imagej_unit = _imagej_unit(page.description) if tiff.is_imagej and known else None
    space = _ome_space(tiff.ome_metadata) if tiff.is_ome else None
    return Placement(
        resolution=resolution if known else None,
        unit=int(unit) if known else 1,
        geography=tuple(
            _writable(tag) for code in GEO_TAGS if (tag := page.tags.get(code)) and tag.dtype == GEO_TAGS[code]
        ),
        space=space or (_imagej_space(imagej_unit, resolution) if imagej_unit else None),
        tiled=tiled,
        levels=levels,
        imagej_unit=imagej_unit,
        missing=missing,
    )


def resolution_placement(across: float, down: float, unit: int) -> Placement:
    """Return the placement of a picture with this many pixels in each unit of length, by TIFF's numbers of units."""
    known = min(across, down) > 0 and max(across, down) < float("inf")
    return Placement(resolution=(across, down), unit=unit) if known else Placement()


def _imagej_unit(description: str) -> str | None:
    """Return the unit of length in ImageJ's description; None where pixels are counted, or where it has none."""
    found = re.search(r"^unit=([^\r\n]{1,40})$", description, re.MULTILINE)
    unit = found[1].strip() if found else ""
    if not unit or unit.lower().startswith("pixel"):
        return None
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04X}" for letter in unit)


def _imagej_space(unit: str, resolution: tuple[float, float]) -> Space | None:
    """Return the physical size of ImageJ's pixels; None where the unit is no length that is known here."""
    symbol = IMAGEJ_UNITS.get(unit.lower())
    across, down = resolution
    return (Axis(symbol, 1 / down), Axis(symbol, 1 / across)) if symbol else None


def _writable(tag: tifffile.TiffTag) -> Tag:
    """Return a tag that can be written again, its text as ASCII."""
    value = tag.value.encode("ascii", "replace").decode() if isinstance(tag.value, str) else tag.value
    return tag.code, int(tag.dtype), tag.count, value


def _ratio(value: Any) -> float:
    """Return a TIFF's fraction as a number; 0 where there is none."""
    if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
        return 0.0
    return float(value[0] / value[1])


def _ome_space(text: str | None) -> Space | None:
    """Return the physical sizes in OME's XML, found by a search: an XML parser would expand the entities of a bomb."""
    down, across = (_ome_axis(text or "", name) for name in "YX")
    return (down, across) if down and across else None


def _ome_axis(text: str, name: str) -> Axis | None:
    size = re.search(rf'\sPhysicalSize{name}="([0-9.eE+-]+)"', text)
    unit = re.search(rf'\sPhysicalSize{name}Unit="([^"&<]+)"', text)
    try:
        scale = float(size[1]) if size else 0.0
    except ValueError:
        return None
    return Axis(unit[1] if unit else "µm", scale) if 0 < scale < float("inf") else None
