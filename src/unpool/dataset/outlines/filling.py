"""Shapes as the pixels that they fill, each by the rule of the tool that draws it.

Points are float64 (n, 2): x to the right and y down. What lies outside the picture is left out. The rules differ along
the border only, by up to a pixel:

* **Pillow's**, which labelme draws with: the border and what it surrounds.
* **COCO's**: the border is sampled at five points a pixel, and is half inside. CVAT's own export has it too.
* **OpenCV's**: lines between whole pixels, and what they surround. Ultralytics and Supervisely draw so.
* **Centres on whole numbers**, which scikit-image draws by: a pixel is inside if its centre is inside or on the border.
* **Centres between whole numbers**, which Java draws by, and so QuPath and ImageJ: borders run along edges of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from unpool.io.coco_runs import mask_of_runs
from unpool.shapes import Size

OutlinePoints: TypeAlias = NDArray[np.float64]
"""Corners of a shape: x and y, (n, 2)."""

LINE_WIDTH, POINT_RADIUS = 10, 5
"""Pixels by which labelme widens lines and points, which have no area."""

_FAR = 4
"""Sides of the picture by which a shape may reach beyond it."""

_ONE = 1 << 16
"""OpenCV's fixed-point number for a pixel."""

_SAMPLES = 5
"""OutlinePoints a pixel at which COCO samples a border."""


class Patch(NamedTuple):
    """Some pixels of a picture: those of the part from row ``top`` and column ``left`` that are ``inside``."""

    top: int
    left: int
    inside: NDArray[np.bool_]


def require_near(points: OutlinePoints, size: Size) -> None:
    """Raise ValueError where a point lies far outside a picture: drawing would take long, and it is an error."""
    limit = (_FAR + 1) * max(size) + 100
    if points.size and not np.abs(points).max() <= limit:
        x, y = points[np.abs(points).max(axis=1).argmax()]
        raise ValueError(f"a point at {x:g}, {y:g}, far outside the picture of {size[1]} x {size[0]} (width x height)")


def fill_nothing(size: Size) -> Patch:
    """Return no pixels."""
    return Patch(0, 0, np.zeros((0, 0), bool))


def fill_block(block: NDArray[np.bool_], top: int, left: int, size: Size) -> Patch:
    """Return the pixels of a block that lies at a row and a column."""
    rows, columns = block.shape
    up, across = max(-top, 0), max(-left, 0)
    inside = block[up : max(size[0] - top, 0), across : max(size[1] - left, 0)]
    return Patch(top + up, left + across, inside) if rows and columns and inside.size else fill_nothing(size)


def fill_runs(runs: Sequence[int], size: Size) -> Patch:
    """Return the pixels of COCO's runs. Raises ValueError where they do not fit the picture."""
    return _cropped(Patch(0, 0, mask_of_runs(runs, size)))


