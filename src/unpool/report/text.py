"""Scores as plain text for a terminal, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import isnan

from unpool.ledger.text import TITLES
from unpool.metrics.conventions import ConventionScores
from unpool.metrics.intervals import RESAMPLES, Interval, Intervals
from unpool.metrics.measures import Column, Measure, MeasureResult
from unpool.metrics.scores import Scores
from unpool.wording import DASH, PAGE_WIDTH, count_text, on_one_line

NamedTexts = Sequence[tuple[str, str]]
"""Rows of a page: a name and its value each."""

_NAME_WIDTH = 40
_FEW_ROWS = 3
_SIDE_BY_SIDE = 4  # scores of a measure that fit with their intervals on one line


def ratio_text(value: float | None) -> str:
    """Return a ratio 0..1 with three decimals; a dash for None."""
    return DASH if value is None else f"{value:.3f}"


def share_text(part: int, whole: int) -> str:
    """Return a share in per cent with one decimal; a dash where ``whole`` is 0."""
    return f"{100 * part / whole:.1f} %" if whole else DASH


def interval_text(interval: Interval | None) -> str:
    """Return an interval of ratios as ``[0.421, 0.468]``; an empty text for None."""
    return "" if interval is None else f"[{interval.low:.3f}, {interval.high:.3f}]"


def with_interval(value: float | None, interval: Interval | None) -> str:
    """Return a ratio, followed by its interval if there is one."""
    return f"{ratio_text(value)} {interval_text(interval)}".rstrip()


def headline(scores: Scores, intervals: Intervals | None = None) -> list[tuple[str, str]]:
    """Return the headline scores of a set: the title of each and its value, with its interval if there is one."""
    return [
        (title, with_interval(getattr(scores, name), getattr(intervals, name, None))) for name, title in TITLES.items()
    ]


def intervals_rule(intervals: Intervals | None) -> str:
    """Return the sentence that explains the intervals in brackets, or why there are none."""
    if intervals is None:
        return "No intervals: one picture does not show how much pictures differ."
    units = count_text(intervals.units, intervals.unit)
    if intervals.unit == "picture" and intervals.groups < intervals.units:
        units += f" (from {count_text(intervals.groups, 'group')}, too few to resample)"
    return (
        f"In brackets: the score's 95 % interval, from {RESAMPLES:,} resamples of the {units} with seed "
        f"{intervals.seed}."
    )


def worst_first(rows: Sequence[tuple[str, Scores]]) -> list[tuple[str, Scores]]:
    """Return named scores ordered by mean IoU, the lowest first, then by name; those without a mean IoU come last."""
    return sorted(rows, key=lambda row: (row[1].mean_iou is None, row[1].mean_iou or 0.0, row[0]))


def scores_table(scores: Scores, intervals: Intervals | None = None) -> str:
    """Return the headline scores of a set and a row for each class, with intervals if there are any."""
    bracket = ["95 %"] if intervals else []
    rows = [("class", "IoU", *bracket, "Dice", "precision", "recall", "pixels")]
    for k, c in enumerate(scores.classes):
        ratios = map(ratio_text, (c.dice, c.precision, c.recall))
        bracket = [interval_text(intervals.iou[k])] if intervals else []
        rows.append((c.name, ratio_text(c.iou), *bracket, *ratios, share_text(c.truth_pixels, scores.pixels)))
    numbers = [f"{name} {value}" for name, value in headline(scores, intervals)]
    return "\n".join([*_packed(numbers), "", *aligned(rows)])


def measure_table(result: MeasureResult) -> str:
    """Return the table of a measure: a line for each row, and the intervals of the last row.

    A table that ``transposed`` names has a line for each score instead, and the intervals of all rows.
    """
    measure = result.measure
    lines = [(measure.title.lower(), *(column.title for column in measure.columns))]
    for k, name in enumerate(measure.rows):
        lines.append((name, *map(number_text, result.table[k], measure.columns)))
        brackets = tuple(map(bracket_text, result.intervals[k], measure.columns))
        if any(brackets) and (transposed(measure) or k == len(measure.rows) - 1):
            lines.append(("95 %", *brackets))
    return "\n".join(aligned(list(zip(*lines, strict=True)) if transposed(measure) else lines))


def transposed(measure: Measure) -> bool:
    """Return whether a measure's table has a line for each score instead of each row: few rows of many scores.

    So every score has its interval next to it, and no table is wider than the page.
    """
    rows = len(measure.rows)
    return rows == 1 or (rows <= _FEW_ROWS and len(measure.columns) > _SIDE_BY_SIDE)


def rules_text(rules: Sequence[str]) -> str:
    """Return the rules of the scores, an indented paragraph each."""
    return "\n".join(
        ["rules", *(textwrap.fill(rule, PAGE_WIDTH, initial_indent="  ", subsequent_indent="    ") for rule in rules)]
    )


def image_means_text(result: MeasureResult) -> str:
    """Return the means over pictures of their means over classes."""
    numbers = [
        f"{column.title} {number_text(value, column)} {bracket_text(interval, column)}".rstrip()
        for value, interval, column in zip(result.table[-1], result.intervals[-1], result.measure.columns, strict=True)
    ]
    return "\n".join(
        [f"mean over the {count_text(len(result.names), 'picture')} of each picture's class mean:", *_packed(numbers)]
    )


def conventions_table(rows: Sequence[ConventionScores]) -> str:
    """Return the table of the scores by other implementations' rules."""
    head = ("rule of", "averaged", "absent", "invented", "IoU", "Dice")
    cells = [
        (", ".join(row.convention.users), row.convention.averaged, *row.convention.class_values,
         ratio_text(row.mean_iou), ratio_text(row.mean_dice))
        for row in rows
    ]  # fmt: skip
    return "\n".join(aligned([head, *cells]))


