"""Usual mask values and their meaning: full scales, small ids, 255 among ids, and the void of Pascal VOC."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import pairwise

from unpool.class_table import IGNORE_ID, MaskKind
from unpool.dataset.mask_values.tally import MaskTally

MAX_VALUES = 64
"""Most different values in a set of class masks; sets with more hold something else."""
FULL_SCALES = frozenset({1, 255, 65535})
"""Values that drawing tools write for marked pixels, with 1 bit, 8 bits and 16 bits."""
FULL_16 = 65535
"""The largest value of 16 bits, which some tools write where nothing was marked."""
LEAST_STEP = 32
"""Smallest step between two greys that a person chose; values nearer to each other are ids."""
_VOID = (0xE0E0C0, 0xC0E0E0)
"""The colour of void in Pascal VOC, its last palette entry; and with red and blue exchanged."""
RIM_SHARE = 0.5
"""Share of the pixels of 255 from which it is a rim around the objects, as void is in Pascal VOC."""


def usual_ignore(
    present: Sequence[int], tallies: Sequence[MaskTally], kind: MaskKind, named: Set[int] = frozenset()
) -> dict[int, str]:
    """Return the values that are ignored by convention, each with the reason.

    Parameters
    ----------
    present: flat values of all masks, sorted. 0 and 255 alone are two classes.
    named: flat values of all classes that a person names; empty without names.
    """
    if kind == "colours":
        return dict.fromkeys(_void_colours(present), "it is the colour of void in Pascal VOC")
    missing = {value for value in declared_missing(tallies) if value} if kind == "values" else set()
    usual = _usual_void([value for value in present if value not in missing], tallies, kind, named)
    return dict.fromkeys(sorted(missing), "the mask files declare it as missing data (GDAL's nodata)") | usual


def declared_missing(tallies: Sequence[MaskTally]) -> set[int]:
    """Return the values of masks that every file which holds them declares as missing data."""
    declared = {int(tally.missing) for tally in tallies if tally.missing is not None and tally.missing in tally.counts}
    return {value for value in declared if all(t.missing == value for t in tallies if value in t.counts)}


def _usual_void(
    present: Sequence[int], tallies: Sequence[MaskTally], kind: MaskKind, named: Set[int]
) -> dict[int, str]:
    """Return 255 with the reason why it means void; nothing where it may be a class."""
    others = [value for value in present if value != IGNORE_ID]
    if kind != "values" or IGNORE_ID not in present or len(others) < 2:
        return {}
    if any(tally.palette and tally.colour_of(IGNORE_ID) in _VOID for tally in tallies):
        return {IGNORE_ID: "its colour is that of void in Pascal VOC"}
    if named and named >= set(others):
        return {IGNORE_ID: "every other value has a name"}
    if others[-1] >= MAX_VALUES:
        return {}
    if 2 * len(others) > others[-1] and not _binary_with_specks(others, tallies):
        return {IGNORE_ID: "the other values are small ids"}
    rim = sum(tally.neighbours[IGNORE_ID].rim for tally in tallies if IGNORE_ID in tally.neighbours)
    if rim >= RIM_SHARE * _pixels(IGNORE_ID, tallies):
        return {IGNORE_ID: "the other values are ids, and it is only a rim between them"}
    return {}


def _binary_with_specks(others: Sequence[int], tallies: Sequence[MaskTally]) -> bool:
    """Return whether masks of 0 and 255 may hold some 1 by accident: 255 is in regions, and more often than 1."""
    marked, all_pixels = _pixels(IGNORE_ID, tallies), sum(sum(tally.counts.values()) for tally in tallies)
    rim = sum(tally.neighbours[IGNORE_ID].rim for tally in tallies if IGNORE_ID in tally.neighbours)
    return list(others) == [0, 1] and rim < RIM_SHARE * marked and _pixels(1, tallies) < marked < all_pixels / 2


def _pixels(value: int, tallies: Sequence[MaskTally]) -> int:
    return sum(tally.counts.get(value, 0) for tally in tallies)


def unclear_void(present: Sequence[int]) -> int | None:
    """Return the value of masks that may be a class or may mean void; None where the values are clear.

    It is 255, or 65535, far above values that are ids. Greys are clear: they lie far apart, as 0, 128 and 255.

    Parameters
    ----------
    present: flat values of all masks, sorted, without those that are ignored.
    """
    others, last = present[:-1], present[-1]
    if last not in (IGNORE_ID, FULL_16) or len(others) < 2 or others[-1] >= last - 1:
        return None
    return last if any(b - a < LEAST_STEP for a, b in pairwise(others)) else None


def _void_colours(present: Sequence[int]) -> list[int]:
    """Return the colours of void among colours of the Pascal VOC palette, which are multiples of 64 in each channel."""
    void = [value for value in _VOID if value in present]
    return void if len(present) - len(void) > 1 and all(v & 0x3F3F3F == 0 for v in present if v not in void) else []
