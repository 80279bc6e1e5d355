"""The transforms of Winograd's convolution as machine code, which numba makes from this file when it is first used.

The transforms of F(4x4, 3x3) are those of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv
1509.09308, with the points 0, 1, -1, 2 and -2. The functions below apply them along one axis; a tile needs them along
both. All arrays are flat and float32. Maps lie in memory as (images, rows, columns, channels), tiles as (36, tiles,
channels), and a weight as (out, 3, 3, in).

A strip is up to ``strip`` neighbouring tiles of one row of tiles. Strips are numbered by image, row of tiles and place
in the row; each is one piece of work for a thread, so that its rows stay in the nearest cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import torch
from numba import prange
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
_Function = TypeVar("_Function")

F32 = np.float32
SIXTH, TWELFTH, TWENTY_FOURTH, QUARTER = F32(1 / 6), F32(1 / 12), F32(1 / 24), F32(0.25)
TWO, FOUR, FIVE, EIGHT, ZERO = F32(2), F32(4), F32(5), F32(8), F32(0)

_settings: Any = numba.config

if TYPE_CHECKING:
    index = int
else:
    index = np.uint64  # indices of this type need no test for negative numbers, which would keep loops from vectors


def _compiled(function: _Function, **options: Any) -> _Function:
    """Return a function as machine code, which is kept on the disk beside this file or in the person's cache folder."""
    options |= {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
    try:
        return cast(_Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder for the machine code: it is made in each process
        return cast(_Function, numba.njit(**options)(function))


def _in_threads(function: _Function) -> _Function:
    return _compiled(function, parallel=True)


def start_threads() -> None:
    """Let numba use the threads of torch, as many as torch uses now.

    Raises
    ------
    ValueError: numba has no threads of that kind here.
    """
    threads = torch.get_num_threads()
    if _settings.THREADING_LAYER == "default":
        # Where torch brings the only OpenMP, numba then works in torch's own threads: two sets disturb each other.
        _settings.THREADING_LAYER = "omp"
    numba.set_num_threads(min(threads, _settings.NUMBA_NUM_THREADS))
    if torch.get_num_threads() != threads:  # the start of numba's threads sets their number for torch too
        torch.set_num_threads(threads)


@_compiled
def _six_from_six(
    maps: Floats, first: int, second: int, third: int, fourth: int, fifth: int, sixth: int,
    made: Floats, start: int, step: int, count: int,
) -> None:  # fmt: skip
    """Transform six rows of maps: B^T of F(4, 3)."""
    r0, r1, r2 = index(first), index(second), index(third)
    r3, r4, r5 = index(fourth), index(fifth), index(sixth)
    m0, m1, m2 = index(start), index(start + step), index(start + 2 * step)
    m3, m4, m5 = index(start + 3 * step), index(start + 4 * step), index(start + 5 * step)
    for i in range(index(count)):
        d0, d1, d2 = maps[r0 + i], maps[r1 + i], maps[r2 + i]
        d3, d4, d5 = maps[r3 + i], maps[r4 + i], maps[r5 + i]
        made[m0 + i] = FOUR * d0 - FIVE * d2 + d4
        even, odd = d4 - FOUR * d2, d3 - FOUR * d1
        made[m1 + i] = even + odd
        made[m2 + i] = even - odd
        even, odd = d4 - d2, TWO * (d3 - d1)
        made[m3 + i] = even + odd
        made[m4 + i] = even - odd
        made[m5 + i] = FOUR * d1 - FIVE * d3 + d5


@_compiled
def _six_from_four(
    maps: Floats, first: int, second: int, third: int, fourth: int, made: Floats, start: int, step: int, count: int
) -> None:
    """Transform four rows of an output's gradient: A of F(4, 3)."""
    r0, r1, r2, r3 = index(first), index(second), index(third), index(fourth)
    m0, m1, m2 = index(start), index(start + step), index(start + 2 * step)
    m3, m4, m5 = index(start + 3 * step), index(start + 4 * step), index(start + 5 * step)
    for i in range(index(count)):
        d0, d1, d2, d3 = maps[r0 + i], maps[r1 + i], maps[r2 + i], maps[r3 + i]
        made[m0 + i] = d0
        even, odd = d0 + d2, d1 + d3
        made[m1 + i] = even + odd
        made[m2 + i] = even - odd
        even, odd = d0 + FOUR * d2, TWO * d1 + EIGHT * d3
        made[m3 + i] = even + odd
        made[m4 + i] = even - odd
        made[m5 + i] = d3


@_compiled
def _four_from_six(
    tiles: Floats, start: int, step: int, made: Floats, first: int, second: int, third: int, fourth: int, count: int
) -> None:
    """Transform six rows of products back to four rows: A^T of F(4, 3)."""
    r0, r1, r2 = index(start), index(start + step), index(start + 2 * step)
    r3, r4, r5 = index(start + 3 * step), index(start + 4 * step), index(start + 5 * step)
    m0, m1, m2, m3 = index(first), index(second), index(third), index(fourth)
    for i in range(index(count)):
        d1, d2, d3, d4 = tiles[r1 + i], tiles[r2 + i], tiles[r3 + i], tiles[r4 + i]
        near, far, near_odd, far_odd = d1 + d2, d3 + d4, d1 - d2, d3 - d4
        made[m0 + i] = tiles[r0 + i] + near + far
        made[m1 + i] = near_odd + TWO * far_odd
        made[m2 + i] = near + FOUR * far
        made[m3 + i] = near_odd + EIGHT * far_odd + tiles[r5 + i]


@_compiled
def _copy(source: Floats, start: int, made: Floats, to: int, count: int) -> None:
    first, target = index(start), index(to)
    for i in range(index(count)):
        made[target + i] = source[first + i]


@_compiled
def _fill(made: Floats, start: int, count: int) -> None:
    first = index(start)
    for i in range(index(count)):
        made[first + i] = ZERO


@_compiled
def _add_bias(made: Floats, start: int, bias: Floats, first: int, count: int) -> None:
    target, source = index(start), index(first)
    for i in range(index(count)):
        made[target + i] += bias[source + i]


@_compiled
def _first_tile(strip_number: int, strips: int, wide: int, strip: int) -> int:
    """Return the number of a strip's first tile. ``wide``: tiles in a row; ``strips``: strips in a row."""
    return (strip_number // strips) * wide + (strip_number % strips) * strip


@_compiled
def _strip_of_maps(
    maps: Floats, rows: int, columns: int, channels: int, above: int, left: int,
    tall: int, wide: int, strip: int, number: int, tiles: Floats, count: int, before: int,
) -> None:  # fmt: skip
    strips = -(-wide // strip)
    line, place = number // strips, (number % strips) * strip
    wanted = min(strip, wide - place)
    image, down = line // tall, line % tall
    row, column, across = 4 * down - above, 4 * place - left, 4 * wanted + 2
    line_size, step = across * channels, columns * channels
    there, until = max(0, -column), min(across, columns - column)
    inside = max(until - there, 0) * channels
    halfway = np.empty(6 * line_size, np.float32)
    start = ((image * rows + row) * columns + column + there) * channels
    if row >= 0 and row + 6 <= rows:
        _six_from_six(
            maps, start, start + step, start + 2 * step, start + 3 * step, start + 4 * step, start + 5 * step,
            halfway, there * channels, line_size, inside,
        )  # fmt: skip
    else:
        padded = np.empty(6 * inside, np.float32)
        for each in range(6):
            if 0 <= row + each < rows:
                _copy(maps, start + each * step, padded, each * inside, inside)
            else:
                _fill(padded, each * inside, inside)
        _six_from_six(
            padded, 0, inside, 2 * inside, 3 * inside, 4 * inside, 5 * inside,
            halfway, there * channels, line_size, inside,
        )  # fmt: skip
    if inside < line_size:
        right = max(until, there) * channels
        for each in range(6):
            _fill(halfway, each * line_size, there * channels)
            _fill(halfway, each * line_size + right, line_size - right)
    first = line * wide + place - before
    for tile in range(wanted):
        for each in range(6):
            begin = each * line_size + 4 * tile * channels
            _six_from_six(
                halfway, begin, begin + channels, begin + 2 * channels, begin + 3 * channels, begin + 4 * channels,
                begin + 5 * channels, tiles, (6 * each * count + first + tile) * channels, count * channels, channels,
            )  # fmt: skip


@_in_threads
def tiles_of_maps(
    maps: Floats, rows: int, columns: int, channels: int, above: int, left: int,
    tall: int, wide: int, strip: int, first: int, last: int, tiles: Floats, count: int,
) -> None:  # fmt: skip
    """Transform the input of a convolution to tiles (36, count, channels), for strips ``first`` to ``last`` - 1.

    Parameters
    ----------
    above, left: rows and columns of zeros around the maps.
    tall, wide: rows of tiles, and tiles in a row, of the output.
    count: tiles of these strips.
    """
    before = _first_tile(first, -(-wide // strip), wide, strip)
    for number in prange(first, last):
        _strip_of_maps(maps, rows, columns, channels, above, left, tall, wide, strip, number, tiles, count, before)


@_compiled
def _strip_of_gradient(
    gradient: Floats, rows: int, columns: int, channels: int, channel: int, taken: int,
    tall: int, wide: int, strip: int, number: int, tiles: Floats, count: int, before: int,
) -> None:  # fmt: skip
    strips = -(-wide // strip)
    line, place = number // strips, (number % strips) * strip
    wanted = min(strip, wide - place)
    image, row, across = line // tall, 4 * (line % tall), 4 * wanted
    line_size, step = across * taken, columns * channels
    there = min(across, columns - 4 * place)
    halfway = np.empty(6 * line_size, np.float32)
    start = ((image * rows + row) * columns + 4 * place) * channels + channel
    # Where all channels are taken, the columns of a row follow each other in memory.
    runs, size, by = (1, there * channels, 0) if taken == channels else (there, taken, channels)
    if row + 4 <= rows:
        for run in range(runs):
            begin = start + run * by
            _six_from_four(
                gradient, begin, begin + step, begin + 2 * step, begin + 3 * step, halfway, run * taken, line_size, size
            )
    else:
        padded = np.empty(4 * size, np.float32)
        for run in range(runs):
            for each in range(4):
                if row + each < rows:
                    _copy(gradient, start + run * by + each * step, padded, each * size, size)
                else:
                    _fill(padded, each * size, size)
            _six_from_four(padded, 0, size, 2 * size, 3 * size, halfway, run * taken, line_size, size)
    for each in range(6):
        _fill(halfway, each * line_size + there * taken, (across - there) * taken)
    first = line * wide + place - before
    for tile in range(wanted):
        for each in range(6):
            begin = each * line_size + 4 * tile * taken
            _six_from_four(
                halfway, begin, begin + taken, begin + 2 * taken, begin + 3 * taken,
                tiles, (6 * each * count + first + tile) * taken, count * taken, taken,
            )  # fmt: skip


@_in_threads
def tiles_of_gradient(
    gradient: Floats, rows: int, columns: int, channels: int, channel: int, taken: int,
    tall: int, wide: int, strip: int, first: int, last: int, tiles: Floats, count: int,
) -> None:  # fmt: skip
    """Transform the gradient of an output to tiles (36, count, taken), for the gradient of the weights.

    Parameters
    ----------
    channel, taken: the first channel that is taken, and how many are.
    """
    before = _first_tile(first, -(-wide // strip), wide, strip)
    for number in prange(first, last):
        _strip_of_gradient(
            gradient, rows, columns, channels, channel, taken, tall, wide, strip, number, tiles, count, before
        )


@_compiled
def _strip_of_output(
    tiles: Floats, count: int, before: int, bias: Floats, output: Floats, rows: int, columns: int, channels: int,
    channel: int, given: int, tall: int, wide: int, strip: int, number: int,
) -> None:  # fmt: skip
    strips = -(-wide // strip)
    line, place = number // strips, (number % strips) * strip
    wanted = min(strip, wide - place)
    image, row, across = line // tall, 4 * (line % tall), 4 * wanted
    line_size, step = across * given, columns * channels
    there = min(across, columns - 4 * place)
    halfway = np.empty(6 * line_size, np.float32)
    first = line * wide + place - before
    for tile in range(wanted):
        if bias.size:
            # Product 7 (row 1, column 1) of a tile counts once in each of its 16 pixels.
            _add_bias(tiles, (7 * count + first + tile) * given, bias, channel, given)
        for each in range(6):
            begin = each * line_size + 4 * tile * given
            _four_from_six(
                tiles, (6 * each * count + first + tile) * given, count * given,
                halfway, begin, begin + given, begin + 2 * given, begin + 3 * given, given,
            )  # fmt: skip
    start = ((image * rows + row) * columns + 4 * place) * channels + channel
    runs, size, by = (1, there * channels, 0) if given == channels else (there, given, channels)
    present = min(4, rows - row)
    cut = np.empty(4 * size if present < 4 else 0, np.float32)
    for run in range(runs):
        begin = start + run * by
        if present == 4:
            _four_from_six(
                halfway, run * given, line_size, output, begin, begin + step, begin + 2 * step, begin + 3 * step, size
            )
        else:
            _four_from_six(halfway, run * given, line_size, cut, 0, size, 2 * size, 3 * size, size)
            for each in range(present):
                _copy(cut, each * size, output, begin + each * step, size)


@_in_threads
def output_of_tiles(
    tiles: Floats, count: int, bias: Floats, output: Floats, rows: int, columns: int, channels: int,
    channel: int, given: int, tall: int, wide: int, strip: int, first: int, last: int,
) -> None:  # fmt: skip
    """Transform products (36, count, given) back to the output, for the strips from ``first`` to ``last`` - 1.

    Parameters
    ----------
    bias: of all channels; empty for none.
    rows, columns, channels: of the output.
    channel, given: the first channel that the products give, and how many they give.
    """
    before = _first_tile(first, -(-wide // strip), wide, strip)
    for number in prange(first, last):
        _strip_of_output(
            tiles, count, before, bias, output, rows, columns, channels, channel, given, tall, wide, strip, number
        )


@_compiled
def _weight_row(weight: Floats, start: int, step: int, made: Floats, to: int, by: int, count: int) -> None:
    """Transform three rows of a weight: G of F(4, 3). ``step`` is negative for a mirrored weight."""
    r0, r1, r2 = index(start), index(start + step), index(start + 2 * step)
    m0, m1, m2, m3, m4, m5 = (
        index(to), index(to + by), index(to + 2 * by), index(to + 3 * by), index(to + 4 * by), index(to + 5 * by)
    )  # fmt: skip
    for i in range(index(count)):
        w0, w1, w2 = weight[r0 + i], weight[r1 + i], weight[r2 + i]
        made[m0 + i] = QUARTER * w0
        even, odd = -SIXTH * (w0 + w2), -SIXTH * w1
        made[m1 + i] = even + odd
        made[m2 + i] = even - odd
        even, odd = TWENTY_FOURTH * w0 + SIXTH * w2, TWELFTH * w1
        made[m3 + i] = even + odd
        made[m4 + i] = even - odd
        made[m5 + i] = w2


@_in_threads
def tiles_of_weight(
    weight: Floats, inputs: int, mirrored: bool, first: int, outputs: int, channel: int, taken: int, tiles: Floats
) -> None:
    """Transform a part of a weight to tiles (36, outputs, taken).

    Parameters
    ----------
    inputs: input channels of the whole weight.
    mirrored: whether the weight is rotated by half a turn, as the gradient of the input needs it.
    first, outputs, channel, taken: the part: first output channel and their number, first input channel and number.
    """
    size = outputs * taken
    for each in prange(outputs):
        halfway = np.empty(18 * taken, np.float32)
        start = (first + each) * 9 * inputs + channel
        for column in range(3):
            from_column = start + (2 - column if mirrored else column) * inputs
            top, step = (from_column + 6 * inputs, -3 * inputs) if mirrored else (from_column, 3 * inputs)
            _weight_row(weight, top, step, halfway, column * taken, 3 * taken, taken)
        for row in range(6):
            _weight_row(halfway, 3 * row * taken, taken, tiles, 6 * row * size + each * taken, size, taken)


@_compiled
def _three_from_six(tiles: Floats, start: int, step: int, made: Floats, to: int, by: int, count: int) -> None:
    """Transform six rows of products back to three rows of a weight: G^T of F(4, 3)."""
    r0, r1, r2 = index(start), index(start + step), index(start + 2 * step)
    r3, r4, r5 = index(start + 3 * step), index(start + 4 * step), index(start + 5 * step)
    m0, m1, m2 = index(to), index(to + by), index(to + 2 * by)
    for i in range(index(count)):
        near, near_odd = SIXTH * (tiles[r1 + i] + tiles[r2 + i]), SIXTH * (tiles[r1 + i] - tiles[r2 + i])
        far, far_odd = tiles[r3 + i] + tiles[r4 + i], tiles[r3 + i] - tiles[r4 + i]
        made[m0 + i] = QUARTER * tiles[r0 + i] - near + TWENTY_FOURTH * far
        made[m1 + i] = TWELFTH * far_odd - near_odd
        made[m2 + i] = SIXTH * far - near + tiles[r5 + i]


@_in_threads
def weight_of_tiles(tiles: Floats, inputs: int, first: int, outputs: int, weight: Floats) -> None:
    """Transform sums of products (36, outputs, inputs) to the gradient of a weight's outputs from ``first`` on."""
    size = outputs * inputs
    for each in prange(outputs):
        halfway = np.empty(18 * inputs, np.float32)
        for column in range(6):
            _three_from_six(
                tiles, column * size + each * inputs, 6 * size, halfway, column * inputs, 6 * inputs, inputs
            )
        for row in range(3):
            _three_from_six(
                halfway, 6 * row * inputs, inputs, weight, ((first + each) * 9 + 3 * row) * inputs, inputs, inputs
            )
