"""The scores of a study's attempts against their costs, as drawings with the front of the best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from unpool.report.label_places import LabelBox, LabelPlace, Wanted, label_places, nearest_point
from unpool.report.plot_style import CURRENT_COLOUR, plotting, svg_element
from unpool.report.study_colours import attempt_colours
from unpool.report.study_contents import Attempt, with_finite_numbers
from unpool.wording import on_one_line, shortened

CostKind = Literal["seconds", "prediction", "memory"]
"""What a score is drawn against: seconds of a training, seconds of a prediction, bytes of a training."""

_NAMED = 12  # attempts up to which all points of a picture of costs want their names and not only their numbers
_TITLES: dict[CostKind, str] = {
    "seconds": "time of a training",
    "prediction": "time of a prediction",
    "memory": "memory of a training",
}
_UNITS: dict[CostKind, tuple[tuple[float, str], ...]] = {
    "seconds": ((3600, "h"), (60, "min"), (1, "s")),
    "prediction": ((1, "s"), (1e-3, "ms")),
    "memory": ((1e9, "GB"), (1e6, "MB")),
}


class _Point(NamedTuple):
    attempt: int
    x: float
    y: float


def pareto_svg(attempts: Sequence[Attempt], by: CostKind = "seconds") -> str:
    """Draw the score of each attempt against a cost, with the front: what no other attempt beats in both.

    Points on the front are filled, the others are rings. A point without room for its name has the attempt's number.

    Returns
    -------
    An ``<svg>`` element.
    """
    attempts = [with_finite_numbers(each) for each in attempts]
    unit, points = _points(attempts, by)
    front = pareto_front([(x, y) for _, x, y in points])
    colours = [CURRENT_COLOUR if colour == "currentColor" else colour for colour in attempt_colours(attempts)]
    with plotting():
        figure = Figure(figsize=(4.8, 3.7), dpi=72, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set(xlabel=f"{_TITLES[by]}, {unit}", ylabel="mean IoU, test pictures")
        axes.grid(color=CURRENT_COLOUR, alpha=0.12, linewidth=0.6)
        axes.margins(x=0.12, y=0.14)
        _scale_costs(axes, [x for _, x, _ in points])
        if len(front) > 1:
            steps = [points[place][1:] for place in front]
            axes.plot(*zip(*steps, strict=True), color=CURRENT_COLOUR, alpha=0.5, linewidth=0.9, linestyle=(0, (3, 3)),
                      drawstyle="steps-post", zorder=1)  # fmt: skip
        for place, (k, x, y) in enumerate(points):
            axes.plot([x], [y], "o" if k else "D", color=colours[k], markersize=5.5, zorder=3,
                      markerfacecolor=colours[k] if place in front else "none")  # fmt: skip
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the places of the points are final
        _name_points(axes, attempts, points, [points[place].attempt for place in front])
        return svg_element(figure)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points (cost, score) that no other point beats, the cheapest first.

    A point beats another with a cost that is not higher and a score that is not lower, if one of both is better.
    """
    front: list[int] = []
    best: tuple[float, float] | None = None
    for k in sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1])):
        if best is None or points[k][1] > best[1] or points[k] == best:
            front.append(k)
            best = points[k]
    return front


def cost_of(attempt: Attempt, by: CostKind) -> float | None:
    """Return a cost of an attempt, in seconds or bytes; None if it is not known or not positive."""
    cost = attempt.cost
    found = {"seconds": cost.training_seconds, "prediction": cost.prediction_seconds, "memory": cost.memory}[by]
    return found if found is not None and found > 0 else None


def _points(attempts: Sequence[Attempt], by: CostKind) -> tuple[str, list[_Point]]:
    """Return the attempts with a cost and a score, and the unit of x: the largest that leaves a cost of at least 2."""
    found = [(k, cost, each.score) for k, each in enumerate(attempts)
             if (cost := cost_of(each, by)) is not None and each.score is not None]  # fmt: skip
    largest = max((cost for _, cost, _ in found), default=0.0)
    size, unit = next((each for each in _UNITS[by] if largest >= 2 * each[0]), _UNITS[by][-1])
    return unit, [_Point(k, cost / size, score) for k, cost, score in found]


def _scale_costs(axes: Axes, costs: Sequence[float]) -> None:
    if costs and max(costs) > 8 * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _name_points(axes: Axes, attempts: Sequence[Attempt], points: Sequence[_Point], first: Sequence[int]) -> None:
    """Write names or numbers of attempts beside their points, first those of the attempts in ``first``."""
    pixels: list[tuple[float, float]] = [tuple(axes.transData.transform((x, y))) for _, x, y in points]
    order = sorted(range(len(points)), key=lambda p: (points[p].attempt not in first, points[p].attempt))
    words = []
    for place in order:
        k = points[place].attempt
        named = len(points) <= _NAMED or k in first or k == 0
        names = [f"{k + 1} {shortened(on_one_line(attempts[k].name), most)}" for most in (24, 14)] if named else []
        words.append([*names, f"{k + 1}"])
    wanted = [Wanted(pixels[place], [_size(axes, each) for each in texts])
              for place, texts in zip(order, words, strict=True)]  # fmt: skip
    line = sorted(pixels[place] for place in range(len(points)) if points[place].attempt in first)
    corners = [corner for one, other in pairwise(line) for corner in (one, (other[0], one[1]))] + line[-1:]
    places = label_places(wanted, pixels, corners, LabelBox(*axes.bbox.bounds))
    for want, texts, found in zip(wanted, words, places, strict=True):
        if found:
            _write_label(axes, texts[found.choice], want.point, found)


def _write_label(axes: Axes, words: str, point: tuple[float, float], place: LabelPlace) -> None:
    if place.far:
        end = nearest_point(point, place.box)
        axes.add_line(Line2D([point[0], end[0]], [point[1], end[1]], color=CURRENT_COLOUR, alpha=0.4, linewidth=0.6,
                             transform=None, zorder=2))  # fmt: skip
    axes.text(place.box.x + place.box.width / 2, place.box.y + place.box.height / 2, words, fontsize=8.5, ha="center",
              va="center", transform=None)  # fmt: skip


def _size(axes: Axes, words: str) -> tuple[float, float]:
    """Return width and height of a label in the drawing's units; matplotlib's font is wider than a browser's."""
    text = axes.text(0, 0, words, fontsize=8.5, transform=None)
    box = text.get_window_extent()
    text.remove()
    return float(box.width) + 3, float(box.height) + 1
