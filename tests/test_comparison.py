"""Paired comparisons: literal loops, counts by hand, how often chance is taken for a difference."""

import dataclasses
import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
import pytest

from unpool.metrics.comparison import (
    EXCHANGES,
    Difference,
    SharedMeasure,
    compare_tests,
    corrected,
    count_differences,
    fewest_units,
    holm,
    measure_differences,
    units_to_decide,
)
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.intervals import HEADLINE, RESAMPLES, Interval, PixelCounts, pixel_counts
from unpool.metrics.measures import Column, Measure, Numbers, ScoreTable
from unpool.metrics.named import MEASURES, SAMPLED_MEASURES, measure_of
from unpool.metrics.scores import scores
from unpool.report.comparison import comparison_rule, comparison_text, sentence

NAMES = ("a", "b", "c")


def pairs(count: int, seed: int = 0, better: float = 0.05) -> tuple[list[ConfusionMatrix], list[ConfusionMatrix]]:
    """Two models' matrices of the same pictures with the same truth; the first errs less by ``better``."""
    random = np.random.default_rng(seed)
    found: tuple[list[ConfusionMatrix], list[ConfusionMatrix]] = ([], [])
    for _ in range(count):
        truth, error = random.integers(0, 400, 3), random.uniform(0.2, 0.5)
        for matrices, rate in zip(found, (error - better, error), strict=True):
            shares = [np.where(np.arange(3) == k, 1 - rate, rate / 2) for k in range(3)]
            counts = np.stack([random.multinomial(n, share) for n, share in zip(truth, shares, strict=True)])
            matrices.append(ConfusionMatrix(NAMES, counts.astype(np.int64)))
    return found


def counts_of(matrices: Sequence[ConfusionMatrix]) -> PixelCounts:
    return np.stack([pixel_counts(scores(matrix)) for matrix in matrices])


def score(matrices: Sequence[ConfusionMatrix], name: str) -> float:
    value = getattr(scores(sum(matrices[1:], matrices[0])), name)
    return math.nan if value is None else float(value)


def alone(count: int) -> list[str]:
    return [str(k) for k in range(count)]


def binary(right: Sequence[int], size: int = 10) -> PixelCounts:
    """Pictures of one class and ``size`` pixels, of which so many are right and the rest called b."""
    return np.stack([np.array([[n, 0], [size, 0], [n, size - n]]) for n in right]).astype(np.int64)


def test_differences_are_those_of_literal_loops() -> None:
    first, second = pairs(6)
    found = count_differences(counts_of(first), counts_of(second), seed=4)
    random = np.random.default_rng(4)
    for name in HEADLINE:
        assert found[name].value == pytest.approx(score(first, name) - score(second, name))
    drawn = []
    for _ in range(RESAMPLES):
        times = random.multinomial(6, [1 / 6] * 6)
        chosen = [k for k in range(6) for _ in range(int(times[k]))]
        drawn.append(score([first[k] for k in chosen], "mean_iou") - score([second[k] for k in chosen], "mean_iou"))
    assert found["mean_iou"].interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())
    assert found["mean_iou"].error == pytest.approx(np.std(drawn))


def test_few_pictures_are_exchanged_in_every_way() -> None:
    first, second = pairs(6, seed=2, better=0.02)
    found = count_differences(counts_of(first), counts_of(second))
    for name in HEADLINE:
        large = 0
        for swap in itertools.product((False, True), repeat=6):
            one = [b if s else a for a, b, s in zip(first, second, swap, strict=True)]
            other = [a if s else b for a, b, s in zip(first, second, swap, strict=True)]
            large += abs(score(one, name) - score(other, name)) >= abs(found[name].value) - 1e-12
        assert found[name].p == large / 64


def test_exchanges_by_hand() -> None:
    # One picture each better by 1, 2, 3 pixels of 10: of the 8 choices of signs only +++ and --- reach 6.
    p = count_differences(binary([6, 7, 8]), binary([5, 5, 5]))["global_accuracy"].p
    assert p == 2 / 8
    # Better by 1, 2 and worse by 3: the difference is 0, and every choice reaches it.
    assert count_differences(binary([6, 7, 2]), binary([5, 5, 5]))["global_accuracy"].p == 1


