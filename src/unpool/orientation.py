"""The eight ways to lay a picture: as it is, mirrored and turned by quarters.

A turned picture is never made: parts of it are read from the picture as it is, so a picture that is read piece by piece
can be turned too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Region = tuple[slice, slice]


class Pixels(Protocol):
    """A picture whose parts can be taken: an array (rows, columns, channels), or a file that is read by windows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns, channels."""

    def __getitem__(self, part: Region, /) -> NDArray[Any]:
        """Some rows and columns, (rows, columns, channels)."""


OrientationSet = Literal["none", "mirror", "flips", "rotations", "d4"]
"""Names of sets of turns."""


class Orientation(NamedTuple):
    """How a picture is laid: its axes are exchanged first, or not; then rows, columns or both are reversed."""

    exchanged: bool = False
    rows: bool = False
    columns: bool = False

    def size(self, size: Size) -> Size:
        """Rows and columns of the turned picture."""
        return (size[1], size[0]) if self.exchanged else size

    def region(self, region: Region, size: Size) -> Region:
        """Where a part of a picture of ``size`` lies in the turned picture."""
        sides = region[::-1] if self.exchanged else region
        reverse = (self.rows, self.columns)
        rows, columns = (
            slice(length - side.stop, length - side.start) if reversed_ else side
            for side, length, reversed_ in zip(sides, self.size(size), reverse, strict=True)
        )
        return rows, columns

    def pixels(self, image: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
        """Some rows and columns of the turned picture: (rows, columns, channels).

        Parameters
        ----------
        image: (rows, columns, channels), not turned. Only its ``shape`` is asked and one rectangle of it read.
        rows, columns: their numbers in the turned picture, in any order, any of them repeated.
        """
        size = self.size((image.shape[0], image.shape[1]))
        rows = size[0] - 1 - rows if self.rows else rows
        columns = size[1] - 1 - columns if self.columns else columns
        return _taken(image, columns, rows).swapaxes(0, 1) if self.exchanged else _taken(image, rows, columns)


UPRIGHT = Orientation()

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
"""The picture; with its image in a mirror on the wall; all its mirror images; its four quarter turns; both."""


def _taken(image: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    top, left = rows.min(), columns.min()
    rectangle = image[top : rows.max() + 1, left : columns.max() + 1]
    return np.asarray(rectangle[np.ix_(rows - top, columns - left)])
