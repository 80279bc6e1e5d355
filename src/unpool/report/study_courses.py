"""The courses of a study's trainings, as one drawing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unpool.report.plot_style import CURRENT_COLOUR, plotting, svg_element
from unpool.report.study_colours import OTHERS, attempt_colours
from unpool.report.study_contents import Attempt, with_finite_numbers
from unpool.wording import count_text, on_one_line, shortened


def courses_svg(attempts: Sequence[Attempt]) -> str:
    """Draw the validation score against the share of the training; all seeds of an attempt have one colour.

    A training that was given up or failed ends with a cross. The axis may leave out the first, low scores.

    Returns
    -------
    An ``<svg>`` element.
    """
    attempts = [with_finite_numbers(each) for each in attempts]
    colours = [CURRENT_COLOUR if colour == "currentColor" else colour for colour in attempt_colours(attempts)]
    with plotting():
        figure = Figure(figsize=(5.0, 4.1), layout="constrained")
        axes = figure.subplots()
        shown: list[list[float]] = []
        drawn = []
        for k in reversed(range(len(attempts))):
            courses = _draw_courses(axes, attempts[k], colours[k], thick=k == 0)
            shown += courses
            drawn += [k] if courses else []
        axes.set_xlim(0, 102)
        axes.set(xlabel="share of the training, %", ylabel="mean IoU, validation pictures")
        axes.grid(color=CURRENT_COLOUR, alpha=0.12, linewidth=0.6)
        if shown:
            axes.set_ylim(*_score_limits(shown))
            _legend_below(figure, attempts, colours, drawn[::-1])
        else:
            axes.set_ylim(0, 1)
        return svg_element(figure)


def _draw_courses(axes: Axes, attempt: Attempt, colour: str, *, thick: bool) -> list[list[float]]:
    """Draw an attempt's courses; return their scores."""
    drawn = []
    for course in attempt.courses:
        rows = [(100 * row.share, row.mean_iou) for row in course.rows if row.mean_iou is not None]
        if not rows:
            continue
        x, y = zip(*rows, strict=True)
        faint = colour == OTHERS
        above = 4 if thick else 2 if faint else 3
        axes.plot(x, y, color=colour, linewidth=2 if thick else 1.2, alpha=0.55 if faint else 0.9,
                  marker="o" if len(rows) == 1 else "", markersize=3, zorder=above)  # fmt: skip
        if attempt.state in ("given up", "failed"):
            axes.plot(x[-1:], y[-1:], "x", color=colour, markersize=6, markeredgewidth=1.6, zorder=5)
        drawn.append(list(y))
    return drawn


def _score_limits(courses: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return limits with all last scores and three quarters of the others: the first ones would squeeze the rest."""
    everything = np.concatenate(courses)
    low = min(*(course[-1] for course in courses), float(np.percentile(everything, 25)))
    high = float(everything.max())
    margin = max(0.06 * (high - low), 0.005)
    return low - margin, high + margin


def _legend_below(figure: Figure, attempts: Sequence[Attempt], colours: Sequence[str], drawn: Sequence[int]) -> None:
    named = [k for k in drawn if colours[k] != OTHERS]
    handles = [Line2D([], [], color=colours[k], linewidth=2) for k in named]
    labels = [shortened(on_one_line(attempts[k].name), 26) for k in named]
    if others := len(drawn) - len(named):
        handles.append(Line2D([], [], color=OTHERS, linewidth=2))
        labels.append(count_text(others, "other attempt"))
    figure.legend(handles, labels, loc="outside lower left", ncols=2 if len(labels) > 3 else max(len(labels), 1),
                  fontsize=8.5, columnspacing=1)  # fmt: skip
