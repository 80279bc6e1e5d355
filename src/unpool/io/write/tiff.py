"""A tiled TIFF that is made of bands of rows, with smaller copies where its source picture has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unpool.io.placement import UNIT_SYMBOLS
from unpool.io.write.band_form import BandForm
from unpool.io.write.unfinished import UnfinishedBands

TILE_SIDE = 512
"""Rows and columns of a tile."""

ROW_OF_TILES = 1 << 27
"""The most bytes of a row of tiles; tiles of very wide pictures have fewer rows."""

BIG = 2**32 - 2**25
"""Bytes of pixels from which a file is a BigTIFF; the compressed size is not known when this is decided."""


def write_tiff(path: Path, form: BandForm, bands: UnfinishedBands) -> None:
    """Write a TIFF of deflated tiles; a BigTIFF where its pixels are 4 GB or more. Copies leave pixels out."""
    steps = level_steps(form)
    pixels = form.rows * form.columns * form.channels * np.dtype(form.dtype).itemsize
    big = pixels * (4 / 3 if steps else 1) >= BIG
    with tifffile.TiffWriter(path, bigtiff=big, ome=_ome(form) is not None) as tiff:
        tiff.write(**_page(form, bands, 1), **_facts(form), subifds=len(steps), metadata=_ome(form))
        for step in steps:
            tiff.write(**_page(form, bands, step), subfiletype=1, metadata=None)


def level_steps(form: BandForm) -> list[int]:
    """Return the factors 2, 4, … by which copies are smaller, until one tile holds a copy.

    There are no factors where the source has no copies.
    """
    longest, step, steps = max(form.rows, form.columns), 2, []
    while form.placement.levels and longest * 2 > step * TILE_SIDE:
        steps.append(step)
        step *= 2
    return steps


def _page(form: BandForm, bands: UnfinishedBands, step: int) -> dict[str, Any]:
    """Return tifffile's arguments for one size of the picture; ``step`` is the factor by which it is smaller."""
    rows, columns = -(-form.rows // step), -(-form.columns // step)
    tile = _tile(form)
    colour = form.channels == 3 and form.dtype != "float32"
    page: dict[str, Any] = {
        "data": _tiles(bands, tile, step),
        "shape": (rows, columns) if form.channels == 1 else (rows, columns, form.channels),
        "dtype": form.dtype,
        "tile": tile,
        "compression": "zlib",
        "photometric": "palette" if form.palette else "rgb" if colour else "minisblack",
        "planarconfig": None if form.channels == 1 else "contig",
        "maxworkers": 1,
    }
    if form.palette:
        colours = np.zeros((256, 3), np.uint16)
        colours[: len(form.palette)] = np.array(form.palette) * 257
        page["colormap"] = colours.T
    return page


def _tile(form: BandForm) -> tuple[int, int]:
    height = TILE_SIDE
    while height > 16 and height * form.columns * form.channels * np.dtype(form.dtype).itemsize > ROW_OF_TILES:
        height //= 2
    return height, TILE_SIDE


def _tiles(bands: UnfinishedBands, tile: tuple[int, int], step: int) -> Iterator[NDArray[Any]]:
    """Yield the tiles of one size, row by row; those at the right and at the bottom end where the picture ends."""
    for band in bands.read(tile[0], step):
        for left in range(0, band.shape[1], tile[1]):
            cut = band[:, left : left + tile[1]]
            yield cut[..., 0] if cut.shape[2] == 1 else cut


def _facts(form: BandForm) -> dict[str, Any]:
    """Return the tags of resolution and place on the earth."""
    placement = form.placement
    facts: dict[str, Any] = {"extratags": [(*tag, True) for tag in placement.geography]}
    if placement.resolution is not None:
        facts |= {"resolution": placement.resolution, "resolutionunit": placement.unit}
    return facts


def _ome(form: BandForm) -> dict[str, Any] | None:
    """Return the physical size of a pixel; None where OME-TIFF has no symbol for its unit."""
    sizes: dict[str, Any] = {}
    for name, axis in zip("YX", form.placement.space or (), strict=False):
        symbol = UNIT_SYMBOLS.get(axis.unit or "", axis.unit)
        if symbol not in UNIT_SYMBOLS.values() or axis.pixel_size <= 0:
            return None
        sizes |= {f"PhysicalSize{name}": axis.pixel_size, f"PhysicalSize{name}Unit": symbol}
    return {"axes": "YX" if form.channels == 1 else "YXS", **sizes} if sizes else None
