"""Where a class ends: its boundary, its rim and its band, and how far two of them lie apart.

The rule for ignored pixels and for the picture's edge: a boundary lies between two counted pixels, one of the class
and one of another. What lies beyond an ignored pixel or beyond the edge is not known, so there is no boundary there.
Only ``band`` takes the picture's edge for one, as the definition it serves does.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from scipy.spatial import KDTree

Mask: TypeAlias = NDArray[np.bool_]
Points: TypeAlias = NDArray[np.int64]
"""(N, 2): row and column."""

_LOOKED_UP = 1 << 22  # places looked up at once: bounds the memory of ``matched``


def boundary(region: Mask, counted: Mask) -> Mask:
    """Corners of pixels at which the region meets other counted pixels.

    A corner belongs to the pixel above and to the left of it, and is a boundary if one of the four edges between
    pixels that meet there is: the image-sized boundary map of the Berkeley benchmark, which SegNet's script uses.

    Parameters
    ----------
    region, counted: (rows, columns).
    """
    down, right = _edges(region, counted)
    found = np.zeros(region.shape, dtype=bool)
    found[:-1] = down
    found[:-1, :-1] |= down[:, 1:]
    found[:, :-1] |= right
    found[:-1, :-1] |= right[1:]
    return found


def rim(region: Mask, counted: Mask) -> Mask:
    """Counted pixels of the region with a counted pixel of another class above, below, left or right."""
    down, right = _edges(region, counted)
    found = np.zeros(region.shape, dtype=bool)
    found[:-1] |= down
    found[1:] |= down
    found[:, :-1] |= right
    found[:, 1:] |= right
    return found & region


def band(region: Mask, counted: Mask, width: int) -> Mask:
    """Counted pixels of the region within ``width`` rows and columns of another class or of the picture's edge.

    Ignored pixels are taken for the region's own. This is ``width`` erosions with a 3 x 3 square, taken away, of a
    picture with zeros around it: the published code of Cheng et al. (CVPR 2021).
    """
    inside = (region | ~counted).astype(np.uint8)
    near: Mask = minimum_filter(inside, size=2 * width + 1, mode="constant", cval=0) == 0
    return near & region & counted


def matched(first: Mask, second: Mask, tolerance: float) -> int:
    """The most pairs that can be made of one pixel of each mask, at most ``tolerance`` pixels apart, each used once.

    Exact. Time and memory grow with the boundaries' length times the tolerance.
    """
    if not first.any() or not second.any():
        return 0
    offsets = _within(tolerance)
    reach = int(tolerance)
    numbers = np.full(np.add(second.shape, 2 * reach), -1, dtype=np.int32)
    here = _points(second) + reach
    numbers[here[:, 0], here[:, 1]] = np.arange(len(here))
    points = _points(first) + reach
    at_once = max(1, _LOOKED_UP // len(offsets))
    parts = [_partners(numbers, points[k : k + at_once], offsets) for k in range(0, len(points), at_once)]
    counts = np.concatenate([count for _, count in parts])
    return _largest_matching(np.concatenate([found for found, _ in parts]), counts, len(here))


def distances(first: Mask, second: Mask) -> NDArray[np.float64]:
    """From each pixel of the first mask to the nearest one of the second: Euclidean, in pixels; neither is empty."""
    return np.asarray(KDTree(_points(second)).query(_points(first))[0], dtype=np.float64)


def _points(mask: Mask) -> Points:
    """Where a mask is set; ``np.argwhere`` takes several times as long."""
    return np.stack(np.divmod(np.flatnonzero(mask), mask.shape[1]), axis=1)


def _edges(region: Mask, counted: Mask) -> tuple[Mask, Mask]:
    """Between each pixel and the one below, (rows - 1, columns), and the one to the right, (rows, columns - 1)."""
    down = (region[:-1] != region[1:]) & counted[:-1] & counted[1:]
    right = (region[:, :-1] != region[:, 1:]) & counted[:, :-1] & counted[:, 1:]
    return down, right


def _within(tolerance: float) -> Points:
    """Offsets of at most ``tolerance``, the nearest first."""
    reach = int(tolerance)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = (rows**2 + columns**2).ravel()
    order = np.argsort(squared, kind="stable")[: int((squared <= tolerance**2).sum())]
    return np.stack([rows.ravel()[order], columns.ravel()[order]], axis=1).astype(np.int64)


def _partners(
    numbers: NDArray[np.int32], points: Points, offsets: Points
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Numbers found around each point, and how many there are of each."""
    found = numbers.ravel()[(points @ (numbers.shape[1], 1))[:, None] + offsets @ (numbers.shape[1], 1)]
    return found[found >= 0], (found >= 0).sum(axis=1)


def _largest_matching(partners: NDArray[np.int32], counts: NDArray[np.int64], others: int) -> int:
    """Size of the largest one-to-one matching: the maximum flow when every pixel lets one unit through.

    A flow, because scipy's bipartite matching takes seconds where two long boundaries nearly coincide.

    Parameters
    ----------
    partners: for one pixel after the other, the numbers 0..``others`` - 1 of those it may be matched with.
    counts: how many of ``partners`` belong to each pixel.
    """
    own = len(counts)
    sink = own + others + 1
    heads = np.concatenate([np.arange(1, own + 1), own + 1 + partners, np.full(others, sink)]).astype(np.int32)
    degrees = np.concatenate([[0, own], counts, np.ones(others, dtype=np.int64), [0]])
    ones = np.ones(len(heads), dtype=np.int32)
    graph = csr_array((ones, heads, np.cumsum(degrees).astype(np.int32)), shape=(sink + 1, sink + 1))
    return int(maximum_flow(graph, 0, sink).flow_value)
