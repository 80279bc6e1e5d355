"""Mask values that a person states, by number or by colour, as they are in the masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from unpool.class_table import Colour, MaskKind, ValueRange, flatten_value, range_from_text, value_from_text
from unpool.dataset.mask_values.class_names import ClassNames
from unpool.dataset.mask_values.options import Ignored
from unpool.dataset.mask_values.tally import MaskTally
from unpool.errors import UsageError


def ignored_values(ignore: Ignored | None, kind: MaskKind, tallies: Sequence[MaskTally]) -> tuple[int, ...]:
    """Return the flat values of the mask values to ignore; of a range, those that the masks hold, and its first.

    Raises
    ------
    UsageError: one of them cannot be a value of such masks.
    """
    ranges = ignored_ranges(ignore) if kind == "values" else ()
    single = [_ignored(item, kind, tallies) for item in ignore or () if not (ranges and _range(item))]
    held = {value for tally in tallies for value in tally.counts if any(value in each for each in ranges)}
    return tuple(dict.fromkeys([*single, *(each.low for each in ranges), *sorted(held)]))


def ignored_ranges(ignore: Ignored | None) -> tuple[ValueRange, ...]:
    """Return the ranges among the mask values to ignore, as ``200-254``."""
    return tuple(found for item in ignore or () if (found := _range(item)))


def _range(item: int | str) -> ValueRange | None:
    return range_from_text(item) if isinstance(item, str) else None


def _ignored(item: int | str, kind: MaskKind, tallies: Sequence[MaskTally]) -> int:
    try:
        value = value_from_text(item) if isinstance(item, str) else item
    except ValueError as error:
        raise _not_ignored(str(item), kind) from error
    if (kind == "colours") == isinstance(value, tuple):
        return flatten_value(value)
    single = value_of_colour(value, tallies) if isinstance(value, tuple) else None
    if single is None:
        colours = kind == "colours"
        raise UsageError(
            f"--ignore {item} for masks of {'colours' if colours else 'single values'}",
            "a colour as #rrggbb" if colours else "a value, or a colour that the masks show",
            "name the colour, as in --ignore '#0000ff'" if colours else "name the value, as in --ignore 255",
        )
    return single


def no_ignored_value(item: str) -> UsageError:
    """Return the error of a text that is neither a mask value nor a range of them."""
    other_way = "-".join(reversed(item.split("-")))
    repair = f"write it the other way: --ignore {other_way}" if range_from_text(other_way) else "correct the value"
    expected = "a mask value, a range with the lower value first, as 200-254, or a colour as #rrggbb"
    return UsageError(f"--ignore {item}", expected, repair)


def _not_ignored(item: str, kind: MaskKind) -> UsageError:
    """Return the error of a text that is no value to ignore in masks of this kind."""
    if range_from_text(item) is None:
        return no_ignored_value(item)
    if kind == "colours":
        return UsageError(f"--ignore {item} for masks of colours", "colours as #rrggbb", "name each colour")
    return UsageError(f"--ignore {item} for object numbers", "single object numbers", "name each number to ignore")


def value_of_colour(colour: Colour, tallies: Sequence[MaskTally]) -> int | None:
    """Return the single value that the masks show in a colour, by their palettes or as a grey.

    None where no value or more than one is shown in it.
    """
    return _value_shown(colour, _shown(tallies), {tally.palette for tally in tallies if tally.palette})


def stated_values(names: ClassNames | None, kind: MaskKind, tallies: Sequence[MaskTally]) -> frozenset[int]:
    """Return the flat values of all mask values that a person states with the class names."""
    if names is None:
        return frozenset()
    numbers = [*(named.value for named in names.classes), *(names.ignore or ())]
    colours = [named.colour for named in names.classes if named.colour]
    if kind == "colours":
        return frozenset(map(flatten_value, colours)) | frozenset(value for value in numbers if value is not None)
    shown, palettes = _shown(tallies), {tally.palette for tally in tallies if tally.palette}
    values = [*numbers, *(_value_shown(colour, shown, palettes) for colour in colours)]
    return frozenset(value for value in values if value is not None)


def _shown(tallies: Sequence[MaskTally]) -> dict[int, set[int]]:
    """Return the single values that the masks show in each flat colour."""
    shown: dict[int, set[int]] = {}
    for tally in tallies:
        for value in tally.counts:
            colour = None if tally.colour else tally.colour_of(value)
            if colour is not None:
                shown.setdefault(colour, set()).add(value)
    return shown


def _value_shown(colour: Colour, shown: Mapping[int, set[int]], palettes: Set[tuple[Colour, ...]]) -> int | None:
    values = set(shown.get(flatten_value(colour), ()))
    if not values and palettes:
        values = {value for palette in palettes for value, entry in enumerate(palette) if entry == colour}
    elif not values and len(set(colour)) == 1:
        values = {colour[0]}
    return values.pop() if len(values) == 1 else None
