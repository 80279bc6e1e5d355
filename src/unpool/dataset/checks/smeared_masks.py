"""Smeared masks: masks with values that nobody drew, left by JPEG or by resizing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from itertools import combinations, pairwise

from unpool.class_table import ClassTable, MaskKind, unflatten_value, value_distance, value_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.mask_values.commands import MOST_PASTED, named_option, placeholders, ranges_option
from unpool.dataset.mask_values.peaks import peaks
from unpool.dataset.mask_values.readings import APART, SNAP, around_values, snapping_option
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.mask_values.usual_values import MAX_VALUES
from unpool.wording import first_of

DRAWN_IN_MASK = 0.02
"""Share of a mask's pixels from which a value counts as drawn, not smeared."""
MADE_AGAIN = "export the mask again from the drawing tool as PNG, and resize masks by nearest neighbour only"
NEAR = 24
"""Grey levels around a drawn value in which smearing leaves other values."""


def smeared(tally: MaskTally, common: frozenset[int], stated: Set[int]) -> Finding | None:
    """Return the error of a mask whose values were smeared by JPEG or by resizing; None for a usable mask.

    Parameters
    ----------
    common: the values that most masks of the set hold, see ``unpool.dataset.checks.smeared_masks.common_values``.
    stated: flat values that a person named, in the mask's own form; they, and two more, are always accepted.
    """
    if tally.palette is not None or tally.distinct <= 2 or len(tally.counts.keys() - stated) <= 2:
        return None
    if tally.colour and not tally.grey:
        wrong = tally.distinct - len(stated & tally.counts.keys()) > MAX_VALUES
    elif tally.lossy:
        values = sorted(tally.counts)
        wrong = tally.distinct > 16 or min(b - a for a, b in pairwise(values)) <= 8
    else:
        wrong = tally.bits <= 8 and _has_smeared_values(tally, common | stated)
    return _finding(tally) if wrong else None


def smeared_objects(tally: MaskTally) -> Finding | None:
    """Return the error of a mask of object numbers that JPEG has smeared; None for a usable mask."""
    return _finding(tally) if tally.lossy and tally.distinct > 2 else None


def common_values(tallies: Iterable[MaskTally]) -> frozenset[int]:
    """Return the values that at least half of the masks hold; masks of colours other than greys do not count."""
    single = [counts for tally in tallies if (counts := tally.as_kind("values"))]
    masks_with = Counter(value for tally in single for value in tally.counts)
    return frozenset(value for value, masks in masks_with.items() if 2 * masks >= len(single))


def _finding(tally: MaskTally) -> Finding:
    pixels = sum(tally.counts.values())
    kind: MaskKind = "colours" if tally.colour else "values"
    rare = [value for value, count in tally.counts.items() if count < DRAWN_IN_MASK * pixels]
    rare_texts = first_of([value_text(unflatten_value(value, kind)) for value in rare], 6)
    return Finding(
        "error",
        "smeared-mask",
        f"{tally.name}: {tally.distinct:,} different mask values, {len(rare):,} of them rare ({rare_texts})",
        "only the values that were drawn" + ("; JPEG does not keep them exactly" if tally.lossy else ""),
        MADE_AGAIN,
        (tally.name,),
    )


def with_way_in(findings: Sequence[Finding], command: str) -> list[Finding]:
    """Return the findings of smeared masks with options by which these masks can be read as they are."""
    if not command:
        return list(findings)
    way = f"read them as they are with {command}; or "
    return [replace(f, repair=way + f.repair) if f.code == "smeared-mask" else f for f in findings]


def ranges_or_nearest(tallies: Sequence[MaskTally], names: ClassNames | None, table: ClassTable | None = None) -> str:
    """Return the options by which smeared masks can be read as they are; empty where their values show none.

    Parameters
    ----------
    tallies: of all masks.
    table: the table of the masks that are not smeared; None where all are.
    """
    if table is not None:
        return f"{SNAP} {named_option(table)}" if _apart(table.named_values(), table.kind) else ""
    greys = [each for tally in tallies if tally.bits <= 8 and (each := tally.as_kind("values"))]
    found = peaks(greys, "values") if len(greys) == len(tallies) else ()
    if not found or (names is not None and names.stated and around_values(greys, names, "values")):
        return snapping_option(tallies, names)
    given = names.in_order if names else ()
    return ranges_option(found, given if len(given) == len(found) else placeholders(found, "values"))


def _apart(values: Set[int], kind: MaskKind) -> bool:
    """Return whether a few values are far enough from each other for smeared masks to be read by the nearest."""
    gaps = [value_distance(one, other, kind) for one, other in combinations(values, 2)]
    return len(values) <= MOST_PASTED and min(gaps) >= APART


def _has_smeared_values(tally: MaskTally, common: frozenset[int]) -> bool:
    """Return whether a few drawn values far apart have rare ones around them, as 0 and 255 have 3 and 251."""
    single = tally.as_kind("values")
    assert single is not None
    pixels = sum(single.counts.values())
    drawn_here = {value for value, count in single.counts.items() if count >= DRAWN_IN_MASK * pixels}
    drawn = sorted(drawn_here | common)
    rare = [value for value in single.counts if value not in drawn]
    if len(rare) < 4 or len(drawn) > 4 or any(b - a < 64 for a, b in pairwise(drawn)):
        return False
    near = sum(any(abs(value - other) <= NEAR for other in drawn) for value in rare)
    spread = max(single.counts) - min(single.counts) >= 64
    return len(drawn) > 1 or (spread and (len(rare) > NEAR or near >= 0.9 * len(rare)))
