"""Pictures with pixels in a drawing, each under its caption; and what a mistaken command prints."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lessons.pages import picture
from unpool.cli.main import load_commands
from unpool.errors import UnpoolError
from unpool.report.drawing import INK, PALE, Box, Canvas, TextStyle
from unpool.report.pictures import displayable, png_data_uri

Pixels = NDArray[np.uint8]
CAPTION = TextStyle(size=12, anchor="start")
HEADING = TextStyle(size=14, anchor="start", bold=True)
NOTE = TextStyle(size=11, anchor="start", colour=PALE)


class Panel(NamedTuple):
    """A picture with a line above it and lines below it."""

    caption: str
    pixels: Pixels
    below: tuple[str, ...] = ()


def paste(canvas: Canvas, pixels: Pixels, at: Box, *, frame: bool = True) -> None:
    """Draw pixels, uint8 (rows, columns) or (rows, columns, 3), into a box; each pixel stays a square."""
    canvas.shapes.append(
        f'<image x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{png_data_uri(displayable(pixels))}"/>'
    )
    if frame:
        outline(canvas, at, INK, 0.8)
    canvas.reach(at.x, at.y)
    canvas.reach(at.right, at.low)


def outline(canvas: Canvas, at: Box, colour: str, width: float = 2.0, *, dashed: bool = False) -> None:
    """Draw a rectangle without a filling."""
    dashes = ' stroke-dasharray="5 3"' if dashed else ""
    canvas.shapes.append(
        f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{at.height:.1f}" fill="none" '
        f'stroke="{colour}" stroke-width="{width:g}"{dashes}/>'
    )
    canvas.reach(at.x, at.y)
    canvas.reach(at.right, at.low)


def line(canvas: Canvas, points: Sequence[tuple[float, float]], colour: str, width: float = 1.0) -> None:
    """Draw straight lines through points (x, y)."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    canvas.shapes.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>')
    for x, y in points:
        canvas.reach(x, y)


def strip(name: str, panels: Sequence[Panel], words: str, *, side: float = 190.0, in_row: int = 4) -> str:
    """Write panels beside each other as one drawing; return the Markdown that shows it."""
    canvas = Canvas()
    below = max(len(panel.below) for panel in panels)
    for k, panel in enumerate(panels):
        rows, columns = panel.pixels.shape[:2]
        x, y = (k % in_row) * (side + 22), (k // in_row) * (side * rows / columns + 46 + 15 * below)
        canvas.text(x, y, panel.caption, CAPTION)
        paste(canvas, panel.pixels, Box(x, y + 8, side, side * rows / columns))
        for n, text in enumerate(panel.below, 1):
            canvas.text(x, y + 8 + side * rows / columns + 15 * n, text, NOTE)
    return picture(name, canvas.document(words, note=words), words)


def refusal(command: str) -> str:
    """Return a command line with a mistake and what unpool answers, as a block of text."""
    try:
        load_commands()(shlex.split(command)[1:], exit_on_error=False, result_action="return_value")
    except UnpoolError as error:
        return f"```text\n$ {command}\nunpool: {error}\n```"
    raise ValueError(f"no mistake in: {command}")


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table whose columns after the first are numbers, to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(escape(str(cell), quote=False) for cell in each) + " |" for each in lines)
