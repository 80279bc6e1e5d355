"""Whether picture files hold few values, as masks do, judged by their pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import flatten_colours
from unpool.errors import DataError
from unpool.io.read.formats import read_header, read_raster

LOOKED_AT = 6
"""Most files of a series that are looked at."""

_FEWEST, _FEW, _OBJECTS = 8, 64, 4096
"""Values up to which a file is a mask whatever its regions; with regions; and with regions as of numbered objects."""

_MOST_PIXELS = 100_000_000
_MIDDLE = 1024
"""Rows and columns from the middle of a file that are looked at."""
_RUN_OF_CLASSES, _RUN_OF_OBJECTS = 2.0, 3.0
"""Mean length of the runs of equal pixels, along rows and columns, in masks of classes and of objects."""

_AFTER_LOSS = 0.7
"""Share of the pixels of a mask saved as JPEG that have one of the few usual values, and that of their neighbour."""


def sampled(files: Sequence[Path]) -> list[Path]:
    """Return a few files of a series, spread evenly over it."""
    count = min(len(files), LOOKED_AT)
    return [files[k * len(files) // count] for k in range(count)]


def share_with_few_values(files: Sequence[Path]) -> float | None:
    """Return the share of a few files of a series that hold few values; None where none of them can be read."""
    found = [few for path in sampled(files) if (few := has_few_values(path)) is not None]
    return sum(found) / len(found) if found else None


def has_few_values(path: Path) -> bool | None:
    """Return whether a file holds few values in connected regions, as a mask does; None where it cannot be read."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return _has_few_values(str(path), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4096)
def _has_few_values(place: str, size: int, changed: int) -> bool | None:
    path = Path(os.fspath(place))
    try:
        header = read_header(path)
        if header.rows * header.columns > _MOST_PIXELS:
            return None
        pixels = _middle(read_raster(path).pixels)
    except DataError:
        return None
    if header.form in ("rgba", "grey-alpha"):
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim == 3:
        if pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            return False
        return _few_after_loss(pixels) if header.lossy else _few(flatten_colours(pixels))
    if pixels.dtype.kind == "f" and not (pixels == np.floor(pixels)).all():
        return False
    return _few_after_loss(pixels) if header.lossy else _few(pixels)


def _middle(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return at most ``_MIDDLE`` rows and columns from the middle of a picture."""
    top, left = (max(side - _MIDDLE, 0) // 2 for side in pixels.shape[:2])
    return pixels[top : top + _MIDDLE, left : left + _MIDDLE]


def _few(values: NDArray[Any]) -> bool:
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= _FEWEST:
        return True
    if len(found) > _OBJECTS:
        return False
    run = _mean_run(values, found[counts.argmax()])
    return run >= (_RUN_OF_CLASSES if len(found) <= _FEW else _RUN_OF_OBJECTS)


def _mean_run(values: NDArray[Any], usual: Any) -> float:
    """Return the mean length of runs of equal pixels that are not the usual value, the shorter of both directions."""
    means = []
    for lines in (values, values.T):
        other = lines != usual
        starts = other.copy()
        starts[:, 1:] &= lines[:, 1:] != lines[:, :-1]
        means.append(float(other.sum()) / max(int(starts.sum()), 1))
    return min(means)


def _few_after_loss(pixels: NDArray[Any]) -> bool:
    """Return whether most pixels have one of a few values, that of their neighbour, as in a mask saved as JPEG."""
    flat = flatten_colours(pixels) if pixels.ndim == 3 else pixels
    counts = np.sort(np.unique(flat, return_counts=True)[1])[::-1]
    equal = (flat[:, 1:] == flat[:, :-1]).mean() if flat.shape[1] > 1 else 1.0
    return bool(counts[:_FEWEST].sum() >= _AFTER_LOSS * flat.size and equal >= _AFTER_LOSS)
