"""Whether one model scores higher than another on the same pictures, or whether the pictures cannot tell.

The difference of a score has a paired bootstrap interval: every resample takes the same units (pictures or groups of
them, as in ``unpool.metrics.intervals``) of both. Its p-value is that of a paired randomisation test: if the two
models were alike, exchanging their counts on any of the units would change nothing, so p is the share of such
exchanges whose difference is at least as large as the one found, up or down (Fisher, The Design of Experiments, 1935;
Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989). Several comparisons are corrected as by Holm (Scand.
J. Statist. 6, 1979).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from unpool.metrics.intervals import (
    HEADLINE,
    LEVEL,
    SEED,
    Interval,
    Unit,
    drawn_units,
    interval_of,
    members_of,
    resampled,
    row_blocks,
    units_of,
    values_of,
    weighed,
)
from unpool.metrics.measures import Column, Measure, Numbers, Table

ALPHA = 1 - LEVEL
POWER = 0.8
"""Chance with which the number of units that is said to decide would do so, if the difference is as it was found."""

SWAPS = 10_000
"""Random exchanges; where there are no more than these in all, each is made once."""

Score = TypeVar("Score")
"""What a difference is of: a name in ``Scores`` or a ``Column``."""

_FAR = 20  # times the units there are: beyond, the difference is too uncertain to say how many would decide
_ROUNDING = 1e-12


class MeasuredTests(NamedTuple):
    """What several tests measured: the numbers (pictures, n) of each, all pictures in one order."""

    measure: Measure
    numbers: Sequence[Numbers]


@dataclass(frozen=True)
class Difference:
    """A score of one test less that of another, in the score's unit: for ratios -1..1.

    Attributes
    ----------
    interval: 95 %; None with a single unit.
    error: standard error, from the same resamples.
    p: of the randomisation test, corrected for the number of comparisons.
    """

    value: float
    interval: Interval | None
    error: float
    p: float

    @property
    def shown(self) -> bool:
        """Whether p is at most 0.05 and the interval leaves 0 out."""
        return self.p <= ALPHA and self.interval is not None and not self.interval.low <= 0 <= self.interval.high


@dataclass(frozen=True)
class Duel:
    """The best test against another one.

    Attributes
    ----------
    other: its place among the tests.
    differences: the best's scores less the other's, by their names in ``Scores``; without those that are None.
    more: units besides those there are that would decide on the mean IoU; None where no number makes sense.
    same: whether both have the same counts on every picture.
    measured: by the keys of measures, the best's scores less the other's; without counts and what is NaN.
    """

    other: int
    differences: Mapping[str, Difference]
    more: int | None
    same: bool
    measured: Mapping[str, Mapping[Column, Difference]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Two or more tests on the same pictures.

    Attributes
    ----------
    unit, units: what was resampled and exchanged, and how many of them there are.
    mean_ious: of each test, its mean IoU or None, and the interval.
    best: place of the test with the highest mean IoU; the first of equals.
    duels: the best against each of the others, in their order.
    """

    pictures: int
    unit: Unit
    units: int
    seed: int
    mean_ious: tuple[tuple[float | None, Interval | None], ...]
    best: int
    duels: tuple[Duel, ...]


def compare(
    tests: Sequence[Sequence[NDArray[np.int64]]],
    groups: Sequence[str],
    seed: int = SEED,
    measures: Sequence[MeasuredTests] = (),
) -> Comparison:
    """Compare the best of several tests with each of the others.

    Parameters
    ----------
    tests: for each test a ``tally`` of every picture, in one order.
    groups: the group of each picture.
    measures: what all the tests measured, the pictures in the same order.
    """
    units = [units_of(tallies, groups) for tallies in tests]
    counts = [each.tallies for each in units]
    mean_ious = tuple(_mean_iou(each, seed) for each in counts)
    best = max(range(len(tests)), key=lambda k: (mean_ious[k][0] or 0.0, -k))
    others = [k for k in range(len(tests)) if k != best]
    found = corrected([differences(counts[best], counts[k], seed) for k in others])
    measured = {
        each.measure.key: corrected(
            [measured_differences(each.measure, each.numbers[best], each.numbers[k], groups, seed) for k in others]
        )
        for each in measures
    }
    size = len(counts[best])
    return Comparison(
        pictures=len(groups),
        unit=units[best].unit,
        units=size,
        seed=seed,
        mean_ious=mean_ious,
        best=best,
        duels=tuple(
            Duel(
                other=k,
                differences=each,
                more=units_to_decide(each["mean_iou"], size, len(others)) if "mean_iou" in each else None,
                same=all(np.array_equal(one, two) for one, two in zip(tests[best], tests[k], strict=True)),
                measured={key: each_of[place] for key, each_of in measured.items()},
            )
            for place, (k, each) in enumerate(zip(others, found, strict=True))
        ),
    )


def differences(first: NDArray[np.int64], second: NDArray[np.int64], seed: int = SEED) -> dict[str, Difference]:
    """The headline scores of the first less those of the second; uncorrected, without those that are None.

    Parameters
    ----------
    first, second: tallies of the same units (N, 3, K).
    """
    found = _less(values_of(first.sum(0)), values_of(second.sum(0)))
    drawn = _less(resampled(first, seed), resampled(second, seed))
    exchanged = _exchanged(first, second, seed)
    return {
        name: Difference(
            value=float(found[name]),
            interval=interval_of(drawn[name]) if len(first) > 1 else None,
            error=float(np.nanstd(drawn[name])),
            p=_p_value(float(found[name]), exchanged[name], exact=2 ** len(first) <= SWAPS),
        )
        for name in HEADLINE
        if not np.isnan(found[name])
    }


