"""The warping error: the mistakes that remain after the ground truth was bent without changing its topology.

After Jain et al. (CVPR 2010), counted as in the ISBI 2012 challenge. Cells are 4-connected, and the space between them
is 8-connected. There is nothing beyond the picture's edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.metrics.segments import NO_SEGMENT, BinaryImage, components

NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""Row and column offsets of a pixel's eight neighbours. Bit k of a neighbourhood's code stands for the k-th of them."""

SPLIT_RADIUS = 20
"""Pixels around a mistake within which two parts of a cell must be connected, or else the cell counts as split."""


class TopologyErrors(NamedTuple):
    """The topology errors of a picture.

    Attributes
    ----------
    pixels: number of pixels whose change would split a cell or merge two.
    mistakes: the same number, with connected pixels of the same kind counted once.
    """

    pixels: float
    mistakes: float


def _simple_codes() -> bytes:
    """Return for each neighbourhood's code whether its pixel is simple, that is, whether its change keeps the topology.

    A pixel is simple if Yokoi's connectivity number is 1. It is the number of 4-connected parts of the neighbourhood
    that touch the pixel, and 0 where all eight neighbours are set.
    """
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(int)
    side, corner, next_side = bits[:, ::2], bits[:, 1::2], np.roll(bits[:, ::2], -1, axis=1)
    return bytes((side - side * corner * next_side).sum(1) == 1)


IS_SIMPLE = _simple_codes()
"""1 or 0 for each of the 256 neighbourhoods."""


def topology_errors(
    truth: BinaryImage, likely: NDArray[np.float32], threshold: float, known: BinaryImage
) -> TopologyErrors:
    """Count the topology errors in the cells that are predicted where ``likely`` is above the threshold.

    Parameters
    ----------
    truth: (rows, columns); whether a pixel is in a cell.
    likely: probability that a pixel is in a cell, 0..1.
    known: whether a pixel counts. Ignored pixels are never changed and are no errors.
    """
    remaining = unwarpable_pixels(truth, likely, threshold, known)
    warped = np.where(known & ~remaining, likely > threshold, truth)
    splits, mergers = splits_and_mergers(warped, remaining)
    mistakes = int(components(splits).max(initial=0)) + int(components(mergers, corners=True).max(initial=0))
    return TopologyErrors(int((splits | mergers).sum()), mistakes)


def unwarpable_pixels(
    truth: BinaryImage, likely: NDArray[np.float32], threshold: float, known: BinaryImage
) -> BinaryImage:
    """Return the pixels in which the warped ground truth still differs from the thresholded probability.

    Pixels are tried one by one: the most certain first, equally certain ones column by column. A pixel is changed if it
    is simple at that moment. All pixels are tried again until none changes.
    """
    wrong = ((likely > threshold) != truth) & known
    columns, rows = np.nonzero(wrong.T)
    order = np.argsort(-np.abs(likely[rows, columns] - threshold), kind="stable")
    codes, width = _codes(truth), truth.shape[1] + 2
    steps = [(-row * width - column, 1 << k) for k, (row, column) in enumerate(NEIGHBOURS)]
    places = ((rows + 1) * width + columns + 1)[order].tolist()
    while True:
        remaining = []
        for place in places:
            if IS_SIMPLE[codes[place]]:
                for step, bit in steps:
                    codes[place + step] ^= bit
            else:
                remaining.append(place)
        if len(remaining) == len(places):
            break
        places = remaining
    image = np.zeros((truth.shape[0] + 2, width), dtype=bool)
    image.reshape(-1)[remaining] = True
    return image[1:-1, 1:-1]


def _codes(truth: BinaryImage) -> bytearray:
    """Return the codes of all neighbourhoods, row by row, of the picture with a margin of 1 pixel around it."""
    wide = np.pad(truth, 2).astype(np.uint8)
    rows, columns = wide.shape
    codes = np.zeros((rows - 2, columns - 2), dtype=np.uint8)
    for k, (row, column) in enumerate(NEIGHBOURS):
        codes |= wide[1 + row : rows - 1 + row, 1 + column : columns - 1 + column] << k
    return bytearray(codes.tobytes())


def splits_and_mergers(warped: BinaryImage, remaining: BinaryImage) -> tuple[BinaryImage, BinaryImage]:
    """Return the remaining pixels whose change would split a cell, and those whose change would merge two cells.

    A pixel of a cell splits it if, without that pixel, the parts around it are not connected within ``SPLIT_RADIUS``
    pixels. A pixel outside the cells merges two if it touches both, along rows, columns or diagonals.

    Parameters
    ----------
    warped: cells of the warped ground truth.
    remaining: pixels that ``unwarpable_pixels`` returns.
    """
    splits, mergers = np.zeros_like(remaining), np.zeros_like(remaining)
    rows, columns = np.nonzero(remaining & ~warped)
    cells = np.pad(components(warped), 1)
    around = np.stack([cells[rows + 1 + row, columns + 1 + column] for row, column in NEIGHBOURS], axis=1)
    mergers[rows, columns] = (np.diff(np.sort(around, axis=1), axis=1, prepend=0) != 0).sum(1) > 1
    for row, column in np.argwhere(remaining & warped).tolist():
        splits[row, column] = _parts(warped, row, column) > 1
    return splits, mergers


def _parts(warped: BinaryImage, row: int, column: int) -> int:
    """Count the parts of nearby cells that touch a pixel when the pixel itself is removed."""
    top, left = max(row - SPLIT_RADIUS, 0), max(column - SPLIT_RADIUS, 0)
    near = warped[top : row + SPLIT_RADIUS + 1, left : column + SPLIT_RADIUS + 1].copy()
    row, column = row - top, column - left
    near[row, column] = False
    around = components(near)[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return len(set(around.ravel().tolist()) - {NO_SEGMENT})
