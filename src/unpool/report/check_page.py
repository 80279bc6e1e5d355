"""The page of a check: what is in a folder and what is wrong with it, as pictures in one HTML page of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from jinja2 import Template
from numpy import uint8
from numpy.typing import NDArray

from unpool.class_table import Colour
from unpool.dataset.findings import Finding
from unpool.report.pictures import Bounds, small_data_uri
from unpool.report.templates import environment, page_text
from unpool.report.text import NamedTexts

CHECK_PAGE_END = "<!-- written by unpool check -->\n"
"""The last line of the page, by which a later check knows that it may replace the file."""

_PANEL = Bounds(longest=320, characters=60_000)  # keeps a page of sixty pictures below 4 MB
_MARKS = {"error": "Error", "warning": "Warning", "note": "Note"}


class CheckFigure(NamedTuple):
    """A caption and an uint8 RGB picture (rows, columns, 3) of any size; a flat one has few colours."""

    caption: str
    picture: NDArray[uint8]
    flat: bool = False


class CheckPanel(NamedTuple):
    """One pair or one file to look at.

    Attributes
    ----------
    name: of the pair, or path of the file.
    figures: its picture, and its mask or its picture with the mask over it.
    note: why a part of it is missing, or an empty text.
    """

    name: str
    figures: tuple[CheckFigure, ...]
    note: str = ""


class ClassRow(NamedTuple):
    """One class: its name, mask values, display colour, share of the pixels 0..1, and the pictures that have it."""

    name: str
    values: str
    colour: Colour | None
    share: float
    pictures: int


@dataclass(frozen=True)
class CheckContents:
    """The contents of the page of a check.

    Attributes
    ----------
    title, verdict: one line each.
    facts: rows about the folder and its split.
    classes: one row for each class; ignored pixels are a row without a colour.
    findings: errors first.
    shown: for a finding's code, some of the pairs or files that it concerns.
    gallery: pairs to look at.
    command: the command that makes the page again.
    """

    title: str
    verdict: str
    facts: NamedTexts
    classes: Sequence[ClassRow]
    findings: Sequence[Finding]
    shown: Mapping[str, Sequence[CheckPanel]]
    gallery: Sequence[CheckPanel]
    command: str


class _Panel(NamedTuple):
    name: str
    note: str
    figures: Sequence[tuple[str, str]]


class _Entry(NamedTuple):
    mark: str
    finding: Finding
    panels: Sequence[_Panel]


def render_check(contents: CheckContents) -> str:
    """Return the page of a check as one HTML text, which ends with ``CHECK_PAGE_END``."""
    entries = [
        _Entry(_MARKS[finding.severity], finding, [_encoded(panel) for panel in contents.shown.get(finding.code, ())])
        for finding in contents.findings
    ]
    text = page_text(
        _template(),
        page={"title": contents.title, "subtitle": contents.verdict},
        contents=contents,
        entries=entries,
        gallery=[_encoded(panel) for panel in contents.gallery],
    )
    return text.rstrip() + "\n" + CHECK_PAGE_END


def _encoded(panel: CheckPanel) -> _Panel:
    figures = [(each.caption, small_data_uri(each.picture, _PANEL, flat=each.flat)) for each in panel.figures]
    return _Panel(panel.name, panel.note, figures)


@cache
def _template() -> Template:
    return environment().get_template("check.html.j2")
