"""Flooding: a surface cut into basins, one for each peak that stands high enough above the pass to a higher one.

It is the watershed of Vincent and Soille (1991), from the peaks down, with the dynamics of Grimaud (1992) as the height
of a peak. Pixels are taken from the highest to the lowest. A pixel without an earlier neighbour begins a basin; another
joins the basin of its highest neighbour. Where two basins meet, the lower one joins the higher one, unless its peak
stands high enough above the place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def basins(heights: NDArray[np.float64], inside: NDArray[np.bool_], depth: float, share: float) -> NDArray[np.int32]:
    """Return the number of each pixel's basin, int32 (rows, columns): from 1 by the order of their first pixels.

    Pixels are neighbours if they share an edge or a corner. Of two pixels of one height, the first in reading order is
    taken first.

    Parameters
    ----------
    heights: (rows, columns); peaks at or below 0 have no basin of their own where they meet another.
    inside: (rows, columns) the pixels that belong to a basin; others get 0.
    depth: least height of a peak above the pass to a higher one.
    share: the same, as a share of the peak's height; the larger of the two holds.
    """
    padded = np.pad(heights, 1)
    owners = np.zeros(padded.size, dtype=np.int64)
    places = np.flatnonzero(np.pad(inside, 1))
    order = places[np.argsort(-padded.ravel()[places], kind="stable")]
    width = padded.shape[1]
    steps = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    _flooding()(padded.ravel(), owners, order, steps, np.array([depth, share]))
    flooded = owners.reshape(padded.shape)[1:-1, 1:-1]
    return renumbered(flooded)


def renumbered(numbers: NDArray[Any]) -> NDArray[np.int32]:
    """Return the same regions, numbered from 1 by the order of their first pixels; 0 stays 0."""
    present, first, where = np.unique(numbers, return_index=True, return_inverse=True)
    first = np.where(present == 0, -1, first)
    place = np.empty(len(present), dtype=np.int32)
    place[np.argsort(first)] = np.arange(len(present)) + (0 if (present == 0).any() else 1)
    return place[where].reshape(numbers.shape)


def _flood_from_peaks(
    heights: NDArray[np.float64],
    owners: NDArray[np.int64],
    order: NDArray[np.int64],
    steps: NDArray[np.int64],
    least: NDArray[np.float64],
) -> None:
    """Write the basin of each pixel into ``owners``, which is 0 before; ``order`` has the pixels from the highest."""
    parents = np.zeros(len(order) + 1, dtype=np.int64)
    peaks = np.zeros(len(order) + 1, dtype=np.float64)
    count = 0
    for place in order:
        height = heights[place]
        best = 0
        highest = 0.0
        for step in steps:
            other = place + step
            if owners[other] and (best == 0 or heights[other] > highest):
                highest = heights[other]
                best = owners[other]
        if best == 0:
            count += 1
            parents[count] = count
            peaks[count] = height
            owners[place] = count
            continue
        while parents[best] != best:
            best = parents[best]
        owners[place] = best
        for step in steps:
            root = owners[place + step]
            if root == 0:
                continue
            while parents[root] != root:
                root = parents[root]
            if root == best:
                continue
            earlier = peaks[best] > peaks[root] or (peaks[best] == peaks[root] and best < root)
            lower, higher = (root, best) if earlier else (best, root)
            peak = peaks[lower]
            if peak <= 0.0 or peak - height < max(least[0], least[1] * peak):
                parents[lower] = higher
                best = higher if lower == best else best
    for place in order:
        root = owners[place]
        while parents[root] != root:
            root = parents[root]
        owners[place] = root


@cache
def _flooding() -> Callable[..., None]:
    """Return ``_flood_from_peaks`` as machine code; without numba the same loops run, at a hundredth of the speed."""
    try:
        from unpool.machine_code.functions import compiled  # noqa: PLC0415 - numba takes time to import
    except ImportError:
        return _flood_from_peaks
    return compiled(_flood_from_peaks)
