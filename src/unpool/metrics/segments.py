"""Binary images and their connected components, the segments."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

BinaryImage: TypeAlias = NDArray[np.bool_]
"""(rows, columns): whether each pixel belongs to a region."""

Segments: TypeAlias = NDArray[np.int32]
"""(rows, columns): the number of each pixel's segment, 1, 2, …; 0 for no segment."""

NO_SEGMENT = 0

_EDGES = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
_EDGES_AND_CORNERS = np.ones((3, 3))


def components(image: BinaryImage, *, corners: bool = False) -> Segments:
    """Return the connected components of a binary image.

    Parameters
    ----------
    corners: whether pixels that share only a corner are connected (8-connected); else only those that share an edge
        are (4-connected).
    """
    segments: Segments = label(image, _EDGES_AND_CORNERS if corners else _EDGES)[0]
    return segments
