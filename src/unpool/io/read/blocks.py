"""The blocks by which a picture is decoded: tiles, strips, chunks or bands of rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from threading import Lock
from typing import Any, NamedTuple

from numpy.typing import NDArray

from unpool.shapes import Region, Size

BLOCK_LIMIT = 1 << 28
"""The most bytes of one decoded block."""


class BlockPart(NamedTuple):
    """The part of a window that lies in one block.

    Attributes
    ----------
    row, column: the block's place in the grid of blocks.
    source: rows and columns of the block.
    target: rows and columns of the window.
    """

    row: int
    column: int
    source: Region
    target: Region


def block_parts(region: Region, block: Size) -> Iterator[BlockPart]:
    """Yield the part of a region in each block that it touches, row by row.

    Parameters
    ----------
    block: rows and columns of a block.
    """
    (rows, columns), (height, width) = region, block
    for row in range(rows.start // height, -(-rows.stop // height)):
        down = _overlap(rows, row * height, height)
        for column in range(columns.start // width, -(-columns.stop // width)):
            across = _overlap(columns, column * width, width)
            yield BlockPart(row, column, (down[0], across[0]), (down[1], across[1]))


def _overlap(span: slice, start: int, length: int) -> tuple[slice, slice]:
    """Return the overlap of a span and a block along one axis, counted from the block's start and from the span's."""
    first, last = max(span.start, start), min(span.stop, start + length)
    return slice(first - start, last - start), slice(first - span.start, last - span.start)


class BlockCache:
    """The decoded blocks that were used last, up to a number of bytes. It is safe in several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """Return a block, or None where the cache does not have it."""
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return self._blocks.get(key)

    def put(self, key: Hashable, block: NDArray[Any]) -> None:
        """Keep a block, and drop the blocks whose last use is longest ago while there are too many bytes."""
        with self._lock:
            if key in self._blocks or block.nbytes > self._limit:
                return
            self._blocks[key] = block
            self._bytes += block.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._blocks.popitem(last=False)[1].nbytes
