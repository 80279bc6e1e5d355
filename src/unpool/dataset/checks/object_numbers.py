"""Masks that may hold object numbers where class values are expected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.class_table import IGNORE_ID
from unpool.data.samples import Pair
from unpool.dataset.mask_values.tally import MaskTally
from unpool.dataset.mask_values.usual_values import MAX_VALUES
from unpool.errors import DataError
from unpool.io.read.masks import read_mask


def refuse_object_numbers(pairs: Sequence[Pair], tallies: Sequence[MaskTally]) -> None:
    """Raise an error where the masks of a set seem to number objects.

    Raises
    ------
    DataError: the values are like object numbers, and nearly every value is one connected region.
    """
    suspects = _suspects(tallies)
    masks = {pair.name: pair.mask for pair in pairs}
    if suspects and all(_is_object_mask(read_mask(masks[name])) for name in suspects):
        top = max(max(tally.counts) for tally in tallies)
        raise DataError(
            f"the masks seem to number objects: values go up to {top}, and each value is one connected region, "
            f"as in {masks[suspects[0]]}",
            "masks whose values mean classes",
            "use --masks instances (0 background, every other number an object), or --masks values if they are classes",
        )


def _suspects(tallies: Sequence[MaskTally]) -> list[str]:
    """Return the names of up to three masks to look at; empty where the values alone exclude object numbers.

    Object numbers are 0..n or 1..n in nearly every mask, and n differs between masks. Class ids have gaps where a
    class is absent, and there are few of them.
    """
    used = [tally for tally in tallies if len(tally.counts) > 1 and not tally.colour]
    numbers = [{v for v in tally.counts if v > 0 and (tally.bits > 8 or v != IGNORE_ID)} for tally in used]
    highest = {max(values, default=0) for values in numbers}
    gapless = sum(max(values, default=0) == len(values) for values in numbers)
    limit = 3 if used and all(tally.bits > 8 for tally in used) else 8
    too_many = len(set().union(*numbers)) > MAX_VALUES
    if len(highest) < 2 or max(highest) < limit or (gapless < 0.9 * len(used) and not too_many):
        return []
    return [tally.name for tally in sorted(used, key=lambda tally: -len(tally.counts))[:3]]


def _is_object_mask(values: NDArray[np.integer]) -> bool:
    """Return whether nearly every value of a mask (rows, columns) is one connected region."""
    regions = ndimage.find_objects(values.astype(np.int32), max_label=4096)
    single = total = 0
    for number, region in enumerate(regions, 1):
        if region is not None:
            _, parts = ndimage.label(values[region] == number, structure=np.ones((3, 3)))
            single += parts == 1
            total += 1
    return total > 1 and single >= 0.9 * total
