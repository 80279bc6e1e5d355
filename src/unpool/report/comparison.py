"""A comparison of tests as sentences and tables, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from unpool.ledger.text import TITLES
from unpool.metrics.comparison import ALPHA, EXCHANGES, Comparison, ComparisonWithBest, Difference, fewest_units
from unpool.metrics.intervals import RESAMPLES, Interval
from unpool.metrics.measures import Column
from unpool.report.text import aligned, with_interval
from unpool.wording import DASH, PAGE_WIDTH, count_text, estimate_rounded_up, on_one_line

_RATIO = Column("ratio", "ratio")
_NARROW = 0.5  # points: a narrower interval needs a second decimal
_NEAR_ZERO = 0.05  # points: what would read 0.0 and is not needs one too
_FEW = 20
"""Units below which the intervals are often too narrow: of 6 units 85 % hold the true mean, of 12 91 %, of 20 93 %."""


def comparison_text(
    comparison: Comparison,
    labels: Sequence[str],
    sources: Sequence[str],
    changes: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Return the tests, then a sentence and a table for each comparison, then the notes and the rule.

    Parameters
    ----------
    labels, sources: short name of each test, and its folder.
    changes: for each comparison a sentence on the settings that differ; empty where they are unknown.
    notes: sentences on what makes a comparison unfair or pointless.
    """
    tests = [
        (f"{label}  {source}", "mean IoU", with_interval(*mean_iou))
        for label, source, mean_iou in zip(labels, sources, comparison.mean_ious, strict=True)
    ]
    parts = ["\n".join(aligned(tests))]
    for each, change in zip(comparison.others, changes, strict=True):
        sentences = [text for text in (sentence(comparison, each, labels), change) if text]
        parts.append("\n".join(textwrap.fill(on_one_line(text), PAGE_WIDTH) for text in sentences))
        if each.differences and not each.same:
            parts.append(_table(each, labels[comparison.best], labels[each.other]))
    parts += [textwrap.fill(on_one_line(f"note: {note}"), PAGE_WIDTH) for note in notes]
    return "\n\n".join([*parts, textwrap.fill(comparison_rule(comparison), PAGE_WIDTH)])


def sentence(comparison: Comparison, against: ComparisonWithBest, labels: Sequence[str]) -> str:
    """Return the comparison of the best test with one other: direction and size first, then how sure it is."""
    best, other = labels[comparison.best], labels[against.other]
    difference = against.differences.get("mean_iou")
    if difference is None:
        return f"{best} and {other}: no mean IoU to compare: no pixel counts"
    if against.same:
        return f"{best} and {other}: 0.0 points: the same counts on every picture ({_pictures(comparison)})"
    size = f"{_points(difference)} mean IoU points"
    size = f"{best} is {size} above {other}" if difference.value else f"{best} and {other} are {size} apart"
    return f"{size} on {_pictures(comparison)}. {_certainty(comparison, against, difference, labels)}"


def comparison_rule(comparison: Comparison) -> str:
    """Return the sentences that explain the intervals and p-values."""
    units = count_text(comparison.units, comparison.unit)
    narrow = f"; from fewer than {_FEW} {comparison.unit}s they are often too narrow" if comparison.units < _FEW else ""
    possible = 2**comparison.units
    permutations = (
        f"exact permutation test ({possible:,} permutations)"
        if possible <= EXCHANGES
        else f"permutation test ({EXCHANGES:,} random permutations)"
    )
    tests = len(comparison.others) + 1
    holm = (
        f", corrected (Holm) for all {comparison.comparisons} comparisons of two of the {tests} tests, because the "
        "scores decide which is the best"
        if tests > 2
        else ""
    )
    return (
        f"In brackets: 95 % intervals from {RESAMPLES:,} paired resamples of the {units} with seed "
        f"{comparison.seed}{narrow}. p: {permutations}{holm}. A difference is shown where p is at most 0.05 and the "
        "interval does not contain 0. It is a difference of these models, not yet of their settings: another seed "
        "gives another model."
    )


def _certainty(
    comparison: Comparison, against: ComparisonWithBest, difference: Difference, labels: Sequence[str]
) -> str:
    """Return how sure a difference is, and what would be needed where it is not shown."""
    units, unit, comparisons = comparison.units, comparison.unit, comparison.comparisons
    p = f"p = {_p_text(difference.p)}" + (f", corrected for {comparisons} comparisons" if comparisons > 1 else "")
    if difference.shown:
        return f"Shown: {p}."
    fewest = fewest_units(comparisons)
    if units < fewest:
        alone = f"p = {_p_text(difference.alone)}"
        among = f" among {len(comparison.others) + 1} tests" if comparisons > 1 else ""
        both = f"{alone} for this comparison alone, {_p_text(difference.p)} corrected for {comparisons}"
        certain = both if comparisons > 1 else alone
        return (
            f"Not shown: {_tally(comparison, against, labels)}; {_exchanges(difference, units)}: {certain}. "
            f"{count_text(units, unit)} cannot show a difference of any size{among}: it takes at least {fewest}"
            f"{_if_planned(comparison, difference)}."
        )
    if difference.p <= ALPHA:
        return f"Not shown: {p}, but the interval contains 0."
    if against.more is not None:
        more = count_text(estimate_rounded_up(against.more), f"more {unit}")
        outlook = f"about {more} would decide, if the difference is as measured"
    else:
        outlook = f"it is too small compared with its error to estimate how many more {unit}s would decide"
    return f"Not shown: {p}; {outlook}{_if_planned(comparison, difference)}."


