"""A TIFF that is made of bands of rows, with smaller copies where its source picture has them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import tifffile
from numpy.typing import NDArray

from unpool.io.placement import GDAL_NODATA, UNIT_SYMBOLS, Axis, Placement
from unpool.io.write.band_form import BandForm, RowSource

TILE_SIDE = 512
"""Rows and columns of a tile."""

ROW_OF_TILES = 1 << 27
"""The most bytes of a row of tiles; tiles of very wide pictures have fewer rows."""

BYTES_OF_STRIP = 1 << 16
"""Bytes of pixels in a strip, about."""

GDAL_METADATA = 42112
"""The TIFF tag in which GDAL reads the descriptions of bands."""

CENTIMETRES = {"m": 100.0, "cm": 1.0, "mm": 0.1, "µm": 1e-4, "nm": 1e-7, "in": 2.54}
"""The length of units in which pixels are measured."""

BIG = 2**32 - 2**25
"""Bytes of pixels from which a file is a BigTIFF; the compressed size is not known when this is decided."""


def write_tiff(path: Path, form: BandForm, bands: RowSource) -> None:
    """Write a TIFF of deflated tiles; a BigTIFF where its pixels are 4 GB or more. Copies leave pixels out.

    A picture of ImageJ is written back for ImageJ: in strips, because ImageJ reads no tiles, with its unit of length.
    """
    steps = level_steps(form)
    pixels = form.rows * form.columns * form.channels * np.dtype(form.dtype).itemsize
    big = pixels * (4 / 3 if steps else 1) >= BIG
    for_imagej = _is_for_imagej(form)
    ome = None if for_imagej else _ome(form)
    with tifffile.TiffWriter(path, bigtiff=big, ome=ome is not None) as tiff:
        if for_imagej:
            tiff.write(**_strips(form, bands), **_facts(form), metadata=None)
            return
        shaped = {"axes": "CYX", "Channel": {"Name": list(form.names)}} if _has_planes(form) and form.names else None
        tiff.write(**_page(form, bands, 1), **_facts(form), subifds=len(steps), metadata=ome or shaped)
        for step in steps:
            tiff.write(**_page(form, bands, step), subfiletype=1, metadata=None)


def stated_facts(pixels: NDArray[Any], placement: Placement, *, rgb: bool) -> dict[str, Any]:
    """Return tifffile's arguments for the facts that a TIFF states of its source: none where there are none.

    Parameters
    ----------
    pixels: (rows, columns) or (rows, columns, channels), which are written in one piece with their channels together.
    rgb: whether the channels are colours.
    """
    rows, columns, channels = (*pixels.shape, 1)[:3]
    form = BandForm(rows, columns, channels, placement=placement, rgb=True, missing=placement.missing)
    facts = _facts(form)
    if placement.imagej_unit is not None and (pixels.ndim == 2 or rgb):
        return {**facts, "description": _imagej_description(placement.imagej_unit), "metadata": None}
    ome = _ome(form)
    return {**facts, "ome": True, "metadata": ome} if ome else facts


def level_steps(form: BandForm) -> list[int]:
    """Return the factors 2, 4, … by which copies are smaller, until one tile holds a copy.

    There are no factors where the source has no copies.
    """
    longest, step, steps = max(form.rows, form.columns), 2, []
    while form.placement.levels and longest * 2 > step * TILE_SIDE:
        steps.append(step)
        step *= 2
    return steps


def _has_planes(form: BandForm) -> bool:
    """Return whether channels are stored one after the other: they are no colours."""
    return form.channels > 1 and not form.rgb


def _is_for_imagej(form: BandForm) -> bool:
    """Return whether a file is written as ImageJ writes it: one channel, of a picture of ImageJ without copies."""
    placement = form.placement
    return form.channels == 1 and not form.one_bit and placement.imagej_unit is not None and not placement.levels


def _page(form: BandForm, bands: RowSource, step: int) -> dict[str, Any]:
    """Return tifffile's arguments for one size of the picture; ``step`` is the factor by which it is smaller."""
    rows, columns = -(-form.rows // step), -(-form.columns // step)
    tile, planes = _tile(form), _has_planes(form)
    whole = (form.channels, rows, columns) if planes else (rows, columns, form.channels)
    page: dict[str, Any] = {
        "data": _tiles(form, bands, tile, step),
        "shape": (rows, columns) if form.channels == 1 else whole,
        "dtype": "bool" if form.one_bit else form.dtype,
        "tile": tile,
        "compression": "zlib",
        "photometric": "rgb" if form.rgb else "minisblack",
        "maxworkers": 1,
    }
    if form.rgb:
        page["planarconfig"] = "contig"
    elif planes and _ome(form) is None:  # GDAL takes the planes of one page as bands; OME's channels are pages
        page["planarconfig"] = "separate"
    return page | _colours(form)


def _strips(form: BandForm, bands: RowSource) -> dict[str, Any]:
    """Return tifffile's arguments for a picture in strips. ImageJ reads the unit of length in its own description."""
    height = max(1, min(BYTES_OF_STRIP // (form.columns * np.dtype(form.dtype).itemsize), form.rows))
    return {
        "data": (zlib.compress(np.ascontiguousarray(rows).data) for rows in bands.read(height)),
        "shape": (form.rows, form.columns),
        "dtype": form.dtype,
        "rowsperstrip": height,
        "compression": "zlib",
        "photometric": "minisblack",
        "description": _imagej_description(str(form.placement.imagej_unit)),
        "maxworkers": 1,
        **_colours(form),
    }


def _imagej_description(unit: str) -> str:
    return f"ImageJ=1.54f\nimages=1\nunit={unit}\n"


def _colours(form: BandForm) -> dict[str, Any]:
    """Return tifffile's arguments for a palette; none for other pictures."""
    if not form.palette:
        return {}
    colours = np.zeros((256, 3), np.uint16)
    colours[: len(form.palette)] = np.array(form.palette) * 257
    return {"photometric": "palette", "colormap": colours.T}


def _tile(form: BandForm) -> tuple[int, int]:
    channels = 1 if _has_planes(form) else form.channels
    height = TILE_SIDE
    while height > 16 and height * form.columns * channels * np.dtype(form.dtype).itemsize > ROW_OF_TILES:
        height //= 2
    return height, TILE_SIDE


def _tiles(form: BandForm, bands: RowSource, tile: tuple[int, int], step: int) -> Iterator[NDArray[Any]]:
    """Yield the tiles of one size, row by row; those at the right and at the bottom end where the picture ends.

    Channels that are no colours follow each other.
    """
    for channel in range(form.channels) if _has_planes(form) else (None,):
        for band in bands.read(tile[0], step, channel):
            pixels = band.astype(np.bool_) if form.one_bit else band
            for left in range(0, band.shape[1], tile[1]):
                cut = pixels[:, left : left + tile[1]]
                if form.one_bit:  # tifffile 2026.3.3 packs the bits of a tile of one column wrongly
                    missing = [(0, whole - side) for whole, side in zip((*tile, 1), cut.shape, strict=True)]
                    cut = np.pad(cut, missing)
                yield np.ascontiguousarray(cut[..., 0] if cut.shape[2] == 1 else cut)


def _facts(form: BandForm) -> dict[str, Any]:
    """Return the tags of resolution, place on the earth, missing data and names of bands."""
    placement = form.placement
    tags = [(*tag, True) for tag in placement.geography]
    if form.missing is not None:
        tags.append((GDAL_NODATA, 2, 0, str(form.missing), True))
    if form.names and _has_planes(form):
        tags.append((GDAL_METADATA, 2, 0, _band_descriptions(form.names), True))
    facts: dict[str, Any] = {"extratags": tags}
    resolution, unit = placement.resolution, placement.unit
    if resolution is None and (per_centimetre := _per_centimetre(placement)):
        resolution, unit = per_centimetre, 3
    if resolution is not None:
        facts |= {"resolution": resolution, "resolutionunit": unit}
    return facts


def _per_centimetre(placement: Placement) -> tuple[float, float] | None:
    """Return the pixels of a centimetre across and down; None where the size of a pixel is not known in it."""
    if placement.space is None:
        return None
    down, across = map(_centimetres, placement.space)
    return (1 / across, 1 / down) if across and down else None


def _centimetres(axis: Axis) -> float | None:
    """Return the side of a pixel in centimetres; None for other units than those of microscopes, or out of range."""
    size = axis.pixel_size * CENTIMETRES.get(UNIT_SYMBOLS.get(axis.unit or "", axis.unit or ""), 0.0)
    return size if 1e-8 < size < 1e8 else None


def _band_descriptions(names: Sequence[str]) -> bytes:
    """Return the names of the bands as GDAL's metadata, in UTF-8. GDAL undoes the escapes of XML twice."""
    items = [
        f'<Item name="DESCRIPTION" sample="{number}" role="description">{escape(escape(name))}</Item>'
        for number, name in enumerate(names)
    ]
    return "\n".join(["<GDALMetadata>", *items, "</GDALMetadata>"]).encode()


def _ome(form: BandForm) -> dict[str, Any] | None:
    """Return the physical size of a pixel; None where OME-TIFF has no symbol for its unit."""
    sizes: dict[str, Any] = {}
    for name, axis in zip("YX", form.placement.space or (), strict=False):
        symbol = UNIT_SYMBOLS.get(axis.unit or "", axis.unit)
        if symbol not in UNIT_SYMBOLS.values() or axis.pixel_size <= 0:
            return None
        sizes |= {f"PhysicalSize{name}": axis.pixel_size, f"PhysicalSize{name}Unit": symbol}
    if not sizes or form.placement.geography:
        return None
    if not _has_planes(form):
        return {"axes": "YX" if form.channels == 1 else "YXS", **sizes}
    return {"axes": "CYX", **sizes, **({"Channel": {"Name": list(form.names)}} if form.names else {})}
