"""The appearance of one picture: the range of its values, values that stand for missing data, and its colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unpool.appearance.values import USUAL_MISSING, FarValue, Values

PART = 1 << 18
"""Pixels that are counted together, so that counting takes a few megabytes for a picture of any size."""
COLOUR_PIXELS = 1 << 16
"""Pixels in which the colour is measured, on a regular grid."""


@dataclass(frozen=True)
class Appearance:
    """The facts of a picture, or of the windows of it that were read.

    Attributes
    ----------
    dtype: its pixel type.
    channels: the values of each channel.
    difference: mean over pixels of the largest less the least of the three channels; None for other numbers of
        channels.
    declared: the value that the file declares as missing data; None where it declares none.
    missing: number of pixels with that value in some channel.
    """

    dtype: str
    channels: tuple[Values, ...]
    difference: float | None = None
    declared: float | None = None
    missing: int = 0

    def joined(self, other: Appearance) -> Appearance:
        """Return the facts of two windows of a picture together."""
        mine, others = self.channels[0].count, other.channels[0].count
        difference = None
        if self.difference is not None and other.difference is not None:
            difference = (self.difference * mine + other.difference * others) / (mine + others)
        channels = tuple(one.joined(two) for one, two in zip(self.channels, other.channels, strict=True))
        return Appearance(self.dtype, channels, difference, self.declared, self.missing + other.missing)

    @property
    def far_values(self) -> tuple[FarValue, ...]:
        """The values that are far from all others, and the declared missing-data value where pixels have it."""
        shares: dict[float, float] = {}
        for channel in self.channels:
            for value, share in channel.far_values(() if self.dtype == "uint8" else USUAL_MISSING):
                shares[value] = max(share, shares.get(value, 0.0))
        if self.declared is not None and self.missing:
            shares[self.declared] = self.missing / self.channels[0].count
        return tuple(FarValue(value, share) for value, share in shares.items())

    @property
    def doubtful(self) -> set[float]:
        """The far values, and all values of channels that have two at most, in which none can be far."""
        few = [channel for channel in self.channels if channel.inner is None]
        return {value for value, _ in self.far_values}.union(*({each.least, each.largest} for each in few))

    def share(self, value: float) -> float:
        """Return the share of the pixels that have a value, 0..1; 0 for values that are neither far nor declared."""
        declared = self.missing / self.channels[0].count if value == self.declared else 0.0
        return max(declared, *(channel.share(value) for channel in self.channels))

    @property
    def span(self) -> tuple[float, float] | None:
        """The least and the largest value without far values; None where no value is left."""
        return reduce(Values.joined, self.channels).range_without({each.value for each in self.far_values})

    @property
    def range(self) -> tuple[float, float] | None:
        """The span; None where it is one value alone."""
        return self.span if self.span and self.span[0] < self.span[1] else None

    @property
    def reach(self) -> float | None:
        """The distance of the farthest value from 0, without far values; None where only one value is left."""
        return max(map(abs, self.range)) if self.range else None

    @property
    def colour(self) -> float | None:
        """The mean difference of the channels, relative to the range: 0 for grey; None for one value alone."""
        if not self.range:
            return None
        if self.difference is None:
            return 0.0 if len(self.channels) == 1 else None
        return self.difference / (self.range[1] - self.range[0])


def appearance_of(pixels: NDArray[Any], declared: float | None = None) -> Appearance:
    """Return the appearance of pixels (rows, columns, channels): uint8, uint16 or finite float32, not empty.

    Parameters
    ----------
    declared: the value that the file declares as missing data; None where it declares none.
    """
    rows = max(PART // pixels.shape[1], 1)
    parts = [pixels[top : top + rows] for top in range(0, len(pixels), rows)]
    channels = tuple(
        reduce(Values.joined, (Values.of(part[..., channel].ravel()) for part in parts))
        for channel in range(pixels.shape[2])
    )
    missing = 0 if declared is None else sum(int((part == declared).any(axis=2).sum()) for part in parts)
    return Appearance(str(pixels.dtype), channels, _difference(pixels), declared, missing)


def _difference(pixels: NDArray[Any]) -> float | None:
    if pixels.shape[2] != 3:
        return None
    step = 1 + isqrt(pixels.shape[0] * pixels.shape[1] // COLOUR_PIXELS)
    channels = np.stack([pixels[::step, ::step, k] for k in range(3)]).astype(np.float64)  # fast along the first axis
    return float(np.ptp(channels, axis=0).mean())
