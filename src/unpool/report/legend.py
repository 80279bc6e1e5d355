"""The legend of an overlay: the name of each class beside its colour, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unpool.class_table import Colour
from unpool.wording import on_one_line, shortened

LONGEST = 40
"""Letters of a class name in a legend."""

_PAPER, _INK, _EDGE = (255, 255, 255), (31, 36, 48), (138, 144, 156)
_BLACK = (0, 0, 0)


def legend_picture(names: Sequence[str], colours: Sequence[Colour], width: int, text: int) -> NDArray[np.uint8]:
    """Return a legend: uint8 (rows, columns, 3) on white.

    The box of class 0 is empty where its colour is black, because an overlay does not tint it then.

    Parameters
    ----------
    names, colours: of each class.
    width: columns that the legend fills; it is wider where one entry needs more.
    text: height of the letters, in pixels.
    """
    font, gap = _font(text), max(2, text // 2)
    shown = [shortened(on_one_line(name), LONGEST) for name in names]
    widths = [text + gap + int(np.ceil(font.getlength(name))) for name in shown]
    width = max(width, max(widths) + 2 * gap)
    places = _places(widths, width, gap)
    line = text + gap
    picture = Image.new("RGB", (width, (places[-1][1] + 1) * line + gap), _PAPER)
    draw = ImageDraw.Draw(picture)
    for number, ((left, row), name) in enumerate(zip(places, shown, strict=True)):
        top = gap + row * line
        colour = tuple(colours[number])
        fill = _PAPER if number == 0 and colour == _BLACK else colour
        draw.rectangle((left, top, left + text - 1, top + text - 1), fill=fill, outline=_EDGE)
        draw.text((left + text + gap // 2, top + text // 2), name, fill=_INK, font=font, anchor="lm")
    return np.asarray(picture)


def _places(widths: Sequence[int], width: int, gap: int) -> list[tuple[int, int]]:
    """Return the left edge and the number of the line of each entry."""
    places, left, row = [], gap, 0
    for each in widths:
        if left > gap and left + each + gap > width:
            left, row = gap, row + 1
        places.append((left, row))
        left += each + 2 * gap
    return places


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return matplotlib's font, which has the letters of more languages than Pillow's own."""
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
