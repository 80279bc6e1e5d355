"""The values of a mask and the pixels of each, counted once for each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.class_table import ClassTable, Colour, MaskKind, flatten_colours, flatten_value
from unpool.dataset.mask_values.contrast import value_contrasts
from unpool.dataset.mask_values.neighbours import Neighbours, edge_values, neighbours
from unpool.io.read.masks import MaskPicture

KEPT = 4096
"""Most values in a tally; nobody draws a mask with more."""


@dataclass(frozen=True)
class MaskTally:
    """The values of one mask and the pixels of each.

    Attributes
    ----------
    counts: pixels of each flat value, see ``unpool.class_table.flatten_value``; at most the 4096 most frequent.
    distinct: number of different values.
    colour: whether the values are RGB colours.
    palette: the colours of a palette file by index; None for other files.
    one_bit: whether the file stores one bit a pixel.
    lossy: whether the file is compressed with loss, as JPEG is.
    bits: bits of a stored value.
    white_is_zero: whether the file says that its 0 is shown white.
    neighbours: of each value; empty where there are more than 4096 values.
    edge: pixels of each value along the edges of the picture.
    contrast: how much brighter the picture is than its mean where each value is, in its deviations; empty where this
        is not known.
    stored: of a mask that a table with ranges or nearest values reads, the pixels of each value as it is stored, at
        most the 4096 most frequent; ``counts`` are then those of the table's values. Empty for other masks.
    moved: of such a mask, the pixels at each distance from the value that they are read as, in whole steps from 1.
    outside: pixels outside of the picture's field of view, which are in no count.
    missing: the value that the file declares as missing data, as GDAL does in a TIFF; None without one.
    """

    name: str
    counts: Mapping[int, int]
    distinct: int
    colour: bool
    palette: tuple[Colour, ...] | None
    one_bit: bool
    lossy: bool
    bits: int
    white_is_zero: bool
    neighbours: Mapping[int, Neighbours]
    edge: Mapping[int, int]
    contrast: Mapping[int, float] = field(default_factory=dict)
    stored: Mapping[int, int] = field(default_factory=dict)
    moved: Mapping[int, int] = field(default_factory=dict)
    outside: int = 0
    missing: float | None = None

    @property
    def grey(self) -> bool:
        """Whether every value is a grey; always so for single values."""
        return not self.colour or all(v & 255 == v >> 8 & 255 == v >> 16 for v in self.counts)

    def as_kind(self, kind: MaskKind) -> MaskTally | None:
        """Return the tally of the mask as it is read for that kind; None if it cannot be read so."""
        if kind == "colours":
            if self.colour or any(self.colour_of(value) is None for value in self.counts):
                return self if self.colour else None
            return self._mapped(self.colour_of, colour=True)
        if not self.colour:
            return self
        return self._mapped(lambda value: value & 255, colour=False) if self.grey else None

    def colour_of(self, value: int) -> int | None:
        """Return the colour 0xRRGGBB in which a single value is shown; None for a grey above 255."""
        if self.palette is not None:
            return flatten_value(self.palette[value]) if value < len(self.palette) else 0
        grey = value * 255 if self.one_bit else value
        return grey * 0x010101 if grey <= 255 else None

    def _mapped(self, new: Callable[[int], Any], colour: bool) -> MaskTally:
        counts, edge = _renamed(self.counts, new), _renamed(self.edge, new)
        # The order of palette indices says nothing about their colours.
        between = {} if self.palette else {new(value): found for value, found in self.neighbours.items()}
        return replace(
            self,
            counts=counts,
            distinct=len(counts),
            colour=colour,
            palette=None,
            neighbours=between,
            edge=edge,
            contrast={new(value): found for value, found in self.contrast.items()},
        )


def tally_mask(
    name: str,
    mask: MaskPicture,
    picture: NDArray[Any] | None = None,
    reading: ClassTable | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> MaskTally:
    """Count the pixels of each value in a mask.

    Parameters
    ----------
    picture: the mask's picture (rows, columns, channels), for the contrast of each value.
    reading: a table by which the values are read first, see ``MaskTally.stored``.
    inside: the pixels (rows, columns) that count; None where all do.
    """
    colour = mask.values.ndim == 3
    flat = flatten_colours(mask.values) if colour else mask.values
    counted = slice(None) if inside is None or not inside.any() else inside
    values, pixels = _count(flat[counted])
    if inside is not None:
        flat = np.where(inside, flat, values[pixels.argmax()])
    stored: dict[int, int] = {}
    moved: Counter[int] = Counter()
    if reading is not None and colour == (reading.kind == "colours"):
        stored = _most_frequent(values, pixels)
        found = reading.nearest(values)
        for distance, count in zip(np.ceil(found.distances).astype(int).tolist(), pixels.tolist(), strict=True):
            moved[distance] += count
        flat = found.named[np.searchsorted(values, flat)]
        values, pixels = _count(flat[counted])
    del moved[0]
    return MaskTally(
        name=name,
        counts=_most_frequent(values, pixels),
        distinct=len(values),
        colour=colour,
        palette=mask.palette,
        one_bit=mask.header.form == "one-bit",
        lossy=mask.header.lossy,
        bits=mask.header.bits,
        white_is_zero=mask.header.white_is_zero,
        neighbours=neighbours(flat, values, colour) if len(values) <= KEPT else {},
        edge=edge_values(flat),
        contrast=value_contrasts(None if inside is not None else picture, flat),
        stored=stored,
        moved=moved,
        outside=0 if inside is None else int(inside.size - inside.sum()),
        missing=mask.header.missing,
    )


def _most_frequent(values: NDArray[Any], pixels: NDArray[np.int64]) -> dict[int, int]:
    order = np.argsort(-pixels, kind="stable")[:KEPT]
    return {int(values[k]): int(pixels[k]) for k in sorted(order)}


def _renamed(counts: Mapping[int, int], new: Callable[[int], Any]) -> dict[int, int]:
    renamed: Counter[int] = Counter()
    for value, pixels in counts.items():
        renamed[new(value)] += pixels
    return dict(renamed)


def _count(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the different values and the pixels of each."""
    pixels = values.ravel()
    if pixels.dtype == np.uint8:
        counts = np.bincount(pixels, minlength=256)
        present = np.flatnonzero(counts)
        return present, counts[present]
    # Runs of equal pixels are counted, not pixels: a mask has few runs.
    starts = np.concatenate([[0], np.flatnonzero(pixels[1:] != pixels[:-1]) + 1])
    lengths = np.diff(np.append(starts, pixels.size))
    distinct, inverse = np.unique(pixels[starts], return_inverse=True)
    return distinct, np.bincount(inverse, weights=lengths).astype(np.int64)
