"""The warping error: what is left of the mistakes when the truth may bend but not change its topology.

Jain et al. (CVPR 2010), counted as in the ISBI 2012 challenge. Cells are 4-connected, what lies between them is
8-connected; there is nothing beyond the picture's edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from unpool.metrics.partitions import NO_SEGMENT, Mask, components

RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""Row and column of a pixel's eight neighbours, seen from it; bit k of a neighbourhood's code is the k-th of them."""

REACH = 20
"""Pixels around a mistake within which two parts of a cell must hang together for the cell not to be split."""

_SQUARE = np.ones((3, 3))


class Topology(NamedTuple):
    """Mistakes of topology in a picture.

    Attributes
    ----------
    pixels: whose change would split a cell or merge two.
    mistakes: the same, connected pixels that do the same counted once.
    """

    pixels: float
    mistakes: float


def _simple_codes() -> bytes:
    """For each neighbourhood's code, whether its pixel is simple: its change changes no topology.

    That is so if Yokoi's connectivity number is 1: the number of 4-connected parts of the neighbourhood that touch
    the pixel, and 0 where all eight neighbours are set.
    """
    ring = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(int)
    side, corner, next_side = ring[:, ::2], ring[:, 1::2], np.roll(ring[:, ::2], -1, axis=1)
    return bytes((side - side * corner * next_side).sum(1) == 1)


SIMPLE = _simple_codes()
"""1 or 0 for each of the 256 neighbourhoods."""


def topology(truth: Mask, likely: NDArray[np.float32], threshold: float, known: Mask) -> Topology:
    """The mistakes of topology in cells that are found where ``likely`` is above the threshold.

    Parameters
    ----------
    truth: (rows, columns); whether a pixel is of a cell.
    likely: the probability of that, 0..1.
    known: whether a pixel counts. The others are never changed and are no mistakes.
    """
    left = stubborn(truth, likely, threshold, known)
    warped = np.where(known & ~left, likely > threshold, truth)
    splits, mergers = splits_and_mergers(warped, left)
    return Topology(int((splits | mergers).sum()), label(splits)[1] + label(mergers, _SQUARE)[1])


def stubborn(truth: Mask, likely: NDArray[np.float32], threshold: float, known: Mask) -> Mask:
    """Pixels of the truth that differ from the thresholded probability and cannot be changed one by one.

    The most certain ones come first, those as certain as each other column by column. A pixel is changed if it is
    simple then; this is gone through until nothing changes.
    """
    wrong = ((likely > threshold) != truth) & known
    columns, rows = np.nonzero(wrong.T)
    order = np.argsort(-np.abs(likely[rows, columns] - threshold), kind="stable")
    codes, width = _codes(truth), truth.shape[1] + 2
    steps = [(-row * width - column, 1 << k) for k, (row, column) in enumerate(RING)]
    places = ((rows + 1) * width + columns + 1)[order].tolist()
    while True:
        left = []
        for place in places:
            if SIMPLE[codes[place]]:
                for step, bit in steps:
                    codes[place + step] ^= bit
            else:
                left.append(place)
        if len(left) == len(places):
            break
        places = left
    found = np.zeros((truth.shape[0] + 2, width), dtype=bool)
    found.reshape(-1)[left] = True
    return found[1:-1, 1:-1]


def _codes(truth: Mask) -> bytearray:
    """The codes of all neighbourhoods, row by row, of a picture with a rim of 1 pixel around it."""
    wide = np.pad(truth, 2).astype(np.uint8)
    rows, columns = wide.shape
    codes = np.zeros((rows - 2, columns - 2), dtype=np.uint8)
    for k, (row, column) in enumerate(RING):
        codes |= wide[1 + row : rows - 1 + row, 1 + column : columns - 1 + column] << k
    return bytearray(codes.tobytes())


def splits_and_mergers(warped: Mask, left: Mask) -> tuple[Mask, Mask]:
    """Those of the pixels left whose change would split a cell of the warped truth, and would merge two cells.

    A pixel of a cell splits if what is around it would, without it, be parts that do not hang together within
    ``REACH`` pixels; another one merges if it is next to two cells, along rows, columns or diagonals.
    """
    splits, mergers = np.zeros_like(left), np.zeros_like(left)
    rows, columns = np.nonzero(left & ~warped)
    cells = np.pad(components(warped), 1)
    ring = np.sort(np.stack([cells[rows + 1 + row, columns + 1 + column] for row, column in RING], axis=1), axis=1)
    mergers[rows, columns] = (np.diff(ring, axis=1, prepend=0) != 0).sum(1) > 1
    for row, column in np.argwhere(left & warped).tolist():
        splits[row, column] = _parts(warped, row, column) > 1
    return splits, mergers


def _parts(warped: Mask, row: int, column: int) -> int:
    """How many parts of cells near a pixel meet its neighbourhood, when the pixel itself is not there."""
    top, left = max(row - REACH, 0), max(column - REACH, 0)
    near = warped[top : row + REACH + 1, left : column + REACH + 1].copy()
    row, column = row - top, column - left
    near[row, column] = False
    around = components(near)[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return len(set(around.ravel().tolist()) - {NO_SEGMENT})