def _tally(comparison: Comparison, against: ComparisonWithBest, labels: Sequence[str]) -> str:
    """Return on how many units which of two tests is higher: ``B is above A on all 6 pictures``."""
    best, other, units = labels[comparison.best], labels[against.other], count_text(comparison.units, comparison.unit)
    if comparison.units == 1:
        return f"one {comparison.unit} does not show how much {comparison.unit}s differ"
    if against.higher == comparison.units:
        return f"{best} is above {other} on all {units}"
    equal = comparison.units - against.higher - against.lower
    return f"{best} is above {other} on {against.higher} of {units}, below on {against.lower}" + (
        f", equal on {equal}" if equal else ""
    )


def _exchanges(difference: Difference, units: int) -> str:
    possible = 2**units
    return f"of the {possible:,} possible exchanges {round(difference.alone * possible):,} are as large"


def _if_planned(comparison: Comparison, difference: Difference) -> str:
    """Return what a comparison of the two tests alone could do; an empty text where it could do nothing."""
    alone = fewest_units(1)
    if comparison.comparisons == 1 or comparison.units < alone:
        return f", and {alone} for two tests alone" if comparison.comparisons > 1 else ""
    if difference.alone > ALPHA:
        return ""
    return (
        f"; the comparison of these two alone, with p = {_p_text(difference.alone)}, would show it if they had been "
        "chosen before their scores were seen"
    )


def _p_text(p: float) -> str:
    """Return a p-value with two significant digits, or with as many as show on which side of 0.05 it is."""
    texts = [f"{p:.{digits}g}" for digits in (2, 3, 4, 6, 15)]
    return next(text for text in texts if (float(text) <= ALPHA) == (p <= ALPHA))


def _table(against: ComparisonWithBest, best: str, other: str) -> str:
    """Return the table of all differences; a row names the better test if its difference is shown."""
    rows: list[tuple[str, ...]] = [(f"{best} minus {other}, points", "", "95 %", "p", "better")]
    for name, label in TITLES.items():
        if name in against.differences:
            rows.append(_row(label, against.differences[name], _RATIO, best, other))
    for key, differences in against.measures.items():
        rows += [_row(f"{key}: {column.title}", each, column, best, other) for column, each in differences.items()]
    return "\n".join(aligned(rows))


def _row(label: str, difference: Difference, column: Column, best: str, other: str) -> tuple[str, ...]:
    value, _, bracket = _amount(difference, column, signed=True).partition(" ")
    higher, lower = (best, other) if difference.value > 0 else (other, best)
    better = {"higher": higher, "lower": lower, "neither": DASH}[column.better]
    return label, value, bracket or DASH, f"{difference.p:.4f}", better if difference.shown else DASH


def _points(difference: Difference) -> str:
    """Return a difference of ratios and its interval in points: ``1.8 [0.9, 2.6]``."""
    return _amount(difference, _RATIO)


def _amount(difference: Difference, column: Column, *, signed: bool = False) -> str:
    """Return a difference and its interval; those of ratios in points."""
    interval = difference.interval or Interval(difference.value, difference.value)
    scale, digits = (100, column.digits - 2) if column.unit == "ratio" else (1, column.digits)
    if digits == 1:
        ends = Interval(scale * interval.low, scale * interval.high) if difference.interval else None
        digits = point_digits(scale * difference.value, ends, shown=difference.shown)
    value = f"{scale * difference.value:{'+' if signed else ''}.{digits}f}"
    if difference.interval is None:
        return value
    return f"{value} [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]"


def point_digits(value: float, interval: Interval | None, *, shown: bool) -> int:
    """Return the decimals of a difference: 2 where one would hide that it is not 0, narrow, or sure.

    Parameters
    ----------
    value, interval: the difference and its interval, in points.
    shown: whether the difference is sure.
    """
    nearest = min(abs(value) or 1, *(map(abs, interval) if shown and interval else ()), 1)
    narrow = interval is not None and interval.high - interval.low < _NARROW
    return 2 if narrow or nearest < _NEAR_ZERO else 1


def _pictures(comparison: Comparison) -> str:
    pictures = count_text(comparison.pictures, "picture")
    return pictures if comparison.unit == "picture" else f"{pictures} in {comparison.units} groups"
