"""Rare mask values that nobody drew: a few single pixels, or colours that smoothing leaves between two others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from itertools import combinations

import numpy as np

from unpool.class_table import IGNORE_ID, MaskKind, unflatten_value, value_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.tally import MaskTally
from unpool.wording import count_text, first_of

DRAWN_IN_SET = 0.02
"""Share of all pixels from which a value counts as drawn; the two most frequent values always do."""
SPECK = 4
"""Largest number of pixels in one mask with which a value is taken for an accident of drawing.

The value is also absent from most masks: a class comes in regions, and in many masks.
"""
BLENDS = 8
"""Smallest number of rare colours on the line between two drawn colours that counts as smoothing.

The colours of a palette seldom lie on one line.
"""
_OFF_LINE = 3
"""Distance from the line, in steps of a channel, up to which a colour counts as on it."""


def rare_value_findings(tallies: Sequence[MaskTally], stated: Set[int]) -> list[Finding]:
    """Return an error for each mask with values that nobody drew. All masks together decide what was drawn.

    Parameters
    ----------
    tallies: of every mask, in the form of the set's kind.
    stated: flat values that a person named; they are always accepted.
    """
    totals = sum((Counter(tally.counts) for tally in tallies), Counter[int]())
    drawn = {value for value, pixels in totals.items() if pixels >= DRAWN_IN_SET * totals.total()}
    drawn |= {value for value, _ in totals.most_common(2)}
    rare = totals.keys() - drawn - stated
    coloured = any(tally.colour for tally in tallies)
    wrong = _blends(rare, drawn) if coloured else set()
    masks_with = Counter(value for tally in tallies for value in tally.counts)
    largest = {value: max(tally.counts.get(value, 0) for tally in tallies) for value in rare}
    wrong |= {value for value in rare if largest[value] <= SPECK and 2 * masks_with[value] < len(tallies)}
    if not coloured:
        wrong.discard(IGNORE_ID)  # in grey masks 255 means ignored by convention, however few pixels have it
    return [_finding(tally, values) for tally in tallies if (values := wrong & tally.counts.keys())]


def _blends(rare: Set[int], drawn: Set[int]) -> set[int]:
    """Return the rare colours that lie between two drawn ones, of each two that have ``BLENDS`` of them or more."""
    if len(rare) < BLENDS:
        return set()
    values = sorted(rare)
    points = np.array([unflatten_value(value, "colours") for value in values], dtype=float)
    blends: set[int] = set()
    for one, other in combinations(sorted(drawn), 2):
        start, end = (np.array(unflatten_value(value, "colours"), dtype=float) for value in (one, other))
        along = (points - start) @ (end - start) / ((end - start) @ (end - start))
        off = np.abs(points - start - along[:, None] * (end - start)).max(axis=1)
        between = np.flatnonzero((along > 0) & (along < 1) & (off <= _OFF_LINE))
        blends |= {values[k] for k in between} if len(between) >= BLENDS else set()
    return blends


def _finding(tally: MaskTally, wrong: Set[int]) -> Finding:
    kind: MaskKind = "colours" if tally.colour else "values"
    values = sorted(wrong, key=lambda value: (-tally.counts[value], value))
    texts = [f"{value_text(unflatten_value(v, kind))} ({count_text(tally.counts[v], 'pixel')})" for v in values]
    return Finding(
        "error",
        "smeared-mask",
        f"{tally.name}: mask values that nobody seems to have drawn: {first_of(texts)}",
        "only the values that were drawn",
        "export the mask again as PNG without smoothing, and resize masks by nearest neighbour only; "
        "or name every value with --classes if they are classes",
        (tally.name,),
    )
