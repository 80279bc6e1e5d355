"""Counts and scores by hand, by loops, and by an independent library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import contingency_table

from unpool.class_table import IGNORE_ID
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.scores import scores

NAMES = ("sky", "road", "car")


def test_scores_by_hand() -> None:
    labels = np.array([[0, 0, 0, 1], [1, 1, 2, IGNORE_ID]], dtype=np.uint8)
    prediction = np.array([[0, 0, 1, 1], [1, 0, 1, 2]], dtype=np.uint8)
    matrix = ConfusionMatrix.of(NAMES, labels, prediction)
    assert matrix.counts.tolist() == [[2, 1, 0], [1, 2, 0], [0, 1, 0]]
    found = scores(matrix)
    assert [c.iou for c in found.classes] == pytest.approx([2 / 4, 2 / 5, 0.0])
    assert [c.dice for c in found.classes] == pytest.approx([4 / 6, 4 / 7, 0.0])
    assert [c.recall for c in found.classes] == pytest.approx([2 / 3, 2 / 3, 0.0])
    assert found.classes[0].precision == pytest.approx(2 / 3)
    assert found.classes[2].precision is None  # never predicted
    assert found.mean_iou == pytest.approx((0.5 + 0.4 + 0) / 3)
    assert found.global_accuracy == pytest.approx(4 / 7)
    assert found.class_accuracy == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found.frequency_weighted_iou == pytest.approx((3 * 2 / 4 + 3 * 2 / 5 + 1 * 0) / 7)
    assert [c.hit_pixels for c in found.classes] == [2, 2, 0]
    assert found.pixels == 7


def test_absent_class_rule() -> None:
    nowhere = scores(ConfusionMatrix.of(NAMES, np.array([0, 1], np.uint8), np.array([0, 1], np.uint8)))
    assert nowhere.classes[2].iou is None
    assert nowhere.mean_iou == 1.0
    invented = scores(ConfusionMatrix.of(NAMES, np.array([0, 1], np.uint8), np.array([0, 2], np.uint8)))
    assert invented.classes[2].iou == 0.0
    assert invented.mean_iou == pytest.approx((1 + 0 + 0) / 3)


def test_nothing_counted_has_no_score() -> None:
    found = scores(ConfusionMatrix.of(NAMES, np.full((3, 3), IGNORE_ID, np.uint8), np.zeros((3, 3), np.uint8)))
    assert found.mean_iou is None
    assert found.global_accuracy is None
    assert found.pixels == 0


pictures = st.integers(0, 2**32 - 1)


@given(pictures)
def test_counts_are_those_of_a_loop_and_of_skimage(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.choice([0, 1, 2, IGNORE_ID], (6, 7)).astype(np.uint8)
    prediction = random.integers(0, 3, (6, 7)).astype(np.uint8)
    loop = np.zeros((3, 3), dtype=int)
    for truth, guess in zip(labels.flat, prediction.flat, strict=True):
        if truth != IGNORE_ID:
            loop[truth, guess] += 1
    found = ConfusionMatrix.of(NAMES, labels, prediction).counts
    assert (found == loop).all()
    if (labels != IGNORE_ID).any():
        table = contingency_table(labels, prediction, ignore_labels=[IGNORE_ID]).toarray()[:3, :3]
        assert (table == found[: table.shape[0], : table.shape[1]]).all()
        assert table.sum() == found.sum()


def test_counts_beyond_float32() -> None:
    pixels = (1 << 24) + 1  # float32 counts 16,777,217 as 16,777,216
    whole = np.zeros(pixels, dtype=np.uint8)
    matrix = ConfusionMatrix.of(NAMES, whole, whole)
    assert matrix.counts.dtype == np.int64
    assert int((matrix + matrix).counts[0, 0]) == 2 * pixels


def test_one_matrix_over_the_set_is_not_a_mean_of_means() -> None:
    small = ConfusionMatrix.of(NAMES, np.zeros(1, np.uint8), np.ones(1, np.uint8))
    large = ConfusionMatrix.of(NAMES, np.zeros(99, np.uint8), np.zeros(99, np.uint8))
    assert scores(small + large).global_accuracy == pytest.approx(0.99)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        ConfusionMatrix.of(NAMES, np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="not below 3"):
        ConfusionMatrix.of(NAMES, np.array([3], np.uint8), np.array([0], np.uint8))
    with pytest.raises(ValueError, match="different classes"):
        ConfusionMatrix.empty(NAMES) + ConfusionMatrix.empty(("a", "b", "c"))
