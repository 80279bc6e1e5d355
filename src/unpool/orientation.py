"""The eight orientations of a picture: rotated by quarter turns, mirrored, or both.

EXIF uses them to say how a file is displayed (``unpool.io.read.exif``). Test-time augmentation uses them to predict a
picture several times (``unpool.prediction.averaging``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.shapes import Pixels, Region, Size

OrientationSet = Literal["none", "mirror", "flips", "rotations", "d4"]
"""The name of a set of orientations."""


class Orientation(NamedTuple):
    """One of the eight orientations: exchange the two axes, then reverse the order of rows, of columns, or of both.

    Attributes
    ----------
    exchanged: rows become columns and columns become rows; this is the first step.
    rows: the order of the rows is reversed, after the exchange.
    columns: the order of the columns is reversed, after the exchange.
    """

    exchanged: bool = False
    rows: bool = False
    columns: bool = False

    @property
    def inverse(self) -> Orientation:
        """The orientation that undoes this one."""
        return Orientation(True, self.columns, self.rows) if self.exchanged else self

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array (rows, columns, ...) in this orientation, contiguous in memory."""
        array = array.swapaxes(0, 1) if self.exchanged else array
        array = array[::-1] if self.rows else array
        return np.ascontiguousarray(array[:, ::-1] if self.columns else array)

    def size(self, size: Size) -> Size:
        """Return the rows and columns that a picture of ``size`` has in this orientation."""
        return (size[1], size[0]) if self.exchanged else size

    def region(self, region: Region, size: Size) -> Region:
        """Return the place of a region in the oriented picture.

        Parameters
        ----------
        region: rows and columns of the picture before it is oriented.
        size: rows and columns of that picture.
        """
        sides = region[::-1] if self.exchanged else region
        reverse = (self.rows, self.columns)
        rows, columns = (
            slice(length - side.stop, length - side.start) if reversed_ else side
            for side, length, reversed_ in zip(sides, self.size(size), reverse, strict=True)
        )
        return rows, columns

    def pixels(self, image: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
        """Return pixels of the oriented picture, (rows, columns, channels), and read only the part that has them.

        Parameters
        ----------
        image: the picture before it is oriented, (rows, columns, channels). One rectangle of it is read.
        rows, columns: numbers of rows and columns of the oriented picture, in any order; they may repeat.
        """
        size = self.size((image.shape[0], image.shape[1]))
        rows = size[0] - 1 - rows if self.rows else rows
        columns = size[1] - 1 - columns if self.columns else columns
        return _gathered(image, columns, rows).swapaxes(0, 1) if self.exchanged else _gathered(image, rows, columns)


UPRIGHT = Orientation()
"""The orientation that changes nothing."""

ORIENTATION_SETS: Mapping[OrientationSet, tuple[Orientation, ...]] = {
    "none": (UPRIGHT,),
    "mirror": (UPRIGHT, Orientation(columns=True)),
    "flips": (UPRIGHT, Orientation(rows=True), Orientation(columns=True), Orientation(rows=True, columns=True)),
    "rotations": (
        UPRIGHT,
        Orientation(True, rows=True),
        Orientation(rows=True, columns=True),
        Orientation(True, columns=True),
    ),
    "d4": tuple(Orientation(*(bool(number & bit) for bit in (4, 2, 1))) for number in range(8)),
}
"""Sets of orientations by name.

``none``: the picture as it is. ``mirror``: also with left and right exchanged. ``flips``: also with top and bottom
exchanged, and with both. ``rotations``: rotated by 0, 90, 180 and 270 degrees. ``d4``: all eight.
"""


def _gathered(image: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    top, left = rows.min(), columns.min()
    rectangle = image[top : rows.max() + 1, left : columns.max() + 1]
    return np.asarray(rectangle[np.ix_(rows - top, columns - left)])