def test_random_exchanges_come_near_to_all_of_them() -> None:
    # 14 pictures, each better or worse by 1 pixel, 11 to 3: both tails of the binomial with 14 throws.
    right = [6] * 11 + [4] * 3
    exact = 2 * sum(math.comb(14, k) for k in range(4)) / 2**14
    assert 2 ** len(right) > EXCHANGES
    p = count_differences(binary(right), binary([5] * 14))["global_accuracy"].p
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact / EXCHANGES))


def test_the_least_p_value_is_one_of_the_exchanges_made() -> None:
    assert count_differences(binary([10] * 60), binary([0] * 60))["global_accuracy"].p == 1 / (EXCHANGES + 1)


def test_chance_is_seldom_taken_for_a_difference_and_a_difference_is_found() -> None:
    def share(better: float) -> float:
        found = (pairs(20, seed, better) for seed in range(60))
        return float(np.mean([count_differences(counts_of(a), counts_of(b))["mean_iou"].shown for a, b in found]))

    assert share(0) <= 0.15
    assert share(0.05) >= 0.9


def test_first_and_second_may_be_exchanged() -> None:
    first, second = map(counts_of, pairs(9))
    there, back = count_differences(first, second)["mean_iou"], count_differences(second, first)["mean_iou"]
    assert there.value == -back.value
    assert there.p == back.p
    assert there.interval is not None
    assert back.interval == pytest.approx((-there.interval.high, -there.interval.low))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03], 3) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.04, 0.001, 0.5, 0.02], 4) == pytest.approx([0.08, 0.004, 0.5, 0.06])
    assert holm([0.04, 0.01], 3) == pytest.approx([0.08, 0.03])
    assert holm([0.9, 0.8], 2) == [1.0, 1.0]
    assert holm([0.2], 1) == [0.2]
    assert holm([], 0) == []


def test_each_score_is_corrected_by_itself() -> None:
    def one(p: float) -> Difference:
        return Difference(0.1, Interval(0.05, 0.2), 0.03, p, p)

    found = corrected([{"mean_iou": one(0.03), "mean_dice": one(0.01)}, {"mean_iou": one(0.01)}], 3)
    assert [each["mean_iou"].p for each in found] == [0.06, 0.03]
    assert [each["mean_iou"].alone for each in found] == [0.03, 0.01]
    assert found[0]["mean_dice"].p == 0.03


def test_units_to_decide_by_hand() -> None:
    # 1.96 + 0.8416 = 2.8016 standard errors are wanted; 1.4008 are there, so four times the units: 300 more.
    def more(value: float, error: float, units: int = 100, comparisons: int = 1) -> int | None:
        return units_to_decide(Difference(value, Interval(-1, 1), error, 0.2, 0.2), units, comparisons)

    assert more(0.014008, 0.01) in (300, 301)
    assert more(-0.014008, 0.01) in (300, 301)
    assert more(0.014008, 0.01, comparisons=3) == math.ceil(100 * ((2.39398 + 0.84162) / 1.4008) ** 2 - 100)
    assert more(0.0, 0.01) is None
    assert more(0.001, 0.01) is None
    assert more(0.02, 0.0) is None
    assert more(0.02, 0.02, units=5) is None
    assert units_to_decide(Difference(0.1, Interval(0.05, 0.2), 0.03, 0.01, 0.01), 100) is None


def test_as_many_units_as_are_said_do_decide() -> None:
    # Of sets as large as was said for 20 pictures, about four in five show the difference.
    first, second = map(counts_of, pairs(2000, 1, 0.008))
    whole = count_differences(first, second)["mean_iou"]
    error = whole.error * math.sqrt(2000 / 20)
    more = units_to_decide(Difference(whole.value, Interval(-1, 1), error, 1.0, 1.0), 20)
    assert more is not None
    random = np.random.default_rng(0)
    draws = [random.choice(2000, 20 + more) for _ in range(60)]
    share = np.mean([count_differences(first[draw], second[draw])["mean_iou"].shown for draw in draws])
    assert 0.65 <= share <= 0.95


