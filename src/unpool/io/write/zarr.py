"""An OME-Zarr folder that is made of bands of rows (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unpool.io.placement import UNIT_SYMBOLS, Axis
from unpool.io.read.zarr import zarr_package
from unpool.io.write.band_form import BandForm, RowSource
from unpool.io.write.part_folder import remove
from unpool.io.write.tiff import level_steps

CHUNK = 512
"""Rows and columns of a chunk."""


def write_zarr(path: Path, form: BandForm, bands: RowSource) -> None:
    """Write a Zarr folder, with smaller copies where the source has them.

    Its format is that of the source, or 3 where the source is no Zarr.
    """
    zarr = zarr_package(path)
    remove(path)
    version = form.placement.zarr or 3
    group = zarr.create_group(path, zarr_format=version)
    steps = [1, *level_steps(form)]
    axes = ("y", "x") if form.channels == 1 else ("c", "y", "x")
    for number, step in enumerate(steps):
        rows, columns = -(-form.rows // step), -(-form.columns // step)
        channels = () if form.channels == 1 else (form.channels,)
        array = group.create_array(
            str(number),
            shape=(*channels, rows, columns),
            chunks=(*(1 for _ in channels), min(CHUNK, rows), min(CHUNK, columns)),
            dtype=form.dtype,
            **({"dimension_names": axes} if version == 3 else {}),
        )
        for place, band in enumerate(bands.read(CHUNK, step)):
            lines = slice(place * CHUNK, place * CHUNK + len(band))
            array[(..., lines, slice(None))] = band[..., 0] if not channels else np.moveaxis(band, 2, 0)
    facts = _facts(form, axes, steps, "0.5" if version == 3 else "0.4")
    group.attrs.update({"ome": facts} if version == 3 else facts)


def _facts(form: BandForm, axes: tuple[str, ...], steps: list[int], version: str) -> dict[str, Any]:
    """Return the metadata of OME, with the colours of class ids."""
    space = dict(zip("yx", form.placement.space or (Axis(), Axis()), strict=True))
    scale: dict[str, Any] = {
        "version": version,
        "axes": [_axis(name, space.get(name)) for name in axes],
        "datasets": [
            {
                "path": str(number),
                "coordinateTransformations": _changes([_of_copy(space.get(name), step) for name in axes]),
            }
            for number, step in enumerate(steps)
        ],
    }
    shared = [space[name].shared if name in space else (1.0, 0.0) for name in axes]
    if any(each != (1.0, 0.0) for each in shared):
        scale["coordinateTransformations"] = _changes(shared)
    facts: dict[str, Any] = {"multiscales": [scale]}
    if form.palette:
        colours = [{"label-value": value, "rgba": [*colour, 255]} for value, colour in enumerate(form.palette)]
        facts["image-label"] = {"version": version, "colors": colours}
    return facts if version == "0.4" else {"version": version, **facts}


def _axis(name: str, place: Axis | None) -> dict[str, str]:
    """Return the description of an axis, which is one of channels where it has no place in space."""
    if place is None:
        return {"name": name, "type": "channel"}
    names = {symbol: unit for unit, symbol in UNIT_SYMBOLS.items()}  # OME-Zarr writes units out
    return {"name": name, "type": "space"} | ({"unit": names.get(place.unit, place.unit)} if place.unit else {})


def _of_copy(place: Axis | None, step: int) -> tuple[float, float]:
    """Return the scale and translation of a copy; the middle of its pixel is that of the ``step`` pixels it covers."""
    if place is None:
        return 1.0, 0.0
    return place.scale * step, place.translation + place.scale * (step - 1) / 2


def _changes(axes: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """Return the scales and then the translations of all axes, in the order that OME-NGFF requires."""
    scales, translations = [list(each) for each in zip(*axes, strict=True)]
    moved = [{"type": "translation", "translation": translations}] if any(translations) else []
    return [{"type": "scale", "scale": scales}, *moved]
