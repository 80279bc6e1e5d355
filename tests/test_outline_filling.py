"""Pixels of outlines: by hand, and as the tools themselves draw them, where they are installed."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk, ellipse, polygon

from unpool.dataset.outlines import filling
from unpool.dataset.outlines.filling import Patch
from unpool.io.coco_runs import coco_text, mask_of_runs, runs_of_coco_text, runs_of_mask
from unpool.shapes import Size

SIZE = (37, 53)


def whole(patch: Patch, size: Size = SIZE) -> NDArray[np.bool_]:
    """The pixels of a patch in the whole picture."""
    mask = np.zeros(size, bool)
    rows, columns = patch.inside.shape
    mask[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.inside
    return mask


def shapes(count: int, margin: float = 0.3, digits: int = 3) -> list[NDArray[np.float64]]:
    """Polygons that cross themselves, reach beyond the picture, and have whole, half and equal coordinates."""
    rng = np.random.default_rng(7)
    found = []
    for k in range(count):
        corners = rng.integers(3, 9)
        points = rng.uniform(-margin, 1 + margin, (corners, 2)) * SIZE[::-1]
        if k % 3 == 0:
            points = np.round(points)
        if k % 3 == 1:
            points = np.round(points * 2) / 2
        if k % 5 == 0:
            points[1] = points[0]
        if k % 7 == 0:
            points[1, 1] = points[0, 1]
        found.append(np.round(points, digits))
    return found


TRIANGLE = np.array([[1.0, 1.0], [4.0, 1.0], [4.0, 4.0]])


def text(mask: NDArray[np.bool_]) -> str:
    """A mask as letters."""
    return " ".join("".join("#" if each else "." for each in row) for row in mask)


@pytest.mark.parametrize(
    ("patch", "letters"),
    [
        (filling.fill_polygon(TRIANGLE, (5, 6)), "...... .####. ..###. ...##. ....#."),
        (filling.fill_coco([TRIANGLE], (5, 6)), "...... ..##.. ...#.. ...... ......"),
        (filling.fill_opencv([TRIANGLE.astype(np.int64)], (5, 6)), "...... .####. ..###. ...##. ....#."),
        (filling.fill_to_border(TRIANGLE, (5, 6)), "...... .####. ..###. ...##. ....#."),
        (filling.fill_centres([TRIANGLE], (5, 6)), "...... .###.. ..##.. ...#.. ......"),
    ],
)
def test_a_triangle_by_every_rule(patch: Patch, letters: str) -> None:
    assert text(whole(patch, (5, 6))) == letters


def test_blocks_are_cut_off_at_the_edges() -> None:
    block = np.ones((3, 3), bool)
    assert text(whole(filling.fill_block(block, -1, 4, (4, 6)), (4, 6))) == "....## ....## ...... ......"
    assert not whole(filling.fill_block(block, 9, 9, (4, 6)), (4, 6)).any()
    assert not whole(filling.fill_block(block, -3, 0, (4, 6)), (4, 6)).any()


@pytest.mark.parametrize(
    "fill",
    [filling.fill_polygon, filling.fill_to_border, lambda p, s: filling.fill_coco([p], s),
     lambda p, s: filling.fill_centres([p], s), lambda p, s: filling.fill_opencv([p.astype(np.int64)], s)],
)  # fmt: skip
def test_a_point_far_outside_is_refused_and_shapes_beside_the_picture_are_empty(fill) -> None:
    with pytest.raises(ValueError, match="far outside the picture of 53 x 37"):
        fill(np.array([[0.0, 0.0], [1e7, 0.0], [0.0, 9.0]]), SIZE)
    beside = np.array([[60.0, 40.0], [80.0, 40.0], [80.0, 60.0]])
    assert not whole(fill(beside, SIZE)).any()
    assert not whole(fill(beside - 130, SIZE)).any()


@pytest.fixture
def labelme_shape(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of labelme that draws, without its windows."""
    spec = find_spec("labelme")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("labelme is not installed")
    label_file = ModuleType("labelme._label_file")
    label_file.ShapeDict = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "labelme", ModuleType("labelme"))
    monkeypatch.setitem(sys.modules, "labelme._label_file", label_file)
    path = Path(spec.submodule_search_locations[0]) / "utils" / "shape.py"
    drawing = spec_from_file_location("labelme_shape", path)
    assert drawing is not None
    assert drawing.loader is not None
    module = module_from_spec(drawing)
    drawing.loader.exec_module(module)
    return module


