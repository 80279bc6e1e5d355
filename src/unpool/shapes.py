"""Sizes and parts of pictures, in rows and columns."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

Size = tuple[int, int]
"""Rows and columns, in pixels."""

Region = tuple[slice, slice]
"""A rectangle of pixels: its rows and its columns, as slices with start and stop and without a step."""


class Pixels(Protocol):
    """A picture that can be cut: an array (rows, columns, channels), or a file that is read by windows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns and channels."""

    def __getitem__(self, region: Region, /) -> NDArray[Any]:
        """Return some rows and columns, as an array (rows, columns, channels)."""


def region_size(region: Region) -> Size:
    """Return the rows and columns of a region."""
    rows, columns = region
    return rows.stop - rows.start, columns.stop - columns.start
