"""Intervals of scores: a literal loop, arithmetic, coverage, and sets that are too small."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import (
    FEWEST_GROUPS,
    HEADLINE,
    RESAMPLES,
    bootstrap,
    interval_of,
    pixel_counts,
    resampled_scores,
    scores_of_counts,
    units_of,
)
from unpool.metrics.scores import Scores, scores


def matrices(count: int, classes: int, seed: int = 0, absent: float = 0.3) -> list[ConfusionMatrix]:
    """Confusion matrices of pictures in which classes are often neither true nor predicted."""
    random = np.random.default_rng(seed)
    names = tuple(f"class {k}" for k in range(classes))
    found = []
    for _ in range(count):
        counts = random.integers(0, 50, (classes, classes)) + np.diag(random.integers(0, 300, classes))
        gone = random.random(classes) < absent
        counts[gone] = 0
        counts[:, gone] = 0
        found.append(ConfusionMatrix(names, counts.astype(np.int64)))
    return found


def images(found: list[ConfusionMatrix]) -> list[tuple[str, Scores]]:
    return [(f"{k:03d}", scores(matrix)) for k, matrix in enumerate(found)]


def alone(found: list[ConfusionMatrix]) -> dict[str, str]:
    return {name: name for name, _ in images(found)}


def nan(value: float | None) -> float:
    return np.nan if value is None else value


def literal(found: list[ConfusionMatrix], seed: int) -> dict[str, list[float]]:
    """The scores of every resample, added up one matrix after the other."""
    random = np.random.default_rng(seed)
    values: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        times = random.multinomial(len(found), [1 / len(found)] * len(found))
        total = ConfusionMatrix.empty(found[0].names)
        for matrix, repeated in zip(found, times, strict=True):
            for _ in range(int(repeated)):
                total = total + matrix
        score = scores(total)
        for name in HEADLINE:
            values.setdefault(name, []).append(nan(getattr(score, name)))
        for k, each in enumerate(score.classes):
            values.setdefault(f"iou {k}", []).append(nan(each.iou))
            values.setdefault(f"dice {k}", []).append(nan(each.dice))
    return values


def test_intervals_are_those_of_a_literal_loop() -> None:
    found = matrices(5, 4, absent=0.6)
    expected = {
        name: np.nanquantile(values, [0.025, 0.975]).tolist() for name, values in literal(found, seed=7).items()
    }
    got = bootstrap(images(found), alone(found), seed=7)
    assert got is not None
    assert (got.unit, got.units) == ("picture", 5)
    for name in HEADLINE:
        assert getattr(got, name) == pytest.approx(expected[name], abs=1e-12)
    for k in range(4):
        assert got.iou[k] == pytest.approx(expected[f"iou {k}"], abs=1e-12)
        assert got.dice[k] == pytest.approx(expected[f"dice {k}"], abs=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 6))
def test_values_are_the_scores(seed: int, classes: int, count: int) -> None:
    found = matrices(count, classes, seed, absent=0.5)
    total = sum(found[1:], found[0])
    expected, got = scores(total), scores_of_counts(np.stack([pixel_counts(scores(matrix)) for matrix in found]).sum(0))
    for name in HEADLINE:
        assert float(got[name]) == pytest.approx(nan(getattr(expected, name)), nan_ok=True)
    assert got["iou"] == pytest.approx([nan(c.iou) for c in expected.classes], nan_ok=True)
    assert got["dice"] == pytest.approx([nan(c.dice) for c in expected.classes], nan_ok=True)


def test_two_pictures_by_hand() -> None:
    # One picture all right, one all wrong (10 pixels each): a resample is right, half right or wrong; the accuracy
    # is 1, 1/2 or 0, a quarter of the time 1 and a quarter 0, so the interval is the whole range.
    right = ConfusionMatrix(("a", "b"), np.array([[10, 0], [0, 0]]))
    wrong = ConfusionMatrix(("a", "b"), np.array([[0, 10], [0, 0]]))
    got = bootstrap(images([right, wrong]), alone([right, wrong]))
    assert got is not None
    assert got.global_accuracy == (0, 1)
    drawn = resampled_scores(np.stack([pixel_counts(scores(right)), pixel_counts(scores(wrong))]))["global_accuracy"]
    assert set(drawn.tolist()) == {0.0, 0.5, 1.0}
    assert np.mean(drawn == 0.5) == pytest.approx(0.5, abs=0.05)


def test_a_perfect_prediction_is_certain_and_an_absent_class_has_no_interval() -> None:
    found = [ConfusionMatrix(("a", "b", "c"), np.diag([n, 5, 0])) for n in (3, 9, 4)]
    got = bootstrap(images(found), alone(found))
    assert got is not None
    assert [getattr(got, name) for name in HEADLINE] == [(1, 1)] * 5
    assert got.iou == got.dice == ((1, 1), (1, 1), None)


def test_a_constant_prediction_follows_the_shares_of_its_class() -> None:
    # Everything is called a: the accuracy is the share of a, its IoU the same, b's is 0.
    found = [ConfusionMatrix(("a", "b"), np.array([[n, 0], [10 - n, 0]])) for n in (2, 4, 6, 8)]
    got = bootstrap(images(found), alone(found))
    assert got is not None
    assert got.global_accuracy == got.iou[0]
    assert got.iou[1] == (0, 0)
    assert got.class_accuracy == (0.5, 0.5)
    assert got.mean_iou == pytest.approx([value / 2 for value in got.iou[0] or ()])


def test_a_class_in_one_picture_of_three_keeps_the_resamples_that_hold_it() -> None:
    # Its IoU is 1/2 in every resample that holds the picture; the others say nothing of it.
    found = [ConfusionMatrix(("a", "b"), np.array([[10, 0], [0, 0]]))] * 2
    found.append(ConfusionMatrix(("a", "b"), np.array([[10, 0], [5, 5]])))
    got = bootstrap(images(found), alone(found))
    assert got is not None
    assert got.iou[1] == (0.5, 0.5)


def test_one_picture_has_no_interval_and_nothing_counted_none_either() -> None:
    one = matrices(1, 3)
    assert bootstrap(images(one), alone(one)) is None
    nothing = [ConfusionMatrix.empty(("a", "b"))] * 3
    got = bootstrap(images(nothing), alone(nothing))
    assert got is not None
    assert [getattr(got, name) for name in HEADLINE] == [None] * 5
    assert got.iou == (None, None)


def test_groups_are_resampled_whole_where_there_are_enough() -> None:
    found = matrices(2 * FEWEST_GROUPS, 3)
    groups = {name: str(int(name) // 2) for name, _ in images(found)}
    got = bootstrap(images(found), groups)
    assert got is not None
    assert (got.unit, got.units) == ("group", FEWEST_GROUPS)
    pairs = [found[k] + found[k + 1] for k in range(0, len(found), 2)]
    added = bootstrap(images(pairs), alone(pairs))
    assert added is not None
    assert (got.mean_iou, got.iou) == (added.mean_iou, added.iou)
    few = bootstrap(images(found), {name: str(int(name) % (FEWEST_GROUPS - 1)) for name, _ in images(found)})
    each = bootstrap(images(found), alone(found))
    assert few is not None
    assert each is not None
    assert few == replace(each, groups=FEWEST_GROUPS - 1)
    assert (few.unit, few.units) == ("picture", len(found))


def test_groups_are_added_up_by_hand() -> None:
    counts = [np.full((3, 1), 10**k) for k in range(7)]
    units = units_of(counts, ["b", "a", "b", "c", "d", "e", "f"])
    assert units.counts[:, 0, 0].tolist() == [10, 101, 10**3, 10**4, 10**5, 10**6]


def test_the_seed_decides_and_the_order_of_blocks_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = matrices(9, 3)
    once = bootstrap(images(found), alone(found), seed=1)
    assert once == bootstrap(images(found), alone(found), seed=1)
    assert once != bootstrap(images(found), alone(found), seed=2)
    monkeypatch.setattr("unpool.metrics.intervals._BLOCK", 100)
    assert once == bootstrap(images(found), alone(found), seed=1)


def test_pixels_of_large_sets_are_counted_exactly() -> None:
    large = np.array([[2**45 + 1, 0, 3], [2**45 + 1, 0, 4], [2**45 + 2, 1, 5]]).reshape(1, 3, 3).repeat(4, 0)
    drawn = resampled_scores(large)["global_accuracy"]
    assert set(drawn.tolist()) == {float((2**45 + 4) / (2**45 + 5))}


def test_95_of_100_intervals_hold_the_truth() -> None:
    # Pictures of 100 pixels whose accuracy has mean 0.7; the interval should hold it in about 95 % of sets of 40.
    random = np.random.default_rng(3)
    held, sets = 0, 300
    for seed in range(sets):
        right = random.binomial(100, random.beta(7, 3, 40))
        counts = np.stack([np.stack([right, 0 * right], 1), np.stack([0 * right + 100, 0 * right], 1)], 1)
        counts = np.concatenate([counts, counts[:, 1:]], 1).astype(np.int64)
        found = interval_of(resampled_scores(counts, seed, resamples=400)["global_accuracy"])
        assert found is not None
        held += found.low <= 0.7 <= found.high
    assert 0.90 <= held / sets <= 0.98
