"""Contrast: how much brighter or darker a picture is where its mask has each value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_VALUES = 64
"""Most values in a mask whose contrast is of interest."""
_SAMPLES = 1 << 16
"""About the number of pixels that are looked at."""


def value_contrasts(picture: NDArray[Any] | None, values: NDArray[Any]) -> dict[int, float]:
    """Return the mean brightness of a picture at each mask value, above its mean, in its standard deviations.

    Parameters
    ----------
    picture: (rows, columns, channels); None if there is none.
    values: flat mask values (rows, columns).

    Returns
    -------
    Nothing for a picture of another size, of one grey or with pixels that are no numbers, and for masks of many values.
    """
    if picture is None or picture.shape[:2] != values.shape or values.size == 0:
        return {}
    step = max(1, int(np.sqrt(values.size / _SAMPLES)))
    grey = picture[::step, ::step].astype(np.float64).mean(axis=2).ravel()
    present, places = np.unique(values[::step, ::step], return_inverse=True)
    deviation = float(grey.std()) if np.isfinite(grey).all() else 0.0
    if deviation == 0 or len(present) > _MOST_VALUES:
        return {}
    places = places.ravel()
    means = np.bincount(places, grey - grey.mean()) / np.bincount(places)
    return {int(value): float(mean / deviation) for value, mean in zip(present, means, strict=True)}
