"""Shapes of a drawing, written as SVG."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from math import sqrt

INK, PALE, PAPER = "#1f2430", "#8a909c", "#ffffff"
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
MARGIN = 24.0


@dataclass(frozen=True)
class TextStyle:
    """The look of a line of text.

    Attributes
    ----------
    size: in pixels.
    anchor: point of the text that stands at x: ``start``, ``middle`` or ``end``.
    rotated: whether the text runs upwards.
    edged: whether the letters have a white edge, so that they can be read over lines.
    """

    size: float = 10
    anchor: str = "middle"
    colour: str = INK
    rotated: bool = False
    bold: bool = False
    edged: bool = True


PLAIN = TextStyle()
SMALL = TextStyle(size=9)


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels; y grows downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Centre along x."""
        return self.x + self.width / 2

    @property
    def centre(self) -> float:
        """Centre along y."""
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        """Right edge, along x."""
        return self.x + self.width

    @property
    def low(self) -> float:
        """Lower edge, along y."""
        return self.y + self.height


@dataclass(frozen=True)
class Scale:
    """The lengths that stand for sizes and numbers of maps; square roots, so that small numbers remain visible.

    Attributes
    ----------
    rows, maps: largest numbers in the drawing.
    tall: pixels of the highest box; ``thin + wide`` of the widest.
    """

    rows: int
    maps: int
    tall: float
    thin: float
    wide: float

    def height(self, rows: int) -> float:
        """Return the height in pixels of a box for maps with this number of rows."""
        return max(self.tall * sqrt(rows / self.rows), 8.0)

    def width(self, maps: int) -> float:
        """Return the width in pixels of a box for this number of maps."""
        return self.thin + self.wide * sqrt(maps / self.maps)


@dataclass
class Canvas:
    """The shapes of a drawing in their order, and the space that they take.

    Attributes
    ----------
    tips: colours of the arrows.
    """

    shapes: list[str] = field(default_factory=list)
    tips: set[str] = field(default_factory=set)
    right: float = 0.0
    top: float = 0.0
    bottom: float = 0.0

    def reach(self, x: float, y: float) -> None:
        """Extend the drawing to a point."""
        self.right, self.top, self.bottom = max(self.right, x), min(self.top, y), max(self.bottom, y)

    def box(self, at: Box, fill: str, *, dashed: bool = False) -> None:
        """Draw a filled rectangle."""
        edge = ' stroke-dasharray="4 2" stroke-width="1.6"' if dashed else ' stroke-width="0.8"'
        self.shapes.append(
            f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}" fill="{fill}" '
            f'stroke="{INK}"{edge}/>'
        )
        self.reach(at.x + at.width, at.y)
        self.reach(at.x + at.width, at.y + at.height)

    def text(self, x: float, y: float, words: str, style: TextStyle = PLAIN) -> None:
        """Draw a line of text."""
        rotation = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if style.rotated else ""
        weight = ' font-weight="bold"' if style.bold else ""
        edge = f' stroke="{PAPER}" stroke-width="3" paint-order="stroke"' if style.edged else ""
        self.shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{style.size:g}" text-anchor="{style.anchor}" '
            f'fill="{style.colour}"{weight}{rotation}{edge}>{escape(words)}</text>'
        )
        length = 0.56 * style.size * len(words)
        before = {"middle": 0.5, "start": 0.0, "end": 1.0}[style.anchor] * length
        if style.rotated:
            self.reach(x, y + before)
            self.reach(x, y - length + before)
        else:
            self.reach(x + length - before, y - style.size)
            self.reach(x + length - before, y + 3)

    def arrow(self, path: str, colour: str, *, width: float = 1.8) -> None:
        """Draw a line along an SVG path, with a tip at its end."""
        self.tips.add(colour)
        self.shapes.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            f'marker-end="url(#tip-{colour[1:]})"/>'
        )

    def sum(self, x: float, y: float, radius: float = 7.0) -> None:
        """Draw a plus in a circle."""
        self.shapes.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{PAPER}" stroke="{INK}" stroke-width="1.2"/>'
            f'<path d="M{x - radius:.1f} {y:.1f}h{2 * radius:g}M{x:.1f} {y - radius:.1f}v{2 * radius:g}" '
            f'stroke="{INK}" stroke-width="1.2"/>'
        )
        self.reach(x + radius, y + radius)

    def document(self, title: str, *, note: str) -> str:
        """Return all shapes as an SVG document on a white ground, readable in print."""
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
