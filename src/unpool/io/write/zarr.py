"""An OME-Zarr folder that is made of bands of rows (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unpool.io.read.zarr import zarr_package
from unpool.io.write.band_form import BandForm
from unpool.io.write.part_folder import remove
from unpool.io.write.tiff import level_steps
from unpool.io.write.unfinished import UnfinishedBands

CHUNK = 512
"""Rows and columns of a chunk."""


def write_zarr(path: Path, form: BandForm, bands: UnfinishedBands) -> None:
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
    across, down, unit = form.placement.pixel_size or (1.0, 1.0, None)
    space = {"type": "space"} | ({"unit": unit} if unit else {})
    scale = {
        "version": version,
        "axes": [{"name": axis} | (space if axis in "yx" else {"type": "channel"}) for axis in axes],
        "datasets": [
            {
                "path": str(number),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0 for _ in axes[:-2]] + [down * step, across * step]}
                ],
            }
            for number, step in enumerate(steps)
        ],
    }
    facts: dict[str, Any] = {"multiscales": [scale]}
    if form.palette:
        colours = [{"label-value": value, "rgba": [*colour, 255]} for value, colour in enumerate(form.palette)]
        facts["image-label"] = {"version": version, "colors": colours}
    return facts if version == "0.4" else {"version": version, **facts}
