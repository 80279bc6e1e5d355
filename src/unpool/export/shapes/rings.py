"""Rings along the edges of pixels that surround the regions of a picture exactly, with their holes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ring: TypeAlias = NDArray[np.int64]
"""Corners of pixels, x and y (n, 2), clockwise as they are seen for a border, the other way for a hole. Not closed."""

RegionNumbers: TypeAlias = NDArray[np.int32]
"""(rows, columns): the number of each pixel's region; 0 for no region."""

_RIGHT, _DOWN, _LEFT, _UP = range(4)
"""Directions along a border, each a right turn from the one before. The region is on the right."""


class ConnectedPart(NamedTuple):
    """A connected part of a region: its border and the borders of its holes."""

    border: Ring
    holes: tuple[Ring, ...]


class _Lines(NamedTuple):
    """Straight pieces of borders: the part on their right, their direction, and the corners where they begin and end.

    Corners are numbered along the rows.
    """

    part: NDArray[np.int64]
    direction: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def region_parts(numbers: RegionNumbers, *, corners: bool = False) -> dict[int, list[ConnectedPart]]:
    """Return the connected parts of each region, by its number.

    Parameters
    ----------
    corners: whether pixels that share only a corner are connected. Then a border may pass through a corner twice; else
        all rings are simple, and touch each other and themselves in no more than single corners, as polygons have to.
    """
    parts, owners = _connected_parts(numbers, corners)
    lines = _lines(parts)
    width = numbers.shape[1] + 1
    found: dict[int, list[ConnectedPart]] = {}
    for part, rings in _rings_by_part(lines, corners).items():
        points = [np.stack([ring % width, ring // width], axis=1) for ring in rings]
        areas = [_signed_area(each) for each in points]
        (border,) = [each for each, area in zip(points, areas, strict=True) if area > 0]
        holes = tuple(each for each, area in zip(points, areas, strict=True) if area < 0)
        found.setdefault(int(owners[part]), []).append(ConnectedPart(border, holes))
    return dict(sorted(found.items()))


def border_pixels(border: Ring) -> Ring:
    """Return the pixels along the inside of a border, in its order: x and y of those where the direction changes.

    Lines from pixel to pixel go straight or diagonally, so that they pass through no other pixels.
    """
    ends = np.roll(border, -1, axis=0)
    steps = np.abs(ends - border).max(axis=1)
    line = np.repeat(np.arange(len(border)), steps)
    step = np.arange(len(line)) - np.repeat(np.cumsum(steps) - steps, steps)
    along = np.sign(ends - border)
    # the pixel on the right of an edge: an edge to the right has it below, one to the left above
    shift = np.stack([np.minimum(along[:, 0], 0) + np.minimum(-along[:, 1], 0), np.minimum(along[:, 1], 0)
                      + np.minimum(along[:, 0], 0)], axis=1)  # fmt: skip
    pixels = border[line] + along[line] * step[:, np.newaxis] + shift[line]
    pixels = pixels[np.any(pixels != np.roll(pixels, 1, axis=0), axis=1)] if len(pixels) > 1 else pixels
    if not len(pixels):
        single: Ring = border[:1] + shift[:1]
        return single
    moves = np.roll(pixels, -1, axis=0) - pixels
    bends: Ring = pixels[np.any(moves != np.roll(moves, 1, axis=0), axis=1)] if len(pixels) > 2 else pixels
    return bends


def _connected_parts(numbers: RegionNumbers, corners: bool) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the number of each pixel's connected part, -1 for no region, and the region of each part."""
    changes = np.ones(numbers.shape, bool)
    changes[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    runs = (np.cumsum(changes, dtype=np.int32) - 1).reshape(numbers.shape)
    owners = numbers[changes]
    first, later, whole = slice(None, -1), slice(1, None), slice(None)
    below = [((first, whole), (later, whole))]
    aside = [((first, first), (later, later)), ((first, later), (later, first))]
    links = []
    for one, other in below + (aside if corners else []):
        same = (numbers[one] == numbers[other]) & (numbers[one] != 0)
        pairs = np.stack([runs[one][same], runs[other][same]])
        links.append(pairs[:, np.any(np.diff(pairs, prepend=-1), axis=0)])
    joined = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(joined.shape[1], bool), (joined[0], joined[1])), shape=(len(owners), len(owners)))
    count, of_run = connected_components(graph, directed=False)
    owner_of_part = np.zeros(count, np.int32)
    owner_of_part[of_run] = owners
    of_run = np.where(owners == 0, -1, of_run).astype(np.int32)
    return of_run[runs], owner_of_part


def _lines(parts: NDArray[np.int32]) -> _Lines:
    """Return the straight pieces of all borders."""
    padded = np.pad(parts, 1, constant_values=-1)
    width = parts.shape[1] + 1
    above, below = padded[:-1, 1:-1], padded[1:, 1:-1]
    left, right = padded[1:-1, :-1], padded[1:-1, 1:]
    found = []
    for owner, other, direction in (
        (below, above, _RIGHT),
        (left, right, _DOWN),
        (above, below, _LEFT),
        (right, left, _UP),
    ):
        upright = direction in (_DOWN, _UP)
        lines, first, last, owners = _stretches(owner.T if upright else owner, other.T if upright else other)
        low = first * width + lines if upright else lines * width + first
        high = last * width + lines if upright else lines * width + last
        start, end = (low, high) if direction in (_RIGHT, _DOWN) else (high, low)
        found.append(_Lines(owners, np.full(len(owners), direction, np.int64), start, end))
    return _Lines(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _stretches(
    owner: NDArray[np.int32], other: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return line, first and end place, and owner of each stretch on which one part borders on something else."""
    edge = (owner != other) & (owner >= 0)
    goes_on = edge[:, 1:] & edge[:, :-1] & (owner[:, 1:] == owner[:, :-1])
    begins, ends = edge.copy(), edge.copy()
    begins[:, 1:] &= ~goes_on
    ends[:, :-1] &= ~goes_on
    lines, first = np.nonzero(begins)
    _, last = np.nonzero(ends)
    return lines, first, last + 1, owner[lines, first].astype(np.int64)


def _rings_by_part(lines: _Lines, corners: bool) -> dict[int, list[NDArray[np.int64]]]:
    """Return the rings of each part, as numbers of corners."""
    following = _following(lines, LEFT_TURN if corners else RIGHT_TURN).tolist()
    starts, owners = lines.start.tolist(), lines.part.tolist()
    found: dict[int, list[NDArray[np.int64]]] = {}
    done = bytearray(len(starts))
    for first in range(len(starts)):
        ring, line = [], first
        while not done[line]:
            done[line] = 1
            ring.append(starts[line])
            line = following[line]
        if ring:
            rings = [ring] if corners else _simple(ring)
            found.setdefault(owners[first], []).extend(np.array(each, np.int64) for each in rings)
    return found


RIGHT_TURN, LEFT_TURN = 1, 3
"""Turns from one direction to the next."""


def _following(lines: _Lines, preferred: int) -> NDArray[np.int64]:
    """Return the piece that follows each piece of a border; where two do, the one with the preferred turn."""
    most = int(max(lines.start.max(initial=0), lines.end.max(initial=0))) + 1
    keys = (lines.part * most + lines.start) * 4 + lines.direction
    order = np.argsort(keys)
    keys = keys[order]
    at_end = (lines.part * most + lines.end) * 4
    place = np.searchsorted(keys, at_end + (lines.direction + preferred) % 4)
    wanted = at_end + (lines.direction + preferred) % 4
    fits = keys[np.minimum(place, len(keys) - 1)] == wanted if len(keys) else np.zeros(0, bool)
    other = np.searchsorted(keys, at_end + (lines.direction - preferred) % 4)
    following: NDArray[np.int64] = order[np.where(fits, place, other)]
    return following


def _simple(ring: Sequence[int]) -> Iterator[list[int]]:
    """Yield the rings of which a ring is made that passes through some corners twice."""
    if len(set(ring)) == len(ring):
        yield list(ring)
        return
    path: list[int] = []
    places: dict[int, int] = {}
    for corner in ring:
        if corner in places:
            place = places[corner]
            cut = path[place:]
            yield cut
            for each in cut:
                del places[each]
            del path[place:]
        places[corner] = len(path)
        path.append(corner)
    yield path


def _signed_area(ring: Ring) -> int:
    following = np.roll(ring, -1, axis=0)
    return int((ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1]).sum())
