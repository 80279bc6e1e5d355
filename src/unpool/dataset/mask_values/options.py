"""The statements of a person about the masks: the options ``--masks``, ``--classes``, ``--ignore`` and ``--snap``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

RequestedKind: TypeAlias = Literal["auto", "values", "colours", "instances"]
"""A kind of masks, see ``unpool.class_table.ClassTable``, or ``auto``."""

Ignored: TypeAlias = Sequence[int | str]
"""Mask values to ignore: numbers, ranges as ``200-254``, or colours as ``#rrggbb``."""


@dataclass(frozen=True)
class MaskOptions:
    """The statements of a person about the masks of a folder; the defaults leave all to the masks.

    Attributes
    ----------
    kind: what a mask pixel is. ``auto`` decides by the masks, and refuses masks that may hold object numbers.
    classes: class names as ``name``, ``value=name``, ``value,value=name``, ``low-high=name`` or ``#rrggbb=name``; empty
        to use the folder's class file, if any.
    ignore: mask values, or ranges of them, of pixels that count nowhere; None decides by the masks.
    snap: whether every value that is not named is read as the nearest one that is.
    """

    kind: RequestedKind = "auto"
    classes: Sequence[str] = ()
    ignore: Ignored | None = None
    snap: bool = False


BY_THE_MASKS = MaskOptions()
"""The options of a person who states nothing."""
