"""The report of a test: one self-contained HTML page, for a browser or for paper.

The page has no script, no font and no address outside itself. Pictures are data URIs, drawings are inline SVG, and a
content security policy forbids everything else. All texts are escaped: a file may be called ``<script>.png``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Template
from numpy import uint8
from numpy.typing import NDArray

from unpool.class_table import Colour
from unpool.io.files import write_text
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.conventions import CONVENTIONS_RULE, ConventionScores
from unpool.metrics.intervals import Intervals
from unpool.metrics.measures import MeasureResult
from unpool.metrics.scores import ABSENT_RULE, Scores
from unpool.report.curves import confusion_svg, curves_svg, diagram_svg
from unpool.report.methods import Methods
from unpool.report.pictures import MISSED, WRONG, Bounds, small_data_uri
from unpool.report.templates import drawn, environment, page_text
from unpool.report.text import (
    NamedTexts,
    bracket_text,
    interval_text,
    intervals_rule,
    number_text,
    share_text,
    transposed,
    worst_first,
)

_PANEL = Bounds(longest=336, characters=68_000)  # keeps a report of eight panels below 3 MB
_OPEN_ROWS = 10  # rows of the table of pictures that are shown without a click


class Heat(NamedTuple):
    """A ``heat_picture``, and a caption with its scale."""

    picture: NDArray[uint8]
    caption: str


@dataclass(frozen=True)
class ImagePanel:
    """One picture of a set, next to its ground truth and prediction. All pictures are uint8 RGB of any size.

    Attributes
    ----------
    name: file name of the picture.
    picture: the picture as ``displayable`` returns it.
    truth: its ``overlay`` with the labels; None without labels.
    prediction: its ``overlay`` with the prediction.
    error: its ``error_picture``; None without labels.
    mean_iou: 0..1, or None if not known.
    note: one line about the picture, or an empty text.
    uncertainty: uncertainty of the prediction; None if not known.
    """

    name: str
    picture: NDArray[uint8]
    truth: NDArray[uint8] | None
    prediction: NDArray[uint8]
    error: NDArray[uint8] | None
    mean_iou: float | None
    note: str
    uncertainty: Heat | None = None


@dataclass(frozen=True)
class ReportContents:
    """The contents of a report. A part that is empty or None is left out.

    Attributes
    ----------
    title, subtitle: one line each.
    summary: headline scores, title and value; an interval in brackets after a value is set small.
    facts: sections of the page with their rows: model, training, test.
    colours: one RGB colour for each class, in the order of the classes.
    matrix: confusion matrix of the set.
    scores: scores of the set.
    intervals: intervals of these scores; None if only one picture was scored.
    image_rows: name and scores of each picture, in any order; the page shows the worst first.
    panels: pictures to look at, in any order; the page shows the worst first.
    history: one row for each epoch, as ``curves_svg`` reads it.
    warnings: warnings for the reader of the scores, one sentence each.
    notes: rules of the scores, one sentence each.
    command: command that makes this report again.
    measured: results of the measures.
    conventions: scores by other implementations' rules.
    methods: paragraphs to paste into a paper.
    """

    title: str
    subtitle: str
    summary: NamedTexts
    facts: Sequence[tuple[str, NamedTexts]]
    colours: Sequence[Colour]
    matrix: ConfusionMatrix | None
    scores: Scores | None
    intervals: Intervals | None
    image_rows: Sequence[tuple[str, Scores]]
    panels: Sequence[ImagePanel]
    history: Sequence[Mapping[str, float | None]]
    warnings: Sequence[str]
    notes: Sequence[str]
    command: str
    measured: Sequence[MeasureResult] = ()
    conventions: Sequence[ConventionScores] = ()
    methods: Methods | None = None


@dataclass(frozen=True)
class _ShownPanel:
    name: str
    mean_iou: float | None
    note: str
    figures: tuple[tuple[str, str, bool], ...]  # caption, data URI, whether pixels stay crisp when enlarged


def render_report(contents: ReportContents) -> str:
    """Return the report as one HTML text."""
    rows = worst_first(contents.image_rows)
    panels = sorted(contents.panels, key=lambda p: (p.mean_iou is None, p.mean_iou or 0.0, p.name))
    return page_text(
        _template(),
        page=contents,
        confusion=drawn(confusion_svg(contents.matrix)) if contents.matrix else None,
        curves=drawn(curves_svg(contents.history)) if contents.history else None,
        panels=[_shown(panel) for panel in panels],
        legend=_legend(contents),
        colour_of=dict(zip(_class_names(contents), contents.colours, strict=False)),
        first_rows=rows[:_OPEN_ROWS],
        other_rows=rows[_OPEN_ROWS:],
        conventions_rule=CONVENTIONS_RULE,
        rules=[*contents.notes, ABSENT_RULE, intervals_rule(contents.intervals)],
        heat=next((panel.uncertainty.caption for panel in panels if panel.uncertainty), ""),
    )


def write_report(path: Path, contents: ReportContents) -> None:
    """Write the report to ``path``, completely or not at all."""
    write_text(path, render_report(contents))


def _shown(panel: ImagePanel) -> _ShownPanel:
    photographs = (("picture", panel.picture), ("ground truth", panel.truth), ("prediction", panel.prediction))
    figures = [
        (caption, small_data_uri(pixels, _PANEL), False) for caption, pixels in photographs if pixels is not None
    ]
    if panel.error is not None:
        figures.append(("errors", small_data_uri(panel.error, _PANEL, flat=True), True))
    if panel.uncertainty is not None:
        figures.append(("uncertainty", small_data_uri(panel.uncertainty.picture, _PANEL), False))
    return _ShownPanel(panel.name, panel.mean_iou, panel.note, tuple(figures))


def _legend(contents: ReportContents) -> list[tuple[str, Colour]]:
    """Return names and colours of the tinted classes and of the two kinds of errors."""
    names = _class_names(contents)
    tinted = [pair for pair in zip(names, contents.colours, strict=False) if any(pair[1])]
    if all(panel.error is None for panel in contents.panels):
        return tinted
    first = names[0] if names else "the first class"
    return [*tinted, ("error: wrong class", WRONG), (f"error: missed, predicted as {first}", MISSED)]


def _class_names(contents: ReportContents) -> tuple[str, ...]:
    if contents.scores:
        return tuple(score.name for score in contents.scores.classes)
    return contents.matrix.names if contents.matrix else ()


@cache
def _template() -> Template:
    shared = environment()
    shared.filters["interval"] = interval_text
    shared.filters["number"] = number_text
    shared.filters["bracket"] = bracket_text
    shared.filters["diagram"] = lambda diagram: drawn(diagram_svg(diagram))
    shared.tests["transposed"] = transposed
    shared.globals["share"] = share_text
    return shared.get_template("page.html.j2")
