"""The form of a set of mask files: grey, palette, RGB or one bit; predictions are written in it."""

from __future__ import annotations

from collections.abc import Sequence

from unpool.class_table import ClassTable, Colour, MaskForm, unflatten_value
from unpool.dataset.mask_values.palettes import used_colours
from unpool.dataset.mask_values.tally import MaskTally


def form_of_masks(tallies: Sequence[MaskTally], table: ClassTable) -> MaskForm:
    """Return the form of the masks from which a class table was made.

    Masks with a palette, or of one bit, have that form only if all of them do. Files with three equal channels are
    grey: their values are single numbers.

    Parameters
    ----------
    tallies: of the masks as they are stored.
    """
    if tallies and all(tally.palette is not None for tally in tallies):
        return MaskForm("palette", _palette(tallies) if table.kind == "values" else ())
    if table.kind == "colours":
        return MaskForm("rgb")
    one_bit = bool(tallies) and all(tally.one_bit for tally in tallies)
    return MaskForm("one-bit" if one_bit else "grey")


def _palette(tallies: Sequence[MaskTally]) -> tuple[Colour, ...]:
    """Return the palette of all masks; empty where an index has several colours in them.

    Programs store as many colours as a mask uses, so palettes may differ where no pixel shows it.
    """
    entries: dict[int, int] = {}
    for tally in tallies:
        for index, colour in used_colours(tally).items():
            if entries.setdefault(index, colour) != colour:
                return ()
    longest = max((tally.palette or () for tally in tallies), key=len)
    whole: dict[int, Colour] = dict(enumerate(longest))
    whole |= {index: _rgb(colour) for index, colour in entries.items()}
    return tuple(whole.get(index, (0, 0, 0)) for index in range(min(max(whole, default=-1) + 1, 256)))


def _rgb(colour: int) -> Colour:
    value = unflatten_value(colour, "colours")
    assert isinstance(value, tuple)
    return value
