"""The record of a study: one self-contained HTML page, for a browser, a phone or paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Template

from unpool.report.pictures import Bounds, small_data_uri
from unpool.report.study_colours import attempt_colours
from unpool.report.study_contents import Attempt, StudyContents, with_finite_numbers
from unpool.report.study_costs import cost_of, pareto_svg
from unpool.report.study_courses import courses_svg
from unpool.report.study_forest import ForestAxis, difference_range, difference_text, forest_axis
from unpool.report.study_table import COST_TITLES, attempt_end_text, cost_texts, state_text
from unpool.report.templates import drawn, environment, page_text
from unpool.report.text import interval_text, ratio_text
from unpool.wording import DASH

_CROPS = Bounds(longest=288, characters=36_000)
_MANY_CROPS = Bounds(longest=160, characters=16_000)  # keeps a study of 40 attempts below 4 MB
_MANY = 12  # attempts above which crops are smaller


@dataclass(frozen=True)
class _Lane:
    """The place of a difference on the axis, in per cent; an arrow where it leaves the axis."""

    left: str
    width: str
    point: str
    before: bool
    beyond: bool


@dataclass(frozen=True)
class _Row:
    number: int
    attempt: Attempt
    colour: str
    lane: _Lane | None
    difference: str
    bracket: str
    state: str
    score: str
    score_bracket: str
    costs: tuple[tuple[str, str], ...]  # a cost, and its multiple of the baseline's


def render_study(contents: StudyContents) -> str:
    """Return the record of a study as one HTML text."""
    attempts = [with_finite_numbers(each) for each in contents.attempts]
    axis = forest_axis(attempts)
    colours = attempt_colours(attempts)
    rows = [_row(k, each, attempts[0], colours[k], axis) for k, each in enumerate(attempts)]
    return page_text(
        _template(),
        page=contents,
        rows=rows,
        cost_titles=COST_TITLES,
        ticks=[(_percent(axis.share(tick)), f"{tick:+g}" if tick else "0") for tick in axis.ticks],
        zero=_percent(axis.share(0)),
        costs=[
            drawn(pareto_svg(attempts, kind))
            for kind in ("seconds", "prediction", "memory")
            if any(each.score is not None and cost_of(each, kind) is not None for each in attempts)
        ],
        courses=drawn(courses_svg(attempts)) if any(_validated(each) for each in attempts) else None,
        ended=[row for row in rows if row.attempt.state in ("given up", "failed", "refused")],
        crops=_crops(contents, rows),
    )


def _row(place: int, attempt: Attempt, baseline: Attempt, colour: str, axis: ForestAxis) -> _Row:
    difference, bracket = difference_text(attempt)
    ratios = [_ratio(mine, its) for mine, its in zip(_costs(attempt), _costs(baseline), strict=True)]
    return _Row(
        number=place + 1,
        attempt=attempt,
        colour=colour,
        lane=_lane(attempt, axis),
        difference=difference,
        bracket=bracket,
        state=state_text(attempt),
        score=ratio_text(attempt.score),
        score_bracket=interval_text(attempt.score_interval),
        costs=tuple(zip(cost_texts(attempt), ratios if place else [""] * len(ratios), strict=True)),
    )


def _lane(attempt: Attempt, axis: ForestAxis) -> _Lane | None:
    found = difference_range(attempt)
    if found is None or attempt.difference is None:
        return None
    low, high = axis.share(found.low), axis.share(found.high)
    return _Lane(
        left=_percent(low),
        width=_percent(high - low),
        point=_percent(axis.share(attempt.difference)) if axis.low <= attempt.difference <= axis.high else "",
        before=found.low < axis.low,
        beyond=found.high > axis.high,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _costs(attempt: Attempt) -> tuple[float | None, ...]:
    cost = attempt.cost
    times = (cost.step_seconds, cost.training_seconds, cost.prediction_seconds)
    return cost.parameters, cost.multiply_adds, *times, cost.memory


def _ratio(mine: float | None, its: float | None) -> str:
    """Return how many times the baseline's cost this is: ``0.52×``; an empty text where one of both is not known."""
    if mine is None or not its:
        return ""
    return f"{mine / its:.2f}×" if mine < 9.995 * its else f"{mine / its:,.0f}×"


def _validated(attempt: Attempt) -> bool:
    return any(row.mean_iou is not None for course in attempt.courses for row in course.rows)


def _crops(contents: StudyContents, rows: Sequence[_Row]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each crop's name with its pictures: a caption and a data URI each."""
    bounds = _CROPS if len(rows) <= _MANY else _MANY_CROPS
    shown = []
    for k, name in enumerate(contents.crop_names):
        pictures = [("picture", contents.crop_pictures[k]), ("ground truth", contents.crop_truths[k])]
        pictures += [(f"{row.number} {row.attempt.name}", row.attempt.crops[k]) for row in rows if row.attempt.crops]
        shown.append((name, [(caption, small_data_uri(pixels, bounds)) for caption, pixels in pictures]))
    return shown


@cache
def _template() -> Template:
    shared = environment()
    shared.filters["ending"] = attempt_end_text
    shared.globals["dash"] = DASH
    return shared.get_template("study.html.j2")
