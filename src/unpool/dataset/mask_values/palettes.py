"""Palettes of a set of masks: whether one index stands for one colour in all of them."""

from __future__ import annotations

from collections.abc import Sequence

from unpool.class_table import ClassTable, flat
from unpool.dataset.findings import Finding
from unpool.dataset.mask_values.tally import MaskTally


def used_colours(tally: MaskTally) -> dict[int, int]:
    """Index to colour 0xRRGGBB, of the indices that a palette mask holds; empty for other masks."""
    if tally.palette is None:
        return {}
    return {value: colour for value in tally.counts if (colour := tally.colour_of(value)) is not None}


def clashing(tallies: Sequence[MaskTally]) -> Finding | None:
    """The error of a set in which an index is shown in two colours; None where each has one."""
    seen: dict[int, tuple[int, str]] = {}
    for tally in tallies:
        for index, colour in used_colours(tally).items():
            other, name = seen.setdefault(index, (colour, tally.name))
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
    """Whether all masks have palettes, and one of them shows every colour that any other shows."""
    shown = [set(used_colours(tally).values()) for tally in tallies]
    return all(shown) and set().union(*shown) in shown


def permuted(tally: MaskTally, table: ClassTable) -> Finding | None:
    """The warning of a mask whose palette gives one class the colour that the table gives another."""
    if table.kind != "values":
        return None
    classes = {flat(colour): name for colour, name in zip(table.colours, table.names, strict=True)}
    names = {value: table.names[k] for value, k in table.lookup().items() if k < len(table)}
    for index, colour in used_colours(tally).items():
        if index in names and classes.get(colour, names[index]) != names[index]:
            return Finding(
                "warning",
                "palettes-differ",
                f"{tally.name}: shows mask value {index}, {names[index]}, in the colour of {classes[colour]}",
                "masks that mean by a value what the model was trained on",
                "compare the mask with one that was trained on; renumber its values if they mean something else",
                (tally.name,),
            )
    return None
