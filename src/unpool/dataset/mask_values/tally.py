"""Counting what a mask holds: value to pixels, once per file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import Colour, MaskKind, flat, flatten_colours
from unpool.io.read.masks import MaskPicture

KEPT = 4096
"""Values of a mask that are kept in its tally; a mask with more is none that a person drew."""


@dataclass(frozen=True)
class MaskTally:
    """The values of one mask.

    Attributes
    ----------
    counts: value to pixels; a colour is the integer 0xRRGGBB. At most ``KEPT``, the most frequent.
    distinct: how many values there are.
    colour: the values are colours.
    palette: the colours of a palette file by index.
    one_bit, lossy: the file's form.
    bits: bits of a stored value.
    """

    name: str
    counts: Mapping[int, int]
    distinct: int
    colour: bool
    palette: tuple[Colour, ...] | None
    one_bit: bool
    lossy: bool
    bits: int

    @property
    def grey(self) -> bool:
        """Whether every value is a grey: always so for single values."""
        return not self.colour or all(v & 255 == v >> 8 & 255 == v >> 16 for v in self.counts)

    def as_kind(self, kind: MaskKind) -> MaskTally | None:
        """The tally as ``read_mask`` of that kind would give it; None where it cannot."""
        if kind == "colours":
            if self.colour or any(self.colour_of(value) is None for value in self.counts):
                return self if self.colour else None
            return self._mapped(self.colour_of, colour=True)
        if not self.colour:
            return self
        return self._mapped(lambda value: value & 255, colour=False) if self.grey else None

    def colour_of(self, value: int) -> int | None:
        """The colour 0xRRGGBB in which a single value is shown; None for a grey above 255, which has none."""
        if self.palette is not None:
            return flat(self.palette[value]) if value < len(self.palette) else 0
        grey = value * 255 if self.one_bit else value
        return grey * 0x010101 if grey <= 255 else None

    def _mapped(self, new: Any, colour: bool) -> MaskTally:
        counts: dict[int, int] = {}
        for value, pixels in self.counts.items():
            counts[new(value)] = counts.get(new(value), 0) + pixels
        return replace(self, counts=counts, distinct=len(counts), colour=colour, palette=None)


def tally_mask(name: str, mask: MaskPicture) -> MaskTally:
    """Count the values of a mask."""
    colour = mask.values.ndim == 3
    values, pixels = _count(flatten_colours(mask.values) if colour else mask.values)
    order = np.argsort(-pixels, kind="stable")[:KEPT]
    return MaskTally(
        name=name,
        counts={int(values[k]): int(pixels[k]) for k in sorted(order)},
        distinct=len(values),
        colour=colour,
        palette=mask.palette,
        one_bit=mask.header.form == "one-bit",
        lossy=mask.header.lossy,
        bits=mask.header.bits,
    )


def _count(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct values and their pixels, by runs: masks are made of few of them."""
    flat = values.ravel()
    if flat.dtype == np.uint8:
        counts = np.bincount(flat, minlength=256)
        present = np.flatnonzero(counts)
        return present, counts[present]
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    distinct, inverse = np.unique(flat[starts], return_inverse=True)
    return distinct, np.bincount(inverse, weights=lengths).astype(np.int64)