@pytest.mark.parametrize(("comparisons", "units"), [(1, 6), (2, 7), (4, 8)])
def test_fewer_units_than_these_show_nothing(comparisons: int, units: int) -> None:
    assert fewest_units(comparisons) == units
    for count, reached in ((units - 1, False), (units, True)):
        p = count_differences(binary([10] * count), binary([0] * count))["global_accuracy"].p
        assert (comparisons * p <= 0.05) == reached


def test_the_better_one_is_said_as_a_sentence() -> None:
    found = compare_tests([list(binary([7, 6, 8, 7, 8, 7, 8])), list(binary([9] * 7))], alone(7))
    assert found.best == 1
    (versus,) = found.others
    assert (versus.other, versus.more, versus.same) == (0, None, False)
    assert (versus.higher, versus.lower) == (7, 0)
    # a: IoU 63/70 and b, which is never true, 0: mean 0.45; with 51 of 70: 0.364.
    difference = versus.differences["mean_iou"]
    assert difference.value == pytest.approx((63 - 51) / 70 / 2)
    assert difference.interval is not None
    low, high = (f"{100 * end:.1f}" for end in difference.interval)
    assert sentence(found, versus, "AB") == (
        f"B is 8.6 [{low}, {high}] mean IoU points above A on 7 pictures. Shown: p = 0.016."
    )


def test_what_cannot_be_told_apart_is_said() -> None:
    first, second = pairs(30, 4, 0.004)
    found = compare_tests([list(counts_of(first)), list(counts_of(second))], alone(30))
    assert not found.others[0].differences["mean_iou"].shown
    more = found.others[0].more
    assert more is not None
    said = sentence(found, found.others[0], "AB")
    size = r"A is 0\.\d+ \[-0\.\d+, \d\.\d+\] mean IoU points above B on 30 pictures"
    assert re.match(rf"{size}\. Not shown: p = 0\.\d+; about ", said)
    assert said.endswith(" more pictures would decide, if the difference is as measured.")
    assert more <= int(said.split("; about ")[1].split()[0]) <= 1.5 * more


def test_small_and_equal_sets_have_their_own_sentences() -> None:
    def said(first: PixelCounts, second: PixelCounts) -> str:
        found = compare_tests([list(first), list(second)], alone(len(first)))
        return sentence(found, found.others[0], "AB")

    assert said(binary([7]), binary([5])) == (
        "A is 10.0 mean IoU points above B on 1 picture. Not shown: one picture does not show how much pictures "
        "differ; of the 2 possible exchanges 2 are as large: p = 1. 1 picture cannot show a difference of any size: "
        "it takes at least 6."
    )
    assert said(binary([7, 7, 4]), binary([5, 6, 5])) == (
        "A is 3.3 [-5.0, 10.0] mean IoU points above B on 3 pictures. Not shown: A is above B on 2 of 3 pictures, "
        "below on 1; of the 8 possible exchanges 6 are as large: p = 0.75. 3 pictures cannot show a difference of any "
        "size: it takes at least 6."
    )
    one_equal = said(binary([7, 7, 5]), binary([5, 6, 5]))
    assert "A is above B on 2 of 3 pictures, below on 0, equal on 1; " in one_equal
    same = "A and B: 0.0 points: the same counts on every picture (9 pictures)"
    assert said(binary([7] * 9), binary([7] * 9)) == same
    balanced = said(binary([7, 5] * 4), binary([5, 7] * 4))
    assert balanced.startswith("A and B are 0.0 [")
    assert (
        "mean IoU points apart on 8 pictures. Not shown: p = 1; it is too small compared with its error to" in balanced
    )
    nothing = np.zeros((3, 3, 2), dtype=np.int64)
    assert said(nothing, nothing) == "A and B: no mean IoU to compare: no pixel counts"
    single = compare_tests([[each] for each in (binary([7])[0], binary([5])[0])], ["x"])
    assert single.others[0].differences["mean_iou"].interval is None
    assert single.mean_ious[0] == (pytest.approx(0.35), None)


