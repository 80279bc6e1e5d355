"""Places for the labels of points in a drawing, so that no label covers a point or another label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]

_DISTANCES = (5, 10, 18, 28, 40, 55, 75, 100)
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
_RADIUS = 4.0  # around a point that stays free
_STEPS = 12  # of a line from a point to its label that stay free


class LabelBox(NamedTuple):
    """A rectangle of a drawing, in its units: corner with the smallest x and y, and size."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: LabelBox) -> bool:
        """Return whether both share more than an edge."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def within(self, other: LabelBox) -> bool:
        """Return whether all of it lies in another."""
        return (
            self.x >= other.x
            and self.y >= other.y
            and self.x + self.width <= other.x + other.width
            and self.y + self.height <= other.y + other.height
        )


class Wanted(NamedTuple):
    """A point that wants a label: sizes (width, height) of its possible labels, the best one first."""

    point: Point
    sizes: Sequence[tuple[float, float]]


class LabelPlace(NamedTuple):
    """The place of a label: which of the possible ones, where, and whether it needs a line to its point."""

    choice: int
    box: LabelBox
    far: bool


def label_places(
    wanted: Sequence[Wanted], points: Sequence[Point], path: Sequence[Point], frame: LabelBox
) -> list[LabelPlace | None]:
    """Return a place for the label of each point in the order of importance; None where no place is free.

    Parameters
    ----------
    points: all points, which stay free.
    path: corners of a line of level and upright parts that no label covers.
    frame: what no label leaves.
    """
    taken = [LabelBox(x - _RADIUS, y - _RADIUS, 2 * _RADIUS, 2 * _RADIUS) for x, y in points]
    straight = [LabelBox(min(a, c) - 0.5, min(b, d) - 0.5, abs(c - a) + 1, abs(d - b) + 1)
                for (a, b), (c, d) in pairwise(path)]  # fmt: skip
    places: list[LabelPlace | None] = []
    for each in wanted:
        place = next((found for found in _candidates(each) if _free(found, each.point, taken, straight, frame)), None)
        places.append(place)
        if place:
            taken.append(place.box)
            taken += [LabelBox(x - 1, y - 1, 2, 2) for x, y in _line(each.point, place.box)] if place.far else []
    return places


def _candidates(wanted: Wanted) -> Iterator[LabelPlace]:
    x, y = wanted.point
    for choice, (width, height) in enumerate(wanted.sizes):
        for distance in _DISTANCES:
            for across, up in _DIRECTIONS:
                left = x + across * distance + (across - 1) * width / 2
                low = y + up * distance + (up - 1) * height / 2
                yield LabelPlace(choice, LabelBox(left, low, width, height), distance > _DISTANCES[1])


def _free(
    place: LabelPlace, point: Point, taken: Sequence[LabelBox], path: Sequence[LabelBox], frame: LabelBox
) -> bool:
    if not place.box.within(frame) or any(place.box.overlaps(box) for box in (*taken, *path)):
        return False
    if not place.far:
        return True
    x, y = point
    others = [box for box in taken if not (box.x < x < box.x + box.width and box.y < y < box.y + box.height)]
    line = [LabelBox(px, py, 0.1, 0.1) for px, py in _line(point, place.box)]
    return not any(step.overlaps(box) for step in line for box in others)


def _line(point: Point, box: LabelBox) -> list[Point]:
    """Return points on the way from a point to the nearest point of its label."""
    end = nearest_point(point, box)
    return [
        (point[0] + (end[0] - point[0]) * k / _STEPS, point[1] + (end[1] - point[1]) * k / _STEPS)
        for k in range(1, _STEPS)
    ]


def nearest_point(point: Point, box: LabelBox) -> Point:
    """Return the point of a rectangle that is nearest to a point outside it."""
    x = min(max(point[0], box.x), box.x + box.width)
    y = min(max(point[1], box.y), box.y + box.height)
    return x, y
