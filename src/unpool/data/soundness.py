"""Masks that cannot be class masks: smeared by lossy coding or resizing, or numbering objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.data.findings import Finding
from unpool.data.scan import MAX_VALUES
from unpool.data.tally import MaskTally

ANCHOR_SHARE = 0.02
"""Share of a mask's pixels from which a value counts as drawn, not smeared."""
NEAR = 24
"""Grey levels around a drawn value within which smearing throws its strays."""


def smeared(tally: MaskTally) -> Finding | None:
    """The error of a mask whose values were blurred by JPEG or by resizing; None for a sound one."""
    if tally.palette is not None or tally.distinct <= 2:
        return None
    if tally.colour and not tally.grey:
        wrong = tally.distinct > MAX_VALUES
    elif tally.lossy:
        values = sorted(tally.counts)
        wrong = tally.distinct > 16 or min(b - a for a, b in pairwise(values)) <= 8
    else:
        wrong = tally.bits <= 8 and _strays_near_anchors(tally)
    if not wrong:
        return None
    pixels = sum(tally.counts.values())
    strays = [value for value, count in tally.counts.items() if count < ANCHOR_SHARE * pixels]
    shown = ", ".join(f"#{v:06x}" if tally.colour else str(v) for v in strays[:6])
    return Finding(
        "error",
        "smeared-mask",
        f"{tally.name}: {tally.distinct:,} different mask values, {len(strays):,} of them rare ({shown}, …)",
        "the few exact values that were drawn" + ("; JPEG does not keep them" if tally.lossy else ""),
        "export the mask again from the drawing tool as PNG, and resize masks by nearest neighbour only",
        (tally.name,),
    )


def _strays_near_anchors(tally: MaskTally) -> bool:
    counts = tally.as_kind("values")
    assert counts is not None
    pixels = sum(counts.counts.values())
    anchors = [v for v, count in counts.counts.items() if count >= ANCHOR_SHARE * pixels]
    strays = [v for v in counts.counts if v not in anchors]
    if len(strays) < 4 or not 1 <= len(anchors) <= 4:
        return False
    if any(b - a < 64 for a, b in pairwise(anchors)):
        return False
    near = sum(any(abs(stray - anchor) <= NEAR for anchor in anchors) for stray in strays)
    spread = max(counts.counts) - min(counts.counts) >= 64
    return spread and (len(strays) > NEAR or near >= 0.9 * len(strays))


def looks_numbered(tallies: Sequence[MaskTally]) -> list[str]:
    """Names of masks to look at if the set may number objects; empty where the values alone rule it out.

    Object numbers run 0..n or 1..n in nearly every mask, with an n of its own; class ids have gaps where a class
    is absent, and few of them.
    """
    used = [t for t in tallies if len(t.counts) > 1 and not t.colour]
    tops = {max(t.counts) for t in used}
    whole = sum(max(t.counts) == sum(v > 0 for v in t.counts) for t in used)
    limit = 3 if used and all(t.bits > 8 for t in used) else 8
    if len(tops) < 2 or max(tops) < limit or (whole < 0.9 * len(used) and max(tops) <= MAX_VALUES):
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
