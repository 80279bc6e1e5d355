"""The sums and the changes of batch normalisation as machine code, for maps in channels-last.

Maps are flat, in float32, or in bfloat16 as their 16 bits. A lane is the channels of one pixel, or of several
neighbouring pixels where the channels are few: a loop over a lane is long enough for vectors. ``scale``, ``shift`` and
others have a number for each place in a lane. A block is some lanes that follow each other; its sums are float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numba import prange, types
from numba.extending import overload
from numpy.typing import NDArray

from unpool.machine_code.functions import NO_FLOATS, Calls, Floats, Group, in_threads, index, inner

StoredMaps: TypeAlias = NDArray[np.float32] | NDArray[np.uint16]
Sums: TypeAlias = NDArray[np.float64]

MOST_BLOCKS = 64
"""Blocks that threads share."""

BITS, HALF_OF_THE_LAST, ONE, NOT_A_NUMBER = np.uint32(16), np.uint32(0x7FFF), np.uint32(1), np.uint16(0x7FC0)


def _value(stored: Any) -> Any:
    """Return the float32 of a stored number."""


def _stored(value: Any, like: Any) -> Any:
    """Return a float32 as it is stored: as it is, or rounded to the nearest bfloat16, ties to even."""


@overload(_value, strict=False)
def _value_of(stored: Any) -> Any:
    if isinstance(stored, types.Float):
        return lambda stored: stored
    return lambda stored: np.uint32(np.uint32(stored) << BITS).view(np.float32)


@overload(_stored, strict=False)
def _stored_as(value: Any, like: Any) -> Any:
    if isinstance(like, types.Float):
        return lambda value, like: value

    def rounded(value: Any, like: Any) -> Any:
        bits = np.float32(value).view(np.uint32)
        nearest = np.uint16((bits + HALF_OF_THE_LAST + ((bits >> BITS) & ONE)) >> BITS)
        return nearest if value == value else NOT_A_NUMBER  # noqa: PLR0124 - NaN differs from itself

    return rounded


@inner
def _bounds(number: int, blocks: int, lanes: int) -> tuple[int, int]:
    """Return the first lane of a block, and the last + 1."""
    return number * lanes // blocks, (number + 1) * lanes // blocks


@inner
def _sum_block(maps: StoredMaps, lane: int, block: tuple[int, int], sums: Sums, squares: Sums) -> None:
    for each in range(block[0], block[1]):
        start = index(each * lane)
        for i in range(index(lane)):
            value = np.float64(_value(maps[start + i]))
            sums[i] += value
            squares[i] += value * value


@in_threads
def sum_maps(maps: StoredMaps, lanes: int, sums: Sums, squares: Sums) -> None:
    """Sum maps and their squares: a row of ``sums`` and ``squares`` (blocks, lane) for each block."""
    blocks, lane = sums.shape
    for number in prange(blocks):
        _sum_block(maps, lane, _bounds(number, blocks, lanes), sums[number], squares[number])


@inner
def _change_block(maps: StoredMaps, block: tuple[int, int], scale: Floats, shift: Floats, made: StoredMaps) -> None:
    lane = scale.size
    for each in range(block[0], block[1]):
        start = index(each * lane)
        for i in range(index(lane)):
            made[start + i] = _stored(_value(maps[start + i]) * scale[i] + shift[i], made[start + i])


@in_threads
def change_maps(maps: StoredMaps, lanes: int, scale: Floats, shift: Floats, made: StoredMaps) -> None:
    """Multiply each channel by its scale and add its shift."""
    blocks = min(lanes, MOST_BLOCKS)
    for number in prange(blocks):
        _change_block(maps, _bounds(number, blocks, lanes), scale, shift, made)


@inner
def _sum_gradient_block(
    gradient: StoredMaps, maps: StoredMaps, lane: int, block: tuple[int, int], sums: Sums, products: Sums
) -> None:
    for each in range(block[0], block[1]):
        start = index(each * lane)
        for i in range(index(lane)):
            value = np.float64(_value(gradient[start + i]))
            sums[i] += value
            products[i] += value * np.float64(_value(maps[start + i]))


@in_threads
def sum_gradient(gradient: StoredMaps, maps: StoredMaps, lanes: int, sums: Sums, products: Sums) -> None:
    """Sum a gradient, and its products with the maps: a row of ``sums`` and ``products`` (blocks, lane) a block."""
    blocks, lane = sums.shape
    for number in prange(blocks):
        block = _bounds(number, blocks, lanes)
        _sum_gradient_block(gradient, maps, lane, block, sums[number], products[number])


@inner
def _change_gradient_block(
    gradient: StoredMaps, maps: StoredMaps, block: tuple[int, int], factors: Floats, made: StoredMaps
) -> None:
    lane = factors.shape[1]
    scale, slope, middle, shift = factors[0], factors[1], factors[2], factors[3]
    for each in range(block[0], block[1]):
        start = index(each * lane)
        for i in range(index(lane)):
            apart = _value(maps[start + i]) - middle[i]
            changed = scale[i] * _value(gradient[start + i]) + slope[i] * apart + shift[i]
            made[start + i] = _stored(changed, made[start + i])


@in_threads
def change_gradient(gradient: StoredMaps, maps: StoredMaps, lanes: int, factors: Floats, made: StoredMaps) -> None:
    """Compute scale * gradient + slope * (maps - middle) + shift; ``factors`` (4, lane) has these in this order."""
    blocks = min(lanes, MOST_BLOCKS)
    for number in prange(blocks):
        block = _bounds(number, blocks, lanes)
        _change_gradient_block(gradient, maps, block, factors, made)


_SUMS, _FACTORS = np.empty((0, 0), np.float64), np.empty((0, 0), np.float32)


def _calls(maps: StoredMaps) -> Calls:
    return (
        (sum_maps, (maps, 0, _SUMS, _SUMS)),
        (change_maps, (maps, 0, NO_FLOATS, NO_FLOATS, maps)),
        (sum_gradient, (maps, maps, 0, _SUMS, _SUMS)),
        (change_gradient, (maps, maps, 0, _FACTORS, maps)),
    )


BATCH_NORM_CALLS: Mapping[Group, Calls] = {
    "batch normalisation, float32": _calls(NO_FLOATS),
    "batch normalisation, bfloat16": _calls(np.empty(0, np.uint16)),
}
"""For each number type the functions, with arguments of the types that they are given."""
