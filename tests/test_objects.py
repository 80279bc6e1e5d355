"""Scores of objects: by hand, by literal loops, by other libraries."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from unpool.class_table import IGNORE_ID
from unpool.metrics.measures import Evidence, measure_set
from unpool.metrics.objects import TWENTIETHS, ObjectCounts, object_counts, objects

CELLS = objects(["background", "cell"])
KEYS = [column.key for column in CELLS.columns]

Numbers = NDArray[np.int32]


def grid(*rows: str) -> Numbers:
    """A picture of digits; a dot is 0."""
    return np.array([[0 if c == "." else int(c) for c in row] for row in rows], dtype=np.int32)


def evidence(truth: Numbers, prediction: Numbers, *, numbered: bool = True, ignored: Numbers | None = None) -> Evidence:
    """One picture of one class of objects."""
    labels = (truth > 0).astype(np.uint8)
    if ignored is not None:
        labels[ignored > 0] = IGNORE_ID
    found = (prediction > 0).astype(np.uint8)
    return Evidence(labels, truth if numbered else None, found, np.ones(truth.shape, np.float32), None)


def scored(*pictures: Evidence) -> dict[str, float]:
    """The last row of the table of a set."""
    table = CELLS.table(np.stack([CELLS.numbers(each) for each in pictures]))
    return dict(zip(KEYS, table[-1], strict=True))


def random_objects(seed: int, count: int, size: int = 24) -> Numbers:
    """Rectangles, some over others, with numbers that have gaps."""
    random = np.random.default_rng(seed)
    made = np.zeros((size, size), dtype=np.int32)
    for number in random.permutation(5 * count)[:count] + 1:
        top, left = random.integers(0, size - 3, 2)
        tall, wide = random.integers(1, 9, 2)
        made[top : top + tall, left : left + wide] = number
    return made


def nearly(truth: Numbers, seed: int) -> Numbers:
    """The same objects, moved a little and with noise, some of them lost."""
    random = np.random.default_rng(seed)
    moved = np.roll(truth, random.integers(-1, 2, 2), axis=(0, 1))
    lost = random.choice(np.unique(truth), size=len(np.unique(truth)) // 4, replace=False)
    return np.where((random.random(truth.shape) < 0.08) | np.isin(moved, lost), 0, moved).astype(np.int32)


def pairs(seed: int) -> tuple[Numbers, Numbers]:
    truth = random_objects(seed, seed % 9)
    return truth, nearly(truth, seed + 100) if seed % 3 else random_objects(seed + 100, 5)


def test_a_set_by_hand() -> None:
    truth = grid(
        "1111..22",
        "1111..22",
        "........",
        "33.44...",
        "33.44...",
    )
    found = grid(
        "1111....",
        "11......",
        "........",
        "11111...",
        "11111...",
    )
    # 1: 6 of 8 pixels, IoU 6/8. 2: missed. 3 and 4: each inside one component of 10 pixels, IoU 4/10.
    score = scored(evidence(truth, found))
    assert score["seg"] == pytest.approx((6 / 8 + 0 + 4 / 10 + 4 / 10) / 4)
    assert [score[key] for key in ("true", "predicted", "found", "merged", "parts")] == [4, 2, 1, 2, 0]
    # above 0.50 ... 0.70 one is found: 1 / (1 + 1 + 3); 0.75 is not above 0.75
    assert score["average_precision"] == pytest.approx(5 * (1 / 5) / 10)
    assert score["f1"] == pytest.approx(2 / 6)
    other = evidence(grid("1.2"), grid("1.1"))
    both = scored(evidence(truth, found), other)
    assert both["seg"] == pytest.approx((6 / 8 + 0.8 + 2) / 6)  # over objects, not over pictures
    assert both["average_precision"] == pytest.approx((0.1 + 1) / 2)  # over pictures
    assert both["f1"] == pytest.approx(2 * 3 / (6 + 4))


def test_an_object_in_parts() -> None:
    counts = object_counts(grid("1111111"), grid("2222.33"))
    assert counts == ObjectCounts(1, 2, 4 / 7, 0, 2, (1, 1, *[0] * 8))


def test_half_is_not_more_than_half() -> None:
    assert object_counts(grid("11"), grid("1.")) == ObjectCounts(1, 1, 0.0, 0, 0, (0,) * 10)
    assert object_counts(grid("111"), grid("11.")).overlap == pytest.approx(2 / 3)


@pytest.mark.parametrize("threshold", TWENTIETHS)
def test_an_object_is_found_above_a_threshold_not_at_it(threshold: int) -> None:
    truth = np.ones((1, 20), dtype=np.int32)
    found = np.where(np.arange(20) < threshold, 1, 0)[None]  # IoU is exactly the threshold
    assert sum(object_counts(truth, found).found) == threshold - 10
    assert sum(object_counts(truth, np.where(np.arange(20) <= threshold, 1, 0)[None]).found) == threshold - 9


def by_loops(truth: Numbers, prediction: Numbers) -> ObjectCounts:
    """The rules, word by word."""
    true = {int(n): truth == n for n in np.unique(truth) if n}
    found = {int(n): prediction == n for n in np.unique(prediction) if n}
    seg, owner = 0.0, {}
    for t, mask in true.items():
        for p, other in found.items():
            if (mask & other).sum() > mask.sum() / 2:
                seg += (mask & other).sum() / (mask | other).sum()
                owner[t] = p
    inside = {p: t for p, o in found.items() for t, m in true.items() if (m & o).sum() > o.sum() / 2}
    shared = [sum(list(own.values()).count(each) > 1 for each in own.values()) for own in (owner, inside)]
    at = []
    for threshold in TWENTIETHS:
        hits = [m for m in true.values() if any((m & o).sum() * 20 > threshold * (m | o).sum() for o in found.values())]
        at.append(len(hits))
    return ObjectCounts(len(true), len(found), seg, shared[0], shared[1], tuple(at))


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_literal_loops(seed: int) -> None:
    truth, prediction = pairs(seed)
    mine, wanted = object_counts(truth, prediction), by_loops(truth, prediction)
    assert mine.overlap == pytest.approx(wanted.overlap)
    assert mine == ObjectCounts(**{**wanted.__dict__, "overlap": mine.overlap})


@pytest.mark.parametrize("seed", range(20))
def test_found_objects_are_the_best_assignment(seed: int) -> None:
    truth, prediction = pairs(seed)
    true, found = (np.unique(each)[np.unique(each) != 0] for each in (truth, prediction))
    iou = np.array([[((truth == t) & (prediction == p)).sum() / ((truth == t) | (prediction == p)).sum()
                     for p in found] for t in true]).reshape(len(true), len(found))  # fmt: skip
    for threshold, count in zip(TWENTIETHS, object_counts(truth, prediction).found, strict=True):
        allowed = iou > threshold / 20 + 1e-9
        assert count == allowed[linear_sum_assignment(allowed, maximize=True)].sum()


@pytest.mark.parametrize("seed", range(6))
def test_overlaps_are_those_of_skimage(seed: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    truth, prediction = pairs(seed)
    table = metrics.contingency_table(truth, prediction).toarray()
    size, other = table.sum(1, keepdims=True), table.sum(0, keepdims=True)
    seg = np.where(2 * table > size, table / np.maximum(size + other - table, 1), 0)[1:, 1:].sum()
    assert object_counts(truth, prediction).overlap == pytest.approx(seg)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_of_objects_do_not_matter(seed: int, shuffle: int) -> None:
    truth, prediction = random_objects(seed, 6), random_objects(seed + 1, 6)
    random = np.random.default_rng(shuffle)
    one, other = (np.concatenate([[0], random.choice(10**6, 30, replace=False) + 1]) for _ in range(2))
    assert object_counts(truth, prediction) == object_counts(one[truth], other[prediction])


@given(st.integers(0, 10**6), st.integers(0, 8))
def test_a_perfect_prediction(seed: int, count: int) -> None:
    truth = random_objects(seed, count)
    found = object_counts(truth, truth)
    assert found.true == found.predicted == found.overlap == len(np.unique(truth[truth > 0]))
    assert found.found == (found.true,) * 10
    assert found.merged == found.parts == 0


@given(st.integers(0, 10**6))
def test_scores_are_shares_and_finding_gets_harder(seed: int) -> None:
    truth, prediction = random_objects(seed, 5), random_objects(seed + 7, 5)
    found = object_counts(truth, prediction)
    assert list(found.found) == sorted(found.found, reverse=True)
    assert max(found.found) <= min(found.true, found.predicted)
    assert 0 <= found.overlap <= found.true
    assert object_counts(prediction, truth).found == found.found


def test_constant_predictions() -> None:
    truth = grid("1111", "1122", "....", "....")
    nothing = scored(evidence(truth, np.zeros_like(truth)))
    assert [nothing[key] for key in ("seg", "average_precision", "f1", "predicted")] == [0, 0, 0, 0]
    everything = scored(evidence(truth, np.ones_like(truth)))
    assert everything["seg"] == pytest.approx((6 / 16 + 2 / 16) / 2)
    assert [everything[key] for key in ("average_precision", "predicted", "merged")] == [0, 1, 2]
    alone = scored(evidence(grid("111."), grid("1111")))
    assert alone["average_precision"] == pytest.approx(5 / 10)  # IoU 0.75: above 0.50 ... 0.70


def test_pictures_without_objects() -> None:
    empty, full = grid("...."), grid(".11.")
    assert np.isnan([scored(evidence(empty, empty))[key] for key in ("seg", "average_precision", "f1")]).all()
    assert scored(evidence(empty, full))["average_precision"] == 0
    assert scored(evidence(full, full), evidence(empty, empty))["average_precision"] == 1
    assert scored(evidence(full, full), evidence(empty, full))["average_precision"] == 0.5
    assert scored(evidence(full, full), evidence(empty, full))["seg"] == 1
    assert scored(evidence(full, full), evidence(empty, full))["f1"] == pytest.approx(2 / 3)


def test_pixels_are_connected_by_edges_and_corners() -> None:
    apart = grid("1..", ".2.", "...")
    score = scored(evidence(apart, apart))
    assert [score[key] for key in ("predicted", "merged", "seg")] == [1, 2, 0.5]
    wall = grid("11.22", "11.22")
    assert scored(evidence(wall, wall))["seg"] == 1


def test_touching_objects_are_merged_by_the_prediction_not_by_the_truth() -> None:
    truth = grid("1122")
    assert scored(evidence(truth, truth))["seg"] == 0.5
    assert scored(evidence(truth, truth))["merged"] == 2
    assert scored(evidence(truth, truth, numbered=False))["seg"] == 1


def test_a_number_is_one_object_wherever_its_pixels_are() -> None:
    truth = grid("11.1")
    assert scored(evidence(truth, truth))["true"] == 1
    assert scored(evidence(truth, truth, numbered=False))["true"] == 2


@given(st.integers(0, 10**6))
def test_what_is_predicted_on_ignored_pixels_changes_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, ignored = random_objects(seed, 6), random_objects(seed + 3, 2)
    one = random_objects(seed + 1, 6)
    other = np.where(ignored > 0, random.integers(0, 2, one.shape), one).astype(np.int32)
    numbers = [CELLS.numbers(evidence(truth, each, ignored=ignored)) for each in (one, other)]
    assert np.array_equal(*numbers)


def test_an_ignored_object_counts_nowhere() -> None:
    truth = grid("11.22")
    score = scored(evidence(truth, truth, ignored=grid("...11")))
    assert [score[key] for key in ("true", "predicted", "seg")] == [1, 1, 1]


def test_several_classes_each_and_together() -> None:
    measure = objects(["road", "car", "sign"])
    labels, found = grid("11.22.2").astype(np.uint8), grid("11.2211").astype(np.uint8)
    seen = Evidence(labels, None, found, np.ones(labels.shape, np.float32), None)
    table = measure.table(measure.numbers(seen)[None])
    assert measure.rows == ("car", "sign", "all objects")
    assert table[:, :6] == pytest.approx(np.array([
        [1, 1 / 2, 2 / 3, 1, 2, 1],
        [1 / 2, 1 / 2, 2 / 3, 2, 1, 1],
        [2 / 3, 2 / 4, 4 / 6, 3, 3, 2],
    ]))  # fmt: skip


def values_of(pictures: Sequence[Evidence]) -> list[tuple[str, NDArray[np.float64]]]:
    return [(f"{k}.png", CELLS.numbers(each)) for k, each in enumerate(pictures)]


def test_intervals_hold_the_scores_and_counts_have_none() -> None:
    pictures = values_of([evidence(*pairs(seed)) for seed in range(1, 12)])
    found = measure_set(CELLS, pictures, {name: name for name, _ in pictures})
    for column, interval, value in zip(CELLS.columns, found.intervals[-1], found.table[-1], strict=True):
        assert (interval is None) == (column.unit == "count")
        assert interval is None or interval.low <= value <= interval.high
    assert all(np.isfinite(numbers).all() for _, numbers in pictures)


def test_the_diagram_begins_at_the_scores() -> None:
    assert CELLS.diagram is not None
    pictures = np.stack([CELLS.numbers(evidence(*pairs(seed))) for seed in range(1, 6)])
    precision, found = CELLS.diagram(pictures).curves
    table = dict(zip(KEYS, CELLS.table(pictures)[-1], strict=True))
    assert np.mean(precision.y) == pytest.approx(table["average_precision"])
    assert found.y[0] == pytest.approx(table["found"] / table["true"])
    assert precision.x == pytest.approx(np.arange(0.5, 0.99, 0.05))
    nothing = CELLS.diagram(np.zeros_like(pictures)).curves
    assert np.isnan(nothing[0].y + nothing[1].y).all()


@pytest.mark.parametrize("seed", range(4))
def test_components_are_those_of_skimage(seed: int) -> None:
    measure = pytest.importorskip("skimage.measure")
    mask = np.random.default_rng(seed).random((40, 30)) < 0.5
    assert scored(evidence(mask.astype(np.int32), mask.astype(np.int32), numbered=False))["predicted"] == (
        measure.label(mask).max()
    )