def number_text(value: float, column: Column) -> str:
    """Return a score of a measure with the column's number of decimals; a dash for NaN."""
    return DASH if isnan(value) else f"{value:,.{column.digits}f}"


def bracket_text(interval: Interval | None, column: Column) -> str:
    """Return the interval of a measure's score in brackets; an empty text for None."""
    return "" if interval is None else f"[{number_text(interval.low, column)}, {number_text(interval.high, column)}]"


def worst_images_table(rows: Sequence[tuple[str, Scores]], count: int) -> str:
    """Return the table of the ``count`` pictures with the lowest mean IoU, the lowest first.

    Parameters
    ----------
    rows: name and scores of each picture, in any order.
    """
    shown = worst_first(rows)[:count]
    return "\n".join(
        aligned(
            [
                ("picture", "mean IoU", "mean Dice", "accuracy"),
                *(
                    (name, ratio_text(s.mean_iou), ratio_text(s.mean_dice), ratio_text(s.global_accuracy))
                    for name, s in shown
                ),
            ]
        )
    )


def _packed(parts: Sequence[str]) -> list[str]:
    """Return lines that each hold as many parts as fit, three spaces apart."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]}   {part}"
        if len(longer) <= PAGE_WIDTH:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with the first column aligned left and all others aligned right, two spaces apart.

    Columns that do not fit on a page follow below, next to the first column again.
    """
    cells = [[_one_line(row[0]), *row[1:]] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    parts: list[list[int]] = [[]]
    for k, width in enumerate(widths[1:], 1):
        if parts[-1] and sum(widths[j] + 2 for j in (0, *parts[-1])) + width > PAGE_WIDTH:
            parts.append([])
        parts[-1].append(k)
    lines = []
    for part in parts:
        lines += ["", *_block(cells, widths, part)]
    return lines[1:]


def _block(cells: Sequence[Sequence[str]], widths: Sequence[int], part: Sequence[int]) -> list[str]:
    """Return lines of the first column and some others."""
    return ["  ".join([row[0].ljust(widths[0]), *(row[k].rjust(widths[k]) for k in part)]).rstrip() for row in cells]


def _one_line(name: str) -> str:
    """Return a name without control characters; a long one loses its middle."""
    clean = on_one_line(name)
    if len(clean) <= _NAME_WIDTH:
        return clean
    half = (_NAME_WIDTH - 1) // 2
    return f"{clean[: _NAME_WIDTH - 1 - half]}…{clean[-half:]}"
