"""Predictions, written as masks in the values of the masks that the model was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unpool.class_table import ClassTable, Colour, Labels
from unpool.errors import UsageError
from unpool.io.files import atomic_path
from unpool.io.write.images import write_image


class WrittenForm(NamedTuple):
    """The stored form of a mask.

    Attributes
    ----------
    values: the stored value of each class id, uint8 or uint16 (K,).
    palette: RGB colours by stored value; None for greys.
    """

    values: NDArray[Any]
    palette: tuple[Colour, ...] | None


def write_mask(path: Path, prediction: Labels, table: ClassTable) -> None:
    """Write a prediction as a PNG in the mask values of a class table, atomically.

    Values up to 255 are written as palette indices with the classes' colours, so the file opens in colour and
    reads as ids. Larger values are written as 16-bit grey. A table of colours is written as a palette of
    exactly those colours. In a table of instances, background is written as index 0 and objects as index 1.

    Parameters
    ----------
    prediction: class ids (rows, columns).

    Raises
    ------
    UsageError: a class has a value above 65535.
    """
    values, colours = written_form(table)
    if colours is None:
        write_image(path, values[prediction])
        return
    picture = Image.fromarray(values[prediction]).convert("L")
    picture.putpalette([sample for colour in colours for sample in colour])
    with atomic_path(path) as draft:
        picture.save(draft, format="PNG")


def written_form(table: ClassTable) -> WrittenForm:
    """Return the stored form of masks of a class table: indices with their palette, or greys without one.

    Raises
    ------
    UsageError: a class has a value above 65535.
    """
    ids = np.arange(len(table), dtype=np.uint8)
    if table.kind == "colours":
        return WrittenForm(ids, tuple(value[0] for value in table.values if isinstance(value[0], tuple)))
    if table.kind == "instances":
        return WrittenForm(ids, table.colours)
    values = [value[0] for value in table.values if isinstance(value[0], int)]
    if max(values) > 65535:
        raise UsageError(f"mask value {max(values)}", "mask values up to 65535", "renumber the classes in the masks")
    if max(values) > 255:
        return WrittenForm(table.decode(ids).astype(np.uint16), None)
    palette = [(0, 0, 0)] * (max(values) + 1)
    for value, colour in zip(values, table.colours, strict=True):
        palette[value] = colour
    return WrittenForm(table.decode(ids), tuple(palette))
