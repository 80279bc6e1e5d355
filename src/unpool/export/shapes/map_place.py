"""The place of a GeoTIFF's pixels on the earth: coordinates of pixel corners, and the number of their system."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.io.placement import Placement

_SCALE, _TIE_POINTS, _TRANSFORMATION, _KEYS = 33550, 33922, 34264, 34735
_GEOGRAPHIC, _PROJECTED, _RASTER_TYPE = 2048, 3072, 1025
_POINT, _OWN = 2, 32767


class MapPlace(NamedTuple):
    """The place of a picture on the earth.

    Attributes
    ----------
    matrix: (2, 3): from column, row and 1 to x and y, for corners of pixels.
    epsg: the number of the coordinate system in EPSG's list; None where the file has a system of its own.
    """

    matrix: NDArray[np.float64]
    epsg: int | None

    def of(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the coordinates of corners of pixels, (n, 2)."""
        placed: NDArray[np.float64] = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return placed


def map_place(placement: Placement) -> MapPlace | None:
    """Return the place of a picture on the earth; None where its file gives none."""
    tags = {code: value for code, _, _, value in placement.geography}
    keys = _keys(tags.get(_KEYS) or ())
    matrix = _matrix(tags)
    if matrix is None or not keys:
        return None
    if keys.get(_RASTER_TYPE) == _POINT:  # places are of the centres of pixels
        matrix = matrix.copy()
        matrix[:, 2] -= matrix[:, :2].sum(axis=1) / 2
    number = keys.get(_PROJECTED, keys.get(_GEOGRAPHIC))
    return MapPlace(matrix, number if number and number < _OWN else None)


def _matrix(tags: dict[int, tuple[float, ...]]) -> NDArray[np.float64] | None:
    if (given := tags.get(_TRANSFORMATION)) and len(given) == 16:
        whole = np.array(given, np.float64).reshape(4, 4)
        return whole[:2][:, [0, 1, 3]]
    scale, tie = tags.get(_SCALE), tags.get(_TIE_POINTS)
    if not scale or not tie or len(scale) < 2 or len(tie) != 6:
        return None
    column, row, _, x, y, _ = tie
    return np.array([[scale[0], 0.0, x - column * scale[0]], [0.0, -scale[1], y + row * scale[1]]])


def _keys(words: tuple[int, ...]) -> dict[int, int]:
    """Return the keys whose values stand in the directory itself."""
    rows = [words[place : place + 4] for place in range(4, len(words) - 3, 4)]
    return {key: value for key, where, _, value in rows if where == 0}
