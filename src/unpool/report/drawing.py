"""Shapes of a drawing as SVG text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from math import sqrt

INK, PALE, PAPER = "#1f2430", "#8a909c", "#ffffff"
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
MARGIN = 24.0


@dataclass(frozen=True)
class Box:
    """A rectangle; y grows downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Halfway along x."""
        return self.x + self.width / 2

    @property
    def centre(self) -> float:
        """Halfway along y."""
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def low(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass(frozen=True)
class Scale:
    """Sizes and numbers of maps as lengths; roots, so that the smallest can still be seen."""

    rows: int
    maps: int
    tall: float
    thin: float
    wide: float

    def height(self, rows: int) -> float:
        """Of maps with so many rows."""
        return max(self.tall * sqrt(rows / self.rows), 8.0)

    def width(self, maps: int) -> float:
        """Of so many maps."""
        return self.thin + self.wide * sqrt(maps / self.maps)


@dataclass
class Canvas:
    """Shapes in the order in which they are drawn, and the space they take."""

    shapes: list[str] = field(default_factory=list)
    tips: set[str] = field(default_factory=set)  # colours of arrows
    right: float = 0.0
    top: float = 0.0
    bottom: float = 0.0

    def reach(self, x: float, y: float) -> None:
        """Take in a point."""
        self.right, self.top, self.bottom = max(self.right, x), min(self.top, y), max(self.bottom, y)

    def box(self, at: Box, fill: str, *, dashed: bool = False) -> None:
        """A filled rectangle."""
        edge = ' stroke-dasharray="4 2" stroke-width="1.6"' if dashed else ' stroke-width="0.8"'
        self.shapes.append(
            f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}" fill="{fill}" '
            f'stroke="{INK}"{edge}/>'
        )
        self.reach(at.x + at.width, at.y)
        self.reach(at.x + at.width, at.y + at.height)

    def text(
        self, x: float, y: float, words: str, *, size: float = 10, anchor: str = "middle", turned: bool = False,
        colour: str = INK, bold: bool = False,
    ) -> None:  # fmt: skip
        """A line of text with a pale edge, so that it can be read over lines."""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        weight = ' font-weight="bold"' if bold else ""
        self.shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}"{weight}{turn} '
            f'stroke="{PAPER}" stroke-width="3" paint-order="stroke">'
            f"{escape(words)}</text>"
        )
        long = 0.56 * size * len(words)
        before = {"middle": 0.5, "start": 0.0, "end": 1.0}[anchor] * long
        if turned:
            self.reach(x, y + before)
            self.reach(x, y - long + before)
        else:
            self.reach(x + long - before, y - size)
            self.reach(x + long - before, y + 3)

    def arrow(self, path: str, colour: str, *, width: float = 1.8) -> None:
        """A line along an SVG path, with a tip at its end."""
        self.tips.add(colour)
        self.shapes.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            f'marker-end="url(#tip-{colour[1:]})"/>'
        )

    def sum(self, x: float, y: float, radius: float = 7.0) -> None:
        """A plus in a circle."""
        self.shapes.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{PAPER}" stroke="{INK}" stroke-width="1.2"/>'
            f'<path d="M{x - radius:.1f} {y:.1f}h{2 * radius:g}M{x:.1f} {y - radius:.1f}v{2 * radius:g}" '
            f'stroke="{INK}" stroke-width="1.2"/>'
        )
        self.reach(x + radius, y + radius)

    def document(self, title: str, *, note: str) -> str:
        """All shapes as an SVG document on a white ground, readable in print."""
        width, height = self.right + 2 * MARGIN, self.bottom - self.top + 2 * MARGIN
        body = "\n".join(self.shapes)
        tips = "".join(_tip(colour) for colour in sorted(self.tips))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" font-family="{FONT}" role="img">\n'
            f"<title>{escape(title)}</title>\n<desc>{escape(note)}</desc>\n<defs>{tips}</defs>\n"
            f'<rect width="100%" height="100%" fill="{PAPER}"/>\n'
            f'<g transform="translate({MARGIN:.1f} {MARGIN - self.top:.1f})">\n{body}\n</g>\n</svg>\n'
        )


def _tip(colour: str) -> str:
    return (
        f'<marker id="tip-{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.5L8 4L0 7.5z" fill="{colour}"/></marker>'
    )
