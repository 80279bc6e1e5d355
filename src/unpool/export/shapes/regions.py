"""The regions of a mask: the pixels of each class, or of each object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from unpool.class_table import IGNORE_ID, ClassTable, Colour, Labels, distinct_colours
from unpool.export.shapes.rings import RegionNumbers
from unpool.metrics.segments import components


class ShapeClass(NamedTuple):
    """A class of shapes.

    Attributes
    ----------
    number: 1, 2, … in the order of the class table; the first class of the table is the background and has no shapes.
    value: its mask value.
    """

    number: int
    name: str
    value: int
    colour: Colour


class ShapeRegion(NamedTuple):
    """A region of a mask: all pixels of a class, or one object of it.

    Attributes
    ----------
    object_number: of an object; None for all pixels of a class.
    """

    of_class: ShapeClass
    object_number: int | None


class Regions(NamedTuple):
    """The regions of one mask.

    Attributes
    ----------
    numbers: the number of each pixel's region: k + 1 for ``regions[k]``.
    """

    numbers: RegionNumbers
    regions: tuple[ShapeRegion, ...]


def shape_classes(table: ClassTable) -> tuple[ShapeClass, ...]:
    """Return the classes of a table that get shapes: all but the first."""
    colours = table.colours if len(set(table.colours)) > 1 else distinct_colours(len(table))
    values = [first[0] if isinstance(first[0], int) else k for k, first in enumerate(table.values)]
    rows = list(zip(table.names, values, colours, strict=True))
    return tuple(ShapeClass(k, name, value, colour) for k, (name, value, colour) in enumerate(rows))[1:]


def class_regions(labels: Labels, classes: Sequence[ShapeClass], *, objects: bool) -> Regions:
    """Return the regions of labels.

    Parameters
    ----------
    objects: whether each connected object, over edges and corners, is a region of its own; else each class is one.
    """
    if not objects:
        present = [each for each in classes if (labels == each.number).any()]
        places = np.zeros(IGNORE_ID + 1, np.int32)
        places[[each.number for each in present]] = np.arange(1, len(present) + 1)
        return Regions(places[labels], tuple(ShapeRegion(each, None) for each in present))
    numbers = np.zeros(labels.shape, np.int32)
    regions: list[ShapeRegion] = []
    for each in classes:
        found = components(labels == each.number, corners=True)
        inside = found > 0
        numbers[inside] = found[inside] + len(regions)
        count = int(found.max(initial=0))
        regions += [ShapeRegion(each, len(regions) + k) for k in range(1, count + 1)]
    return Regions(numbers, tuple(regions))


def object_regions(mask: RegionNumbers, of_class: ShapeClass) -> Regions:
    """Return the regions of object numbers, in their order; 0 is the background."""
    present, places = np.unique(mask, return_inverse=True)
    rank = np.cumsum(present != 0) * (present != 0)
    numbers = rank[places].reshape(mask.shape).astype(np.int32)
    return Regions(numbers, tuple(ShapeRegion(of_class, int(value)) for value in present.tolist() if value))


def region_boxes(regions: Regions) -> list[tuple[slice, slice]]:
    """Return the rows and columns of each region's box."""
    return [box for box in ndimage.find_objects(regions.numbers, len(regions.regions)) if box is not None]
