"""Scores as plain text for a terminal, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import isnan

from unpool.ledger.text import TITLES
from unpool.metrics.conventions import Conventional
from unpool.metrics.intervals import RESAMPLES, Interval, Intervals
from unpool.metrics.measures import Column, Measure, Measured
from unpool.metrics.scores import Scores

WIDTH = 100
DASH = "–"
"""Shown for a value that could not be computed."""

_NAME_WIDTH = 40
_FEW_ROWS = 3
_SIDE_BY_SIDE = 4  # scores of a measure with their intervals, at most 100 columns


def ratio_text(value: float | None) -> str:
    """A ratio 0..1 with three decimals, or a dash."""
    return DASH if value is None else f"{value:.3f}"


def share_text(part: int, whole: int) -> str:
    """A share in per cent with one decimal, or a dash where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else DASH


def interval_text(interval: Interval | None) -> str:
    """An interval of ratios as ``[0.421, 0.468]``; nothing where there is none."""
    return "" if interval is None else f"[{interval.low:.3f}, {interval.high:.3f}]"


def with_interval(value: float | None, interval: Interval | None) -> str:
    """A ratio, and its interval behind it where there is one."""
    return f"{ratio_text(value)} {interval_text(interval)}".rstrip()


def headline(scores: Scores, intervals: Intervals | None = None) -> list[tuple[str, str]]:
    """The numbers of a set, each with its name, and with its interval where there are intervals."""
    return [
        (title, with_interval(getattr(scores, name), getattr(intervals, name, None))) for name, title in TITLES.items()
    ]


def intervals_rule(intervals: Intervals | None) -> str:
    """What stands in brackets behind a score, or why nothing does."""
    if intervals is None:
        return "No intervals: one picture does not show how much pictures differ."
    drawn = f"{intervals.units} {intervals.unit}s"
    if intervals.unit == "picture" and intervals.groups < intervals.units:
        drawn += f" (from {intervals.groups} {'groups' if intervals.groups > 1 else 'group'}, too few to resample)"
    return (
        f"In brackets: the score's 95 % interval, from {RESAMPLES:,} resamples of the {drawn} with seed "
        f"{intervals.seed}."
    )


def worst_first(rows: Sequence[tuple[str, Scores]]) -> list[tuple[str, Scores]]:
    """Named scores by rising mean IoU, then by name; those without a mean IoU come last."""
    return sorted(rows, key=lambda row: (row[1].mean_iou is None, row[1].mean_iou or 0.0, row[0]))


def scores_table(scores: Scores, intervals: Intervals | None = None) -> str:
    """The scores of a set: its numbers, a row for each class, the rule for absent classes.

    With intervals the numbers and the IoU of each class are followed by theirs.
    """
    bracket = ["95 %"] if intervals else []
    rows = [("class", "IoU", *bracket, "Dice", "precision", "recall", "pixels")]
    for k, c in enumerate(scores.classes):
        ratios = map(ratio_text, (c.dice, c.precision, c.recall))
        bracket = [interval_text(intervals.iou[k])] if intervals else []
        rows.append((c.name, ratio_text(c.iou), *bracket, *ratios, share_text(c.truth_pixels, scores.pixels)))
    numbers = [f"{name} {value}" for name, value in headline(scores, intervals)]
    return "\n".join([*_packed(numbers), "", *aligned(rows)])


def measured_table(found: Measured) -> str:
    """What was measured of a set: a line for each row and the intervals of the last, or as ``turned`` says."""
    measure = found.measure
    lines = [(measure.title.lower(), *(column.title for column in measure.columns))]
    for k, name in enumerate(measure.rows):
        lines.append((name, *map(number_text, found.table[k], measure.columns)))
        brackets = tuple(map(bracket_text, found.intervals[k], measure.columns))
        if any(brackets) and (turned(measure) or k == len(measure.rows) - 1):
            lines.append(("95 %", *brackets))
    return "\n".join(aligned(list(zip(*lines, strict=True)) if turned(measure) else lines))


def turned(measure: Measure) -> bool:
    """Whether a measure's table has a line for each score, not for each row: few rows of many scores."""
    rows = len(measure.rows)
    return rows == 1 or (rows <= _FEW_ROWS and len(measure.columns) > _SIDE_BY_SIDE)


def rules_text(rules: Sequence[str]) -> str:
    """How the scores are made, a paragraph each, on indented lines."""
    return "\n".join(
        ["rules", *(textwrap.fill(rule, WIDTH, initial_indent="  ", subsequent_indent="    ") for rule in rules)]
    )


def image_means_lines(found: Measured) -> str:
    """The means over pictures of the scores of all classes."""
    numbers = [
        f"{column.title} {number_text(value, column)} {bracket_text(interval, column)}".rstrip()
        for value, interval, column in zip(found.table[-1], found.intervals[-1], found.measure.columns, strict=True)
    ]
    return "\n".join([f"means over the {len(found.names)} pictures, of their means over classes:", *_packed(numbers)])


def conventions_table(rows: Sequence[Conventional]) -> str:
    """The scores by other implementations' rules."""
    head = ("rule of", "averaged", "absent", "invented", "IoU", "Dice")
    cells = [
        (", ".join(row.convention.users), row.convention.averaged, *row.convention.worth,
         ratio_text(row.mean_iou), ratio_text(row.mean_dice))
        for row in rows
    ]  # fmt: skip
    return "\n".join(aligned([head, *cells]))


def number_text(value: float, column: Column) -> str:
    """A score of a table, or a dash where it is NaN."""
    return DASH if isnan(value) else f"{value:,.{column.digits}f}"


def bracket_text(interval: Interval | None, column: Column) -> str:
    """The interval of a table's score; nothing where there is none."""
    return "" if interval is None else f"[{number_text(interval.low, column)}, {number_text(interval.high, column)}]"


def worst_images_table(rows: Sequence[tuple[str, Scores]], count: int) -> str:
    """The ``count`` pictures with the lowest mean IoU, worst first.

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
    """Lines with as many whole parts as fit, three spaces apart."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]}   {part}"
        if len(longer) <= WIDTH:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the first column to the left and all others to the right, two spaces apart.

    What is wider than a page goes on below, behind the first column again.
    """
    cells = [[_one_line(row[0]), *row[1:]] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    parts: list[list[int]] = [[]]
    for k, width in enumerate(widths[1:], 1):
        if parts[-1] and sum(widths[j] + 2 for j in (0, *parts[-1])) + width > WIDTH:
            parts.append([])
        parts[-1].append(k)
    lines = []
    for part in parts:
        lines += ["", *_beside(cells, widths, part)]
    return lines[1:]


def _beside(cells: Sequence[Sequence[str]], widths: Sequence[int], part: Sequence[int]) -> list[str]:
    """Lines of the first column and some others."""
    return ["  ".join([row[0].ljust(widths[0]), *(row[k].rjust(widths[k]) for k in part)]).rstrip() for row in cells]


def _one_line(name: str) -> str:
    """A name without control characters, which a terminal would obey, its middle cut where it is long."""
    clean = "".join(c if c.isprintable() else "?" for c in name)
    if len(clean) <= _NAME_WIDTH:
        return clean
    half = (_NAME_WIDTH - 1) // 2
    return f"{clean[: _NAME_WIDTH - 1 - half]}…{clean[-half:]}"
