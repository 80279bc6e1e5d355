"""Weight maps by hand, and by the distance from every pixel to every other."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.data.weight_maps import Emphasis, emphasis_map

Map = NDArray[np.float32]


def labels_of(*rows: str) -> NDArray[np.uint8]:
    """One digit a pixel; ``x`` is ignored."""
    return np.array([[IGNORE_ID if pixel == "x" else int(pixel) for pixel in row] for row in rows], np.uint8)


def gaussian(distance: float, strength: float, sigma: float) -> float:
    return strength * math.exp(-(distance**2) / (2 * sigma**2))


def slowly(shape: tuple[int, ...], weight: Callable[[tuple[int, ...]], float]) -> Map:
    return np.array([weight(place) for place in np.ndindex(*shape)], np.float32).reshape(shape)


def separation_slowly(labels: NDArray[np.uint8], objects: NDArray[np.int32], emphasis: Emphasis) -> Map:
    """The distance from every pixel to every pixel of every object."""
    numbers = [number for number in np.unique(objects[labels != IGNORE_ID]) if number]
    pixels = [np.argwhere((objects == number) & (labels != IGNORE_ID)) for number in numbers]

    def weight(place: tuple[int, ...]) -> float:
        distances = sorted(np.hypot(*(own - place).T).min() for own in pixels)
        if labels[place] != 0 or len(distances) < 2:
            return 0.0
        return gaussian(distances[0] + distances[1], emphasis.strength, emphasis.sigma)

    return slowly(labels.shape, weight)


def boundary_slowly(labels: NDArray[np.uint8], emphasis: Emphasis) -> Map:
    """The distance from every pixel to every pixel of another class."""

    def weight(place: tuple[int, ...]) -> float:
        others = np.argwhere((labels != labels[place]) & (labels != IGNORE_ID))
        if labels[place] == IGNORE_ID or not len(others):
            return 0.0
        return gaussian(np.hypot(*(others - place).T).min(), emphasis.strength, emphasis.sigma)

    return slowly(labels.shape, weight)


def flooded(labels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Objects as regions of neighbours above, below, left and right, by flooding."""
    objects = np.zeros(labels.shape, np.int32)
    for start in np.argwhere((labels != 0) & (labels != IGNORE_ID)):
        queue = [tuple(start)] if not objects[tuple(start)] else []
        number = objects.max() + 1
        while queue:
            row, column = queue.pop()
            inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
            if inside and labels[row, column] not in {0, IGNORE_ID} and not objects[row, column]:
                objects[row, column] = number
                queue += [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return objects


def test_separation_by_hand() -> None:
    """Two objects with three pixels between them; the sum of both distances is 4 on each of these."""
    found = emphasis_map(labels_of("0110001"), None, Emphasis("separation", 10.0, 5.0))
    between, left = gaussian(1 + 3, 10, 5), gaussian(1 + 6, 10, 5)
    assert (found.shape, found.dtype) == ((1, 7), np.float32)
    assert found[0] == pytest.approx([left, 0, 0, between, between, between, 0])


def test_diagonal_distances_are_euclidean() -> None:
    found = emphasis_map(labels_of("100", "000", "001"), None, Emphasis("separation", 1.0, 2.0))
    assert found[1, 1] == pytest.approx(gaussian(2 * math.sqrt(2), 1, 2))
    assert found[0, 1] == pytest.approx(gaussian(1 + math.sqrt(5), 1, 2))


def test_pixels_that_touch_at_a_corner_are_two_objects() -> None:
    assert emphasis_map(labels_of("100", "020"), None, Emphasis("separation", 1.0, 2.0))[0, 1] > 0
    assert not emphasis_map(labels_of("110", "020"), None, Emphasis("separation", 1.0, 2.0)).any()


def test_numbered_objects_may_touch() -> None:
    labels = labels_of("011110")
    touching = np.array([[0, 7, 7, 300, 300, 0]], np.int32)
    emphasis = Emphasis("separation", 10.0, 5.0)
    assert not emphasis_map(labels, None, emphasis).any()
    assert emphasis_map(labels, touching, emphasis)[0] == pytest.approx(
        [gaussian(4, 10, 5), 0, 0, 0, 0, gaussian(4, 10, 5)]
    )


def test_ignored_pixels_are_no_objects_and_have_no_weight() -> None:
    labels, objects = labels_of("01x0100"), np.array([[0, 1, 2, 0, 3, 0, 0]], np.int32)
    emphasis = Emphasis("separation", 1.0, 5.0)
    expected = [gaussian(1 + 4, 1, 5), 0, 0, gaussian(1 + 2, 1, 5), 0, gaussian(1 + 4, 1, 5), gaussian(2 + 5, 1, 5)]
    assert emphasis_map(labels, objects, emphasis)[0] == pytest.approx(expected)
    assert emphasis_map(labels, None, emphasis)[0] == pytest.approx(expected)
    found = emphasis_map(labels_of("00xx011"), None, Emphasis("boundary", 1.0, 5.0))
    assert found[0] == pytest.approx([gaussian(d, 1, 5) if d else 0 for d in (5, 4, 0, 0, 1, 1, 2)])


def test_boundary_by_hand() -> None:
    found = emphasis_map(labels_of("0003", "0003"), None, Emphasis("boundary", 4.0, 2.0))
    assert found == pytest.approx(np.array([[gaussian(d, 4, 2) for d in (3, 2, 1, 1)]] * 2))


@pytest.mark.parametrize("kind", ["separation", "boundary"])
@pytest.mark.parametrize(
    "labels", [labels_of("000"), labels_of("1"), labels_of("xxx"), labels_of("x1x"), labels_of("11", "11")]
)
def test_without_a_neighbour_there_is_no_weight(kind: str, labels: NDArray[np.uint8]) -> None:
    assert not emphasis_map(labels, None, Emphasis(kind, 10.0, 5.0)).any()  # type: ignore[arg-type]


def patches(seed: int, rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Random rectangles: objects with gaps in their numbers, their classes 1 to 4, some pixels ignored."""
    random = np.random.default_rng(seed)
    objects, classes = np.zeros((rows, columns), np.int32), np.zeros((rows, columns), np.uint8)
    for _ in range(random.integers(0, 8)):
        top, left = random.integers(0, rows), random.integers(0, columns)
        place = np.s_[top : top + random.integers(1, 6), left : left + random.integers(1, 6)]
        objects[place], classes[place] = random.integers(1, 30), random.integers(1, 5)
    classes[random.random((rows, columns)) < random.choice([0, 0.1])] = IGNORE_ID
    return classes, objects


CASES = (st.integers(0, 10**6), st.integers(1, 24), st.integers(1, 30), st.sampled_from([0.5, 1.5, 5.0]))


@settings(deadline=None, max_examples=60)
@given(*CASES, st.booleans())
def test_separation_is_its_definition(seed: int, rows: int, columns: int, sigma: float, numbered: bool) -> None:
    labels, objects = patches(seed, rows, columns)
    emphasis = Emphasis("separation", 10.0, sigma)
    found = emphasis_map(labels, objects if numbered else None, emphasis)
    expected = separation_slowly(labels, objects if numbered else flooded(labels), emphasis)
    np.testing.assert_allclose(found, expected, atol=1e-3 * emphasis.strength)


@settings(deadline=None, max_examples=60)
@given(*CASES)
def test_boundary_is_its_definition(seed: int, rows: int, columns: int, sigma: float) -> None:
    labels, _ = patches(seed, rows, columns)
    emphasis = Emphasis("boundary", 10.0, sigma)
    np.testing.assert_allclose(
        emphasis_map(labels, None, emphasis), boundary_slowly(labels, emphasis), rtol=1e-4, atol=1e-6
    )


def test_hundreds_of_objects_take_a_moment() -> None:
    """Work for each object is in proportion to its surroundings, not to the picture."""
    import time

    corner = np.zeros((40, 40), np.int32)
    corner[5:35, 6:36] = 1
    objects = np.cumsum(np.ones((20, 20), np.int32)).reshape(20, 20).astype(np.int32).repeat(40, 0).repeat(40, 1)
    objects *= np.tile(corner, (20, 20))
    begun = time.perf_counter()
    found = emphasis_map((objects > 0).astype(np.uint8), objects, Emphasis("separation", 10.0, 5.0))
    assert time.perf_counter() - begun < 3  # 400 transforms of the whole picture would take ten times as long
    # All squares lie 10 apart from left to right: the sum of both distances is 11 in each gap's middle row.
    assert found[20, 36:46] == pytest.approx([gaussian(11, 10, 5)] * 10)
