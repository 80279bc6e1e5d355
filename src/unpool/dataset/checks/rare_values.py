"""Values that nobody drew: a few stray pixels, or the colours between two others that smoothing leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from itertools import combinations

import numpy as np

from unpool.class_table import IGNORE_ID, MaskKind, unflat, value_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.tally import MaskTally

DRAWN_SHARE = 0.02
"""Share of all pixels from which a value counts as drawn; the two most frequent ones always do."""
SPECK = 4
"""Pixels in a mask up to which a value that most masks lack is a stray; a class comes in regions."""
BLENDS = 8
"""Rare colours on the line between two drawn ones from which they are blends; palettes have fewer there."""
_OFF_LINE = 3


def rare_value_findings(tallies: Sequence[MaskTally], stated: Set[int]) -> list[Finding]:
    """Error findings of the masks that hold stray values, judged over the whole set.

    Parameters
    ----------
    tallies: of every mask, in the form of the set's kind.
    stated: flat values that a person named; they are never strays.
    """
    totals = sum((Counter(tally.counts) for tally in tallies), Counter[int]())
    drawn = {value for value, pixels in totals.items() if pixels >= DRAWN_SHARE * totals.total()}
    drawn |= {value for value, _ in totals.most_common(2)}
    rare = totals.keys() - drawn - stated
    coloured = any(tally.colour for tally in tallies)
    wrong = _blends(rare, drawn) if coloured else set()
    masks_with = Counter(value for tally in tallies for value in tally.counts)
    largest = {value: max(tally.counts.get(value, 0) for tally in tallies) for value in rare}
    wrong |= {value for value in rare if largest[value] <= SPECK and 2 * masks_with[value] < len(tallies)}
    if not coloured:
        wrong.discard(IGNORE_ID)
    return [_finding(tally, found) for tally in tallies if (found := wrong & tally.counts.keys())]


def _blends(rare: Set[int], drawn: Set[int]) -> set[int]:
    """Rare colours that lie, with at least ``BLENDS`` in all, on the line between two drawn ones."""
    if len(rare) < BLENDS:
        return set()
    values = sorted(rare)
    points = np.array([unflat(value, "colours") for value in values], dtype=float)
    found: set[int] = set()
    for one, other in combinations(sorted(drawn), 2):
        start, end = (np.array(unflat(value, "colours"), dtype=float) for value in (one, other))
        along = (points - start) @ (end - start) / ((end - start) @ (end - start))
        off = np.abs(points - start - along[:, None] * (end - start)).max(axis=1)
        between = np.flatnonzero((along > 0) & (along < 1) & (off <= _OFF_LINE))
        found |= {values[k] for k in between} if len(between) >= BLENDS else set()
    return found


def _finding(tally: MaskTally, found: Set[int]) -> Finding:
    kind: MaskKind = "colours" if tally.colour else "values"
    order = sorted(found, key=lambda value: (-tally.counts[value], value))
    shown = ", ".join(f"{value_text(unflat(v, kind))} ({tally.counts[v]} pixels)" for v in order[:4])
    more = f" and {len(order) - 4} more" if len(order) > 4 else ""
    return Finding(
        "error",
        "smeared-mask",
        f"{tally.name}: mask values that nobody seems to have drawn: {shown}{more}",
        "the few exact values that were drawn",
        "export the mask again as PNG without smoothing, and resize masks by nearest neighbour only; "
        "or name every value with --classes if they are classes",
        (tally.name,),
    )
