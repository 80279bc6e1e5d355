"""Palettes of masks: whether an index has one colour in all masks."""

from __future__ import annotations

from collections.abc import Sequence

from unpool.class_table import ClassTable, flatten_value
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.tally import MaskTally


def used_colours(tally: MaskTally) -> dict[int, int]:
    """Return the colour 0xRRGGBB of each index that a palette mask holds; empty for other masks."""
    if tally.palette is None:
        return {}
    return {value: colour for value in tally.counts if (colour := tally.colour_of(value)) is not None}


def palette_conflict(tallies: Sequence[MaskTally]) -> Finding | None:
    """Return the error of a set in which one index has two colours; None where each has one."""
    first_seen: dict[int, tuple[int, str]] = {}
    for tally in tallies:
        for index, colour in used_colours(tally).items():
            other, name = first_seen.setdefault(index, (colour, tally.name))
            if other != colour:
                return Finding(
                    "error",
                    "palettes-differ",
                    f"palette index {index} is #{other:06x} in {name} and #{colour:06x} in {tally.name}",
                    "one palette in all masks",
                    "use --masks colours if the colours mean the classes, --masks values if the indices do",
                    (name, tally.name),
                )
    return None


def colours_agree(tallies: Sequence[MaskTally]) -> bool:
    """Return whether all masks have palettes, and one mask shows all colours that the others show."""
    shown = [set(used_colours(tally).values()) for tally in tallies]
    return all(shown) and set().union(*shown) in shown


def exchanged_colours(tally: MaskTally, table: ClassTable) -> Finding | None:
    """Return the warning of a mask that shows one class in the table's colour of another; None for other masks."""
    if table.kind != "values":
        return None
    class_of = {flatten_value(colour): name for colour, name in zip(table.colours, table.names, strict=True)}
    used = used_colours(tally)
    names = {value: table.names[k] for value, k in table.ids_of(used).items() if k < len(table)}
    for index, colour in used.items():
        if index in names and class_of.get(colour, names[index]) != names[index]:
            return Finding(
                "warning",
                "palettes-differ",
                f"{tally.name} shows mask value {index} ({names[index]}) in the colour of {class_of[colour]}",
                "mask values with the meaning that they had in training",
                "compare the mask with a training mask; renumber its values if they mean other classes",
                (tally.name,),
            )
    return None
