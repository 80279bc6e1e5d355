"""Masks that are painted from outlines: a value for each class, or a number for each object."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.dataset.outlines.filling import Patch
from unpool.dataset.outlines.outline import Outline
from unpool.shapes import Size

BACKGROUND_VALUE, VOID_VALUE = 0, 255
"""The values of no class, and of pixels that count nowhere, in a mask of classes."""

VOID_NUMBER = 65535
"""The object number of pixels that count nowhere. No object has it."""


class Painting(NamedTuple):
    """A mask that was painted.

    Attributes
    ----------
    mask: (rows, columns): uint8 values of classes, or uint16 or int32 object numbers.
    overlap: number of pixels in outlines of two classes, or of two objects.
    hidden: number of outlines of which no pixel is left: outside the picture, without a pixel, or hidden by others.
    """

    mask: NDArray[Any]
    overlap: int
    hidden: int


def paint(
    outlines: Sequence[Outline], size: Size, values: Mapping[str, int], *, objects: bool, smaller_on_top: bool
) -> Painting:
    """Paint the outlines of a picture: later ones hide earlier ones.

    Parameters
    ----------
    values: the value of each class; ``VOID_VALUE`` for a class whose pixels count nowhere.
    objects: whether each object gets a number of its own. Then crowds count nowhere.
    smaller_on_top: larger ones are painted first.

    Raises
    ------
    ValueError: a shape does not fit the picture.
    """
    order = _order(outlines, size, smaller_on_top)
    numbers = _object_numbers([outlines[k] for k in order], values) if objects else None
    given = [values[outlines[k].label] for k in order] if numbers is None else numbers
    mask, owners = np.zeros(size, np.int32), np.zeros(size, np.int32)
    overlaps = np.zeros(size, bool)
    for place, (k, value) in enumerate(zip(order, given, strict=True)):
        patch = _patch(k, outlines[k], size)
        region = _region(patch)
        below = mask[region]
        overlaps[region] |= patch.inside & (below != BACKGROUND_VALUE) & (below != value)
        below[patch.inside] = value
        owners[region][patch.inside] = place + 1
    seen = np.bincount(owners.reshape(-1), minlength=len(order) + 1)[1:] > 0
    hidden = sum(
        not (mask[_region(patch := _patch(k, outlines[k], size))][patch.inside] == value).any()
        for place, (k, value) in enumerate(zip(order, given, strict=True))
        if not seen[place]
    )
    dtype = np.uint8 if numbers is None else np.uint16 if mask.max(initial=0) <= VOID_NUMBER else np.int32
    return Painting(mask.astype(dtype), int(np.count_nonzero(overlaps)), hidden)


def _order(outlines: Sequence[Outline], size: Size, smaller_on_top: bool) -> list[int]:
    """Return the places of the outlines in the order in which they are painted: crowds first."""
    order = list(range(len(outlines)))
    if smaller_on_top:
        areas = [np.count_nonzero(_patch(k, outline, size).inside) for k, outline in enumerate(outlines)]
        order.sort(key=lambda k: -areas[k])
    return sorted(order, key=lambda k: not outlines[k].crowd)


def _region(patch: Patch) -> tuple[slice, slice]:
    rows, columns = patch.inside.shape
    return slice(patch.top, patch.top + rows), slice(patch.left, patch.left + columns)


def _patch(place: int, outline: Outline, size: Size) -> Patch:
    try:
        return outline.fill(size)
    except ValueError as error:
        raise ValueError(f"{outline.kind} {place + 1} ({outline.label}): {error}") from error


def _object_numbers(outlines: Sequence[Outline], values: Mapping[str, int]) -> list[int]:
    """Return the number of the object of each outline; parts of one object have one number."""
    numbers: dict[Hashable, int] = {}
    found = []
    for k, outline in enumerate(outlines):
        value = values[outline.label]
        if value == BACKGROUND_VALUE:
            found.append(BACKGROUND_VALUE)
            continue
        if outline.crowd or value == VOID_VALUE:
            found.append(VOID_NUMBER)
            continue
        key: Hashable = ("alone", k) if outline.part_of is None else ("group", outline.label, outline.part_of)
        number = numbers.setdefault(key, len(numbers) + 1)
        found.append(number if number < VOID_NUMBER else number + 1)
    return found