def test_of_several_the_best_meets_each_of_the_others() -> None:
    found = compare_tests([list(binary([k] * 12)) for k in (5, 9, 7, 9)], alone(12))
    assert found.best == 1
    assert [versus.other for versus in found.others] == [0, 2, 3]
    assert found.others[0].differences["mean_iou"].p == pytest.approx(6 * 2 / 2**12)
    assert found.others[0].differences["mean_iou"].alone == 2 / 2**12
    text = comparison_text(found, "ABCD", ["one", "two", "three", "four"], ["", "C wins.", ""], ["look"])
    words = " ".join(text.split())
    assert "B is 20.00 [20.00, 20.00] mean IoU points above A on 12 pictures. Shown: p = 0.0029, corrected for" in words
    assert "B and D: 0.0 points: the same counts on every picture (12 pictures)" in text
    assert "corrected (Holm) for all 6 comparisons of two of the 4 tests" in words
    assert "\nC wins.\n" in text
    assert "\n\nnote: look\n\n" in text
    assert max(map(len, text.splitlines())) <= 100


def test_few_pictures_of_several_tests_say_what_the_exact_test_can() -> None:
    found = compare_tests([list(binary([k] * 6)) for k in (5, 9, 7)], alone(6))
    assert sentence(found, found.others[0], "ABC") == (
        "B is 20.00 [20.00, 20.00] mean IoU points above A on 6 pictures. Not shown: B is above A on all 6 pictures; "
        "of the 64 possible exchanges 2 are as large: p = 0.031 for this comparison alone, 0.094 corrected for 3. "
        "6 pictures cannot show a difference of any size among 3 tests: it takes at least 7; the "
        "comparison of these two alone, with p = 0.031, would show it if they had been chosen before their scores "
        "were seen."
    )
    fewer = compare_tests([list(binary([k] * 5)) for k in (5, 9, 7)], alone(5))
    assert sentence(fewer, fewer.others[0], "ABC").endswith("it takes at least 7, and 6 for two tests alone.")


@pytest.mark.parametrize(
    ("interval", "p", "end"),
    [
        (Interval(-0.01, 0.3), 0.04, "Not shown: p = 0.04, but the interval contains 0."),
        (Interval(0.01, 0.3), 0.0503, "Not shown: p = 0.0503; it is too small compared with its error to "),
        (Interval(0.01, 0.3), 0.0499, "Shown: p = 0.05."),
    ],
)
def test_a_sentence_never_shows_more_than_the_test(interval: Interval, p: float, end: str) -> None:
    found = compare_tests([list(binary([7] * 8)), list(binary([6] * 8))], alone(8))
    against = dataclasses.replace(
        found.others[0], differences={"mean_iou": Difference(0.1, interval, 0.05, p, p)}, more=None
    )
    assert f". {end}" in sentence(found, against, "AB")


