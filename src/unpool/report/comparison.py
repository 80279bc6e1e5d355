"""What a comparison of tests found, as sentences and tables, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from unpool.ledger.text import TITLES
from unpool.metrics.comparison import SWAPS, Comparison, Difference, Duel, fewest_units
from unpool.metrics.intervals import RESAMPLES, Interval
from unpool.metrics.measures import Column
from unpool.report.text import DASH, WIDTH, aligned, with_interval

_RATIO = Column("ratio", "ratio")
_FINE = 0.5  # points: a narrower interval needs a second decimal
_NIL = 0.05  # points: an end of the interval that would read 0.0, though 0 is left out, needs one too


def comparison_text(comparison: Comparison, labels: Sequence[str], sources: Sequence[str]) -> str:
    """The tests, then for each comparison its sentence and its table, then the rule.

    Parameters
    ----------
    labels, sources: of each test a short name and where it came from.
    """
    tests = [
        (f"{label}  {source}", "mean IoU", with_interval(*mean_iou))
        for label, source, mean_iou in zip(labels, sources, comparison.mean_ious, strict=True)
    ]
    parts = ["\n".join(aligned(tests))]
    for duel in comparison.duels:
        parts.append(textwrap.fill(sentence(comparison, duel, labels), WIDTH))
        if duel.differences and not duel.same:
            parts.append(_table(duel, labels[comparison.best], labels[duel.other]))
    return "\n\n".join([*parts, textwrap.fill(comparison_rule(comparison), WIDTH)])


def sentence(comparison: Comparison, duel: Duel, labels: Sequence[str]) -> str:
    """What can be said of the best test and another one."""
    best, other = labels[comparison.best], labels[duel.other]
    among = f"{best} and {other}: " if len(comparison.duels) > 1 else ""
    difference = duel.differences.get("mean_iou")
    if difference is None:
        return f"{among}no mean IoU to compare: no pixel counts"
    if duel.same:
        return f"{among}no difference: the same counts on {_pictures(comparison)}"
    if difference.shown:
        than = f" than {other}" if among else ""
        return f"{best} is better{than} by {_points(difference)} mean IoU points on {_pictures(comparison)}"
    unit = "image" if comparison.unit == "picture" else "group"
    return f"{among}no difference shown; {_outlook(comparison, duel, difference, unit)}"


def comparison_rule(comparison: Comparison) -> str:
    """How the intervals and p-values were made."""
    drawn = f"{comparison.units} {comparison.unit}{'' if comparison.units == 1 else 's'}"
    every = 2**comparison.units
    made = f"all {every:,}" if every <= SWAPS else f"{SWAPS:,} random"
    holm = f" and corrected for {len(comparison.duels)} comparisons (Holm)" if len(comparison.duels) > 1 else ""
    return (
        f"In brackets: 95 % intervals from {RESAMPLES:,} paired resamples of the {drawn} with seed {comparison.seed}. "
        f"p is from {made} exchanges of the two tests' results on them{holm}. A difference is shown where p is at "
        "most 0.05 and the interval leaves 0 out."
    )


def _outlook(comparison: Comparison, duel: Duel, difference: Difference, unit: str) -> str:
    fewest = fewest_units(len(comparison.duels))
    if comparison.units < fewest:
        return f"{comparison.units} {unit}{'' if comparison.units == 1 else 's'} cannot show one, it takes {fewest}"
    if duel.more is not None:
        more = _rounded_up(duel.more)
        return f"about {more} more {unit}{'' if more == 1 else 's'} would decide"
    return (
        f"at {_points(difference)} mean IoU points it is too small beside its error to say how many more {unit}s "
        "would decide"
    )


def _table(duel: Duel, best: str, other: str) -> str:
    """Every difference, and the better test where it is shown."""
    rows: list[tuple[str, ...]] = [(f"{best} less {other}, points", "", "95 %", "p", "better")]
    for name, label in TITLES.items():
        if name in duel.differences:
            rows.append(_row(label, duel.differences[name], _RATIO, best, other))
    for key, differences in duel.measured.items():
        rows += [_row(f"{key}: {column.title}", each, column, best, other) for column, each in differences.items()]
    return "\n".join(aligned(rows))


def _row(label: str, difference: Difference, column: Column, best: str, other: str) -> tuple[str, ...]:
    value, _, bracket = _amount(difference, column, signed=True).partition(" ")
    higher, lower = (best, other) if difference.value > 0 else (other, best)
    better = {"higher": higher, "lower": lower, "neither": DASH}[column.better]
    return label, value, bracket or DASH, f"{difference.p:.4f}", better if difference.shown else DASH


def _points(difference: Difference) -> str:
    """A difference of ratios and its interval in points: ``1.8 [0.9, 2.6]``."""
    return _amount(difference, _RATIO)


def _amount(difference: Difference, column: Column, *, signed: bool = False) -> str:
    """A difference and its interval, of ratios in points."""
    interval = difference.interval or Interval(difference.value, difference.value)
    scale, digits = (100, column.digits - 2) if column.unit == "ratio" else (1, column.digits)
    nearest = min(map(abs, interval)) if difference.shown else 1
    if digits == 1 and (scale * (interval.high - interval.low) < _FINE or scale * nearest < _NIL):
        digits = 2
    value = f"{scale * difference.value:{'+' if signed else ''}.{digits}f}"
    if difference.interval is None:
        return value
    return f"{value} [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]"


def _pictures(comparison: Comparison) -> str:
    images = f"{comparison.pictures} image{'' if comparison.pictures == 1 else 's'}"
    return images if comparison.unit == "picture" else f"{images} in {comparison.units} groups"


def _rounded_up(count: int) -> int:
    """A count that claims no more than it knows: to halves of its leading decimal place."""
    step = max(int(10 ** (len(str(count)) - 1)) // 2, 1)
    return -(-count // step) * step
