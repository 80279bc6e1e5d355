"""Borders: the pixels along the edge of an object, which a network may learn as a class of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.class_table import IGNORE_ID, Labels

OBJECT = 1
"""The class id of objects in a table of object numbers."""

BORDER = 2
"""The label of an object's border; each of its pixels belongs to the class of objects."""


def with_borders(labels: Labels, instances: NDArray[np.int32], width: int) -> Labels:
    """Return labels in which the borders of objects have the label ``BORDER``.

    A pixel of an object belongs to its border if a pixel outside the object, of another object or of the background,
    lies within ``width`` pixels of it, from centre to centre. So two objects that touch have a border of ``width``
    pixels each between them. Background stays background. Ignored pixels count as background.

    Parameters
    ----------
    labels: (rows, columns); class 1 is that of the objects.
    instances: (rows, columns) object numbers, 0 for background.
    width: in pixels, at least 1.
    """
    reach = np.arange(-width, width + 1)
    disc = reach[:, None] ** 2 + reach**2 <= width * width
    numbers = np.where(labels == IGNORE_ID, 0, instances)
    highest = ndimage.maximum_filter(numbers, footprint=disc, mode="nearest")
    lowest = ndimage.minimum_filter(numbers, footprint=disc, mode="nearest")
    near = (highest != numbers) | (lowest != numbers)
    return np.where((labels == OBJECT) & near, np.uint8(BORDER), labels)