def test_groups_are_exchanged_whole() -> None:
    groups = [str(k // 2) for k in range(14)]
    right, wrong = binary([8, 6] * 7), binary([5, 5] * 7)
    found = compare_tests([list(right), list(wrong)], groups)
    assert (found.unit, found.units, found.pictures) == ("group", 7, 14)
    assert found.others[0].differences["mean_iou"].p == 2 / 2**7
    assert sentence(found, found.others[0], "AB").endswith("on 14 pictures in 7 groups. Shown: p = 0.016.")
    rule = comparison_rule(found)
    assert "paired resamples of the 7 groups with seed 0" in rule
    assert "exact permutation test (128 permutations)" in rule


def two_columns(rows: int = 1) -> Measure:
    """The ratio of two sums, and how often the first number is the larger one; a first row that nobody compares."""

    def table(numbers: Numbers) -> ScoreTable:
        first, second = numbers.sum(0)
        last = [first / (first + second) if first + second else math.nan, float((numbers[:, 0] > numbers[:, 1]).sum())]
        return np.array([[0.0, 0.0]] * (rows - 1) + [last])

    columns = (Column("ratio", "ratio", better="lower"), Column("larger", "larger", "count"))
    names = tuple(f"row {k}" for k in range(rows))
    return Measure("two", "two", "Two", "A rule.", names, columns, lambda _: np.empty(0), table)


@pytest.mark.parametrize(("count", "groups"), [(6, alone(6)), (12, [str(k // 2) for k in range(12)]), (20, alone(20))])
def test_differences_of_measures_are_those_of_literal_loops(count: int, groups: list[str]) -> None:
    random = np.random.default_rng(count)
    first, second = random.uniform(0, 1, (2, count, 2))
    found = measure_differences(two_columns(2), first, second, groups, seed=4)
    assert [column.key for column in found] == ["ratio"]  # counts have no difference
    (difference,) = found.values()

    def ratio(numbers: Numbers) -> float:
        return float(sum(row[0] for row in numbers) / sum(row[0] + row[1] for row in numbers))

    assert difference.value == pytest.approx(ratio(first) - ratio(second))
    units = sorted(set(groups))
    members = [[k for k in range(count) if groups[k] == unit] for unit in units] if groups[0] == groups[1] else None
    members = members or [[k] for k in range(count)]
    drawn, random = [], np.random.default_rng(4)
    for times in random.multinomial(len(members), np.full(len(members), 1 / len(members)), size=RESAMPLES):
        taken = [k for unit, often in enumerate(times) for _ in range(often) for k in members[unit]]
        drawn.append(ratio(first[taken]) - ratio(second[taken]))
    assert difference.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    assert difference.error == pytest.approx(np.std(drawn))
    if 2 ** len(members) > EXCHANGES:
        choices = np.random.default_rng(4).integers(0, 2, size=(EXCHANGES, len(members))).tolist()
    else:
        choices = [list(choice) for choice in itertools.product((0, 1), repeat=len(members))]
    as_large = 0
    for choice in choices:
        one, other = first.copy(), second.copy()
        for kept, unit in zip(choice, members, strict=True):
            if not kept:
                one[unit], other[unit] = second[unit], first[unit]
        as_large += abs(ratio(one) - ratio(other)) >= abs(difference.value) - 1e-12
    exact = 2 ** len(members) <= EXCHANGES
    assert difference.p == pytest.approx(as_large / len(choices) if exact else (as_large + 1) / (EXCHANGES + 1))


def test_a_measures_differences_stand_below_those_of_the_counts() -> None:
    random = np.random.default_rng(0)
    low = random.uniform(0, 0.4, (9, 2)) + np.array([0, 1])
    high = low + np.array([1, 0])
    found = compare_tests(
        [list(binary([9] * 9)), list(binary([7] * 9)), list(binary([7] * 9))],
        alone(9),
        measures=[SharedMeasure(two_columns(), [high, low, low])],
    )
    alone_p = measure_differences(two_columns(), high, low, alone(9))[two_columns().columns[0]].p
    assert [versus.measures["two"][two_columns().columns[0]].p for versus in found.others] == [3 * alone_p] * 2
    table = [line.split() for line in comparison_text(found, "ABC", ["x", "y", "z"], ["", ""], []).splitlines() if line]
    assert next(line for line in table if line[:2] == ["mean", "IoU"])[-1] == "A"
    assert next(line for line in table if line[:2] == ["two:", "ratio"])[-1] == "B"  # lower is better


def test_a_measure_that_counts_nowhere_has_no_difference() -> None:
    nothing = np.zeros((7, 2))
    assert measure_differences(two_columns(), nothing, nothing, alone(7)) == {}


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_made_again_from_its_name_and_rule(name: str) -> None:
    for made in [
        MEASURES[name](("a", "b")),
        *([SAMPLED_MEASURES[name](("a", "b"))] if name in SAMPLED_MEASURES else []),
    ]:
        assert made.name == name
        again = measure_of(name, made.rule, ("a", "b"))
        assert again is not None
        assert (again.key, again.rows, again.columns) == (made.key, made.rows, made.columns)
    assert measure_of(name, "Another rule.", ("a", "b")) is None
