"""Two partitions of a picture into segments: how their pixels overlap, and how well one predicts the other.

The scores are those of the ISBI 2012 challenge (Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015). Only
pixels of true segments count. Those that are in no predicted segment are segments of one pixel each.
"""

from __future__ import annotations

from math import fsum, log, nan
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unpool.metrics.segments import NO_SEGMENT, BinaryImage, Segments, components

Sizes: TypeAlias = NDArray[np.float64]
"""Number of pixels of each piece, all above 0."""

_UNREACHED = np.iinfo(np.int64).max
_OUTSIDE = _UNREACHED - 1


class SegmentOverlap(NamedTuple):
    """How the pixels of true segments are spread over predicted segments.

    Attributes
    ----------
    shared: sizes of the pieces that one true and one predicted segment share.
    true, predicted: sizes of the true segments, and of the parts of predicted segments inside them.
    single: number of pixels of true segments that are in no predicted segment.
    """

    shared: Sizes
    true: Sizes
    predicted: Sizes
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


class PixelPairs(NamedTuple):
    """Numbers of ordered pairs of pixels of true segments; a pixel and itself are a pair too.

    Attributes
    ----------
    both: pairs in one true segment and in one predicted segment.
    true, predicted: pairs in one true segment; pairs in one predicted segment.
    """

    both: float
    true: float
    predicted: float


def thinned(cells: BinaryImage) -> Segments:
    """Return the 4-connected components of an image, grown until only lines of 1 pixel separate them: a watershed.

    It is the flooding of Vincent and Soille as the challenge's scores use it, 4-connected, with one queue. Pixels
    outside the cells wait in the order in which they are reached: first those next to a component, column by column,
    then those next to them (left, above, right, below of each), and so on. At its turn, a pixel looks at the
    neighbours that had their turn. If they are in one component, it joins that; if they are in several, it joins the
    line; if all are on lines, it joins the line too. So lines can be thick where three components meet, and in walls
    of an even width they lie on one side. The result is the challenge's, pixel for pixel; a watershed in another order
    gives other lines. An image without cells is one segment.
    """
    if not cells.any():
        return np.ones(cells.shape, dtype=np.int32)
    basins = np.pad(components(cells.T), 1)  # transposed, so that the order of memory is column by column
    turn = np.full(basins.shape, _OUTSIDE)
    turn[1:-1, 1:-1] = np.where(cells.T, 0, _UNREACHED)
    _flood(basins.reshape(-1), turn.reshape(-1), np.array([-basins.shape[1], -1, basins.shape[1], 1]))
    return basins[1:-1, 1:-1].T


def _flood(basins: Segments, turn: NDArray[np.int64], steps: NDArray[np.int64]) -> None:
    """Give every unreached pixel its turn and its basin.

    Parameters
    ----------
    basins, turn: flat arrays, changed in place; pixels of the basins have turn 0.
    steps: steps to the four neighbours.
    """
    unreached = np.flatnonzero(turn == _UNREACHED)
    layer = unreached[(turn[unreached[:, None] + steps] == 0).any(1)]
    turns = 1
    while layer.size:
        turn[layer] = np.arange(turns, turns + layer.size)
        turns += layer.size
        around = layer[:, None] + steps
        _settle(basins, layer, around, turn[around] < turn[layer, None])
        reached = around[turn[around] == _UNREACHED]
        layer = reached[np.sort(np.unique(reached, return_index=True)[1])]


def _settle(basins: Segments, layer: NDArray[np.int64], around: NDArray[np.int64], earlier: BinaryImage) -> None:
    """Label the pixels that wait in one layer, each by its earlier neighbours.

    Earlier neighbours may be of the same layer. No pixel waits for itself, so repeating all of them until nothing
    changes gives the same result as labelling them once in their order.
    """
    while True:
        labels = np.where(earlier, basins[around], NO_SEGMENT)
        highest = labels.max(1)
        lowest = np.where(labels == NO_SEGMENT, highest[:, None], labels).min(1)
        settled = np.where(lowest == highest, highest, NO_SEGMENT)
        if (settled == basins[layer]).all():
            return
        basins[layer] = settled


def overlap(truth: Segments, prediction: Segments) -> SegmentOverlap:
    """Return the overlap of the true and the predicted segments of one picture."""
    inside = truth != NO_SEGMENT
    true, predicted = truth[inside].astype(np.int64), prediction[inside].astype(np.int64)
    in_both = predicted != NO_SEGMENT
    pieces = true[in_both] * (predicted.max(initial=0) + 1) + predicted[in_both]
    return SegmentOverlap(_sizes(pieces), _sizes(true), _sizes(predicted[in_both]), int((~in_both).sum()))


def _sizes(numbers: NDArray[np.int64]) -> Sizes:
    return np.unique(numbers, return_counts=True)[1].astype(np.float64)


def pixel_pairs(pieces: SegmentOverlap) -> PixelPairs:
    """Count the pairs of pixels that are in one segment; sums of the counts are exact up to 2**53."""
    shared, true, predicted = (float((sizes**2).sum()) for sizes in pieces[:3])
    return PixelPairs(shared + pieces.single, true, predicted + pieces.single)


def rand_score(pieces: SegmentOverlap) -> Agreement:
    """Return V_rand, the agreement of two partitions about pairs of pixels.

    Split is the share of the pairs in one true segment that are also in one predicted segment. Merge is the share of
    the pairs in one predicted segment that are also in one true segment.
    """
    if not pieces.true.size:
        return Agreement(nan, nan, nan)
    both, true, predicted = pixel_pairs(pieces)
    return _agreement(both, split=true, merge=predicted)


def information_score(pieces: SegmentOverlap) -> Agreement:
    """Return V_info, the information that the two partitions share.

    Split is its share of the predicted partition's entropy, merge its share of the true one's. Where an entropy is 0,
    nothing can be lost, and that side is 1.
    """
    pixels = pieces.true.sum()
    if not pixels:
        return Agreement(nan, nan, nan)
    singles = pieces.single / pixels * log(pixels)  # the entropy of segments of one pixel
    shared, true, predicted = (-fsum(part * np.log(part)) for part in (sizes / pixels for sizes in pieces[:3]))
    return _agreement(true + predicted - shared, split=predicted + singles, merge=true)


def _agreement(common: float, split: float, merge: float) -> Agreement:
    """Return the score of what two partitions have in common, and its share of each side."""
    if not split + merge:
        return Agreement(1.0, 1.0, 1.0)
    return Agreement(2 * common / (split + merge), common / split if split else 1.0, common / merge if merge else 1.0)