def measured_differences(
    measure: Measure, first: Numbers, second: Numbers, groups: Sequence[str], seed: int = SEED
) -> dict[Column, Difference]:
    """The last row of the first one's table less that of the second; uncorrected, without counts and what is NaN.

    Parameters
    ----------
    first, second: numbers of the same pictures (N, n).
    groups: the group of each picture.
    """

    def less(one: Numbers, two: Numbers) -> Table:
        return np.asarray(measure.table(one)[-1] - measure.table(two)[-1])

    members = members_of(groups)
    taken = (np.concatenate([members[unit] for unit in units]) for units in drawn_units(len(members), seed))
    found, drawn = less(first, second), np.stack([less(first[each], second[each]) for each in taken])
    exchanged = np.stack([
        less(np.where(kept, first, second), np.where(kept, second, first)) for kept in _kept(members, seed)
    ])  # fmt: skip
    return {
        column: Difference(
            value=float(found[c]),
            interval=interval_of(drawn[:, c]) if len(members) > 1 else None,
            error=float(np.nanstd(drawn[:, c])),
            p=_p_value(float(found[c]), exchanged[:, c], exact=2 ** len(members) <= SWAPS),
        )
        for c, column in enumerate(measure.columns)
        if column.unit != "count" and not np.isnan(found[c])
    }


def corrected(found: Sequence[Mapping[Score, Difference]]) -> list[dict[Score, Difference]]:
    """The same differences with p-values corrected for the comparisons, each score by itself."""
    results = [dict(each) for each in found]
    for name in dict.fromkeys(name for each in found for name in each):
        known = [each for each in results if name in each]
        for each, p in zip(known, holm([each[name].p for each in known]), strict=True):
            each[name] = replace(each[name], p=p)
    return results


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected by Holm's step-down procedure, in the order given; at most 1."""
    order = sorted(range(len(values)), key=lambda k: values[k])
    results, least = [0.0] * len(values), 0.0
    for rank, k in enumerate(order):
        least = max(least, (len(values) - rank) * values[k])
        results[k] = min(least, 1.0)
    return results


def fewest_units(comparisons: int = 1) -> int:
    """Units below which no exchange test can show anything: of 2^n exchanges, two are as large as what was found."""
    return math.ceil(math.log2(2 * comparisons / ALPHA))


def units_to_decide(difference: Difference, units: int, comparisons: int = 1) -> int | None:
    """How many more units would show a difference of this size, four times in five; None where no number makes sense.

    The standard error falls with the root of the number of units. No number makes sense for a difference that is
    shown, for one that is 0 or very small beside its error, and with fewer units than could show anything.
    """
    if difference.shown or units < fewest_units(comparisons) or not difference.error:
        return None
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - ALPHA / (2 * comparisons)) + normal.inv_cdf(POWER)
    if quantiles * difference.error > math.sqrt(_FAR) * abs(difference.value):
        return None
    return max(math.ceil(units * ((quantiles * difference.error / difference.value) ** 2 - 1)), 1)


def _mean_iou(tallies: NDArray[np.int64], seed: int) -> tuple[float | None, Interval | None]:
    value = float(values_of(tallies.sum(0))["mean_iou"])
    interval = interval_of(resampled(tallies, seed)["mean_iou"]) if len(tallies) > 1 else None
    return None if math.isnan(value) else value, interval


def _less(first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: first[name] - second[name] for name in HEADLINE}


def _exchanged(first: NDArray[np.int64], second: NDArray[np.int64], seed: int) -> dict[str, NDArray[Any]]:
    """Differences after the counts of some units have been exchanged, one for each choice of units."""
    one = weighed(first - second, _choices(len(first), seed)) + second.sum(0)
    other = (first + second).sum(0) - one
    return _less(values_of(one), values_of(other))


def _kept(members: Sequence[NDArray[np.int64]], seed: int) -> Iterator[NDArray[np.bool_]]:
    """Which pictures keep their numbers, (pictures, 1), in each of the exchanges of the units they are members of."""
    unit_of = np.empty(sum(map(len, members)), dtype=np.int64)
    for unit, pictures in enumerate(members):
        unit_of[pictures] = unit
    for block in _choices(len(members), seed):
        for choice in block:
            yield (choice[unit_of] > 0)[:, None]


def _choices(units: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Which units keep their counts, as rows of 0 and 1: every choice where they are few, else random ones."""
    if 2**units <= SWAPS:
        yield (np.arange(2**units)[:, None] >> np.arange(units) & 1).astype(np.float64)
        return
    random = np.random.default_rng(seed)
    for rows in row_blocks(SWAPS, units):
        yield random.integers(0, 2, size=(rows, units)).astype(np.float64)


def _p_value(found: float, exchanged: NDArray[Any], *, exact: bool) -> float:
    """The share of differences as large as the one found, which is one of them (and is among all, if all are made)."""
    as_large = int((np.abs(exchanged) >= abs(found) - _ROUNDING).sum())
    return as_large / len(exchanged) if exact else (as_large + 1) / (len(exchanged) + 1)
