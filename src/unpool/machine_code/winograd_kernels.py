"""The transforms of Winograd's convolution as machine code, which numba makes from this file at the first use.

The transforms of F(4x4, 3x3) are those of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv
1509.09308, with the points 0, 1, -1, 2 and -2. The functions below apply them along one axis; a tile needs them along
both. All arrays are flat and float32. Maps lie in memory as (images, rows, columns, channels), tiles as (36, tiles,
channels), and a weight as (out, 3, 3, in).

A strip is some neighbouring tiles of one row of tiles. Strips are numbered by image, row of tiles and place in the row;
each is one piece of work for a thread, so that its rows stay in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numba import prange

from unpool.machine_code.functions import NO_FLOATS, Calls, Floats, Group, in_threads, index, inner


class Lines(NamedTuple):
    """Lines of numbers at equal distances: where the first begins, and the distance from one to the next."""

    start: int
    by: int


class Maps(NamedTuple):
    """Feature maps of some images: their numbers, and the sizes of one image."""

    numbers: Floats
    rows: int
    columns: int
    channels: int


class Channels(NamedTuple):
    """Neighbouring channels: the first and their number."""

    first: int
    number: int


class StoredWeight(NamedTuple):
    """The weight of a convolution, with its number of input channels.

    Attributes
    ----------
    mirrored: whether it is rotated by half a turn, as the gradient of the input needs it.
    """

    numbers: Floats
    inputs: int
    mirrored: bool


class Products(NamedTuple):
    """Products of tiles (36, tiles, channels), and the bias of all output channels; an empty bias for none."""

    numbers: Floats
    bias: Floats


class Cut(NamedTuple):
    """How an output is cut: rows of tiles in an image, tiles in a row, and the most tiles of a strip."""

    tall: int
    wide: int
    strip: int


class Part(NamedTuple):
    """Strips that are computed together: the first, the last + 1, the tiles before them, and their tiles."""

    first: int
    last: int
    before: int
    tiles: int


F32 = np.float32
SIXTH, TWELFTH, TWENTY_FOURTH, QUARTER = F32(1 / 6), F32(1 / 12), F32(1 / 24), F32(0.25)
TWO, FOUR, FIVE, EIGHT, ZERO = F32(2), F32(4), F32(5), F32(8), F32(0)


@inner
def _six_lines(lines: Lines) -> tuple[int, int, int, int, int, int]:
    """Return where six lines begin; of fewer lines, the first are taken."""
    start, by = lines
    first, second, third = index(start), index(start + by), index(start + 2 * by)
    return first, second, third, index(start + 3 * by), index(start + 4 * by), index(start + 5 * by)


@inner
def _six_from_six(source: Floats, lines: Lines, made: Floats, to: Lines, count: int) -> None:
    """Transform six lines of maps: B^T of F(4, 3)."""
    r0, r1, r2, r3, r4, r5 = _six_lines(lines)
    m0, m1, m2, m3, m4, m5 = _six_lines(to)
    for i in range(index(count)):
        d0, d1, d2 = source[r0 + i], source[r1 + i], source[r2 + i]
        d3, d4, d5 = source[r3 + i], source[r4 + i], source[r5 + i]
        made[m0 + i] = FOUR * d0 - FIVE * d2 + d4
        even, odd = d4 - FOUR * d2, d3 - FOUR * d1
        made[m1 + i] = even + odd
        made[m2 + i] = even - odd
        even, odd = d4 - d2, TWO * (d3 - d1)
        made[m3 + i] = even + odd
        made[m4 + i] = even - odd
        made[m5 + i] = FOUR * d1 - FIVE * d3 + d5


@inner
def _six_from_four(source: Floats, lines: Lines, made: Floats, to: Lines, count: int) -> None:
    """Transform four lines of an output's gradient: A of F(4, 3)."""
    r0, r1, r2, r3, _, _ = _six_lines(lines)
    m0, m1, m2, m3, m4, m5 = _six_lines(to)
    for i in range(index(count)):
        d0, d1, d2, d3 = source[r0 + i], source[r1 + i], source[r2 + i], source[r3 + i]
        made[m0 + i] = d0
        even, odd = d0 + d2, d1 + d3
        made[m1 + i] = even + odd
        made[m2 + i] = even - odd
        even, odd = d0 + FOUR * d2, TWO * d1 + EIGHT * d3
        made[m3 + i] = even + odd
        made[m4 + i] = even - odd
        made[m5 + i] = d3