def test_labelme_draws_the_same(labelme_shape: ModuleType) -> None:
    shape = labelme_shape
    for points in shapes(200):
        assert np.array_equal(whole(filling.fill_polygon(points, SIZE)), shape.shape_to_mask(SIZE, points.tolist()))
        two = points[:2]
        for kind, fill in (
            ("rectangle", filling.fill_rectangle),
            ("circle", filling.fill_circle),
            ("line", filling.fill_line),
        ):
            assert np.array_equal(whole(fill(two, SIZE)), shape.shape_to_mask(SIZE, two.tolist(), kind)), (kind, two)
        assert np.array_equal(
            whole(filling.fill_line(points, SIZE)), shape.shape_to_mask(SIZE, points.tolist(), "linestrip")
        )
        one = points[:1]
        assert np.array_equal(whole(filling.fill_point(one, SIZE)), shape.shape_to_mask(SIZE, one.tolist(), "point"))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_pycocotools_draws_the_same() -> None:
    masks = pytest.importorskip("pycocotools.mask")
    polygons = shapes(400, digits=2)
    for k, points in enumerate(polygons):
        several = [points, polygons[k - 1]] if k % 4 == 0 else [points]
        runs = masks.frPyObjects([each.reshape(-1).tolist() for each in several], *SIZE)
        expected = masks.decode(masks.merge(runs)).astype(bool)
        assert np.array_equal(whole(filling.fill_coco(several, SIZE)), expected), points


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_pycocotools_codes_the_same() -> None:
    masks = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(3)
    for k in range(60):
        mask = rng.random(SIZE) < (k / 59) ** 3
        if k % 3 == 0:
            mask = np.repeat(mask[:1, :1], SIZE[0], 0) | (rng.random(SIZE) < 1e-3)
        coded = masks.encode(np.asfortranarray(np.broadcast_to(mask, SIZE).astype(np.uint8)))
        own = runs_of_mask(np.broadcast_to(mask, SIZE))
        assert coco_text(own) == coded["counts"].decode()
        assert runs_of_coco_text(coded["counts"].decode()) == own
        assert np.array_equal(mask_of_runs(own, SIZE), np.broadcast_to(mask, SIZE))


def test_runs_that_do_not_fit_are_refused() -> None:
    for runs in ([4, 5], [10, -1], [10**15]):
        with pytest.raises(ValueError, match="run"):
            mask_of_runs(runs, (2, 4))
    for letters in ("é", "o", "oooooooooooooooooo"):
        with pytest.raises(ValueError, match="text of runs"):
            runs_of_coco_text(letters)


@pytest.mark.parametrize("inside", [True, False])
def test_opencv_draws_the_same(inside: bool) -> None:
    """Exactly where no point lies outside; else nearly always."""
    cv2 = pytest.importorskip("cv2")
    polygons = [np.trunc(points).astype(np.int64) for points in shapes(500)]
    if inside:
        polygons = [np.clip(ring, 0, [SIZE[1] - 1, SIZE[0] - 1]) for ring in polygons]
    different = 0
    for k, ring in enumerate(polygons):
        rings: Sequence[NDArray[np.int64]] = [ring, polygons[k - 1]] if k % 4 == 0 else [ring]
        expected = np.zeros(SIZE, np.uint8)
        cv2.fillPoly(expected, [each.astype(np.int32) for each in rings], 1)
        wrong = np.count_nonzero(whole(filling.fill_opencv(rings, SIZE)) != (expected > 0))
        assert not (inside and wrong), rings
        different += wrong > 0
    assert different <= 20


def test_scikit_image_draws_the_same() -> None:
    for points in shapes(300):
        expected = np.zeros(SIZE, bool)
        expected[polygon(points[:, 1], points[:, 0], SIZE)] = True
        wrong = np.count_nonzero(whole(filling.fill_to_border(points, SIZE)) != expected)
        assert wrong <= 1, points  # of a centre on a border, by the rounding of floats
    for x, y, r in ((5.0, 6.0, 4.0), (50.5, 30.25, 7.5), (-3.0, 4.0, 9.0)):
        expected = np.zeros(SIZE, bool)
        expected[disk((y, x), r, shape=SIZE)] = True
        assert np.array_equal(whole(filling.fill_ellipse((x, y), (r, r), 0.0, SIZE)), expected)
        expected[:] = False
        expected[ellipse(y, x, r / 2, r, shape=SIZE, rotation=-math.radians(30))] = True
        assert np.array_equal(whole(filling.fill_ellipse((x, y), (r, r / 2), math.radians(30), SIZE)), expected)


def test_centres_between_whole_numbers_by_brute_force() -> None:
    for points in shapes(20):
        expected = np.zeros(SIZE, bool)
        for row, column in np.ndindex(*SIZE):
            y, x, inside = row + 0.5, column + 0.5, False
            for (x1, y1), (x2, y2) in zip(np.roll(points, 1, axis=0).tolist(), points.tolist(), strict=True):
                if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
                    inside = not inside
            expected[row, column] = inside
        differ = whole(filling.fill_centres([points], SIZE)) != expected
        assert differ.sum() <= 4, points  # a centre on a border, which one rule counts and the other does not


def test_neighbours_share_no_pixel() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        middle = rng.uniform(5, 30, 2)
        corners = np.array([[0.0, 0.0], [53.0, 0.0], [53.0, 37.0], [0.0, 37.0]])
        parts = [
            whole(filling.fill_centres([np.array([corners[k], corners[(k + 1) % 4], middle])], SIZE)) for k in range(4)
        ]
        assert np.array_equal(sum(part.astype(int) for part in parts), np.ones(SIZE, int))
