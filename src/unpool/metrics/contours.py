"""Where a region ends: its boundary, its rim and its band, and how far those of two regions lie apart.

The rule for ignored pixels and for the picture's edge: a boundary lies between two counted pixels, one inside the
region and one outside. What lies beyond an ignored pixel or beyond the edge is not known, so there is no boundary
there. Only ``band`` treats the picture's edge as a boundary, as the definition of the boundary IoU does.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from scipy.spatial import KDTree

from unpool.metrics.segments import BinaryImage

Points: TypeAlias = NDArray[np.int64]
"""(N, 2): row and column."""

_LOOKUPS_AT_ONCE = 1 << 22  # bounds the memory of ``matched_pixels``


def boundary(region: BinaryImage, counted: BinaryImage) -> BinaryImage:
    """Return the corners of pixels at which the region meets other counted pixels.

    A corner belongs to the pixel above and to the left of it. Four edges between pixels meet there, and the corner is a
    boundary if one of them is. This is the image-sized boundary map of the Berkeley benchmark, which SegNet's script
    uses.

    Parameters
    ----------
    region, counted: (rows, columns).
    """
    down, right = _edges(region, counted)
    corners = np.zeros(region.shape, dtype=bool)
    corners[:-1] = down
    corners[:-1, :-1] |= down[:, 1:]
    corners[:, :-1] |= right
    corners[:-1, :-1] |= right[1:]
    return corners


def rim(region: BinaryImage, counted: BinaryImage) -> BinaryImage:
    """Return the region's pixels that have a counted pixel outside the region above, below, left or right."""
    down, right = _edges(region, counted)
    beside = np.zeros(region.shape, dtype=bool)
    beside[:-1] |= down
    beside[1:] |= down
    beside[:, :-1] |= right
    beside[:, 1:] |= right
    return beside & region


def band(region: BinaryImage, counted: BinaryImage, width: int) -> BinaryImage:
    """Return the region's counted pixels within ``width`` rows and columns of the outside or of the picture's edge.

    Ignored pixels belong to the region here. The result equals the region less ``width`` erosions of it with a 3 x 3
    square, in a picture with zeros around it: the published code of Cheng et al. (CVPR 2021).
    """
    inside = (region | ~counted).astype(np.uint8)
    near: BinaryImage = minimum_filter(inside, size=2 * width + 1, mode="constant", cval=0) == 0
    return near & region & counted


def matched_pixels(first: BinaryImage, second: BinaryImage, tolerance: float) -> int:
    """Return the largest number of one-to-one matches of pixels of the two images, at most ``tolerance`` pixels apart.

    The number is exact. Time and memory grow with the boundaries' length times the tolerance.
    """
    if not first.any() or not second.any():
        return 0
    offsets = _offsets_within(tolerance)
    margin = int(tolerance)
    numbers = np.full(np.add(second.shape, 2 * margin), -1, dtype=np.int32)
    second_points = _points(second) + margin
    numbers[second_points[:, 0], second_points[:, 1]] = np.arange(len(second_points))
    first_points = _points(first) + margin
    at_once = max(1, _LOOKUPS_AT_ONCE // len(offsets))
    parts = [_partners(numbers, first_points[k : k + at_once], offsets) for k in range(0, len(first_points), at_once)]
    counts = np.concatenate([count for _, count in parts])
    return _largest_matching(np.concatenate([partners for partners, _ in parts]), counts, len(second_points))


def distances(first: BinaryImage, second: BinaryImage) -> NDArray[np.float64]:
    """Return the distance from each pixel of the first image to the nearest one of the second: Euclidean, in pixels.

    Neither image is empty.
    """
    return np.asarray(KDTree(_points(second)).query(_points(first))[0], dtype=np.float64)


def _points(image: BinaryImage) -> Points:
    """Return the pixels that are True; ``np.argwhere`` takes several times as long."""
    return np.stack(np.divmod(np.flatnonzero(image), image.shape[1]), axis=1)


def _edges(region: BinaryImage, counted: BinaryImage) -> tuple[BinaryImage, BinaryImage]:
    """Return the boundaries between each pixel and the one below, and between each pixel and the one to the right.

    Their shapes are (rows - 1, columns) and (rows, columns - 1).
    """
    down = (region[:-1] != region[1:]) & counted[:-1] & counted[1:]
    right = (region[:, :-1] != region[:, 1:]) & counted[:, :-1] & counted[:, 1:]
    return down, right


def _offsets_within(tolerance: float) -> Points:
    """Return the offsets of at most ``tolerance`` pixels, the nearest first."""
    reach = int(tolerance)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = (rows**2 + columns**2).ravel()
    order = np.argsort(squared, kind="stable")[: int((squared <= tolerance**2).sum())]
    return np.stack([rows.ravel()[order], columns.ravel()[order]], axis=1).astype(np.int64)


def _partners(
    numbers: NDArray[np.int32], points: Points, offsets: Points
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the numbers around each point, one point after the other, and how many there are of each point."""
    around = numbers.ravel()[(points @ (numbers.shape[1], 1))[:, None] + offsets @ (numbers.shape[1], 1)]
    return around[around >= 0], (around >= 0).sum(axis=1)


def _largest_matching(partners: NDArray[np.int32], counts: NDArray[np.int64], others: int) -> int:
    """Return the size of the largest one-to-one matching: the maximum flow if every pixel carries one unit.

    It is a flow (scipy's Dinic), a tenth of a second a picture: scipy's bipartite matching took up to 14 s where two
    long boundaries nearly coincide.

    Parameters
    ----------
    partners: for one pixel after the other, the numbers 0..``others`` - 1 of its possible matches.
    counts: how many of ``partners`` belong to each pixel.
    """
    own = len(counts)
    sink = own + others + 1
    heads = np.concatenate([np.arange(1, own + 1), own + 1 + partners, np.full(others, sink)]).astype(np.int32)
    degrees = np.concatenate([[0, own], counts, np.ones(others, dtype=np.int64), [0]])
    ones = np.ones(len(heads), dtype=np.int32)
    graph = csr_array((ones, heads, np.cumsum(degrees).astype(np.int32)), shape=(sink + 1, sink + 1))
    return int(maximum_flow(graph, 0, sink).flow_value)
