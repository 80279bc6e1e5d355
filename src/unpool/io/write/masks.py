"""Predictions, written as masks in the values and in the form of the masks that the model was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import IGNORE_ID, ClassTable, Colour, Labels, MaskForm, StoredForm
from unpool.errors import UsageError
from unpool.io.placement import Placement
from unpool.io.write.band_form import BandForm
from unpool.io.write.whole import write_whole

NO_PALETTE_ENTRY: Colour = (0, 0, 0)
"""The colour of an index that no class has."""


class WrittenForm(NamedTuple):
    """The stored form of a mask.

    Attributes
    ----------
    values: the stored value of each label, uint8 or uint16 (256,), or uint8 (256, 3) for RGB.
    palette: RGB colours by stored value; None for greys and RGB.
    one_bit: the values are 0 and 1, one bit each.
    missing: the stored value of pixels with ``IGNORE_ID``, where the picture has no data; ``IGNORE_ID`` itself for RGB;
        None where they have no value of their own.
    """

    values: NDArray[Any]
    palette: tuple[Colour, ...] | None = None
    one_bit: bool = False
    missing: int | None = None

    def band_form(self, rows: int, columns: int) -> BandForm:
        """Return the form of a mask of this size."""
        rgb = self.values.ndim == 2
        return BandForm(
            rows,
            columns,
            channels=3 if rgb else 1,
            dtype=self.values.dtype.name,
            palette=self.palette,
            rgb=rgb,
            one_bit=self.one_bit,
            missing=None if rgb else self.missing,
        )


def write_mask(path: Path, prediction: Labels, table: ClassTable, placement: Placement | None = None) -> None:
    """Write a prediction as a PNG or TIFF in the mask values and the form of a class table, atomically.

    Masks of a form that is not known are grey, or RGB for a table of colours. Values above 255 are grey of 16 bits. In
    a table of instances, background is written as 0 and objects as 1.

    Parameters
    ----------
    prediction: labels (rows, columns): class ids, or ``IGNORE_ID`` where the picture has no data.
    placement: facts of the picture that the file keeps.

    Raises
    ------
    UsageError: a class has a value above 65535.
    """
    placement = placement or Placement()
    written = written_form(table, missing=placement.may_lack_data)
    form = replace(written.band_form(prediction.shape[0], prediction.shape[1]), placement=placement)
    write_whole(path, form, written.values[prediction])


def written_form(table: ClassTable, *, missing: bool = False) -> WrittenForm:
    """Return the stored form of masks of a class table.

    Parameters
    ----------
    missing: whether pixels without data are written with a value of their own: an ignored value of the table, or else
        the highest that no class has. RGB masks have one only where the table ignores a colour.

    Raises
    ------
    UsageError: a class has a value above 65535.
    """
    stored = table.form.stored if table.form else "rgb" if table.kind == "colours" else "grey"
    if table.kind == "colours" and stored == "rgb":
        return _rgb_form(table, missing=missing)
    values = _single_values(table)
    free = _free_value(table, values) if missing else None
    top = max(values) if free is None else max(*values, free)
    lookup = np.full(256, values[0] if free is None else free, np.uint16 if top > 255 else np.uint8)
    lookup[: len(values)] = values
    if stored == "palette" and top <= 255:
        return WrittenForm(lookup, _palette(table, values, top), missing=free)
    return WrittenForm(lookup, one_bit=stored == "one-bit" and top <= 1, missing=free)


def written_as(table: ClassTable, stored: StoredForm) -> ClassTable:
    """Return a class table whose masks are written in the form that a person asks for.

    A palette is that of the training masks if they had one, or else has the display colours of the classes. Masks of
    colours become class ids in grey.

    Raises
    ------
    UsageError: a class has a value that a palette of 256 colours has no entry for.
    """
    top = max(_single_values(table))
    if stored == "palette" and top > 255:
        raise UsageError(
            f"mask value {top}, and a palette of 256 colours",
            "mask values up to 255 for masks with a palette",
            "leave --mask-form out: these values are written as grey of 16 bits",
        )
    return replace(table, form=MaskForm(stored, table.form.palette if table.form else ()))


def in_single_values(table: ClassTable) -> ClassTable:
    """Return a class table whose masks have one number a pixel: mask values, or ids in place of colours."""
    own = table.form.palette if table.form else ()
    return replace(table, form=MaskForm("palette", own))


def form_in_words(table: ClassTable, form: WrittenForm) -> str:
    """Return what a mask of this form holds, in words: ``grey, 0 background, 255 cell``."""
    if form.values.ndim == 2:
        return f"RGB, {table.describe_values()}"
    kind = "palette indices" if form.palette else "one bit" if form.one_bit else "grey"
    named = zip(form.values.tolist(), table.names, strict=False)
    missing = [] if form.missing is None else [f"{form.missing} no data"]
    return ", ".join([kind, *(f"{value} {name}" for value, name in named), *missing])


def _rgb_form(table: ClassTable, *, missing: bool) -> WrittenForm:
    colours = [value[0] for value in table.values if isinstance(value[0], tuple)]
    ignored = next((value for value in table.ignore if isinstance(value, tuple)), None) if missing else None
    lookup = np.full((256, 3), ignored or colours[0], np.uint8)
    lookup[: len(colours)] = colours
    return WrittenForm(lookup, missing=None if ignored is None else IGNORE_ID)


def _single_values(table: ClassTable) -> list[int]:
    """Return the stored number of each class: its mask value, or its id where mask values are no numbers."""
    if table.kind != "values":
        return list(range(len(table)))
    values = [value[0] for value in table.values if isinstance(value[0], int)]
    if max(values) > 65535:
        raise UsageError(f"mask value {max(values)}", "mask values up to 65535", "renumber the classes in the masks")
    return values


def _free_value(table: ClassTable, values: list[int]) -> int:
    """Return the value of pixels without data: an ignored one, or the highest of the values' type that is free."""
    highest = 65535 if max(values) > 255 else 255
    ignored = [value for value in table.ignore if isinstance(value, int) and value <= highest]
    if ignored:
        return ignored[0]
    taken = {number for each in table.values for number in each if isinstance(number, int)} | set(values)
    return max(set(range(highest + 1)) - taken, default=256)


def _palette(table: ClassTable, values: list[int], top: int) -> tuple[Colour, ...]:
    """Return the training masks' palette, or one with the display colours of the classes."""
    if table.form and table.form.palette and table.kind == "values":
        own = table.form.palette
        return (*own, *[NO_PALETTE_ENTRY] * (top + 1 - len(own)))
    palette = [NO_PALETTE_ENTRY] * (top + 1)
    for value, colour in zip(values, table.colours, strict=True):
        palette[value] = colour
    return tuple(palette)
