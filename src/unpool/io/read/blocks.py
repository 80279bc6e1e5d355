"""The blocks a stored picture is decoded by: tiles, strips, chunks or bands of rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from threading import Lock
from typing import Any, NamedTuple

from numpy.typing import NDArray

BLOCK_LIMIT = 1 << 28
"""Bytes one block may have once it is decoded."""


class Rectangle(NamedTuple):
    """The place of a window: rows and columns from, and up to but without."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left


class BlockPart(NamedTuple):
    """What a window takes from one block: the block's row and column in the grid, where from, and where to."""

    row: int
    column: int
    source: tuple[slice, slice]
    target: tuple[slice, slice]


def block_parts(span: Rectangle, block: tuple[int, int]) -> Iterator[BlockPart]:
    """The blocks of (rows, columns) that a window touches, row by row, and what it takes from each."""
    rows, columns = block
    for row in range(span.top // rows, -(-span.bottom // rows)):
        down = _cut(span.top, span.bottom, row * rows, rows)
        for column in range(span.left // columns, -(-span.right // columns)):
            across = _cut(span.left, span.right, column * columns, columns)
            yield BlockPart(row, column, (down[0], across[0]), (down[1], across[1]))


def _cut(start: int, stop: int, at: int, size: int) -> tuple[slice, slice]:
    """The part of a block that lies between two places, counted from the block's start and from the first place."""
    first, last = max(start, at), min(stop, at + size)
    return slice(first - at, last - at), slice(first - start, last - start)


class Shelf:
    """Decoded blocks that were used last, up to a number of bytes; safe in several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """A block that is still there, or None."""
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return self._blocks.get(key)

    def put(self, key: Hashable, block: NDArray[Any]) -> None:
        """Keep a block, and drop those that were not used for longest where there are too many bytes."""
        with self._lock:
            if key in self._blocks or block.nbytes > self._limit:
                return
            self._blocks[key] = block
            self._bytes += block.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._blocks.popitem(last=False)[1].nbytes
