"""Cells of a CSV file that a spreadsheet shows and does not compute."""

from __future__ import annotations

from unpool.wording import on_one_line

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Letters with which a cell of a spreadsheet begins a formula, or is cut off before one."""


def text_cell(text: str) -> str:
    """Return a text for a cell; one that would begin a formula gets an apostrophe before it (OWASP).

    Control characters are escapes, because Python's csv module does not quote a carriage return.
    """
    clean = on_one_line(text)
    return f"'{clean}" if clean.startswith(FORMULA_STARTS) else clean