@inner
def _four_from_six(source: Floats, lines: Lines, made: Floats, to: Lines, count: int) -> None:
    """Transform six lines of products back to four lines: A^T of F(4, 3)."""
    r0, r1, r2, r3, r4, r5 = _six_lines(lines)
    m0, m1, m2, m3, _, _ = _six_lines(to)
    for i in range(index(count)):
        d1, d2, d3, d4 = source[r1 + i], source[r2 + i], source[r3 + i], source[r4 + i]
        near, far, near_odd, far_odd = d1 + d2, d3 + d4, d1 - d2, d3 - d4
        made[m0 + i] = source[r0 + i] + near + far
        made[m1 + i] = near_odd + TWO * far_odd
        made[m2 + i] = near + FOUR * far
        made[m3 + i] = near_odd + EIGHT * far_odd + source[r5 + i]


@inner
def _six_from_three(source: Floats, lines: Lines, made: Floats, to: Lines, count: int) -> None:
    """Transform three lines of a weight: G of F(4, 3)."""
    r0, r1, r2, _, _, _ = _six_lines(lines)
    m0, m1, m2, m3, m4, m5 = _six_lines(to)
    for i in range(index(count)):
        w0, w1, w2 = source[r0 + i], source[r1 + i], source[r2 + i]
        made[m0 + i] = QUARTER * w0
        even, odd = -SIXTH * (w0 + w2), -SIXTH * w1
        made[m1 + i] = even + odd
        made[m2 + i] = even - odd
        even, odd = TWENTY_FOURTH * w0 + SIXTH * w2, TWELFTH * w1
        made[m3 + i] = even + odd
        made[m4 + i] = even - odd
        made[m5 + i] = w2


@inner
def _three_from_six(source: Floats, lines: Lines, made: Floats, to: Lines, count: int) -> None:
    """Transform six lines of products back to three lines of a weight: G^T of F(4, 3)."""
    r0, r1, r2, r3, r4, r5 = _six_lines(lines)
    m0, m1, m2, _, _, _ = _six_lines(to)
    for i in range(index(count)):
        near, near_odd = SIXTH * (source[r1 + i] + source[r2 + i]), SIXTH * (source[r1 + i] - source[r2 + i])
        far, far_odd = source[r3 + i] + source[r4 + i], source[r3 + i] - source[r4 + i]
        made[m0 + i] = QUARTER * source[r0 + i] - near + TWENTY_FOURTH * far
        made[m1 + i] = TWELFTH * far_odd - near_odd
        made[m2 + i] = SIXTH * far - near + source[r5 + i]


@inner
def _copy(source: Floats, start: int, made: Floats, to: int, count: int) -> None:
    first, target = index(start), index(to)
    for i in range(index(count)):
        made[target + i] = source[first + i]


@inner
def _fill(made: Floats, start: int, count: int) -> None:
    first = index(start)
    for i in range(index(count)):
        made[first + i] = ZERO


@inner
def _add_bias(made: Floats, start: int, bias: Floats, first: int, count: int) -> None:
    target, source = index(start), index(first)
    for i in range(index(count)):
        made[target + i] += bias[source + i]


