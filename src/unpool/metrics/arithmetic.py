"""Ratios and means where some values are not known: NaN stands for those, and is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """``part / whole``, one by one; NaN where the whole is not above 0."""
    part, whole = np.broadcast_arrays(part, whole)
    found = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def known_mean(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    """The mean along an axis of those that are not NaN; NaN where none is."""
    return ratio(np.nansum(values, axis), (~np.isnan(values)).sum(axis))
