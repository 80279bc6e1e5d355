"""Sizes and parts of pictures, in rows and columns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import isqrt
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


_AT_ONCE = 1 << 18
"""Pixels that ``reading_parts`` takes at once, where no block of a file is larger."""

_LARGEST_BLOCK = 1 << 23
"""Pixels of a block of whole rows up to which it is taken as one part."""


def reading_parts(image: Pixels) -> Iterator[Region]:
    """Yield regions that cover a picture once, so that each block of a file is decoded once.

    Parameters
    ----------
    image: where it has a ``block``, these rows and columns are decoded together, as tiles or strips of a TIFF are.
    """
    size = int(image.shape[0]), int(image.shape[1])
    block: Size = getattr(image, "block", (1, 1))
    if block[1] >= size[1]:
        rows = max(_AT_ONCE // size[1], 1)
        whole = -(-rows // block[0]) * block[0]
        sides = (whole if whole * size[1] <= _LARGEST_BLOCK else rows, size[1])
    else:
        square = isqrt(_AT_ONCE)
        sides = (-(-square // block[0]) * block[0], -(-square // block[1]) * block[1])
    for top, left in product(range(0, size[0], sides[0]), range(0, size[1], sides[1])):
        yield slice(top, min(top + sides[0], size[0])), slice(left, min(left + sides[1], size[1]))


def region_size(region: Region) -> Size:
    """Return the rows and columns of a region."""
    rows, columns = region
    return rows.stop - rows.start, columns.stop - columns.start
