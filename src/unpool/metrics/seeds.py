"""Whether a variant is better than a baseline: both with the same seeds of training and the same pictures.

Chance enters twice: by the seeds of the trainings and by the pictures of the test. Radiology has the same question of
two ways to make pictures, with readers in place of seeds, and its analysis is used here (Dorfman, Berbaum and Metz,
Invest. Radiol. 27, 1992). For each seed s, d_s is the score of the variant minus that of the baseline, from the pixel
counts of all units (pictures or groups, as in ``unpool.metrics.intervals``). The value is the mean of the d_s. The
jackknife leaves out each unit p in turn, which gives a table of pseudo-values, P d_s - (P - 1) d_s(without p), centred
so that their mean is d_s (Hillis et al., Stat. Med. 24, 2005). With the mean squares MS of its seeds, units and
residuals, the squared error of the value has two parts:

* from seeds: the variance of the variant's scores plus that of the baseline's, divided by S
* from units: max(MS_p - MS_e, 0) / (S P)

A seed has hardly the same effect on two networks, so the two variances are taken as independent (Welch, Biometrika 34,
1947) and not from the d_s, which would leave S - 1 degrees of freedom. Their sum has S - 1 times sum / larger variance:
S - 1 where one model varies alone, twice as many where both vary alike. Corrected for five variants, three seeds show
differences of 9 standard errors with a chance of 80 %, and five seeds of 5: from the d_s it takes 13 and 6.

The interval is value -+ sqrt(t_s^2 part_s + t_p^2 part_p), where t_s and t_p are the quantiles of t with these degrees
of freedom and with P - 1: each part has its own (Howe, J. Am. Stat. Assoc. 69, 1974). With exact quantiles, such an
interval holds the truth at least as often as its level (Banerjee, Sankhya 23, 1961). The usual analysis has one
quantile for the whole error, with the degrees of freedom of Hillis (Stat. Med. 26, 2007), and needs more seeds than
studies have: in made studies of equal models (``tests/test_seeds.py``) it found 12 % false differences at a level of
5 % with two seeds, or with five pictures.

The quantile of seeds is not exact where the variances differ. With normal scores that only seeds change, and up to
twelve variants against one baseline, studies with a false difference stay within 5 % while no variance is more than
nine times another. They reach 8 %, and those with a false "better" 4 %, where all variants vary 30 to 1000 times as
much as the baseline. Satterthwaite's degrees of freedom (Biometrics 2, 1946), up to a fifth more, would give 7 %, 12 %
and 6 %.

Where equal seeds move both networks alike, the interval is too wide. Where they move them in opposite directions, it is
too narrow: with a correlation of -0.5 and five seeds, 9 % of the studies of one equal variant find a difference. What
equal seeds share is the order of the pictures, which would rather move networks alike. To take the larger of this
variance and that of the d_s would leave 5 %, but widen all intervals by 8 to 10 %.

A limit of any such analysis: a few pictures do not show what happens on rare ones. A variant that is a little better on
most pictures and much worse on a few, and as good on average, is called better too often: in the made studies there, in
16 % of those of 5 pictures, 8 % of 40 and 5 % of 160.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from unpool.errors import DataError, UsageError
from unpool.metrics.comparison import ALPHA, MOST_TIMES, POWER
from unpool.metrics.intervals import HEADLINE, Interval, PixelCounts, Unit, members_of, scores_of_counts

CLEAR = 0.001
"""The p-value below which a look before the end of a study may end it (Haybittle, Br. J. Radiol. 44, 1971; Peto et al.,
Br. J. Cancer 34, 1976): so small that a few looks add almost nothing to the 5 % of the final test."""

_ROUNDING = 1e-12
_LEAST_P = 1e-100  # below it, p is given as this: quantiles of smaller ones are too large for float64
_QUANTILES = (np.arange(20) + 0.5) / 20


@dataclass(frozen=True)
class VarianceComponents:
    """The variances that the error of a mean over seeds and units comes from, in squared units of the score.

    Attributes
    ----------
    seed: variance over seeds, as it would be with very many units.
    unit: variance over units that all seeds share, of one unit.
    residual: the rest of one unit and one seed.
    """

    seed: float
    unit: float
    residual: float

    def doubled(self) -> VarianceComponents:
        """Return the components of a difference of two such models, if only one model was measured.

        Both have their own seeds. Units that are hard for both cancel out in a difference, so its own ``unit`` is
        usually smaller: a forecast from doubled components is cautious.
        """
        return VarianceComponents(2 * self.seed, 2 * self.unit, 2 * self.residual)

    def squared_errors(self, seeds: int, units: int) -> tuple[float, float]:
        """Return the expected squared error from seeds and that from units."""
        return (self.seed + self.residual / units) / seeds, self.unit / units


@dataclass(frozen=True)
class SeedScore:
    """A score of one model: its mean over seeds, and how far the mean would move with other seeds and other pictures.

    Attributes
    ----------
    value, per_seed: mean over the seeds, and the score of each.
    interval: 95 %, over the chances whose errors are known; None where neither is.
    error_of_seeds: part of the standard error; None with one seed, or where all seeds have the same counts.
    error_of_units: part of the standard error; None with one unit.
    components: None where an error is.
    unit, units: kind of the units, and their number; units without a counted pixel are left out.
    """

    value: float
    interval: Interval | None
    error_of_seeds: float | None
    error_of_units: float | None
    components: VarianceComponents | None
    per_seed: tuple[float, ...]
    unit: Unit
    units: int


@dataclass(frozen=True)
class SeedDifference(SeedScore):
    """A score of a variant minus that of a baseline, as a mean over the seeds.

    The interval is at level 1 - 0.05 / comparisons, so that the intervals of all comparisons hold together with 95 %.
    The error of the seeds is None where all seeds of both models have the same counts: the chance of the training is
    unknown then, and the interval is one over units only. Where only one of the models has the same counts with all
    seeds, it counts as one that is the same with any seed.

    Attributes
    ----------
    p: two-sided p-value times the comparisons, at most 1; None where an error is None, since then no verdict is
        possible.
    comparisons: number of variants that were tried.
    """

    p: float | None
    comparisons: int

    @property
    def shown(self) -> bool:
        """Whether p is at most 0.05 and the interval does not contain 0; never without a p."""
        if self.p is None or self.interval is None:
            return False
        return self.p <= ALPHA and not self.interval.low <= 0 <= self.interval.high

    @property
    def error(self) -> float:
        """The standard error, from the parts that are known; NaN where none is."""
        known = [part for part in (self.error_of_seeds, self.error_of_units) if part is not None]
        return math.hypot(*known) if known else math.nan

    @property
    def share_of_seeds(self) -> float | None:
        """The share 0..1 of the squared error that comes from the seeds, the rest from units; None without errors."""
        if self.error_of_seeds is None or self.error_of_units is None or not self.error:
            return None
        return (self.error_of_seeds / self.error) ** 2


class MoreToDecide(NamedTuple):
    """What would show a difference: more units with the same seeds, or more seeds with the same units.

    Each is None where no number up to 20 times of those that there are would.
    """

    units: int | None
    seeds: int | None


def difference_of(
    variant: PixelCounts, baseline: PixelCounts, groups: Sequence[str], score: str = "mean_iou", comparisons: int = 1
) -> SeedDifference:
    """Return a score of a variant minus that of a baseline, which have the same seeds and the same pictures.

    Parameters
    ----------
    variant, baseline: counts (S, P, 3, K) of every seed and picture, in one order.
    groups: group of each picture; groups are the units where there are enough, else pictures.
    score: one of ``HEADLINE``.
    comparisons: number of variants that were tried against this baseline, with those that were given up.

    Raises
    ------
    DataError: the true pixels of a picture differ between two seeds or models, or no pixel counts.
    UsageError: shapes, ``groups``, ``score`` or ``comparisons`` are wrong.
    """
    if variant.shape != baseline.shape:
        raise UsageError(
            f"counts of the shapes {variant.shape} and {baseline.shape}",
            "the same seeds, pictures and classes of variant and baseline",
            "compare trainings with the same seeds that were tested on the same pictures",
        )
    if comparisons < 1:
        raise UsageError(f"comparisons {comparisons}", "1 or more", "count the variants that were tried")
    table = _Table.of(np.stack([variant, baseline]), groups, score)
    analysis = _Analysis.of(table.values, table.without, table.seeds_differ)
    mean = analysis.mean(ALPHA / comparisons, -1.0, table.unit)
    return SeedDifference(**vars(mean), p=analysis.p(comparisons), comparisons=comparisons)


def score_with_interval(counts: PixelCounts, groups: Sequence[str], score: str = "mean_iou") -> SeedScore:
    """Return the mean over seeds of one model's score, with a 95 % interval from seeds and pictures together.

    Parameters
    ----------
    counts: counts (S, P, 3, K) of every seed and picture.
    groups: group of each picture; groups are the units where there are enough, else pictures.
    score: one of ``HEADLINE``.

    Raises
    ------
    DataError: the true pixels of a picture differ between two seeds, or no pixel counts.
    UsageError: the shape, ``groups`` or ``score`` is wrong.
    """
    table = _Table.of(counts[None], groups, score)
    return _Analysis.of(table.values, table.without, table.seeds_differ).mean(ALPHA, 0.0, table.unit)


def clear_already(difference: SeedDifference) -> bool:
    """Tell whether a difference is so clear that a look before the end of a study may end it."""
    return difference.shown and difference.p is not None and difference.p < CLEAR


def more_to_decide(difference: SeedDifference) -> MoreToDecide:
    """Return how many more units or seeds would show a difference of this size with a chance of 80 %.

    Both are None for a difference that is shown already, that is 0, or whose errors are not both known. Both models are
    taken to vary alike over seeds: if one varies more, it takes more.
    """
    components, seeds, units = difference.components, len(difference.per_seed), difference.units
    if difference.shown or components is None or not difference.value:
        return MoreToDecide(None, None)

    def enough(seeds: int, units: int) -> bool:
        return _power(difference.value, components, seeds, units, difference.comparisons) >= POWER

    more_units = range(1, (MOST_TIMES - 1) * units + 1)
    more_seeds = range(1, (MOST_TIMES - 1) * seeds + 1)
    by_units = bisect_left(more_units, True, key=lambda more: enough(seeds, units + more))
    by_seeds = bisect_left(more_seeds, True, key=lambda more: enough(seeds + more, units))
    return MoreToDecide(
        more_units[by_units] if by_units < len(more_units) else None,
        more_seeds[by_seeds] if by_seeds < len(more_seeds) else None,
    )


def detectable_difference(components: VarianceComponents, seeds: int, units: int, comparisons: int = 1) -> float:
    """Return the least true difference that a study would show with a chance of 80 %, in the score's unit.

    Parameters
    ----------
    components: of the difference of two models, from a pilot; ``doubled`` where only one model was measured. Half of
        ``seed`` and ``residual`` is taken as each model's: if one varies more, the least difference is larger.
    seeds, units: of the planned study, at least 2 each.
    comparisons: number of variants that will be tried.

    Raises
    ------
    UsageError: fewer than two seeds or units, or no comparison.
    """
    if min(seeds, units) < 2 or comparisons < 1:
        raise UsageError(
            f"a study of {seeds} seeds, {units} units and {comparisons} comparisons",
            "at least 2 seeds, 2 units and 1 comparison",
            "plan more: with one of them, its chance stays unknown and no difference can be shown",
        )
    error = math.sqrt(sum(components.squared_errors(seeds, units)))
    if not error:
        return 0.0
    widest = float(_half_widths(components, seeds, units, comparisons).max())
    return float(
        optimize.brentq(
            lambda value: _power(value, components, seeds, units, comparisons) - POWER, 0.0, widest + 2 * error
        )
    )


class _Table(NamedTuple):
    """The scores of one or two models (models, S), and without each unit (models, S, P): NaN for a single unit."""

    values: NDArray[np.float64]
    without: NDArray[np.float64]
    unit: Unit
    seeds_differ: bool

    @staticmethod
    def of(counts: PixelCounts, groups: Sequence[str], score: str) -> _Table:
        """Return the scores of counts (models, S, P, 3, K)."""
        if score not in HEADLINE:
            raise UsageError(f"the score {score}", f"one of {', '.join(HEADLINE)}", "choose one of them")
        if counts.ndim != 5 or counts.shape[3] != 3 or counts.shape[2] != len(groups) or not counts.shape[1]:
            raise UsageError(
                f"counts of the shape {counts.shape[1:]} and {len(groups)} groups",
                "(seeds, pictures, 3, classes), and the group of each picture",
                "count hit, true and predicted pixels of each class, for every seed and picture",
            )
        truth = counts[..., 1, :]
        if len(wrong := np.flatnonzero((truth != truth[0, 0]).any((0, 1, 3)))):
            raise DataError(
                f"picture {wrong[0] + 1} of {len(groups)} has other true pixels in one of the tests than in another",
                "the same pictures, masks and order in all tests",
                "test all models again on the same pictures",
            )
        members = members_of(groups)
        units = np.stack([counts[:, :, each].sum(2) for each in members], axis=2)
        units = units[:, :, units[0, 0, :, 1].sum(-1) > 0]
        if not units.shape[2]:
            raise DataError(
                "no pixel counts in any picture",
                "pictures with pixels that are not ignored",
                "test on pictures whose masks have classes",
            )
        total = units.sum(2, keepdims=True)
        scores = scores_of_counts(np.concatenate([total, total - units], axis=2))[score]
        return _Table(
            values=scores[..., 0],
            without=scores[..., 1:],
            unit="picture" if len(members) == len(groups) else "group",
            seeds_differ=bool((units != units[:, :1]).any()),
        )


class _Analysis(NamedTuple):
    """The value, the two parts of its squared error, and the variance components; parts that are unknown are None.

    ``freedom`` is the degrees of freedom of the part of seeds.
    """

    value: float
    of_seeds: float | None
    freedom: float
    of_units: float | None
    components: VarianceComponents | None
    per_seed: tuple[float, ...]
    units: int

    @staticmethod
    def of(scores: NDArray[np.float64], without_unit: NDArray[np.float64], seeds_differ: bool) -> _Analysis:
        """Return the analysis of one model's scores, or of the differences of two models.

        Parameters
        ----------
        scores: of each model and seed (models, S); without_unit: without each unit (models, S, P).
        """
        sign = np.array([1.0, -1.0])[: len(scores)]
        values, without = np.tensordot(sign, scores, 1), np.tensordot(sign, without_unit, 1)
        values = np.where(np.abs(values) < _ROUNDING, 0.0, values)
        seeds, units = without.shape
        value, per_seed = float(values.mean()), tuple(values.tolist())
        of_seeds, freedom = None, seeds - 1.0
        if seeds_differ:
            variances = scores.var(1, ddof=1)
            of_seeds = float(variances.sum()) / seeds
            freedom *= seeds * of_seeds / float(variances.max()) if of_seeds else 1.0
        if units < 2:
            return _Analysis(value, of_seeds, freedom, None, None, per_seed, units)
        pseudo = (units - 1) * (without.mean(1, keepdims=True) - without)  # centred: the mean of every seed is 0
        common = pseudo.mean(0)
        square_of_units = seeds * float((common**2).sum()) / (units - 1)
        if of_seeds is None:
            return _Analysis(value, None, freedom, square_of_units / (seeds * units), None, per_seed, units)
        residual = float(((pseudo - common) ** 2).sum()) / ((seeds - 1) * (units - 1))
        of_units = max(square_of_units - residual, 0.0) / (seeds * units)
        seed = max(seeds * of_seeds - residual / units, 0.0)
        components = VarianceComponents(seed, units * of_units, residual)
        return _Analysis(value, of_seeds, freedom, of_units, components, per_seed, units)

    def mean(self, level: float, low: float, unit: Unit) -> SeedScore:
        """Return the mean over the seeds with its errors and its ``interval``, for units of this kind."""
        return SeedScore(
            value=self.value,
            interval=self.interval(level, low),
            error_of_seeds=_root(self.of_seeds),
            error_of_units=_root(self.of_units),
            components=self.components,
            per_seed=self.per_seed,
            unit=unit,
            units=self.units,
        )

    def interval(self, level: float, low: float) -> Interval | None:
        """Return the interval that misses the truth with a chance of ``level``, within ``low``..1."""
        if self.of_seeds is None and self.of_units is None:
            return None
        half = math.sqrt(self._squared_half(level))
        return Interval(max(self.value - half, low), min(self.value + half, 1.0))

    def p(self, comparisons: int) -> float | None:
        """Return the least level whose interval does not contain 0, times the comparisons; None without both parts."""
        if self.of_seeds is None or self.of_units is None:
            return None
        if not self.value:
            return 1.0
        if self._squared_half(_LEAST_P) <= self.value**2:
            return min(_LEAST_P * comparisons, 1.0)
        root = optimize.brentq(
            lambda power: self._squared_half(math.exp(power)) - self.value**2, math.log(_LEAST_P), 0.0, xtol=1e-12
        )
        return min(math.exp(root) * comparisons, 1.0)

    def _squared_half(self, level: float) -> float:
        parts = ((self.of_seeds, self.freedom), (self.of_units, self.units - 1))
        return sum(float(_quantile(level, freedom)) ** 2 * part for part, freedom in parts if part)


def _quantile(level: float, freedom: ArrayLike) -> NDArray[np.float64]:
    """Return the two-sided quantile of t with these degrees of freedom."""
    return np.asarray(-special.stdtrit(freedom, level / 2))


def _root(part: float | None) -> float | None:
    return None if part is None else math.sqrt(part)


def _power(value: float, components: VarianceComponents, seeds: int, units: int, comparisons: int) -> float:
    """Return the chance that a true difference of this value is shown."""
    error = math.sqrt(sum(components.squared_errors(seeds, units)))
    if not error:
        return 1.0
    widths = _half_widths(components, seeds, units, comparisons)
    return float(special.ndtr((abs(value) - widths) / error).mean())


def _half_widths(components: VarianceComponents, seeds: int, units: int, comparisons: int) -> NDArray[np.float64]:
    """Return half the width of the interval for equally likely measured errors.

    The seeds' part comes from two models of the same variance: their measured sum and the larger one's share of it vary
    independently. Axes: shares, sums, measured parts of the units.
    """
    of_seeds, of_units = components.squared_errors(seeds, units)
    level, freedom = ALPHA / comparisons, seeds - 1
    larger = special.betaincinv(freedom / 2, freedom / 2, 0.5 + _QUANTILES / 2)
    seeds_squares = of_seeds * _quantile(level, freedom / larger)[:, None] ** 2 * _measured(2 * freedom)
    units_squares = of_units * _quantile(level, units - 1) ** 2 * _measured(units - 1)
    return np.asarray(np.sqrt(seeds_squares[:, :, None] + units_squares))


def _measured(freedom: int) -> NDArray[np.float64]:
    """Return equally likely measured variances, where the true one is 1."""
    return np.asarray(special.gammaincinv(freedom / 2, _QUANTILES) * 2 / freedom)
