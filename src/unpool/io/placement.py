"""Where a picture lies and how large its pixels are: what a mask of it keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import tifffile

Tag: TypeAlias = tuple[int, int, int, Any]
"""A TIFF tag: code, TIFF's number of its type, count, value."""

GEO_TAGS = {33550: 12, 33922: 12, 34264: 12, 34735: 3, 34736: 12, 34737: 2}
"""Pixel scale, tie points, transformation, and the three tags of GeoTIFF keys, with their types (OGC GeoTIFF 1.1)."""


@dataclass(frozen=True)
class Placement:
    """What is said of a picture beside its pixels.

    Attributes
    ----------
    resolution: pixels a unit, across and down, as the file says; None where it does not.
    unit: 1 no absolute unit, 2 inch, 3 centimetre (TIFF's numbers).
    geography: GeoTIFF's tags. GDAL's value for missing data is not among them: in a mask it would hide a class.
    pixel_size: physical size across and down with its unit, as OME says it.
    tiled: the file is stored for reading by windows, so what is made of it is too.
    levels: smaller copies of the picture in the file.
    zarr: the format of a Zarr folder, 2 or 3; None for a file.
    """

    resolution: tuple[float, float] | None = None
    unit: int = 1
    geography: tuple[Tag, ...] = ()
    pixel_size: tuple[float, float, str] | None = None
    tiled: bool = False
    levels: int = 0
    zarr: int | None = None


def tiff_placement(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Placement:
    """What a TIFF says. A turned picture (EXIF orientation) keeps no place, because its axes change."""
    page = series.keyframe
    # copies are sub-pages of the picture, or pages behind it that are marked as smaller
    levels = len(series.levels) - 1 or sum(other.keyframe.is_reduced for other in tiff.series)
    tiled = bool(page.is_tiled)
    if page.tags.valueof(274, 1) != 1:
        return Placement(tiled=tiled, levels=levels)
    resolution = _ratio(page.tags.valueof(282)), _ratio(page.tags.valueof(283))
    unit = int(page.tags.valueof(296, 2))
    # 1 without a unit is what writers put who know nothing
    known = all(resolution) and unit in (1, 2, 3) and (resolution, unit) != ((1.0, 1.0), 1)
    return Placement(
        resolution=resolution if known else None,
        unit=unit if known else 1,
        geography=tuple(
            _plain(tag) for code in GEO_TAGS if (tag := page.tags.get(code)) and tag.dtype == GEO_TAGS[code]
        ),
        pixel_size=_ome_pixel_size(tiff.ome_metadata) if tiff.is_ome else None,
        tiled=tiled,
        levels=levels,
    )


def _plain(tag: tifffile.TiffTag) -> Tag:
    """A tag that can be written again: strings are ASCII there."""
    value = tag.value.encode("ascii", "replace").decode() if isinstance(tag.value, str) else tag.value
    return tag.code, int(tag.dtype), tag.count, value


def _ratio(value: Any) -> float:
    """A TIFF's fraction as a number; 0 where there is none."""
    if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
        return 0.0
    return float(value[0] / value[1])


def _ome_pixel_size(text: str | None) -> tuple[float, float, str] | None:
    """Physical sizes in OME's XML. They are searched for, because an XML parser would expand what a bomb defines."""
    across, down = (re.search(rf'\sPhysicalSize{axis}="([0-9.eE+-]+)"', text or "") for axis in "XY")
    if across is None or down is None:
        return None
    unit = re.search(r'\sPhysicalSizeXUnit="([^"&<]+)"', text or "")
    return float(across[1]), float(down[1]), unit[1] if unit else "µm"