def _cropped(patch: Patch) -> Patch:
    """Return a patch without empty rows and columns around its pixels."""
    rows = np.flatnonzero(patch.inside.any(axis=1))
    if not rows.size:
        return Patch(0, 0, np.zeros((0, 0), bool))
    inside = patch.inside[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(inside.any(axis=0))
    top, left = patch.top + int(rows[0]), patch.left + int(columns[0])
    return Patch(top, left, inside[:, columns[0] : columns[-1] + 1])


# Pillow's rule


def fill_polygon(points: OutlinePoints, size: Size) -> Patch:
    """Return the pixels of a polygon as labelme draws it."""
    with _Paper(points, 2, size) as paper:
        paper.draw.polygon(_pairs(points), outline=1, fill=1)
    return paper.patch


def fill_rectangle(points: OutlinePoints, size: Size) -> Patch:
    """Return the pixels of a rectangle between two corners as labelme draws it."""
    low, high = points.min(axis=0), points.max(axis=0)
    with _Paper(points, 2, size) as paper:
        paper.draw.rectangle(_pairs(np.array([low, high])), outline=1, fill=1)
    return paper.patch


def fill_circle(points: OutlinePoints, size: Size) -> Patch:
    """Return the pixels of a circle, given by its centre and a point on it, as labelme draws it."""
    return _disc(points[0], math.dist(points[0], points[1]), size)


def fill_line(points: OutlinePoints, size: Size) -> Patch:
    """Return the pixels of a line through some points as labelme draws it, ``LINE_WIDTH`` wide."""
    with _Paper(points, 2 * LINE_WIDTH, size) as paper:
        paper.draw.line(_pairs(points), fill=1, width=LINE_WIDTH)
    return paper.patch


def fill_point(points: OutlinePoints, size: Size) -> Patch:
    """Return the pixels of a point as labelme draws it, a disc of ``POINT_RADIUS``."""
    return _disc(points[0], POINT_RADIUS, size)


def _disc(centre: NDArray[np.float64], radius: float, size: Size) -> Patch:
    corners = np.array([centre - radius, centre + radius])
    with _Paper(corners, 2, size) as paper:
        paper.draw.ellipse(_pairs(corners), outline=1, fill=1)
    return paper.patch


class _Paper:
    """An empty picture to draw on, and the part of it around some points, as a patch, after drawing.

    It is as large as the picture: Pillow rounds coordinates, so drawing elsewhere could differ.
    """

    patch: Patch

    def __init__(self, points: OutlinePoints, margin: int, size: Size) -> None:
        require_near(points, size)
        self._size = size
        low, high = np.floor(points.min(axis=0)) - margin, np.ceil(points.max(axis=0)) + margin + 1
        left, top = np.clip(low, 0, size[::-1]).astype(int).tolist()
        right, bottom = np.clip(high, 0, size[::-1]).astype(int).tolist()
        self._box = left, top, right, bottom
        self._image = Image.new("L", size[::-1])
        self.draw = ImageDraw.Draw(self._image)

    def __enter__(self) -> _Paper:
        return self

    def __exit__(self, *error: object) -> None:
        left, top, right, bottom = self._box
        empty = right <= left or bottom <= top
        self.patch = (
            fill_nothing(self._size) if empty else Patch(top, left, np.asarray(self._image.crop(self._box)) > 0)
        )


def _pairs(points: OutlinePoints) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points.tolist()]


# COCO's rule


def fill_coco(polygons: Sequence[OutlinePoints], size: Size) -> Patch:
    """Return the pixels of one or more polygons as pycocotools draws them: all together are one object."""
    patches = [_coco_patch(points, size) for points in polygons]
    patches = [patch for patch in patches if patch.inside.size]
    if len(patches) == 1:
        return patches[0]
    if not patches:
        return fill_nothing(size)
    top, left = min(patch.top for patch in patches), min(patch.left for patch in patches)
    bottom = max(patch.top + patch.inside.shape[0] for patch in patches)
    right = max(patch.left + patch.inside.shape[1] for patch in patches)
    union = np.zeros((bottom - top, right - left), bool)
    for patch in patches:
        rows, columns = patch.inside.shape
        union[patch.top - top : patch.top - top + rows, patch.left - left : patch.left - left + columns] |= patch.inside
    return Patch(top, left, union)


