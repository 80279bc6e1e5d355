"""What the field's usual mask values mean: 0 and 255, small ids, 255 beside them."""

from __future__ import annotations

from collections.abc import Sequence, Set

from unpool.dataset.mask_values.tally import MaskTally
from unpool.errors import DataError

MAX_VALUES = 64
"""Distinct values a set of masks may hold before they are no classes."""
FULL_SCALES = frozenset({1, 255, 65535})
"""What drawing tools write for "marked": of one bit, 8 bits and 16 bits."""


def usual_ignore(present: Sequence[int], tallies: Sequence[MaskTally]) -> list[int]:
    """255 counts nowhere where the other values are small ids that follow each other; 0 and 255 alone are classes.

    Raises
    ------
    DataError: no mask shows 255 beside two ids, so that it may be the one class of masks drawn as 0 and 255.
    """
    others = [value for value in present if value != 255]
    ids = len(others) >= 2 and others[-1] < MAX_VALUES and 2 * len(others) > others[-1]
    if 255 not in present or not ids:
        return []
    if not any(255 in tally.counts and len(tally.counts) > 2 for tally in tallies):
        check_convention(tallies, {255, *others} - {0})
    return [255]


def check_convention(tallies: Sequence[MaskTally], marks: Set[int]) -> None:
    """Refuse masks of which some mark with one value and some with another, none with both. Raises DataError."""
    top = max(value for tally in tallies for value in marks & tally.counts.keys())
    one = next((tally for tally in tallies if top in tally.counts), tallies[0])
    other = next((tally for tally in tallies if top not in tally.counts and marks & tally.counts.keys()), None)
    if other and not any(len(marks & tally.counts.keys()) > 1 and top in tally.counts for tally in tallies):
        raise DataError(
            f"two conventions: {one.name} holds {_listed(one)} and {other.name} holds {_listed(other)}",
            f"one convention in all masks, or {top} beside other values in some mask",
            f"save all masks with the same values; or say what {top} means: --ignore {top} if it counts nowhere, "
            f"--classes with {top}=name if it is a class",
        )


def _listed(tally: MaskTally) -> str:
    return ", ".join(map(str, sorted(tally.counts)[:6]))
