"""The values of some pixels: their range, and values that are far from all others."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

USUAL_MISSING = frozenset(
    {0.0, 999.0, 9999.0, -999.0, -9999.0, -99999.0, -10000.0, -32767.0, -32768.0, 32767.0, 32768.0, 65535.0}
)
"""Values that programs write where they have no data; huge ones are recognised by their distance alone."""
FAR_APART = 20.0
"""Distance of a value from all others, in ranges of the others, from which it is far; 1 for usual missing values."""
FELT = 1 / 16
"""Share of a value times its squared distance from which it is felt: below, it hardly changes the deviation."""


class FarValue(NamedTuple):
    """A value that is far from all others, such as -9999 for missing data, and its share of the pixels, 0..1."""

    value: float
    share: float


@dataclass(frozen=True)
class Values:
    """Facts of the values of some pixels; they are exact, and so are those of two parts joined.

    Attributes
    ----------
    count: number of pixels.
    mean: of all pixels.
    square: sum of the squared deviations from the mean.
    least, largest: of all pixels; ``least_count`` and ``largest_count`` pixels have them.
    inner: the least and the largest of all values between those two; None where there are none.
    """

    count: int
    mean: float
    square: float
    least: float
    largest: float
    least_count: int
    largest_count: int
    inner: tuple[float, float] | None

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> Self:
        """Return the facts of pixels of one channel: uint8, uint16 or finite float32, of one axis and not empty."""
        if pixels.dtype.kind == "u":
            counts = np.bincount(pixels)
            values = counts.nonzero()[0]
            counts = counts[values]
            mean = float(np.average(values, weights=counts))
            square = float((counts * (values - mean) ** 2).sum())
            first, last, inner = int(counts[0]), int(counts[-1]), values[1:-1]
        else:
            mean = float(pixels.mean(dtype=np.float64))
            square = float(((pixels - np.float64(mean)) ** 2).sum())
            lowest, highest = pixels == pixels.min(), pixels == pixels.max()
            values, first, last = pixels, int(lowest.sum()), int(highest.sum())
            inner = pixels[~(lowest | highest)]
        between = (float(inner.min()), float(inner.max())) if inner.size else None
        return cls(pixels.size, mean, square, float(values.min()), float(values.max()), first, last, between)

    def joined(self, other: Values) -> Values:
        """Return the facts of two parts together."""
        parts = (self, other)
        count = self.count + other.count
        shift = other.mean - self.mean
        least, largest = min(part.least for part in parts), max(part.largest for part in parts)
        ends = {end for part in parts for end in (part.least, part.largest, *(part.inner or ()))} - {least, largest}
        return Values(
            count,
            # Chan, Golub and LeVeque: this joins two means and two sums of squares without cancellation.
            mean=self.mean + shift * other.count / count,
            square=self.square + other.square + shift**2 * self.count * other.count / count,
            least=least,
            largest=largest,
            least_count=sum(part.least_count for part in parts if part.least == least),
            largest_count=sum(part.largest_count for part in parts if part.largest == largest),
            inner=(min(ends), max(ends)) if ends else None,
        )

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.square / self.count)

    def share(self, value: float) -> float:
        """Return the share of the pixels with the least or the largest value, 0..1; 0 for every other value."""
        count = self.least_count if value == self.least else self.largest_count if value == self.largest else 0
        return count / self.count

    def range_without(self, values: Collection[float]) -> tuple[float, float] | None:
        """Return the least and the largest value, without least or largest ones; None where no value is left."""
        ends = {self.least, self.largest, *(self.inner or ())}.difference(values)
        return (min(ends), max(ends)) if ends else None

    @property
    def constant(self) -> bool:
        """Whether all pixels have one value."""
        return self.least == self.largest

    def far_values(self, usual: Collection[float] = USUAL_MISSING) -> tuple[FarValue, ...]:
        """Return the least and the largest value where they are far from all others.

        A value is far where it is farther from the others than they are from each other: 20 times as far, or once if
        it is a usual missing value. A value of so few pixels that it hardly changes the deviation is not.

        Parameters
        ----------
        usual: the usual missing values of the pixel type.
        """
        if self.inner is None:
            return ()
        low, high = self.inner
        below, above = low - self.least, self.largest - high
        ends = (
            (FarValue(self.least, self.least_count / self.count), below, above),
            (FarValue(self.largest, self.largest_count / self.count), above, below),
        )
        return tuple(end for end, by, beyond in ends if self._is_far(end, by, beyond, usual))

    def _is_far(self, end: FarValue, by: float, beyond: float, usual: Collection[float]) -> bool:
        assert self.inner is not None
        extent = self.inner[1] - self.inner[0]
        enough = 1.0 if end.value in usual and extent else FAR_APART
        distance = by / (extent or beyond)  # of three values, the middle one has no extent
        return distance > enough and end.share * distance**2 > FELT
