"""Ratios and means of arrays in which NaN stands for an unknown value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``part / whole``, element by element; NaN where ``whole`` is not above 0."""
    part, whole = np.broadcast_arrays(part, whole)
    ratios = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=ratios, where=whole > 0)
    return ratios


def known_mean(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    """Return the mean along an axis of the values that are not NaN; NaN where all are NaN."""
    return ratio(np.nansum(values, axis), (~np.isnan(values)).sum(axis))
