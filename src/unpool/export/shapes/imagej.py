"""Shapes as ImageJ's ROI files in a ZIP file: traced outlines, and composites for holes and several parts.

The form of the files is that of ImageJ's class RoiEncoder, version 228: a header, coordinates, a second header, a name.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Sequence

import numpy as np

from unpool.class_table import Colour
from unpool.export.shapes.regions import Regions, ShapeRegion
from unpool.export.shapes.rings import ConnectedPart, region_parts

_VERSION, _RECTANGLE, _TRACED = 228, 1, 8
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_HEADER = 64
_MOST = 32767
"""The largest coordinate and number of corners of a traced outline; others are composites, of floats."""


def roi_zip(regions: Regions) -> bytes:
    """Return a ZIP file with a ROI for each region, as ImageJ's ROI manager opens it."""
    parts = region_parts(regions.numbers)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, region in enumerate(regions.regions, 1):
            name = _roi_name(number, region)
            content = roi_bytes(parts[number], name, region.of_class.colour)
            plain = re.sub(r"[^\w .-]", "_", name)
            if f"{plain}.roi" in archive.NameToInfo:  # names that differ by a letter that no file name has
                plain = f"{plain}-{number}"
            archive.writestr(zipfile.ZipInfo(f"{plain}.roi"), content)
    return file.getvalue()


def roi_bytes(parts: Sequence[ConnectedPart], name: str, colour: Colour) -> bytes:
    """Return a ROI file of one region."""
    rings = [ring for part in parts for ring in (part.border, *part.holes)]
    corners = np.concatenate(rings)
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    composite = len(rings) > 1 or max(right, bottom, len(rings[0])) > _MOST
    if composite:
        body = np.concatenate([_segments(ring.tolist()) for ring in rings]).astype(">f4").tobytes()
    else:
        body = (rings[0] - [left, top]).T.astype(">i2").tobytes()
    header = bytearray(_HEADER)
    struct.pack_into(">4sHBx", header, 0, b"Iout", _VERSION, _RECTANGLE if composite else _TRACED)
    struct.pack_into(">HHHH", header, 8, *(min(side, 65535) for side in (top, left, bottom, right)))
    struct.pack_into(">H", header, 16, 0 if composite else len(rings[0]))
    struct.pack_into(">I", header, 36, len(body) // 4 if composite else 0)
    struct.pack_into(">4B", header, 40, 255, *colour)
    struct.pack_into(">I", header, 60, _HEADER + len(body))
    letters = name.encode("utf-16-be")
    second = bytearray(_HEADER)
    struct.pack_into(">II", second, 16, _HEADER + len(body) + len(second), len(letters) // 2)
    return bytes(header) + body + bytes(second) + letters


def _segments(ring: list[list[int]]) -> list[float]:
    """Return a ring as ImageJ's steps: to its first corner, along lines to the others, and back."""
    steps = [_MOVE, *map(float, ring[0])]
    for x, y in ring[1:]:
        steps += [_LINE, float(x), float(y)]
    return [*steps, _CLOSE]


def _roi_name(number: int, region: ShapeRegion) -> str:
    return region.of_class.name if region.object_number is None else f"{region.of_class.name}-{number:05}"
