"""The style of drawings that matplotlib makes, and their text as one element of a page.

Lines and letters have the colour ``currentColor``, so a drawing in a page follows the page's light or dark theme. The
same input gives the same text.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

CURRENT_COLOUR = "#010203"
"""The colour that stands for currentColor, which matplotlib does not know."""

BLUE, ORANGE = "#3b7dc4", "#d9782d"

_STYLE: Any = {
    "svg.hashsalt": "unpool",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": CURRENT_COLOUR,
    "axes.edgecolor": CURRENT_COLOUR,
    "axes.labelcolor": CURRENT_COLOUR,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": CURRENT_COLOUR,
    "ytick.color": CURRENT_COLOUR,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.5,
}


@contextmanager
def plotting() -> Iterator[None]:
    """Set the style, and silence the warning of a letter that matplotlib's font lacks: the viewer's font draws it."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing", category=UserWarning)
        yield


def svg_element(figure: Figure) -> str:
    """Return the figure as one element that can share a page with others: no prologue, no numbered ids."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)
    return text.replace(CURRENT_COLOUR, "currentColor").strip()
