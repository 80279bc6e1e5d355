"""Calibration: known answers by hand, the definitions as loops, independence of the order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.metrics.calibration import calibration, reliability
from unpool.metrics.measures import Evidence, measure_set

CALIBRATION = calibration()


def evidence(labels: NDArray[np.uint8], prediction: NDArray[np.uint8], confidence: NDArray[np.float32]) -> Evidence:
    return Evidence(labels, None, prediction, confidence, None)


def drawn(seed: int, size: tuple[int, int] = (9, 13), classes: int = 3) -> Evidence:
    """A picture whose confidences are multiples of 1/16, so that many tie and some lie on the edges of bins."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, size).astype(np.uint8)
    prediction = np.where(random.random(size) < 0.6, labels, random.integers(0, classes, size)).astype(np.uint8)
    labels[random.random(size) < 0.1] = IGNORE_ID
    confidence = (np.ceil(random.random(size) * 16) / 16).astype(np.float32)
    return evidence(labels, prediction, confidence)


def table_of(*pictures: Evidence) -> list[float]:
    (row,) = CALIBRATION.table(np.stack([CALIBRATION.numbers(seen) for seen in pictures]))
    return list(row)


def by_loops(*pictures: Evidence) -> list[float]:
    """The definition of Guo et al., pixel by pixel."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for seen in pictures:
        for place in np.ndindex(seen.labels.shape):
            if seen.labels[place] == IGNORE_ID:
                continue
            confidence = float(seen.confidence[place])
            (m,) = (m for m in range(1, 16) if (m - 1) / 15 < confidence <= m / 15)
            bins[m - 1].append((confidence, bool(seen.labels[place] == seen.prediction[place])))
    pixels = sum(map(len, bins))
    gaps = [
        (len(each), abs(sum(right for _, right in each) - sum(c for c, _ in each)) / len(each)) for each in bins if each
    ]
    everything = [pixel for each in bins for pixel in each]
    return [
        sum(count * gap for count, gap in gaps) / pixels,
        max(gap for count, gap in gaps if count >= 0.001 * pixels),
        sum(c for c, _ in everything) / pixels,
        sum(right for _, right in everything) / pixels,
    ]


def test_four_pixels_by_hand() -> None:
    labels = np.array([[0, 1, 1, IGNORE_ID]], np.uint8)
    prediction = np.array([[0, 1, 0, 0]], np.uint8)
    confidence = np.array([[0.75, 0.75, 0.5, 0.625]], np.float32)
    # two pixels at 0.75, both right: a gap of 0.25; one at 0.5, wrong: a gap of 0.5
    assert table_of(evidence(labels, prediction, confidence)) == [
        pytest.approx((2 * 0.25 + 0.5) / 3), 0.5, pytest.approx(2 / 3), pytest.approx(2 / 3)
    ]  # fmt: skip


@pytest.mark.parametrize(("prediction", "error", "accuracy"), [(1, 0.0, 1.0), (0, 1.0, 0.0)])
def test_a_model_that_is_always_sure(prediction: int, error: float, accuracy: float) -> None:
    labels = np.ones((4, 5), np.uint8)
    found = table_of(evidence(labels, np.full_like(labels, prediction), np.ones((4, 5), np.float32)))
    assert found == [error, error, 1.0, accuracy]


def test_a_model_that_always_says_one_half_and_is_right_half_the_time() -> None:
    labels = np.array([[0, 1], [1, 0]], np.uint8)
    assert table_of(evidence(labels, np.zeros_like(labels), np.full((2, 2), 0.5, np.float32))) == [0, 0, 0.5, 0.5]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_the_table_is_the_definitions(seed: int, count: int) -> None:
    pictures = [drawn(seed + k) for k in range(count)]
    assert table_of(*pictures) == pytest.approx(by_loops(*pictures), abs=1e-12)


def test_the_order_of_the_pictures_changes_no_bit() -> None:
    random = np.random.default_rng(0)
    pictures = [drawn(k)._replace(confidence=random.random((9, 13), np.float32)) for k in range(8)]
    assert table_of(*pictures) == table_of(*reversed(pictures)) == table_of(*pictures[3:], *pictures[:3])


def test_sums_of_confidences_are_multiples_of_a_unit_so_that_no_sum_is_rounded() -> None:
    tiny = np.random.default_rng(0).random((9, 13), np.float32) ** 6
    sums = CALIBRATION.numbers(drawn(0)._replace(confidence=tiny))[30:] * 2**24
    assert (sums == np.rint(sums)).all()
    assert sums.sum() / 2**24 == pytest.approx(tiny[drawn(0).labels != IGNORE_ID].sum(), abs=1e-5)


def test_a_probability_that_rounding_put_above_one_is_in_the_last_bin() -> None:
    labels = np.zeros((1, 2), np.uint8)
    sure = evidence(labels, labels, np.array([[1.0000001, 0.0]], np.float32))
    numbers = CALIBRATION.numbers(sure)
    assert (numbers[14], numbers[0], numbers[:15].sum()) == (1, 1, 2)


def test_a_nearly_empty_bin_does_not_make_the_maximum() -> None:
    labels = np.zeros((40, 50), np.uint8)
    prediction, confidence = labels.copy(), np.ones((40, 50), np.float32)
    prediction[0, 0], confidence[0, 0] = 1, 0.9  # 1 of 2,000 pixels, a gap of 0.9
    assert table_of(evidence(labels, prediction, confidence))[1] == 0
    prediction[0, :2], confidence[0, :2] = 1, 0.9  # 2 of 2,000
    assert table_of(evidence(labels, prediction, confidence))[1] == pytest.approx(0.9)


def test_where_all_is_ignored_nothing_is_said() -> None:
    nothing = drawn(0)._replace(labels=np.full((9, 13), IGNORE_ID, np.uint8))
    assert np.isnan(table_of(nothing)).all()
    found = measure_set(CALIBRATION, [("a", CALIBRATION.numbers(nothing))], {"a": "a"})
    assert found.value("accuracy") is None
    assert reliability(found.numbers).curves[0].x == ()


def test_the_diagram_has_a_point_for_each_bin_that_counts() -> None:
    labels = np.array([[0, 1, 1, 0]], np.uint8)
    seen = evidence(labels, np.zeros_like(labels), np.array([[0.5, 0.5, 0.75, 1.0]], np.float32))
    drawing = reliability(CALIBRATION.numbers(seen)[None])
    assert drawing.diagonal
    assert [curve.x for curve in drawing.curves] == [(0.5, 0.75, 1.0)] * 2
    assert [curve.y for curve in drawing.curves] == [(0.5, 0.0, 1.0), (0.5, 0.25, 0.25)]
