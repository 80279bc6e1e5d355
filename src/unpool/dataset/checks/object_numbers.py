"""Masks that may hold object numbers, or a colour for each object, where class values are expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unpool.class_table import IGNORE_ID, ClassTable, flatten_colours
from unpool.data.samples import Pair
from unpool.dataset.checks.rare_values import smoothed_values
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.commands import named_option
from unpool.dataset.mask_values.new_table import choose_kind
from unpool.dataset.mask_values.tally import KEPT, MaskTally
from unpool.dataset.mask_values.usual_values import MAX_VALUES
from unpool.errors import DataError
from unpool.io.read.masks import read_mask

_CLASS_STEP = 1000
"""What Cityscapes and others multiply a class by, to add the number of an object."""
_GAPS = 0.5
"""Most missing numbers for each one in a channel; colours that were drawn are far from each other."""
_DARK = 31
"""Largest value of a channel whose colours nobody can tell from black."""
_SEVERAL = 0.25
"""Share of the object numbers with several regions from which the numbers may not be those of objects."""
_LOOKED_AT = 5
"""Masks whose regions are counted."""
_FEWEST = 3
"""Smallest number of masks in which colours of one mask each tell anything."""
_DRAWN = 16
"""Typical number of pixels of a colour from which it was drawn, and does not come from smoothing."""
_CELLPOSE = "_cp_masks"
"""How Cellpose ends the names of its masks, which are object numbers however few they are."""
_ALIKE = 5
"""Fewest values but 0, each one region in every mask, that may number objects where all masks have about as many."""
_OWN = 0.8
"""Share of the values, in one mask only, from which they may be drawn at random for each object."""


class _Suspicion(NamedTuple):
    """Why the values of a set may number objects, and up to three masks to look at."""

    reason: str
    names: list[str]


def refuse_object_numbers(pairs: Sequence[Pair], tallies: Sequence[MaskTally]) -> None:
    """Raise an error where the masks of a set seem to number objects.

    Raises
    ------
    DataError: the values or colours are like object numbers, and nearly every one is one connected region.
    """
    converted = [tally.as_kind(choose_kind(tallies, "auto")) for tally in tallies]
    used = [tally for tally in converted if tally and len(tally.counts) > 1]
    masks = {pair.name: pair.mask for pair in pairs}
    _refuse_numbers_in_a_channel(used)
    _refuse_masks_of_cellpose(used, masks)
    _refuse_numbers_after_classes(used, masks)
    suspicion = _suspicion(used)
    if suspicion and all(_is_object_mask(read_mask(masks[name])) for name in suspicion.names):
        each = "colour" if used[0].colour else "value"
        shown = f"{suspicion.reason}, and each {each} is one connected region, as in {masks[suspicion.names[0]]}"
        raise _number_objects(shown, each)
    if reason := _colours_of_one_mask(used):
        raise _number_objects(reason, "colour")


def _number_objects(shown: str, each: str) -> DataError:
    black = "black is background" if each == "colour" else "0 background"
    return DataError(
        f"the masks seem to number objects: {shown}",
        f"masks whose {each}s mean classes",
        f"use --masks instances ({black}, every other {'colour' if each == 'colour' else 'number'} an object), or "
        f"--masks {each}s if they are classes",
    )


def equally_many_regions(pairs: Sequence[Pair], tallies: Sequence[MaskTally], table: ClassTable) -> list[Finding]:
    """Return the warning of masks with nearly all values 1 to n, or as many colours, each one connected region.

    Such are organs in a body, each with its class, and as many objects in every picture, each with its number.
    """
    places: dict[int, int] = {}
    if coloured := tallies[0].colour:  # numbered by how many masks hold them
        often = Counter(value for tally in tallies for value in tally.counts if value).most_common()
        places = {value: number for number, (value, _) in enumerate(often, 1)}
    numbers = {tally.name: {places.get(value, value) for value in tally.counts if value} for tally in tallies}
    full = {name: each for name, each in numbers.items() if len(each) >= max(_ALIKE, 0.9 * max(each, default=0))}
    if not full or len(full) < 0.9 * len(tallies):
        return []
    masks = {pair.name: pair.mask for pair in pairs}
    whole = sorted(full, key=lambda name: -len(full[name]))[:_LOOKED_AT]
    if not all(_is_object_mask(read_mask(masks[name])) for name in whole):
        return []
    shown = f"{len(places)} colours" if coloured else f"values up to {max(full[whole[0]])}"
    found = (
        f"the masks have {shown}, of which each is one connected region, as in {whole[0]}: they may be classes, "
        "or number objects"
    )
    repair = f"if they number objects, use --masks instances; if they are classes, name them: {named_option(table)}"
    return [Finding("warning", "may-number-objects", found, "masks whose values mean classes", repair)]


def numbers_of_several_regions(pairs: Sequence[Pair], tallies: Sequence[MaskTally]) -> list[Finding]:
    """Return the warning of masks in which many object numbers have several regions, as where neighbours alone differ.

    Parameters
    ----------
    tallies: of masks that are read as object numbers.
    """
    masks = {pair.name: pair.mask for pair in pairs}
    for tally in sorted(tallies, key=lambda tally: -len(tally.counts))[:3]:
        regions = _regions(read_mask(masks[tally.name], "instances"))
        several = sum(count > 1 for count in regions.values())
        if several > _SEVERAL * len(regions):
            number, most = max(regions.items(), key=lambda item: item[1])
            found = (
                f"{several} of {len(regions)} object numbers in {tally.name} have several regions each, such as "
                f"{number} with {most}; every number counts as one object"
            )
            repair = "if each region is one object, number the regions, for example with scipy.ndimage.label"
            return [
                Finding(
                    "warning", "object-regions", found, "a number of its own for every object", repair, (tally.name,)
                )
            ]
    return []


def _suspicion(used: Sequence[MaskTally]) -> _Suspicion | None:
    """Return the suspicion about a set; None where the values alone exclude object numbers."""
    if not used:
        return None
    names = [tally.name for tally in sorted(used, key=lambda tally: -len(tally.counts))[:3]]
    return next((_Suspicion(reason, names) for reason in _reasons(used)), None)


def _colours_of_one_mask(used: Sequence[MaskTally]) -> str | None:
    """Return why colours number objects, connected or not, as in panoptic masks: nearly each is in one mask only."""
    if len(used) < _FEWEST or not used[0].colour or any(tally.lossy for tally in used):
        return None
    smoothed = smoothed_values(used)
    masks_with = Counter(value for tally in used for value in tally.counts.keys() - smoothed if value)
    own = {value for value, count in masks_with.items() if count == 1}
    if len(own) < max(2 * len(used), _OWN * len(masks_with)):
        return None
    pixels = sorted(count for tally in used for value, count in tally.counts.items() if value in own)
    if pixels[len(pixels) // 2] < _DRAWN:
        return None
    return f"there are {len(masks_with)} colours, and {len(own)} of them are in one mask only"


def _reasons(used: Sequence[MaskTally]) -> Iterator[str]:
    """Yield why the values may number objects.

    Object numbers are 0..n or 1..n in nearly every mask, and n differs between masks; or each mask has its own. Class
    ids have gaps where a class is absent, and there are few of them. Colours have no order, so their number must vary.
    """
    coloured = used[0].colour
    drawn = [{v for v in tally.counts if v > 0 and (tally.bits > 8 or v != IGNORE_ID)} for tally in used]
    smoothed = smoothed_values(used)
    masks_with = Counter(value for values in drawn for value in sorted(values - smoothed))
    own = sum(masks == 1 for masks in masks_with.values())
    numbers = drawn
    if coloured:  # numbered by how many masks hold them
        places = {value: number for number, (value, _) in enumerate(masks_with.most_common(), 1)}
        numbers = [{places[value] for value in values - smoothed} for values in drawn]
    every = set().union(*numbers)
    highest = {max(values, default=0) for values in numbers}
    gapless = sum(max(values, default=0) == len(values) for values in numbers)
    limit = 3 if not coloured and all(tally.bits > 8 for tally in used) else 8
    top = f"there are {len(every)} colours" if coloured else f"values go up to {max(every, default=0)}"
    varied = 2 * min(highest) <= max(highest) if coloured else len(highest) > 1
    if varied and max(highest) >= limit and (gapless >= 0.9 * len(used) or len(every) > MAX_VALUES):
        yield top
    if len(used) > 2 and own >= max(2 * len(used), _OWN * len(every)):
        yield f"there are {len(every)} {'colours' if coloured else 'values'}, and {own} of them are in one mask only"


def _refuse_masks_of_cellpose(used: Sequence[MaskTally], masks: Mapping[str, Path]) -> None:
    """Refuse the values 1..n in masks that Cellpose has named.

    Raises
    ------
    DataError: names a mask.
    """
    numbers = {tally.name: {value for value in tally.counts if value} for tally in used if not tally.colour}
    named = all(masks[tally.name].stem.endswith(_CELLPOSE) for tally in used)
    if numbers and named and all(max(each) == len(each) for each in numbers.values()):
        name = max(numbers, key=lambda each: len(numbers[each]))
        if numbers[name] != {1}:
            found = f"{masks[name]} is named as Cellpose names them, and has values up to {len(numbers[name])}"
            raise _number_objects(found, "value")


def _refuse_numbers_in_a_channel(used: Sequence[MaskTally]) -> None:
    """Refuse colours that are the numbers 1..n in one channel: nobody draws in them, and they may number anything.

    Raises
    ------
    DataError: names the channel.
    """
    colours = {value for tally in used if tally.colour for value in tally.counts if value}
    for channel, shift in (("red", 16), ("green", 8), ("blue", 0)):
        numbers = {value >> shift & 255 for value in colours}
        alone = colours == {number << shift for number in numbers}
        if colours and alone and max(numbers) <= max(len(numbers) * (1 + _GAPS), _DARK * (len(numbers) > 2)):
            raise DataError(
                f"the colours of the masks are the numbers 0 to {max(numbers)} in the {channel} channel",
                "colours that were drawn, or one channel of values",
                "use --masks instances if they number objects, or --masks colours if each is a class",
            )


def _refuse_numbers_after_classes(used: Sequence[MaskTally], masks: Mapping[str, Path]) -> None:
    """Refuse values of a class and an object number together, such as 26001 in Cityscapes' ``instanceIds``.

    Raises
    ------
    DataError: some of the values from 1000 share a thousand, and nearly each is one connected region.
    """
    numbers = {value for tally in used if not tally.colour for value in tally.counts if value >= _CLASS_STEP}
    if len(numbers) < 3 or len({value // _CLASS_STEP for value in numbers}) == len(numbers):
        return
    names = [tally.name for tally in sorted(used, key=lambda tally: -len(numbers & tally.counts.keys()))[:3]]
    stored = [read_mask(masks[name]) for name in names]
    if all(_is_object_mask(np.where(mask < _CLASS_STEP, 0, mask)) for mask in stored):
        raise DataError(
            f"the masks seem to hold a class and an object number in one value, such as {max(numbers)}, as Cityscapes' "
            f"instanceIds do: each value from {_CLASS_STEP} is one connected region, as in {masks[names[0]]}",
            "masks whose values mean classes",
            "use masks of the classes alone, such as Cityscapes' labelIds, or --masks values if each value is a class",
        )


def _is_object_mask(values: NDArray[np.integer]) -> bool:
    """Return whether nearly every value but 0 of a mask is one connected region. Colours are (rows, columns, 3)."""
    regions = _regions(flatten_colours(values) if values.ndim == 3 else values)
    return len(regions) > 1 and sum(count == 1 for count in regions.values()) >= 0.9 * len(regions)


def _regions(values: NDArray[np.integer]) -> dict[int, int]:
    """Return the number of connected regions of each value but 0; nothing for a mask of more values than are kept."""
    present, places = np.unique(values, return_inverse=True)
    if len(present) > KEPT:
        return {}
    shift = int(present[0] != 0)
    numbers = places.reshape(values.shape) + shift
    regions = {}
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        if box is not None:
            _, parts = ndimage.label(numbers[box] == number, structure=np.ones((3, 3)))
            regions[int(present[number - shift])] = parts
    return regions
