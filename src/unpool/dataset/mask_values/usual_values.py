"""Usual mask values and their meaning: 0 and 255, small ids, and 255 among small ids."""

from __future__ import annotations

from collections.abc import Sequence, Set

from unpool.dataset.mask_values.tally import MaskTally
from unpool.errors import DataError
from unpool.wording import first_of

MAX_VALUES = 64
"""Most different values in a set of class masks; sets with more hold something else."""
FULL_SCALES = frozenset({1, 255, 65535})
"""Values that drawing tools write for marked pixels, with 1 bit, 8 bits and 16 bits."""


def usual_ignore(present: Sequence[int], tallies: Sequence[MaskTally]) -> list[int]:
    """Return the values to ignore: 255 where the other values are small ids that follow each other, else none.

    0 and 255 alone are two classes.

    Raises
    ------
    DataError: no mask holds 255 with two ids, so that 255 may be the one class of masks drawn as 0 and 255.
    """
    others = [value for value in present if value != 255]
    ids = len(others) >= 2 and others[-1] < MAX_VALUES and 2 * len(others) > others[-1]
    if 255 not in present or not ids:
        return []
    if not any(255 in tally.counts and len(tally.counts) > 2 for tally in tallies):
        check_convention(tallies, {255, *others} - {0})
    return [255]


def check_convention(tallies: Sequence[MaskTally], marks: Set[int]) -> None:
    """Refuse masks of which some mark pixels with one value and some with another, and none with both.

    Raises
    ------
    DataError: names a mask of each convention.
    """
    top = max(value for tally in tallies for value in marks & tally.counts.keys())
    one = next((tally for tally in tallies if top in tally.counts), tallies[0])
    other = next((tally for tally in tallies if top not in tally.counts and marks & tally.counts.keys()), None)
    if other and not any(len(marks & tally.counts.keys()) > 1 and top in tally.counts for tally in tallies):
        raise DataError(
            f"the masks have two conventions: {one.name} holds {_values(one)} and {other.name} holds {_values(other)}",
            f"one convention in all masks, or {top} together with other values in one mask",
            f"save all masks with the same values; or use --ignore {top} if {top} counts nowhere, "
            f"or --classes with {top}=name among the names if it is a class",
        )


def _values(tally: MaskTally) -> str:
    return first_of([str(value) for value in sorted(tally.counts)], 6)
