"""Mask values that nobody drew: a few single pixels, or what smoothing leaves between two others along their border."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set

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
BETWEEN = 0.4
"""Share of a value's pixels from which the value lies only between two others, see ``Neighbours.between``."""
SMOOTHED = 3
"""Smallest number of values that lie only between others and skip each other, which counts as smoothing."""
IN_ORDER = 0.5
"""Share of those pixels from which a value is a thin layer that a person drew between the layers next to it."""


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
    masks_with = Counter(value for tally in tallies for value in tally.counts)
    largest = {value: max(tally.counts.get(value, 0) for tally in tallies) for value in totals.keys() - drawn}
    wrong = {value for value, pixels in largest.items() if pixels <= SPECK and 2 * masks_with[value] < len(tallies)}
    if not any(tally.colour for tally in tallies):
        wrong.discard(IGNORE_ID)  # in grey masks 255 means ignored by convention, however few pixels have it
    smoothed = smoothed_values(tallies) - stated
    wrong = wrong - stated | smoothed
    return [
        _finding(tally, values, not smoothed.isdisjoint(values))
        for tally in tallies
        if (values := wrong & tally.counts.keys())
    ]


def smoothed_values(tallies: Sequence[MaskTally]) -> set[int]:
    """Return the values that lie only between two others along their border, where several of them skip each other.

    A thin class, such as poles or kerbs, is one value. Thin layers, as of a retina, always follow in one order; values
    from smoothing skip each other.
    """
    wrong = thin_values(tallies, BETWEEN)
    skipping = 0
    for value in wrong:
        found = [tally.neighbours[value] for tally in tallies if value in tally.neighbours]
        skipping += sum(n.in_order for n in found) < IN_ORDER * sum(n.between for n in found)
    return wrong if skipping >= SMOOTHED else set()


def thin_values(tallies: Sequence[MaskTally], least: float) -> set[int]:
    """Return the values of which at least this share of the pixels lies between two others along their border."""
    totals, between = Counter[int](), Counter[int]()
    for tally in tallies:
        totals.update(tally.counts)
        between.update({value: found.between for value, found in tally.neighbours.items()})
    return {value for value, pixels in between.items() if pixels and pixels >= least * totals[value]}


def _finding(tally: MaskTally, wrong: Set[int], smoothed: bool) -> Finding:
    kind: MaskKind = "colours" if tally.colour else "values"
    values = sorted(wrong, key=lambda value: (-tally.counts[value], value))
    texts = [f"{value_text(unflatten_value(v, kind))} ({count_text(tally.counts[v], 'pixel')})" for v in values]
    return Finding(
        "error",
        "smeared-mask",
        f"{tally.name}: mask values that nobody seems to have drawn: {first_of(texts)}"
        + ("; they lie along borders, between the values of both sides" if smoothed else ""),
        "only the values that were drawn",
        "export the mask again as PNG without smoothing, and resize masks by nearest neighbour only; "
        "or name every value with --classes if they are classes",
        (tally.name,),
    )
