"""The differences of a study's attempts to its baseline: on one axis, as a drawing and as texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unpool.metrics.intervals import Interval
from unpool.report.comparison import point_digits
from unpool.report.plot_style import BLUE, CURRENT_COLOUR, plotting, svg_element
from unpool.report.study_contents import Attempt, with_finite_numbers
from unpool.wording import on_one_line, shortened

_FAR = 4.0  # differences beyond this times the 75th percentile leave the axis, so that the others stay readable


class ForestAxis(NamedTuple):
    """The axis of differences to the baseline, in points; its ends are the first and the last tick."""

    ticks: tuple[float, ...]

    @property
    def low(self) -> float:
        """Left end."""
        return self.ticks[0]

    @property
    def high(self) -> float:
        """Right end."""
        return self.ticks[-1]

    def share(self, value: float) -> float:
        """Return the place of a value on the axis, 0..1; one beyond an end is at the end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def forest_svg(attempts: Sequence[Attempt]) -> str:
    """Draw the difference of each attempt to the baseline with its interval, on one axis with 0 marked.

    Returns
    -------
    An ``<svg>`` element.
    """
    attempts = [with_finite_numbers(each) for each in attempts]
    axis = forest_axis(attempts)
    with plotting():
        figure = Figure(figsize=(8.4, 0.75 + 0.27 * max(len(attempts), 1)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=CURRENT_COLOUR, linewidth=0.9)
        for k, attempt in enumerate(attempts):
            _draw_difference(axes, attempt, axis, k)
        axes.set_yticks(range(len(attempts)), [shortened(on_one_line(each.name), 36) for each in attempts])
        axes.set_ylim(len(attempts) - 0.4, -0.6)
        axes.set_xlim(axis.low, axis.high)
        axes.set_xticks(axis.ticks, [f"{tick:+g}" if tick else "0" for tick in axis.ticks])
        axes.set_xlabel("difference to the baseline, mean IoU points")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=CURRENT_COLOUR, alpha=0.12, linewidth=0.6)
        return svg_element(figure)


def forest_axis(attempts: Sequence[Attempt]) -> ForestAxis:
    """Return one axis for the differences of all attempts. It contains 0.

    An interval that is much longer than most leaves the axis, so that the others stay readable.
    """
    ranges = [found for attempt in attempts if (found := difference_range(attempt))]
    reaches = [max(map(abs, each)) for each in ranges]
    most = _FAR * float(np.percentile(reaches, 75)) if reaches else 0.0
    low = max(min((each.low for each in ranges), default=0.0), -most)
    high = min(max((each.high for each in ranges), default=0.0), most)
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-9:
        low, high = -1.0, 1.0
    return ForestAxis(tuple(float(tick) for tick in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)))


def difference_range(attempt: Attempt) -> Interval | None:
    """Return the interval of a difference, the difference twice where it has none, or None without a difference."""
    if attempt.difference is None:
        return None
    return attempt.difference_interval or Interval(attempt.difference, attempt.difference)


def difference_text(attempt: Attempt) -> tuple[str, str]:
    """Return the difference of an attempt in points with its sign, and its interval in brackets; empty if not known."""
    found = difference_range(attempt)
    if attempt.difference is None or found is None:
        return "", ""
    digits = point_digits(attempt.difference, attempt.difference_interval, shown=attempt.shown)
    bracket = f"[{found.low:z.{digits}f}, {found.high:z.{digits}f}]" if attempt.difference_interval else ""
    return f"{attempt.difference:+z.{digits}f}", bracket


def _draw_difference(axes: Axes, attempt: Attempt, axis: ForestAxis, row: int) -> None:
    found = difference_range(attempt)
    if row == 0:
        axes.plot([0], [row], "D", color=CURRENT_COLOUR, markersize=5)
        words = "baseline"
    elif attempt.difference is None or found is None:
        words = attempt.state
    else:
        low, high = max(found.low, axis.low), min(found.high, axis.high)
        colour = BLUE if attempt.shown else CURRENT_COLOUR
        axes.plot([low, high], [row, row], color=colour, linewidth=1.6 if attempt.shown else 1.1)
        for beyond, end, mark in ((found.low < axis.low, axis.low, "<"), (found.high > axis.high, axis.high, ">")):
            if beyond:
                axes.plot([end], [row], mark, color=colour, markersize=5, clip_on=False)
        if axis.low <= attempt.difference <= axis.high:
            axes.plot([attempt.difference], [row], "o", color=colour, markersize=5.5,
                      markerfacecolor=colour if attempt.shown else "white")  # fmt: skip
        words = " ".join(difference_text(attempt)).rstrip()
    axes.annotate(words, (1, row), xycoords=("axes fraction", "data"), xytext=(12, 0), textcoords="offset points",
                  va="center", alpha=1 if found or row == 0 else 0.65, annotation_clip=False)  # fmt: skip