def _coco_patch(points: OutlinePoints, size: Size) -> Patch:
    """Return the pixels of a polygon: those between an odd and the next border, down the columns.

    The points of a border are the places, counted down the columns, where it lets a column begin or end. This is
    ``rleFrPoly`` of pycocotools, with its rounding.
    """
    require_near(points, size)
    rows, columns = size
    corners = np.trunc(_SAMPLES * points + 0.5).astype(np.int64)
    x, y = _sampled(corners)
    moved = x[1:] != x[:-1]
    before, after, high, low = x[:-1][moved], x[1:][moved], y[:-1][moved], y[1:][moved]
    across = (np.where(after < before, after, after - 1) + 0.5) / _SAMPLES - 0.5
    down = (np.minimum(high, low) + 0.5) / _SAMPLES - 0.5
    kept = (np.floor(across) == across) & (across >= 0) & (across <= columns - 1)
    place_down = np.ceil(np.clip(down[kept], 0, rows)).astype(np.int64)
    places = np.sort(across[kept].astype(np.int64) * rows + place_down)
    if not places.size:
        return fill_nothing(size)
    first, last = int(places[0]) // rows, min(int(places[-1] - 1) // rows, columns - 1)
    if last < first:
        return fill_nothing(size)
    length = (last - first + 1) * rows
    if len(places) % 2:
        places = np.append(places, rows * columns)  # a border that was cut off by the picture's edge
        last, length = columns - 1, (columns - first) * rows
    changes = np.bincount(np.minimum(places - first * rows, length), minlength=length + 1)[:length]
    inside = (np.cumsum(changes) % 2 == 1).reshape(-1, rows).T
    return _cropped(Patch(0, first, inside))


