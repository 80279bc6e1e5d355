"""The report: one HTML page that needs nothing but itself, in a browser or on paper.

No script, no font, no address outside the page: pictures are data URIs, drawings inline SVG, and a content
security policy forbids the rest. All words are escaped; a file may be called ``<script>.png``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from numpy import uint8
from numpy.typing import NDArray

from unpool.class_table import Colour
from unpool.io.files import write_text
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.conventions import CONVENTIONS_RULE, Conventional
from unpool.metrics.intervals import Intervals
from unpool.metrics.measures import Measured
from unpool.metrics.scores import ABSENT_RULE, Scores
from unpool.report.curves import confusion_svg, curves_svg, diagram_svg
from unpool.report.methods import Methods
from unpool.report.pictures import MISSED, WRONG, jpeg_data_uri, png_data_uri, shrink
from unpool.report.text import (
    bracket_text,
    interval_text,
    intervals_rule,
    number_text,
    ratio_text,
    share_text,
    turned,
    worst_first,
)

PANEL_LONGEST = 336
"""Pictures of a panel are shrunk to this many pixels on their longer side."""

_LARGEST_URI = 68_000  # letters of one picture: keeps a report of eight panels below 3 MB whatever they show
_QUALITIES = (85, 65, 45, 25)
_OPEN_ROWS = 10  # rows of the table of pictures that are shown without a click


class Heat(NamedTuple):
    """A ``heat_picture`` and what it shows, with its scale."""

    picture: NDArray[uint8]
    caption: str


@dataclass(frozen=True)
class ImagePanel:
    """One picture of a set, side by side with what was made of it. All pictures uint8 RGB of any size.

    Attributes
    ----------
    name: file name of the picture.
    picture: the picture as ``displayable`` makes it.
    truth: its ``overlay`` with the labels; None without labels.
    prediction: its ``overlay`` with the prediction.
    error: its ``error_picture``; None without labels.
    mean_iou: 0..1, or None where it is not known.
    note: one line on the picture, or an empty string.
    uncertainty: where the prediction is unsure; None where it is not known.
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
    """What a report says; a part that is empty or None is left out.

    Attributes
    ----------
    title, subtitle: one line each.
    summary: the headline numbers, label and value; an interval in brackets after a value is set small.
    facts: named sections of rows, label and value: data, network, training, machine.
    colours: one RGB colour a class, in the order of the classes.
    matrix: confusion over the whole set.
    scores: scores over the whole set.
    intervals: of these scores; None where one picture was scored.
    image_rows: name and scores of each picture, in any order; shown worst first.
    panels: pictures to look at, in any order; shown worst first.
    history: one row an epoch, as ``curves_svg`` reads it.
    findings: what a reader should know first, one sentence each.
    notes: rules of the scores, one sentence each.
    command: the command that makes this report again.
    measured: what was measured of the set beside the counts.
    conventions: the scores by other implementations' rules.
    methods: paragraphs to paste into a paper.
    """

    title: str
    subtitle: str
    summary: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    colours: Sequence[Colour]
    matrix: ConfusionMatrix | None
    scores: Scores | None
    intervals: Intervals | None
    image_rows: Sequence[tuple[str, Scores]]
    panels: Sequence[ImagePanel]
    history: Sequence[Mapping[str, float | None]]
    findings: Sequence[str]
    notes: Sequence[str]
    command: str
    measured: Sequence[Measured] = ()
    conventions: Sequence[Conventional] = ()
    methods: Methods | None = None


@dataclass(frozen=True)
class _ShownPanel:
    name: str
    mean_iou: float | None
    note: str
    figures: tuple[tuple[str, str, bool], ...]  # caption, data URI, whether pixels stay crisp when enlarged


def render_report(contents: ReportContents) -> str:
    """The report as one HTML text."""
    rows = worst_first(contents.image_rows)
    panels = sorted(contents.panels, key=lambda p: (p.mean_iou is None, p.mean_iou or 0.0, p.name))
    text = _template().render(
        page=contents,
        confusion=Markup(confusion_svg(contents.matrix)) if contents.matrix else None,  # noqa: S704
        curves=Markup(curves_svg(contents.history)) if contents.history else None,  # noqa: S704
        panels=[_shown(panel) for panel in panels],
        legend=_legend(contents),
        colour_of=dict(zip(_class_names(contents), contents.colours, strict=False)),
        first_rows=rows[:_OPEN_ROWS],
        other_rows=rows[_OPEN_ROWS:],
        conventions_rule=CONVENTIONS_RULE,
        rules=[*contents.notes, ABSENT_RULE, intervals_rule(contents.intervals)],
        heat=next((panel.uncertainty.caption for panel in panels if panel.uncertainty), ""),
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # a file name may hold bytes that are no letters


def write_report(path: Path, contents: ReportContents) -> None:
    """Write the report to ``path``, whole or not at all."""
    write_text(path, render_report(contents))


def _shown(panel: ImagePanel) -> _ShownPanel:
    photographs = (("picture", panel.picture), ("truth", panel.truth), ("prediction", panel.prediction))
    figures = [
        (caption, _small_uri(pixels, flat=False), False) for caption, pixels in photographs if pixels is not None
    ]
    if panel.error is not None:
        figures.append(("errors", _small_uri(panel.error, flat=True), True))
    if panel.uncertainty is not None:
        figures.append(("uncertainty", _small_uri(panel.uncertainty.picture, flat=False), False))
    return _ShownPanel(panel.name, panel.mean_iou, panel.note, tuple(figures))


def _small_uri(pixels: NDArray[uint8], flat: bool) -> str:
    """The best encoding that is small enough; a picture of flat colours is kept lossless where it can be."""
    thumbnail = shrink(pixels, PANEL_LONGEST)
    uri = png_data_uri(thumbnail) if flat else jpeg_data_uri(thumbnail, _QUALITIES[0])
    for quality in _QUALITIES:
        if len(uri) <= _LARGEST_URI:
            break
        uri = jpeg_data_uri(thumbnail, quality)
    return uri


def _legend(contents: ReportContents) -> list[tuple[str, Colour]]:
    """The classes that are tinted, and the two colours of the error pictures."""
    names = _class_names(contents)
    tinted = [pair for pair in zip(names, contents.colours, strict=False) if any(pair[1])]
    if all(panel.error is None for panel in contents.panels):
        return tinted
    first = names[0] if names else "the first class"
    return [*tinted, ("error: wrong class", WRONG), (f"error: missed, taken for {first}", MISSED)]


def _class_names(contents: ReportContents) -> tuple[str, ...]:
    if contents.scores:
        return tuple(score.name for score in contents.scores.classes)
    return contents.matrix.names if contents.matrix else ()


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["ratio"] = ratio_text
    environment.filters["interval"] = interval_text
    environment.filters["number"] = number_text
    environment.filters["bracket"] = bracket_text
    environment.filters["diagram"] = lambda found: Markup(diagram_svg(found))  # noqa: S704
    environment.filters["count"] = "{:,}".format
    environment.tests["turned"] = turned
    environment.globals["share"] = share_text
    source = resources.files("unpool.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)
