"""Inverted masks: masks of two values in which one stands for the other, as in files that show 0 as white."""

from __future__ import annotations

from collections.abc import Sequence, Set

from unpool.class_table import ClassTable, MaskKind, value_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.commands import classes_option, named_option
from unpool.dataset.mask_values.tally import MaskTally
from unpool.wording import count_text, first_of

_FEWEST = 5
"""Smallest number of masks that agree on what lies along the edges of a picture."""
ALONG_EDGE = 0.75
"""Share of the edges that the background has in nearly every mask of a set that can be judged."""
_UNDECIDED = 0.1
"""Share of the masks whose edges may show anything."""
_LARGER = 1.5
"""How much larger the objects of an inverted mask may be than in the other masks."""


def inverted_masks(tallies: Sequence[MaskTally], kind: MaskKind, stated: Set[int]) -> list[Finding]:
    """Return the warning of a few masks whose edges and areas show one value where all others show its opposite.

    It is an error where just these masks are stored in files that show 0 as white, and the others are not.
    """
    values = set().union(*(tally.counts for tally in tallies))
    if kind != "values" or len(values) != 2 or values <= stated:
        return []
    low, high = sorted(values)
    dark = [tally for tally in tallies if _shows(tally, low)]
    light = [tally for tally in tallies if _shows(tally, high)]
    odd, usual = sorted((light, dark), key=len)
    undecided = len(tallies) - len(odd) - len(usual)
    tagged = {tally.name for tally in tallies if tally.white_is_zero}
    proven = bool(tagged) and tagged == {tally.name for tally in odd}
    few = len(usual) < (1 if proven else _FEWEST) or undecided > _UNDECIDED * len(tallies)
    if few or not odd or not _alike(odd, usual):
        return []
    shown, others = (high, low) if odd is light else (low, high)
    reason = " their files show 0 as white, and" if proven else ""
    return [
        Finding(
            "error" if proven else "warning",
            "inverted-masks",
            f"{count_text(len(odd), 'mask')} may be inverted ({first_of([tally.name for tally in odd])}):{reason} "
            f"{shown} covers the edges and most of the area, as {others} does in {count_text(len(usual), 'mask')}",
            "one meaning of each value in all masks",
            f"look at these masks; if they are inverted, save them with {shown} and {others} exchanged",
            tuple(tally.name for tally in odd),
        )
    ]


def shown_white(tallies: Sequence[MaskTally], table: ClassTable) -> list[Finding]:
    """Return the warning of masks that all show 0 as white, as PBM files do, where 0 is named background by habit."""
    if table.kind != "values" or len(table) != 2 or table.values[0] != (0,):
        return []
    if not all(tally.white_is_zero for tally in tallies):
        return []
    other = value_text(table.values[1][0])
    classes = classes_option([("0", "object"), (other, "background")])
    return [
        Finding(
            "warning",
            "white-is-background",
            f"all mask files show 0 as white and {other} as black, and 0 is read as class {table.names[0]}",
            "names that fit what the masks show",
            f"if white marks the objects, use {classes}; else name the classes: {named_option(table)}",
        )
    ]


def _alike(odd: Sequence[MaskTally], usual: Sequence[MaskTally]) -> bool:
    """Return whether the smaller value of each odd mask covers as little as it does in the usual ones."""
    shares, odd_shares = ([min(t.counts.values()) / sum(t.counts.values()) for t in group] for group in (usual, odd))
    return all(len(t.counts) == 2 for t in odd) and _LARGER * max(shares) >= max(odd_shares)


def _shows(tally: MaskTally, value: int) -> bool:
    """Return whether a value covers most of a mask and of its edges."""
    covers = 2 * tally.counts.get(value, 0) >= sum(tally.counts.values())
    return covers and tally.edge.get(value, 0) >= ALONG_EDGE * sum(tally.edge.values())
