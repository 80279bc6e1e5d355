"""Does uncertainty find the wrong pixels: pairs counted one by one, shares by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID
from unpool.metrics.measures import Evidence
from unpool.metrics.uncertainty import BIN_EDGES, UNCERTAINTY_BINS, uncertainty

PLAIN, SAMPLED = uncertainty(), uncertainty(sampled=True)


def evidence(wrong: NDArray[np.bool_], unsure: NDArray[np.float32], variance: NDArray[np.float32]) -> Evidence:
    labels = np.zeros(wrong.shape, np.uint8)
    return Evidence(labels, None, wrong.astype(np.uint8), 1 - unsure, None, variance)


def drawn(seed: int, size: tuple[int, int] = (5, 9)) -> Evidence:
    """Uncertainties are powers of 2, so that bins neither join what differs nor part what ties."""
    random = np.random.default_rng(seed)
    unsure, variance = (2.0 ** -random.integers(1, 9, size)).astype(np.float32), 2.0 ** -random.integers(1, 28, size)
    seen = evidence(random.random(size) < unsure, unsure, variance.astype(np.float32))
    seen.labels[random.random(size) < 0.1] = IGNORE_ID
    return seen


def table_of(*pictures: Evidence) -> NDArray[np.float64]:
    return SAMPLED.table(np.stack([SAMPLED.numbers(seen) for seen in pictures]))


def pairs_won(wrong: NDArray[np.bool_], unsure: NDArray[np.float32]) -> float:
    """The definition: all pairs of a wrong and a right pixel, ties half."""
    pairs = [(w > r) + (w == r) / 2 for w in unsure[wrong] for r in unsure[~wrong]]
    return float(np.mean(pairs)) if pairs else np.nan


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_it_is_the_share_of_pairs(seed: int, count: int) -> None:
    pictures = [drawn(seed + k) for k in range(count)]
    known = [seen.labels != IGNORE_ID for seen in pictures]
    wrong, unsure, variance = (
        np.concatenate([values(seen)[k] for seen, k in zip(pictures, known, strict=True)])
        for values in (lambda s: s.prediction != s.labels, lambda s: 1 - s.confidence, lambda s: s.variance)
    )
    variance = np.where(variance < BIN_EDGES[0], 0, variance)  # what is smaller than the first edge ties
    wanted = [pairs_won(wrong, unsure), pairs_won(wrong, variance)]
    np.testing.assert_allclose(table_of(*pictures)[:, 0], wanted)


def test_ten_pixels_by_hand() -> None:
    unsure = np.array([[0.0] * 4 + [0.25] * 5 + [0.5]], np.float32)
    wrong = np.array([[False] * 4 + [True, False, False, False, True] + [True]])
    (row,) = PLAIN.table(PLAIN.numbers(evidence(wrong, unsure, unsure))[None])
    # 3 x 7 pairs: the last wrong wins 7, the other two win 4 and tie with 3
    # the surest 5: four right and one of five that are right by 3/5; the surest 9: 7 right
    assert row == pytest.approx([(7 + 2 * (4 + 1.5)) / 21, 4.6 / 5, 7 / 9, 0.7])


def test_uncertainty_that_knows_all_and_nothing() -> None:
    wrong = np.array([[True, True, False, False, False, False]])
    knowing = np.where(wrong, 0.5, 0.1).astype(np.float32)
    blind = np.full_like(knowing, 0.3)
    by_confidence, by_variance = table_of(evidence(wrong, knowing, blind))
    assert list(by_confidence) == [1, 1, pytest.approx(4 / 5.4), pytest.approx(4 / 6)]
    assert list(by_variance) == pytest.approx([0.5, 4 / 6, 4 / 6, 4 / 6])


@pytest.mark.parametrize("wrong", [True, False])
def test_there_are_no_pairs_where_all_is_right_or_all_wrong(wrong: bool) -> None:
    seen = drawn(0)
    labels = np.zeros_like(seen.labels)
    row = table_of(seen._replace(labels=labels, prediction=np.full_like(labels, wrong)))[0]
    assert np.isnan(row[0])
    assert list(row[1:]) == pytest.approx([1 - wrong] * 3)


def test_where_all_is_ignored_nothing_is_said() -> None:
    seen = drawn(0)
    assert np.isnan(table_of(seen._replace(labels=np.full_like(seen.labels, IGNORE_ID)))).all()


def test_the_order_of_the_pictures_changes_nothing() -> None:
    pictures = [drawn(k) for k in range(6)]
    np.testing.assert_array_equal(table_of(*pictures), table_of(*reversed(pictures)))


def test_numbers_are_counts_and_confidence_needs_no_samples() -> None:
    seen = drawn(3)
    numbers = PLAIN.numbers(seen._replace(variance=None))
    assert numbers.shape == (2 * UNCERTAINTY_BINS,)
    assert numbers.sum() == (seen.labels != IGNORE_ID).sum()
    assert PLAIN.rows == ("by confidence",)
    assert "variance" not in PLAIN.rule
    np.testing.assert_array_equal(SAMPLED.numbers(seen)[: 2 * UNCERTAINTY_BINS], numbers)


def test_the_diagram_ends_at_the_accuracy_of_all() -> None:
    numbers = SAMPLED.numbers(drawn(1))[None]
    assert SAMPLED.diagram is not None
    drawing = SAMPLED.diagram(numbers)
    assert [curve.label for curve in drawing.curves] == ["by confidence", "by variance"]
    for curve, row in zip(drawing.curves, SAMPLED.table(numbers), strict=True):
        assert curve.x[-1] == 1
        assert curve.y[-1] == pytest.approx(row[-1])
        assert curve.y[9] == pytest.approx(row[1])