@inner
def _place(cut: Cut, number: int) -> tuple[int, int, int, int, int]:
    """Return image, row of tiles, first tile in the row, number of tiles and number of the first tile of a strip."""
    strips = -(-cut.wide // cut.strip)
    line, tile = number // strips, (number % strips) * cut.strip
    return line // cut.tall, line % cut.tall, tile, min(cut.strip, cut.wide - tile), line * cut.wide + tile


@inner
def _strip_of_maps(maps: Maps, padding: tuple[int, int], cut: Cut, part: Part, number: int, tiles: Floats) -> None:
    image, down, place, wanted, first = _place(cut, number)
    channels = maps.channels
    row, column, across = 4 * down - padding[0], 4 * place - padding[1], 4 * wanted + 2
    line, step = across * channels, maps.columns * channels
    there, until = max(0, -column), min(across, maps.columns - column)
    inside = max(until - there, 0) * channels
    halfway = np.empty(6 * line, np.float32)
    start = ((image * maps.rows + row) * maps.columns + column + there) * channels
    if row >= 0 and row + 6 <= maps.rows:
        _six_from_six(maps.numbers, Lines(start, step), halfway, Lines(there * channels, line), inside)
    else:
        padded = np.empty(6 * inside, np.float32)
        for each in range(6):
            if 0 <= row + each < maps.rows:
                _copy(maps.numbers, start + each * step, padded, each * inside, inside)
            else:
                _fill(padded, each * inside, inside)
        _six_from_six(padded, Lines(0, inside), halfway, Lines(there * channels, line), inside)
    if inside < line:
        right = max(until, there) * channels
        for each in range(6):
            _fill(halfway, each * line, there * channels)
            _fill(halfway, each * line + right, line - right)
    for tile in range(wanted):
        target = first - part.before + tile
        for each in range(6):
            begin = each * line + 4 * tile * channels
            to = Lines((6 * each * part.tiles + target) * channels, part.tiles * channels)
            _six_from_six(halfway, Lines(begin, channels), tiles, to, channels)


@in_threads
def tiles_of_maps(maps: Maps, padding: tuple[int, int], cut: Cut, part: Part, tiles: Floats) -> None:
    """Transform the input of a convolution to tiles (36, tiles of the part, channels).

    Parameters
    ----------
    padding: rows and columns of zeros around the maps.
    """
    for number in prange(part.first, part.last):
        _strip_of_maps(maps, padding, cut, part, number, tiles)


@inner
def _runs(maps: Maps, channels: Channels, columns: int) -> tuple[int, int, int]:
    """Return how some channels of a row of pixels lie in memory: number of runs, numbers in a run, distance of runs."""
    if channels.number == maps.channels:  # all channels: the pixels follow each other
        return 1, columns * channels.number, 0
    return columns, channels.number, maps.channels


@inner
def _strip_of_gradient(gradient: Maps, channels: Channels, cut: Cut, part: Part, number: int, tiles: Floats) -> None:
    image, down, place, wanted, first = _place(cut, number)
    taken, row, across = channels.number, 4 * down, 4 * wanted
    line, step = across * taken, gradient.columns * gradient.channels
    there = min(across, gradient.columns - 4 * place)
    halfway = np.empty(6 * line, np.float32)
    start = ((image * gradient.rows + row) * gradient.columns + 4 * place) * gradient.channels + channels.first
    runs, size, by = _runs(gradient, channels, there)
    if row + 4 <= gradient.rows:
        for run in range(runs):
            _six_from_four(gradient.numbers, Lines(start + run * by, step), halfway, Lines(run * taken, line), size)
    else:
        padded = np.empty(4 * size, np.float32)
        for run in range(runs):
            for each in range(4):
                if row + each < gradient.rows:
                    _copy(gradient.numbers, start + run * by + each * step, padded, each * size, size)
                else:
                    _fill(padded, each * size, size)
            _six_from_four(padded, Lines(0, size), halfway, Lines(run * taken, line), size)
    for each in range(6):
        _fill(halfway, each * line + there * taken, (across - there) * taken)
    for tile in range(wanted):
        target = first - part.before + tile
        for each in range(6):
            begin = each * line + 4 * tile * taken
            to = Lines((6 * each * part.tiles + target) * taken, part.tiles * taken)
            _six_from_four(halfway, Lines(begin, taken), tiles, to, taken)


@in_threads
def tiles_of_gradient(gradient: Maps, channels: Channels, cut: Cut, part: Part, tiles: Floats) -> None:
    """Transform some channels of an output's gradient to tiles, for the gradient of the weights."""
    for number in prange(part.first, part.last):
        _strip_of_gradient(gradient, channels, cut, part, number, tiles)


@inner
def _strip_of_output(products: Products, output: Maps, channels: Channels, cut: Cut, part: Part, number: int) -> None:
    image, down, place, wanted, first = _place(cut, number)
    given, row, across = channels.number, 4 * down, 4 * wanted
    line, step = across * given, output.columns * output.channels
    there = min(across, output.columns - 4 * place)
    halfway = np.empty(6 * line, np.float32)
    for tile in range(wanted):
        source = first - part.before + tile
        if products.bias.size:
            # Product 7 (row 1, column 1) of a tile counts once in each of its 16 pixels.
            _add_bias(products.numbers, (7 * part.tiles + source) * given, products.bias, channels.first, given)
        for each in range(6):
            lines = Lines((6 * each * part.tiles + source) * given, part.tiles * given)
            _four_from_six(products.numbers, lines, halfway, Lines(each * line + 4 * tile * given, given), given)
    start = ((image * output.rows + row) * output.columns + 4 * place) * output.channels + channels.first
    runs, size, by = _runs(output, channels, there)
    present = min(4, output.rows - row)
    cut_off = np.empty(4 * size if present < 4 else 0, np.float32)
    for run in range(runs):
        if present == 4:
            _four_from_six(halfway, Lines(run * given, line), output.numbers, Lines(start + run * by, step), size)
        else:
            _four_from_six(halfway, Lines(run * given, line), cut_off, Lines(0, size), size)
            for each in range(present):
                _copy(cut_off, each * size, output.numbers, start + run * by + each * step, size)


@in_threads
def output_of_tiles(products: Products, output: Maps, channels: Channels, cut: Cut, part: Part) -> None:
    """Transform products back to some channels of the output; the products change."""
    for number in prange(part.first, part.last):
        _strip_of_output(products, output, channels, cut, part, number)


@in_threads
def tiles_of_weight(weight: StoredWeight, outputs: Channels, inputs: Channels, tiles: Floats) -> None:
    """Transform some output and input channels of a weight to tiles (36, outputs, inputs)."""
    size, taken, row = outputs.number * inputs.number, inputs.number, 3 * weight.inputs
    for each in prange(outputs.number):
        halfway = np.empty(18 * taken, np.float32)
        start = (outputs.first + each) * 9 * weight.inputs + inputs.first
        for column in range(3):
            if weight.mirrored:
                lines = Lines(start + (2 - column) * weight.inputs + 2 * row, -row)
            else:
                lines = Lines(start + column * weight.inputs, row)
            _six_from_three(weight.numbers, lines, halfway, Lines(column * taken, 3 * taken), taken)
        for line in range(6):
            to = Lines(6 * line * size + each * taken, size)
            _six_from_three(halfway, Lines(3 * line * taken, taken), tiles, to, taken)


@in_threads
def weight_of_tiles(tiles: Floats, inputs: int, outputs: Channels, weight: Floats) -> None:
    """Transform sums of products (36, outputs, inputs) to the gradient of some output channels of a weight."""
    size = outputs.number * inputs
    for each in prange(outputs.number):
        halfway = np.empty(18 * inputs, np.float32)
        for column in range(6):
            lines = Lines(column * size + each * inputs, 6 * size)
            _three_from_six(tiles, lines, halfway, Lines(column * inputs, 6 * inputs), inputs)
        for row in range(3):
            to = Lines(((outputs.first + each) * 9 + 3 * row) * inputs, inputs)
            _three_from_six(halfway, Lines(6 * row * inputs, inputs), weight, to, inputs)


_MAPS, _CHANNELS, _CUT = Maps(NO_FLOATS, 0, 0, 0), Channels(0, 0), Cut(0, 0, 0)
_PART = Part(0, 0, 0, 0)

WINOGRAD_CALLS: Mapping[Group, Calls] = {
    "convolution": (
        (tiles_of_maps, (_MAPS, (0, 0), _CUT, _PART, NO_FLOATS)),
        (tiles_of_weight, (StoredWeight(NO_FLOATS, 0, False), _CHANNELS, _CHANNELS, NO_FLOATS)),
        (output_of_tiles, (Products(NO_FLOATS, NO_FLOATS), _MAPS, _CHANNELS, _CUT, _PART)),
    ),
    "gradient of a weight": (
        (tiles_of_gradient, (_MAPS, _CHANNELS, _CUT, _PART, NO_FLOATS)),
        (weight_of_tiles, (NO_FLOATS, 0, _CHANNELS, NO_FLOATS)),
    ),
}
"""For each task the functions that it needs beside those before it, with arguments of the types that they are given."""
