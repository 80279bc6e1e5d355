"""The separation of touching objects: by hand, by a literal flooding, and by strips of any height."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from unpool.objects.flooding import basins, renumbered
from unpool.objects.separation import BY_BORDERS, BY_PROBABILITY, ObjectStream, Separation, separated

SURE = Separation(core=0.5, smoothing=0.0, depth=1.0, share=0.0)


def discs(*places: tuple[float, float, float], size: tuple[int, int] = (40, 60)) -> NDArray[np.uint8]:
    rows, columns = np.indices(size)
    inside = [(rows - row) ** 2 + (columns - column) ** 2 <= radius**2 for row, column, radius in places]
    return np.any(inside, axis=0).astype(np.uint8)


def sure(prediction: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.full(prediction.shape, 255, np.uint8)


def literal_basins(heights: NDArray[np.float64], inside: NDArray[np.bool_], depth: float) -> NDArray[np.int32]:
    """The same flooding, one level set at a time, with dictionaries."""
    owner: dict[tuple[int, int], int] = {}
    parent: dict[int, int] = {}
    peak: dict[int, float] = {}

    def root(basin: int) -> int:
        while parent[basin] != basin:
            basin = parent[basin]
        return basin

    places = sorted(map(tuple, np.argwhere(inside).tolist()), key=lambda p: -heights[p])
    for row, column in places:
        around = [(row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
        earlier = [place for place in around if place in owner]
        if not earlier:
            basin = len(parent) + 1
            parent[basin], peak[basin] = basin, heights[row, column]
            owner[row, column] = basin
            continue
        owner[row, column] = root(owner[max(earlier, key=lambda p: heights[p])])
        for place in earlier:
            one, other = sorted((root(owner[place]), root(owner[row, column])), key=lambda b: (peak[b], -b))
            if one != other and (peak[one] <= 0 or peak[one] - heights[row, column] < depth):
                parent[one] = other
    found = np.zeros(heights.shape, np.int32)
    for place, basin in owner.items():
        found[place] = root(basin)
    return renumbered(found)


@pytest.mark.parametrize("seed", range(6))
def test_flooding_is_the_literal_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    heights = ndimage.gaussian_filter(random.normal(size=(24, 30)), 1.5) * 9
    inside = heights > -2
    np.testing.assert_array_equal(basins(heights, inside, 1.5, 0.0), literal_basins(heights, inside, 1.5))


def test_numbers_follow_the_first_pixels() -> None:
    assert renumbered(np.array([[0, 9, 9], [4, 4, 9], [7, 0, 0]])).tolist() == [[0, 1, 1], [2, 2, 1], [3, 0, 0]]
    assert renumbered(np.array([[5, 3]])).tolist() == [[1, 2]]


def test_two_discs_that_touch_are_two_objects() -> None:
    touching = discs((20, 18, 11), (20, 38, 11))
    found = separated(touching, sure(touching), SURE)
    assert found.max() == 2
    assert found[20, 10] == 1
    assert found[20, 46] == 2
    assert ((found > 0) == (touching > 0)).all()
    left = np.count_nonzero(found == 1) / touching.sum()
    assert left == pytest.approx(0.5, abs=0.03)


def test_a_disc_and_a_bar_stay_whole() -> None:
    bar = discs((20, 30, 12))
    assert separated(bar, sure(bar), BY_PROBABILITY).max() == 1
    bar = np.zeros((20, 60), np.uint8)
    bar[6:14, 3:57] = 1
    assert separated(bar, sure(bar), BY_PROBABILITY).max() == 1
    assert separated(bar, sure(bar), BY_BORDERS).max() == 1


def test_evidence_cuts_what_has_no_neck() -> None:
    bar = np.zeros((20, 60), np.uint8)
    bar[4:16, 4:56] = 1
    inside = sure(bar)
    inside[:, 28:32] = 60
    found = separated(bar, inside, BY_BORDERS)
    assert found.max() == 2
    assert ((found > 0) == (bar > 0)).all()
    assert np.count_nonzero(found == 1) == np.count_nonzero(found == 2)


def test_components_that_nobody_is_sure_of_are_objects_too() -> None:
    specks = np.zeros((9, 12), np.uint8)
    specks[1:3, 1:4], specks[5, 7] = 1, 1
    assert (
        separated(specks, np.zeros_like(specks), BY_PROBABILITY).tolist()
        == renumbered(specks * [[1] * 6 + [2] * 6]).tolist()
    )


def test_classes_do_not_join() -> None:
    two = np.zeros((6, 12), np.uint8)
    two[1:5, 1:6], two[1:5, 6:11] = 1, 2
    found = separated(two, sure(two), BY_PROBABILITY)
    assert found[2, 2] == 1
    assert found[2, 8] == 2
    assert found.max() == 2


@given(st.integers(0, 50), st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_strips_of_any_height_give_the_objects_of_the_whole(seed: int, heights: list[int]) -> None:
    random = np.random.default_rng(seed)
    rows = sum(heights)
    smooth = ndimage.gaussian_filter(random.normal(size=(rows, 24)), 2.0)
    prediction = (smooth > -0.02).astype(np.uint8) + (smooth > 0.06)
    inside = random.integers(0, 256, prediction.shape).astype(np.uint8)
    whole = separated(prediction, inside, BY_PROBABILITY)
    stream, top, parts = ObjectStream(24, BY_PROBABILITY), 0, []
    keys = np.zeros(prediction.shape, np.int64)
    for height in heights:
        bottom = top + height
        complete = stream.add(prediction[top:bottom], inside[top:bottom], last=bottom == rows)
        region = keys[complete.top : complete.top + len(complete.keys)]
        assert not (region.astype(bool) & complete.keys.astype(bool)).any()
        region += complete.keys
        taken = stream.take()
        assert taken.top == sum(map(len, parts))
        parts.append(taken.ids)
        top = bottom
    parts.append(stream.finish().ids)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    numbers = np.vectorize(lambda key: stream.numbers[key] if key else 0)(keys)
    np.testing.assert_array_equal(numbers, whole)


def test_rows_that_are_finished_are_not_held() -> None:
    prediction = np.zeros((300, 20), np.uint8)
    for top in range(2, 300, 12):
        prediction[top : top + 8, 3:14] = 1
    stream, most = ObjectStream(20, BY_PROBABILITY), 0
    for top in range(0, 300, 10):
        stream.add(prediction[top : top + 10], sure(prediction[top : top + 10]), last=top == 290)
        most = max(most, stream.held)
        stream.take()
    assert most < 30
    assert len(stream.numbers) == 25
