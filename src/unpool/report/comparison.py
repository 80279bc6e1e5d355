"""A comparison of tests as sentences and tables, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from unpool.ledger.text import TITLES
from unpool.metrics.comparison import EXCHANGES, Comparison, ComparisonWithBest, Difference, fewest_units
from unpool.metrics.intervals import RESAMPLES, Interval
from unpool.metrics.measures import Column
from unpool.report.text import aligned, with_interval
from unpool.wording import DASH, PAGE_WIDTH, count_text

_RATIO = Column("ratio", "ratio")
_NARROW = 0.5  # points: a narrower interval needs a second decimal
_NEAR_ZERO = 0.05  # points: an end that would read 0.0, though the interval does not contain 0, needs one too


def comparison_text(comparison: Comparison, labels: Sequence[str], sources: Sequence[str]) -> str:
    """Return the tests, then a sentence and a table for each comparison, then the rule.

    Parameters
    ----------
    labels, sources: short name of each test, and its folder.
    """
    tests = [
        (f"{label}  {source}", "mean IoU", with_interval(*mean_iou))
        for label, source, mean_iou in zip(labels, sources, comparison.mean_ious, strict=True)
    ]
    parts = ["\n".join(aligned(tests))]
    for each in comparison.others:
        parts.append(textwrap.fill(sentence(comparison, each, labels), PAGE_WIDTH))
        if each.differences and not each.same:
            parts.append(_table(each, labels[comparison.best], labels[each.other]))
    return "\n\n".join([*parts, textwrap.fill(comparison_rule(comparison), PAGE_WIDTH)])


def sentence(comparison: Comparison, against: ComparisonWithBest, labels: Sequence[str]) -> str:
    """Return the result of comparing the best test with one other test, in one sentence."""
    best, other = labels[comparison.best], labels[against.other]
    which = f"{best} and {other}: " if len(comparison.others) > 1 else ""
    difference = against.differences.get("mean_iou")
    if difference is None:
        return f"{which}no mean IoU to compare: no pixel counts"
    if against.same:
        return f"{which}no difference: the same counts on {_pictures(comparison)}"
    if difference.shown:
        than = f" than {other}" if which else ""
        return f"{best} is better{than} by {_points(difference)} mean IoU points on {_pictures(comparison)}"
    return f"{which}no difference shown; {_outlook(comparison, against, difference)}"


def comparison_rule(comparison: Comparison) -> str:
    """Return the sentences that explain the intervals and p-values."""
    units = count_text(comparison.units, comparison.unit)
    possible = 2**comparison.units
    permutations = (
        f"exact permutation test ({possible:,} permutations)"
        if possible <= EXCHANGES
        else f"permutation test ({EXCHANGES:,} random permutations)"
    )
    holm = f", corrected for {len(comparison.others)} comparisons (Holm)" if len(comparison.others) > 1 else ""
    return (
        f"In brackets: 95 % intervals from {RESAMPLES:,} paired resamples of the {units} with seed {comparison.seed}. "
        f"p: {permutations}{holm}. A difference is shown where p is at "
        "most 0.05 and the interval does not contain 0."
    )


def _outlook(comparison: Comparison, against: ComparisonWithBest, difference: Difference) -> str:
    fewest = fewest_units(len(comparison.others))
    if comparison.units < fewest:
        return f"{count_text(comparison.units, comparison.unit)} cannot show one; at least {fewest} are needed"
    if against.more is not None:
        more = _rounded_up(against.more)
        return f"about {count_text(more, f'more {comparison.unit}')} would decide"
    return (
        f"at {_points(difference)} mean IoU points it is too small compared with its error to estimate how many more "
        f"{comparison.unit}s would decide"
    )


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
        digits = point_digits(Interval(scale * interval.low, scale * interval.high), shown=difference.shown)
    value = f"{scale * difference.value:{'+' if signed else ''}.{digits}f}"
    if difference.interval is None:
        return value
    return f"{value} [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]"


def point_digits(interval: Interval, *, shown: bool) -> int:
    """Return the decimals of a difference: 2 where one would hide that an interval is narrow or does not contain 0.

    Parameters
    ----------
    interval: of the difference, in points.
    shown: whether the difference is sure.
    """
    near_zero = shown and min(map(abs, interval)) < _NEAR_ZERO
    return 2 if near_zero or interval.high - interval.low < _NARROW else 1


def _pictures(comparison: Comparison) -> str:
    pictures = count_text(comparison.pictures, "picture")
    return pictures if comparison.unit == "picture" else f"{pictures} in {comparison.units} groups"


def _rounded_up(count: int) -> int:
    """Round a count up to a multiple of half its leading decimal place: a more precise number is not known."""
    step = max(int(10 ** (len(str(count)) - 1)) // 2, 1)
    return -(-count // step) * step
