"""The page of an augmentation: training pictures, crops that were cut out of them, and the grids by which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from jinja2 import Template
from markupsafe import escape
from numpy.typing import NDArray

from unpool.report.check_page import CHECK_PAGE_END
from unpool.report.pictures import Bounds, small_data_uri
from unpool.report.templates import drawn, environment, page_text
from unpool.report.text import NamedTexts

_PANEL = Bounds(longest=320, characters=60_000)


class DrawnLine(NamedTuple):
    """A line over a picture: its points (n, 2), rows and columns in pixels, its CSS colour, its width on the screen."""

    points: NDArray[np.float32]
    colour: str
    width: float


class AugmentationFigure(NamedTuple):
    """A caption, and a part of a picture with lines over it.

    Attributes
    ----------
    picture: uint8 (rows, columns, 3).
    corner: row and column of the picture's first pixel, in the coordinates of the lines.
    lines: over the picture, and beyond its edges where they reach beyond.
    """

    caption: str
    picture: NDArray[np.uint8]
    corner: tuple[int, int] = (0, 0)
    lines: Sequence[DrawnLine] = ()


class AugmentationPanel(NamedTuple):
    """One picture: figures of all of it, and groups of figures that stand below each other, one group for each crop."""

    name: str
    whole: Sequence[AugmentationFigure]
    groups: Sequence[Sequence[AugmentationFigure]]


class AugmentationSection(NamedTuple):
    """Settings in words, paragraphs about them, and the pictures of them."""

    title: str
    paragraphs: Sequence[str]
    rows: NamedTexts
    panels: Sequence[AugmentationPanel]


@dataclass(frozen=True)
class AugmentationContents:
    """The contents of the page: title and subtitle of one line each, the sections, the command that makes it again."""

    title: str
    subtitle: str
    sections: Sequence[AugmentationSection]
    command: str


def render_augmentation(contents: AugmentationContents) -> str:
    """Return the page as one HTML text, which ends with ``CHECK_PAGE_END``."""
    text = page_text(_template(), page={"title": contents.title, "subtitle": contents.subtitle}, contents=contents)
    return text.rstrip() + "\n" + CHECK_PAGE_END


def _figure_svg(figure: AugmentationFigure) -> str:
    """Return a picture and its lines as one drawing, with room for lines that leave the picture."""
    (rows, columns), (top, left) = figure.picture.shape[:2], figure.corner
    ends = np.concatenate([[[top, left], [top + rows, left + columns]], *(line.points for line in figure.lines)])
    (first_row, first_column), (last_row, last_column) = ends.min(axis=0), ends.max(axis=0)
    box = f"{first_column:.1f} {first_row:.1f} {last_column - first_column:.1f} {last_row - first_row:.1f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img"><title>{escape(figure.caption)}</title>'
        f'<image x="{left}" y="{top}" width="{columns}" height="{rows}" preserveAspectRatio="none" '
        f'href="{small_data_uri(figure.picture, _PANEL)}"/>{"".join(map(_path, figure.lines))}</svg>'
    )


def _path(line: DrawnLine) -> str:
    points = _thinned(line.points)
    path = "M" + "L".join(f"{column:.1f} {row:.1f}" for row, column in points)
    return (
        f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-width="{line.width:g}" '
        'vector-effect="non-scaling-stroke"/>'
    )


def _thinned(points: NDArray[np.float32]) -> Iterable[tuple[float, float]]:
    """Return every n-th point and the last, about thirty of them."""
    kept = points[:: max(len(points) // 30, 1)]
    return [(float(row), float(column)) for row, column in [*kept, points[-1]]]


@cache
def _template() -> Template:
    shared = environment()
    shared.filters["figure"] = lambda figure: drawn(_figure_svg(figure))
    return shared.get_template("augmentation.html.j2")
