"""Shapes as YOLO's text: a line for each connected part, with its border's pixels in shares of the sides.

The format has polygons without holes, so holes are filled. All else comes back exactly when Ultralytics draws it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from unpool.export.shapes.regions import Regions, ShapeClass
from unpool.export.shapes.rings import border_pixels, region_parts


class YoloLines(NamedTuple):
    """The text of one picture, with the numbers of parts that are lines of their own, and of holes that are lost."""

    text: str
    parts: int
    holes: int


def yolo_text(regions: Regions) -> YoloLines:
    """Return the lines of the regions of a picture."""
    sides = np.array(regions.numbers.shape[::-1])
    lines, holes = [], 0
    for number, parts in region_parts(regions.numbers, corners=True).items():
        for part in parts:
            holes += len(part.holes)
            pixels = border_pixels(part.border)
            pixels = np.concatenate([pixels, *[pixels[:1]] * (3 - len(pixels))])
            shares = (pixels + 0.5) / sides
            words = " ".join(f"{share:.7g}" for share in shares.reshape(-1).tolist())
            lines.append(f"{regions.regions[number - 1].of_class.number - 1} {words}\n")
    return YoloLines("".join(lines), len(lines), holes)


def yolo_names(classes: Iterable[ShapeClass]) -> str:
    """Return the text of ``data.yaml`` with the names of the classes, which are numbered from 0."""
    quoted = [(each.number - 1, each.name.replace("'", "''")) for each in classes]
    return "names:\n" + "".join(f"  {number}: '{name}'\n" for number, name in quoted)
