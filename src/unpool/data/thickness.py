"""How thick the regions of each class are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID, Labels
from unpool.data.samples import Sample


def typical_thickness(samples: Iterable[Sample], classes: int) -> tuple[float | None, ...]:
    """Mean length in pixels of the runs of each class, along rows or along columns, whichever is shorter.

    That is the width of a line that runs along an axis, and 0.8 of a disc's diameter. None for a class without a pixel.
    """
    pixels = np.zeros(classes, dtype=np.int64)
    runs = np.zeros((2, classes), dtype=np.int64)
    for sample in samples:
        pixels += np.bincount(sample.labels[sample.labels != IGNORE_ID], minlength=classes)
        runs += _runs(sample.labels, classes), _runs(sample.labels.T, classes)
    return tuple(float(p / r) if p else None for p, r in zip(pixels, runs.max(axis=0), strict=True))


def _runs(labels: Labels, classes: int) -> NDArray[np.int64]:
    """How many runs of each class the rows have."""
    begins = np.ones(labels.shape, dtype=bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    return np.bincount(labels[begins & (labels != IGNORE_ID)], minlength=classes)