def _sampled(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the points of a closed border, one for each step of its longer side, both ends of each line included."""
    start, end = corners, np.roll(corners, -1, axis=0)
    extent = np.abs(end - start)
    flat = extent[:, 0] >= extent[:, 1]
    reverse = np.where(flat, start[:, 0] > end[:, 0], start[:, 1] > end[:, 1])
    low, high = np.where(reverse[:, np.newaxis], end, start), np.where(reverse[:, np.newaxis], start, end)
    steps = extent.max(axis=1)
    line = np.repeat(np.arange(len(corners)), steps + 1)
    step = np.arange(len(line)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
    step = np.where(reverse[line], steps[line] - step, step)
    along = np.where(flat, 0, 1)
    rise = np.where(flat, high[:, 1] - low[:, 1], high[:, 0] - low[:, 0]) / np.maximum(steps, 1)
    main = step + low[line, along[line]]
    other = np.trunc(low[line, 1 - along[line]] + rise[line] * step + 0.5).astype(np.int64)
    return np.where(flat[line], main, other), np.where(flat[line], other, main)


# OpenCV's rule


def fill_opencv(rings: Sequence[NDArray[np.int64]], size: Size) -> Patch:
    """Return the pixels of rings of whole points as ``cv2.fillPoly`` draws them: what an odd number of rings surrounds.

    The rings themselves are drawn as lines.
    """
    for ring in rings:
        require_near(ring.astype(np.float64), size)
    edges = [np.hstack([np.roll(ring, 1, axis=0), ring]) for ring in rings if len(ring)]
    if not edges:
        return fill_nothing(size)
    lines = np.concatenate(edges)
    low, high = lines.reshape(-1, 2).min(axis=0), lines.reshape(-1, 2).max(axis=0)
    left, top = np.clip(low, 0, size[::-1]).tolist()
    right, bottom = np.clip(high + 1, 0, size[::-1]).tolist()
    if right <= left or bottom <= top:
        return fill_nothing(size)
    cut = np.array([_clipped_line(line, size) for line in lines.tolist()])
    within = np.all((cut >= 0) & (cut < [size[1], size[0], size[1], size[0]]), axis=1)
    x, y = _line_pixels(cut[within])
    inside = _between(*_opencv_crossings(lines, cut), (top, bottom, left, right))
    inside[y - top, x - left] = True
    return Patch(top, left, inside)


def _clipped_line(line: Sequence[int], size: Size) -> list[int]:
    """Return a line cut off at the picture's edges, with OpenCV's rounding; a line outside is not cut at both ends."""
    ends = [list(line[:2]), list(line[2:])]
    most = size[1] - 1, size[0] - 1
    for axis in (1, 0):
        sides = [-1 if end[axis] < 0 else int(end[axis] > most[axis]) for end in ends]
        beyond = [[-1 if end[k] < 0 else int(end[k] > most[k]) for k in (0, 1)] for end in ends]
        if any(one and one == other for one, other in zip(*beyond, strict=True)):
            break
        for place, side in enumerate(sides):
            if side:
                end, edge = ends[place], 0 if side < 0 else most[axis]
                (x1, y1), (x2, y2) = ends
                run = (x2 - x1, y2 - y1)
                end[1 - axis] += int((edge - end[axis]) * run[1 - axis] / run[axis])
                end[axis] = edge
    return [*ends[0], *ends[1]]


def _line_pixels(lines: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return x and y of the pixels of lines (x1, y1, x2, y2) by Bresenham's rule, drawn from left to right."""
    start, end = lines[:, :2], lines[:, 2:]
    exchanged = (end[:, 0] < start[:, 0])[:, np.newaxis]
    start, end = np.where(exchanged, end, start), np.where(exchanged, start, end)
    extent, sign = np.abs(end - start), np.where(end < start, -1, 1)
    steep = extent[:, 1] > extent[:, 0]
    longer, shorter = extent.max(axis=1), extent.min(axis=1)
    line = np.repeat(np.arange(len(lines)), longer + 1)
    step = np.arange(len(line)) - np.repeat(np.cumsum(longer + 1) - (longer + 1), longer + 1)
    aside = -((longer[line] - 2 * shorter[line] * step) // np.maximum(2 * longer[line], 1))
    x = start[line, 0] + sign[line, 0] * np.where(steep[line], aside, step)
    y = start[line, 1] + sign[line, 1] * np.where(steep[line], step, aside)
    return x, y


def _opencv_crossings(
    lines: NDArray[np.int64], cut: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return rows, and first and last columns, of what lies between the lines (x1, y1, x2, y2) in each row.

    Parameters
    ----------
    cut: the lines, cut off at the picture's edges, which give their slopes.
    """
    used = np.where((cut[:, 1] != cut[:, 3])[:, np.newaxis], cut, lines)
    x, y = used[:, [0, 2]] * _ONE, used[:, [1, 3]]
    run, rise = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    slope = np.sign(run) * np.sign(rise) * (np.abs(run) // np.maximum(np.abs(rise), 1))
    upper = np.where(lines[:, 1] < lines[:, 3], 0, 1)
    each, top = np.arange(len(lines)), np.minimum(lines[:, 1], lines[:, 3])
    begin = x[each, upper] + (top - y[each, upper]) * slope
    heights = np.abs(lines[:, 1] - lines[:, 3])
    line = np.repeat(each, heights)
    step = np.arange(len(line)) - np.repeat(np.cumsum(heights) - heights, heights)
    rows, places = top[line] + step, begin[line] + slope[line] * step
    order = np.lexsort((places, rows))
    rows, places = rows[order], places[order]
    return rows[::2], (places[::2] + _ONE - 1) // _ONE, places[1::2] // _ONE


# Rules of centres


def fill_centres(rings: Sequence[OutlinePoints], size: Size) -> Patch:
    """Return the pixels whose centres, at row + 0.5 and column + 0.5, an odd number of rings surrounds.

    A centre on a border belongs to the right and the lower side of it. So shapes that share a border share no pixel,
    and rings along edges of pixels give exactly these pixels.
    """
    rows, first, last = _row_crossings([ring - 0.5 for ring in rings], size)
    return _between_patch(rows, np.ceil(first), np.ceil(last) - 1, rings, size)


def fill_to_border(points: OutlinePoints, size: Size) -> Patch:
    """Return the pixels whose centres, at whole numbers, lie in a polygon or on its border, as scikit-image does."""
    rows, first, last = _row_crossings([points], size)
    patch = _between_patch(rows, np.ceil(first), np.floor(last), [points], size)
    inside = patch.inside
    start, end = np.roll(points, 1, axis=0), points
    for (x1, y1), (x2, y2) in zip(start.tolist(), end.tolist(), strict=True):
        row, left = int(y1) - patch.top, patch.left
        if y1 == y2 and y1 == int(y1) and 0 <= row < inside.shape[0]:
            inside[row, max(math.ceil(min(x1, x2)) - left, 0) : max(math.floor(max(x1, x2)) - left + 1, 0)] = True
        row = int(y2) - patch.top
        if (x2, y2) == (int(x2), int(y2)) and 0 <= row < inside.shape[0] and 0 <= x2 - left < inside.shape[1]:
            inside[row, int(x2) - left] = True
    return patch


def fill_ellipse(centre: tuple[float, float], radii: tuple[float, float], turn: float, size: Size) -> Patch:
    """Return the pixels whose centres, at whole numbers, lie within an ellipse, as scikit-image does.

    Parameters
    ----------
    centre, radii: along x and y.
    turn: its angle from the x axis towards the y axis, which points down, in radians.
    """
    reach = max(radii)
    corners = np.array(centre) + np.array([[-reach, -reach], [reach, reach]])
    require_near(corners, size)
    left, top = np.clip(np.floor(corners[0]), 0, size[::-1]).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners[1]) + 1, 0, size[::-1]).astype(int).tolist()
    if right <= left or bottom <= top or min(radii) <= 0:
        return fill_nothing(size)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float64)
    x, y = x - centre[0], y - centre[1]
    along, aside = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return Patch(top, left, (along / radii[0]) ** 2 + (aside / radii[1]) ** 2 < 1)


def _row_crossings(
    rings: Sequence[OutlinePoints], size: Size
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows that rings cross, and x of the two borders of each part inside; y of a row is a whole number."""
    for ring in rings:
        require_near(ring, size)
    start = np.concatenate([np.roll(ring, 1, axis=0) for ring in rings])
    end = np.concatenate(list(rings))
    upper = np.where((start[:, 1] <= end[:, 1])[:, np.newaxis], start, end)
    lower = np.where((start[:, 1] <= end[:, 1])[:, np.newaxis], end, start)
    first = np.clip(np.ceil(upper[:, 1]), 0, size[0]).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1]), 0, size[0]).astype(np.int64)
    line = np.repeat(np.arange(len(start)), last - first)
    rows = np.arange(len(line)) - np.repeat(np.cumsum(last - first) - last, last - first)
    rise = lower[line, 1] - upper[line, 1]
    places = upper[line, 0] + (rows - upper[line, 1]) * (lower[line, 0] - upper[line, 0]) / rise
    order = np.lexsort((places, rows))
    rows, places = rows[order], places[order]
    return rows[::2], places[::2], places[1::2]


def _between_patch(
    rows: NDArray[np.int64],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    rings: Sequence[OutlinePoints],
    size: Size,
) -> Patch:
    """Return the pixels from the first to the last column of each row, as a patch around the rings."""
    corners = np.concatenate(list(rings))
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, size[::-1]).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, size[::-1]).astype(int).tolist()
    if right <= left or bottom <= top:
        return fill_nothing(size)
    spans = rows, first.astype(np.int64), last.astype(np.int64)
    return Patch(top, left, _between(*spans, (top, bottom, left, right)))


def _between(
    rows: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    box: tuple[int, int, int, int],
) -> NDArray[np.bool_]:
    """Return which pixels of a box (top, bottom, left, right) lie in one of the spans of columns, ends included."""
    top, bottom, left, right = box
    kept = (rows >= top) & (rows < bottom) & (first <= last) & (last >= left) & (first < right)
    rows, first, last = rows[kept] - top, first[kept] - left, last[kept] - left
    changes = np.zeros((bottom - top, right - left + 1), np.int32)
    np.add.at(changes, (rows, np.maximum(first, 0)), 1)
    np.add.at(changes, (rows, np.minimum(last, right - left - 1) + 1), -1)
    return np.cumsum(changes, axis=1)[:, :-1] > 0
