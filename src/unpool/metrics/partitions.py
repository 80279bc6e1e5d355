"""Two ways to cut a picture into segments: how their pixels overlap, and how well one tells the other.

The scores are those of the ISBI 2012 challenge (Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015). Only
pixels of true segments count; those that the other partition puts into no segment are segments of one pixel each.
"""

from __future__ import annotations

from math import fsum, log, nan
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

Mask: TypeAlias = NDArray[np.bool_]
Segments: TypeAlias = NDArray[np.int32]
"""(rows, columns): 0 for no segment, 1, 2, … for segments."""

Sizes: TypeAlias = NDArray[np.float64]
"""Pixels of each piece, none of them empty."""

NO_SEGMENT = 0

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
_UNSEEN = np.iinfo(np.int64).max
_OUTSIDE = _UNSEEN - 1


class SegmentOverlap(NamedTuple):
    """How the pixels of true segments lie in another partition's.

    Attributes
    ----------
    shared: sizes of the pieces that one true segment shares with one of the others.
    true, found: sizes of the true segments, and of the others inside them.
    single: pixels of true segments that are in no other segment.
    """

    shared: Sizes
    true: Sizes
    found: Sizes
    single: int


class Agreement(NamedTuple):
    """A score of two partitions, 0..1, and its two sides; NaN without a true segment.

    Attributes
    ----------
    value: the harmonic mean of the two sides.
    split: 1 where no true segment is cut.
    merge: 1 where no two true segments are joined.
    """

    value: float
    split: float
    merge: float


class Pairs(NamedTuple):
    """Ordered pairs of pixels of true segments, a pixel and itself among them, that lie in one segment.

    Attributes
    ----------
    both: in one true segment and in one found segment.
    true, found: in one true segment; in one found segment.
    """

    both: float
    true: float
    found: float


def components(cells: Mask) -> Segments:
    """The 4-connected components of a mask."""
    found: Segments = label(cells, _CROSS)[0]
    return found


def thinned(cells: Mask) -> Segments:
    """The components of a mask, grown until lines of 1 pixel part them: a watershed of the binary picture.

    It is the flooding of Vincent and Soille as the challenge's scores use it, 4-connected, with one queue. Pixels
    outside the mask wait in the order in which they are reached: first those beside a component, column by column,
    then those beside them (left, above, right, below of each), and so on. When its turn comes, a pixel looks at the
    neighbours that had theirs: it joins their one component, or the line if there are several, or none but lines. So
    lines can be thick where three components meet, and in walls of an even width they lie on one side. A mask without
    any pixel is one basin: one segment.
    """
    if not cells.any():
        return np.ones(cells.shape, dtype=np.int32)
    basins = np.pad(components(cells.T), 1)  # so that the order of memory is column by column
    turn = np.full(basins.shape, _OUTSIDE)
    turn[1:-1, 1:-1] = np.where(cells.T, 0, _UNSEEN)
    _flood(basins.reshape(-1), turn.reshape(-1), np.array([-basins.shape[1], -1, basins.shape[1], 1]))
    return basins[1:-1, 1:-1].T


def _flood(basins: Segments, turn: NDArray[np.int64], beside: NDArray[np.int64]) -> None:
    """Give every unseen pixel its turn and its basin.

    Parameters
    ----------
    basins, turn: flat, changed in place; the basins have turn 0.
    beside: steps to the four neighbours.
    """
    unseen = np.flatnonzero(turn == _UNSEEN)
    layer = unseen[(turn[unseen[:, None] + beside] == 0).any(1)]
    turns = 1
    while layer.size:
        turn[layer] = np.arange(turns, turns + layer.size)
        turns += layer.size
        around = layer[:, None] + beside
        _settle(basins, layer, around, turn[around] < turn[layer, None])
        reached = around[turn[around] == _UNSEEN]
        layer = reached[np.sort(np.unique(reached, return_index=True)[1])]


def _settle(basins: Segments, layer: NDArray[np.int64], around: NDArray[np.int64], earlier: Mask) -> None:
    """Label pixels that wait in one layer, each by its earlier neighbours.

    These may be of the same layer. As none waits for itself, going over all of them until nothing changes gives what
    going over them once in their order would.
    """
    while True:
        seen = np.where(earlier, basins[around], NO_SEGMENT)
        highest = seen.max(1)
        lowest = np.where(seen == NO_SEGMENT, highest[:, None], seen).min(1)
        now = np.where(lowest == highest, highest, NO_SEGMENT)
        if (now == basins[layer]).all():
            return
        basins[layer] = now


def overlap(truth: Segments, found: Segments) -> SegmentOverlap:
    """The overlap of two partitions of one picture."""
    inside = truth != NO_SEGMENT
    true, other = truth[inside].astype(np.int64), found[inside].astype(np.int64)
    held = other != NO_SEGMENT
    pieces = true[held] * (other.max(initial=0) + 1) + other[held]
    return SegmentOverlap(_sizes(pieces), _sizes(true), _sizes(other[held]), int((~held).sum()))


def _sizes(numbers: NDArray[np.int64]) -> Sizes:
    return np.unique(numbers, return_counts=True)[1].astype(np.float64)


def pairs(pieces: SegmentOverlap) -> Pairs:
    """Pairs of pixels that lie together; sums of them are exact up to 2**53."""
    shared, true, found = (float((sizes**2).sum()) for sizes in pieces[:3])
    return Pairs(shared + pieces.single, true, found + pieces.single)


def rand_score(pieces: SegmentOverlap) -> Agreement:
    """V_rand: of the pairs of pixels that lie together in the true segments (split) or in the found ones (merge), the
    share that also does in the others.
    """
    if not pieces.true.size:
        return Agreement(nan, nan, nan)
    both, true, found = pairs(pieces)
    return _agreement(both, split=true, merge=found)


def information_score(pieces: SegmentOverlap) -> Agreement:
    """V_info: the information that the partitions share, as a part of the found one's entropy (split) or of the true
    one's (merge). Where an entropy is 0, nothing can be lost, and that side is 1.
    """
    pixels = pieces.true.sum()
    if not pixels:
        return Agreement(nan, nan, nan)
    alone = pieces.single / pixels * log(pixels)  # the entropy of segments of one pixel
    shared, true, found = (-fsum(part * np.log(part)) for part in (sizes / pixels for sizes in pieces[:3]))
    return _agreement(true + found - shared, split=found + alone, merge=true)


def _agreement(common: float, split: float, merge: float) -> Agreement:
    """A score of what two sides have in common, as a part of each."""
    if not split + merge:
        return Agreement(1.0, 1.0, 1.0)
    return Agreement(2 * common / (split + merge), common / split if split else 1.0, common / merge if merge else 1.0)
