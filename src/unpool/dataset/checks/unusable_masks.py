"""Masks that cannot be class masks: smeared by lossy coding or resizing, or numbering objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.class_table import IGNORE_ID, MaskKind, unflat, value_text
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.mask_values.usual_values import MAX_VALUES

ANCHOR_SHARE = 0.02
"""Share of a mask's pixels from which a value counts as drawn, not smeared."""
NEAR = 24
"""Grey levels around a drawn value within which smearing throws its strays."""


def smeared(tally: MaskTally, common: frozenset[int]) -> Finding | None:
    """The error of a mask whose values were blurred by JPEG or by resizing; None for a sound one.

    ``common`` are the values most masks of the set hold, see ``common_values``.
    """
    if tally.palette is not None or tally.distinct <= 2:
        return None
    if tally.colour and not tally.grey:
        wrong = tally.distinct > MAX_VALUES
    elif tally.lossy:
        values = sorted(tally.counts)
        wrong = tally.distinct > 16 or min(b - a for a, b in pairwise(values)) <= 8
    else:
        wrong = tally.bits <= 8 and _has_strays(tally, common)
    return _smeared(tally) if wrong else None


def smeared_objects(tally: MaskTally) -> Finding | None:
    """The error of a mask of object numbers that lossy coding has blurred; None for a sound one."""
    return _smeared(tally) if tally.lossy and tally.distinct > 2 else None


def _smeared(tally: MaskTally) -> Finding:
    pixels = sum(tally.counts.values())
    kind: MaskKind = "colours" if tally.colour else "values"
    strays = [value for value, count in tally.counts.items() if count < ANCHOR_SHARE * pixels]
    shown = ", ".join(value_text(unflat(value, kind)) for value in strays[:6])
    return Finding(
        "error",
        "smeared-mask",
        f"{tally.name}: {tally.distinct:,} different mask values, {len(strays):,} of them rare ({shown}, …)",
        "the few exact values that were drawn" + ("; JPEG does not keep them" if tally.lossy else ""),
        "export the mask again from the drawing tool as PNG, and resize masks by nearest neighbour only",
        (tally.name,),
    )


def common_values(tallies: Iterable[MaskTally]) -> frozenset[int]:
    """The values, of sets of single values, that at least half of the masks hold."""
    single = [counts for tally in tallies if (counts := tally.as_kind("values"))]
    masks_with = Counter(value for tally in single for value in tally.counts)
    return frozenset(value for value, masks in masks_with.items() if 2 * masks >= len(single))


def _has_strays(tally: MaskTally, common: frozenset[int]) -> bool:
    """Whether rare values lie around or between a few drawn ones that are far apart, as 3 and 251 beside 0 and 255."""
    single = tally.as_kind("values")
    assert single is not None
    pixels = sum(single.counts.values())
    drawn = {value for value, count in single.counts.items() if count >= ANCHOR_SHARE * pixels}
    anchors = sorted(drawn | common)
    strays = [value for value in single.counts if value not in anchors]
    if len(strays) < 4 or len(anchors) > 4 or any(b - a < 64 for a, b in pairwise(anchors)):
        return False
    near = sum(any(abs(stray - anchor) <= NEAR for anchor in anchors) for stray in strays)
    spread = max(single.counts) - min(single.counts) >= 64
    return len(anchors) > 1 or (spread and (len(strays) > NEAR or near >= 0.9 * len(strays)))


def looks_numbered(tallies: Sequence[MaskTally]) -> list[str]:
    """Names of masks to look at if the set may number objects; empty where the values alone rule it out.

    Object numbers run 0..n or 1..n in nearly every mask, with an n of its own; class ids have gaps where a class
    is absent, and few of them.
    """
    used = [t for t in tallies if len(t.counts) > 1 and not t.colour]
    numbers = [{v for v in t.counts if v > 0 and (t.bits > 8 or v != IGNORE_ID)} for t in used]
    tops = {max(found, default=0) for found in numbers}
    gapless = sum(max(found, default=0) == len(found) for found in numbers)
    limit = 3 if used and all(t.bits > 8 for t in used) else 8
    too_many = len(set().union(*numbers)) > MAX_VALUES
    if len(tops) < 2 or max(tops) < limit or (gapless < 0.9 * len(used) and not too_many):
        return []
    return [t.name for t in sorted(used, key=lambda t: -len(t.counts))[:3]]


def numbers_objects(values: NDArray[np.integer]) -> bool:
    """Whether nearly every value of a mask (rows, columns) is one connected region."""
    regions = ndimage.find_objects(values.astype(np.int32), max_label=4096)
    single = total = 0
    for number, region in enumerate(regions, 1):
        if region is not None:
            _, parts = ndimage.label(values[region] == number, structure=np.ones((3, 3)))
            single += parts == 1
            total += 1
    return total > 1 and single >= 0.9 * total


def joined(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one code and severity as one, telling of the first and naming the files of all."""
    by_code: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        by_code.setdefault((finding.severity, finding.code), []).append(finding)
    return [_one(group) for group in by_code.values()]


def _one(group: Sequence[Finding]) -> Finding:
    first = group[0]
    if len(group) == 1:
        return first
    files: Mapping[str, None] = dict.fromkeys(file for finding in group for file in finding.files)
    found = f"{first.found}; and {len(group) - 1} more like it"
    return Finding(first.severity, first.code, found, first.expected, first.repair, tuple(files))
