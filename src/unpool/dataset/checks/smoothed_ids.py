"""Smoothed ids: masks in which scaling with smoothing left lines of one class between two others."""

from __future__ import annotations

from collections.abc import Sequence

from unpool.dataset.checks.rare_values import thin_values
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.tally import MaskTally
from unpool.wording import count_text, first_of

FEWEST = 20
"""Smallest number of lines in a mask that is judged."""
LINES = 0.12
"""Share of all runs from which lines are smoothing; CamVid has 0.11 at an eighth of its size, and 0.3 smoothed."""
THIN_CLASS = 0.2
"""Share of a value's pixels in thin runs from which the value is a thin class that was drawn, and tells nothing."""
STRIPES = 0.4
"""Number of stripes for each line up to which the lines are smoothing; what is drawn is seldom just 1 or 2 wide."""


def smoothed_ids(tallies: Sequence[MaskTally]) -> list[Finding]:
    """Return the warning of masks whose ids, which fill regions, are also lines between a lower and a higher id.

    Smoothing turns the border of 0 and 2 into a line of 1, which is a class of its own. Classes that are nothing but
    lines were drawn.

    Parameters
    ----------
    tallies: of masks of single values.
    """
    drawn = thin_values(tallies, THIN_CLASS)
    wrong = [tally.name for tally in tallies if _has_lines(tally, drawn)]
    if not wrong:
        return []
    return [
        Finding(
            "warning",
            "smoothed-ids",
            f"classes lie in lines of 1 or 2 pixels between a lower and a higher value, "
            f"as if masks were scaled with smoothing, in {count_text(len(wrong), 'mask')}: {first_of(wrong)}",
            "classes only where they were drawn",
            "look at the borders in these masks; scale the masks again from their originals, by nearest neighbour only",
            tuple(wrong),
        )
    ]


def _has_lines(tally: MaskTally, drawn: set[int]) -> bool:
    found = [counts for value, counts in tally.neighbours.items() if value not in drawn]
    lines, stripes = sum(n.lines for n in found), sum(n.stripes for n in found)
    return lines >= max(FEWEST, LINES * sum(n.runs for n in found)) and stripes <= STRIPES * lines
