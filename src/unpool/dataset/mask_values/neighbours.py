"""The neighbours of each mask value: how often it is a thin line between two others, and what lies along the edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

THIN = 3
"""Longest run, in pixels, that smoothing leaves of one value between two others."""
LINE = 2
"""Longest run, in pixels, of a line that smoothing leaves of an id between two others."""
RIM = 6
"""Longest run, in pixels, that counts as a rim: the rims of Pascal VOC are 5 pixels wide."""
MOST_PIXELS = 1 << 20
"""Most pixels whose runs are in memory together; each may be a run of its own."""
_OFF_LINE = 3
"""Distance in steps of a channel up to which a colour counts as on the line between two others."""


class Neighbours(NamedTuple):
    """How often a value lies between two others. Everything counts once along the rows and once along the columns.

    Attributes
    ----------
    runs: runs of the value.
    rim: pixels in runs of at most ``RIM`` pixels with a different value at each end.
    between: pixels in runs of at most ``THIN`` pixels, where the value is also between those two values: a grey between
        two greys, or a colour on the line between two colours.
    in_order: of those, where no other value of the mask lies between the three; 0 for colours.
    lines, stripes: runs of such values with at most ``LINE`` pixels, and with more but at most ``RIM``.
    """

    runs: int
    rim: int
    between: int
    in_order: int
    lines: int
    stripes: int


def neighbours(values: NDArray[Any], present: NDArray[Any], colour: bool) -> dict[int, Neighbours]:
    """Return the neighbours of each value. In large masks they are estimated from every second or every n-th line.

    Parameters
    ----------
    values: flat mask values (rows, columns), see ``unpool.class_table.flatten_value``.
    present: all of them, sorted.
    """
    counts = np.zeros((len(Neighbours._fields), len(present)), dtype=np.int64)
    step = -(-values.size // MOST_PIXELS)
    for lines in (values[::step], values[:, ::step].T):
        runs, before, middle, after, lengths = _rims(np.ascontiguousarray(lines))
        left, rank, right = (np.searchsorted(present, part) for part in (before, middle, after))
        between = _on_line(before, middle, after) if colour else _monotone(left, rank, right)
        thin = between & (lengths <= THIN)
        in_order = thin & (np.abs(right - left) == 2) & (not colour)
        line = between & (lengths <= LINE)
        counts[0] += np.bincount(np.searchsorted(present, runs), minlength=len(present))
        for k, chosen in enumerate((np.full(len(rank), True), thin, in_order), 1):
            counts[k] += np.bincount(rank[chosen], lengths[chosen], len(present)).astype(np.int64)
        for k, chosen in enumerate((line, between & ~line), 4):
            counts[k] += np.bincount(rank[chosen], minlength=len(present))
    return {int(value): Neighbours(*map(int, column)) for value, column in zip(present, step * counts.T, strict=True)}


def edge_values(values: NDArray[Any]) -> Mapping[int, int]:
    """Return the values along the four edges of a picture, and the pixels of each; corners count twice."""
    edges = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    present, pixels = np.unique(edges, return_counts=True)
    return dict(zip(present.tolist(), pixels.tolist(), strict=True))


def _rims(lines: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Return the values of all runs; of the short ones between two different values, what is before, in and after.

    The last array is the length of each short run.
    """
    pixels, width = lines.ravel(), lines.shape[1]
    changes = pixels[1:] != pixels[:-1]
    changes[width - 1 :: width] = True
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    ends = np.append(starts[1:], pixels.size)
    inner = np.flatnonzero((starts % width > 0) & (ends % width > 0) & (ends - starts <= RIM))
    before, middle, after = (pixels[starts[inner + step]] for step in (-1, 0, 1))
    rims = before != after
    return pixels[starts], before[rims], middle[rims], after[rims], (ends - starts)[inner][rims]


def _monotone(before: NDArray[Any], middle: NDArray[Any], after: NDArray[Any]) -> NDArray[np.bool_]:
    return ((before < middle) & (middle < after)) | ((before > middle) & (middle > after))


def _on_line(before: NDArray[Any], middle: NDArray[Any], after: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which colours are between two others on the line that joins them."""
    start, point, end = (
        np.stack([part >> 16, part >> 8 & 255, part & 255], axis=1) for part in (before, middle, after)
    )
    way = (end - start).astype(float)
    along = ((point - start) * way).sum(axis=1) / (way * way).sum(axis=1)
    off = np.abs(point - start - along[:, None] * way).max(axis=1, initial=0)
    near: NDArray[np.bool_] = (along > 0) & (along < 1) & (off <= _OFF_LINE)
    return near
