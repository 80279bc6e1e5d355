"""Typical thickness of the regions of each class."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID, Labels
from unpool.data.samples import Sample


def typical_thickness(samples: Iterable[Sample], classes: int) -> tuple[float | None, ...]:
    """Return the mean length, in pixels, of the runs of each class along rows or columns; the shorter of the two.

    It is the width of a line along an axis, and 0.8 of the diameter of a disc. None for a class without a pixel.
    """
    pixels = np.zeros(classes, dtype=np.int64)
    runs = np.zeros((2, classes), dtype=np.int64)
    for sample in samples:
        pixels += np.bincount(sample.labels[sample.labels != IGNORE_ID], minlength=classes)
        runs += _runs(sample.labels, classes), _runs(sample.labels.T, classes)
    return tuple(float(p / r) if p else None for p, r in zip(pixels, runs.max(axis=0), strict=True))


def _runs(labels: Labels, classes: int) -> NDArray[np.int64]:
    """Count the runs of each class along the rows."""
    begins = np.ones(labels.shape, dtype=bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    return np.bincount(labels[begins & (labels != IGNORE_ID)], minlength=classes)
